"""The zone of the service domain: what stands in the configuration, and the keys, which stand in the database."""

import asyncio
import logging
import re
from typing import NamedTuple

from posthouse.domain.dns_records import TTL_S, ServiceDomain, service_records
from posthouse.domain.scope import REGIONS, Scope
from posthouse.ports.records import SERVICE_SCOPE, RecordStore
from posthouse.ports.stores import StoreRefused, StoreUnavailable
from posthouse.wire.dns_answers import Node, Zone, answer, answer_failure, answerable, nodes_of
from posthouse.wire.dns_message import (
    TYPES,
    Labels,
    Query,
    RecordSet,
    labels_of,
    read_query,
    soa_rdata,
    text_rdata,
    write_error,
)

log = logging.getLogger("posthouse.dns")

NEGATIVE_TTL_S = 60
"""For so long somebody who asked too early does not see a new key: a customer is waiting for his domain's check."""
MAX_KEYS = 20_000
"""Kept in memory, names that are no keys among them."""
MAX_LOOKUPS = 32
"""Looks into the database at a time: a flood of invented names shall not keep it from mail."""
LOOKUP_S = 2.0
"""Then SERVFAIL: the asker tries another server, and has about as much patience."""
VERSION_S = 0.5
"""So long an answer waits to hear whether anything changed; a database that hangs must not take MX and SPF along."""

KEYS, SERVICE_KEYS = b"dkim", b"_domainkey"
_TOKEN = re.compile(rb"[a-z2-7]{32}\Z")
"""What our selectors look like (ports.signing_keys); nothing else is looked for."""
_TXT = TYPES["TXT"]


class PublicKey(NamedTuple):
    """The half of a key pair that this door needs; the other does not stay in its memory."""

    scope: Scope
    domain: str
    record: str


class ServiceZone:
    """Answers packets. Never raises for what a packet says."""

    def __init__(self, domain: ServiceDomain, records: RecordStore) -> None:
        self._domain, self._records = domain, records
        self._origin = labels_of(domain.name)
        triples = [(each.type, each.name, each.value) for each in service_records(domain, REGIONS)]
        self._nodes = nodes_of(self._origin, triples, TTL_S)
        for parent in (KEYS, SERVICE_KEYS):  # names stand below them, even while there are no keys
            self._nodes.setdefault((parent, *self._origin), {})
        self._version = 0
        self._zone = self._at_version(0)
        self._following: asyncio.Task[None] | None = None
        self._keys: dict[str, PublicKey | None] = {}
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)

    async def answer(self, packet: bytes, *, tcp: bool) -> bytes | None:
        """The reply to a query; None where none is due."""
        query = read_query(packet)
        if query is None:
            return None
        if not isinstance(query, Query):
            return write_error(query)
        await self._follow_version()
        zone = self._zone
        if not answerable(query, zone):
            return answer(query, zone, None, tcp=tcp)
        try:
            node = await self._node(query.name)
        except (StoreUnavailable, StoreRefused, TimeoutError) as error:
            log.warning("a key cannot be looked up: %s", error or "the database does not answer")
            return answer_failure(query, tcp=tcp)
        return answer(query, zone, node, tcp=tcp)

    async def _follow_version(self) -> None:
        """What was read is kept until a record changes; a database that does not answer leaves everything as it was."""
        if self._following is None:  # one question, however many wait for the answer
            self._following = asyncio.get_running_loop().create_task(self._look_for_changes())
        await asyncio.wait([self._following], timeout=VERSION_S)

    async def _look_for_changes(self) -> None:
        try:
            version = await self._records.version()
            if version != self._version:
                self._version = version
                self._zone = self._at_version(version)
                self._keys.clear()
        except StoreUnavailable as error:
            log.warning("records cannot be read: %s", error)
        finally:
            self._following = None

    def _at_version(self, version: int) -> Zone:
        """The version of the records makes a serial: it grows with every change, and is the same in every process."""
        mailbox = f"hostmaster.{self._domain.name}"
        rdata = soa_rdata(self._domain.nameservers[0], mailbox, version, NEGATIVE_TTL_S)
        return Zone(self._origin, self._nodes, RecordSet(TYPES["SOA"], TTL_S, (rdata,)), NEGATIVE_TTL_S)

    # -- names

    async def _node(self, name: Labels) -> Node | None:
        """What stands at a name of the zone; None where there is no such name."""
        match self._zone.inside(name):
            case (token, b"dkim" | b"_domainkey" as parent) if _TOKEN.match(token):
                key = await self._key(token.decode("ascii"))
                if key is None or not self._belongs(key, parent):
                    return None
                return {_TXT: RecordSet(_TXT, TTL_S, (text_rdata(key.record.encode()),))}
            case _:
                return self._nodes.get(name)

    def _belongs(self, key: PublicKey, parent: bytes) -> bool:
        if parent == SERVICE_KEYS:
            return key.scope == SERVICE_SCOPE and key.domain == self._domain.name
        return key.scope != SERVICE_SCOPE

    async def _key(self, token: str) -> PublicKey | None:
        if token in self._keys:
            return self._keys[token]
        version = self._version
        async with asyncio.timeout(LOOKUP_S), self._lookups, self._records.reading() as reading:
            found = await reading.signing_keys.find(token)
        key = None if found is None else PublicKey(found.scope, found.domain, found.public_record)
        # While this one read, another may have noticed a change: what was read then is not kept.
        if version == self._version:
            self._make_room()
            self._keys[token] = key
        return key

    def _make_room(self) -> None:
        """Names that are no keys go first: a flood of them must not drive out the keys."""
        if len(self._keys) >= MAX_KEYS:
            for token in [known for known, key in self._keys.items() if key is None] or list(self._keys):
                del self._keys[token]
