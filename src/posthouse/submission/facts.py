"""What every message needs to know of its account and senders, kept in memory for as long as nobody changes any."""

from collections.abc import Sequence

from posthouse.domain.accounts import Account
from posthouse.domain.addresses import Mailbox
from posthouse.domain.identities import candidates, key_of
from posthouse.domain.scope import Scope
from posthouse.domain.sending import is_verified
from posthouse.ports.records import RecordStore

MAX_ENTRIES = 50_000
"""Of one process; a flood of different addresses empties the cache instead of growing it."""

ACCOUNT = "account"
"""The name of the one account record of a scope."""


class Facts:
    """Reads through to the records; forgets everything when their version moves, whoever moved it."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._version = -1
        self._accounts: dict[Scope, Account] = {}
        self._verified: dict[tuple[Scope, str], bool] = {}

    async def account(self, scope: Scope) -> Account:
        version = await self._current()
        account = self._accounts.get(scope)
        if account is None:
            async with self._records.reading() as reading:
                account = await reading.accounts.get(scope, ACCOUNT) or Account()
            if version == self._version:
                self._accounts[scope] = account
        return account

    async def unverified(self, scope: Scope, mailboxes: Sequence[Mailbox]) -> list[Mailbox]:
        """Those of the mailboxes that no verified identity covers, in their order."""
        version = await self._current()
        failed = []
        for mailbox in mailboxes:
            verified = self._verified.get((scope, mailbox.address))
            if verified is None:
                verified = await self._look_up(scope, mailbox.address)
                # While this one read, another may have noticed a change: what was read then is not kept.
                if version == self._version:
                    self._verified[scope, mailbox.address] = verified
            if not verified:
                failed.append(mailbox)
        return failed

    async def _look_up(self, scope: Scope, address: str) -> bool:
        async with self._records.reading() as reading:
            return is_verified(address, await reading.identities.get_many(scope, map(key_of, candidates(address))))

    async def _current(self) -> int:
        """The version that what is kept belongs to; what belonged to another is forgotten."""
        version = await self._records.version()
        if version != self._version or len(self._verified) > MAX_ENTRIES:
            self._accounts.clear()
            self._verified.clear()
            self._version = version
        return version
