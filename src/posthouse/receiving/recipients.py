"""Who may be written to: addresses and domains that somebody here has proven to be theirs.

Source: SES developer guide, "Email receiving concepts": mail is taken only for verified identities; everything else is
refused at RCPT, so that nothing bounces later to a forged sender.
"""

from posthouse.domain.identities import candidates, key_of
from posthouse.domain.scope import Scope
from posthouse.ports.records import RecordStore


class Recipients:
    """Verified identities of all accounts, by name; read again when any record changed."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._version = -1
        self._holders: dict[str, tuple[Scope, ...]] = {}

    async def holders(self, address: str) -> tuple[Scope, ...]:
        """The scopes that receive mail for this address; none: nobody asked for it."""
        version = await self._records.version()
        if version != self._version:
            await self._read()
            self._version = version
        found: dict[Scope, None] = {}
        for name in candidates(address):
            found.update(dict.fromkeys(self._holders.get(key_of(name), ())))
        return tuple(found)

    async def _read(self) -> None:
        async with self._records.reading() as reading:
            everybody = await reading.identities.everywhere()
        holders: dict[str, tuple[Scope, ...]] = {}
        for scope, name, identity in everybody:
            if identity.verified:
                holders[name] = (*holders.get(name, ()), scope)
        self._holders = holders
