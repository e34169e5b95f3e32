"""The envelope sender of each message: signed, at the sender's custom MAIL FROM domain or the region's own.

Source: SES developer guide, "Using a custom MAIL FROM domain": the custom domain is used while its MX record is seen,
else the default, ``REGION.SERVICE_DOMAIN``.
"""

from posthouse.domain.identities import candidates, key_of
from posthouse.domain.mail_from import governing, sender_of, usable_domain
from posthouse.domain.messages import MessageFacts
from posthouse.domain.scope import Scope
from posthouse.mail import verp
from posthouse.ports.records import RecordStore

MAX_ENTRIES = 10_000


class ReturnPaths:
    """MAIL FROM domains by (scope, sender), kept until any record changes."""

    def __init__(self, records: RecordStore, service_domain: str, key: bytes) -> None:
        """`key` signs return paths; secret, of the installation, for nothing else."""
        self._records, self._service_domain, self._key = records, service_domain, key
        self._version = -1
        self._domains: dict[tuple[Scope, str], str] = {}

    async def path_for(self, facts: MessageFacts) -> str:
        """The reverse path of this message; the same again while no record changes. Empty for what must not bounce."""
        if facts.null_sender:
            return ""
        version = await self._records.version()
        if version != self._version or len(self._domains) > MAX_ENTRIES:
            self._domains.clear()
            self._version = version
        domain = self._domains.get((facts.identity_scope, facts.source))
        if domain is None:
            domain = await self._load(facts)
            # While this one read, another may have noticed a change: what was read then is not kept.
            if version == self._version:
                self._domains[facts.identity_scope, facts.source] = domain
        return f"{verp.sign(facts.message_id, self._key)}@{domain}"

    async def _load(self, facts: MessageFacts) -> str:
        address = sender_of(facts)
        async with self._records.reading() as reading:
            identities = await reading.identities.get_many(facts.identity_scope, map(key_of, candidates(address)))
        return usable_domain(governing(address, identities)) or f"{facts.scope.region}.{self._service_domain}"
