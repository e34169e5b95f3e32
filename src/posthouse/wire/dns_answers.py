"""What an authoritative server answers (RFC 1034 §4.3.2, RFC 2308, RFC 8482). A zone is a value, an answer a function.

One zone, no delegation inside it, no aliases, no wildcards, no recursion, no transfer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from posthouse.wire.dns_message import (
    ANY,
    AXFR,
    BADVERS,
    FORMERR,
    IN,
    IXFR,
    NOERROR,
    NXDOMAIN,
    OPT,
    REFUSED,
    SERVFAIL,
    TYPES,
    Labels,
    Owned,
    Query,
    RecordSet,
    Sections,
    labels_of,
    rdata,
    write_reply,
)

Node = Mapping[int, RecordSet]
"""The record sets of one name by type; empty where the name only has names below it (RFC 4592 §2.2.2)."""

_ADDRESSES = (TYPES["A"], TYPES["AAAA"])


@dataclass(frozen=True, slots=True)
class Zone:
    """What there is to know, except for names that are looked up one by one."""

    origin: Labels
    nodes: Mapping[Labels, Node]
    soa: RecordSet
    negative_ttl_s: int

    def holds(self, name: Labels) -> bool:
        return name[-len(self.origin) :] == self.origin

    def inside(self, name: Labels) -> Labels:
        """The labels below the origin, of a name that the zone holds."""
        return name[: -len(self.origin)]


def answerable(query: Query, zone: Zone) -> bool:
    """Whether it depends on the records at the name what is answered; otherwise `answer` refuses."""
    return _refusal(query, zone) == NOERROR


def answer(query: Query, zone: Zone, node: Node | None, *, tcp: bool) -> bytes:
    """The reply; `node` is what stands at the name of the question, None where there is no such name."""
    refusal = _refusal(query, zone)
    if refusal != NOERROR:
        return write_reply(query, refusal, authoritative=False, sections=Sections(), tcp=tcp)
    found = _chosen(query, zone, node or {})
    if found is not None:
        sections = Sections(answer=[Owned(query.name, found)], additional=_along_with(found, zone))
    else:
        # RFC 2308 §3 and §5: the SOA record says for how long there is nothing.
        soa = zone.soa._replace(ttl_s=min(zone.soa.ttl_s, zone.negative_ttl_s))
        sections = Sections(authority=[Owned(zone.origin, soa)])
    rcode = NXDOMAIN if node is None else NOERROR
    return write_reply(query, rcode, authoritative=True, sections=sections, tcp=tcp)


def answer_failure(query: Query, *, tcp: bool) -> bytes:
    """What stands at the name cannot be told now."""
    return write_reply(query, SERVFAIL, authoritative=False, sections=Sections(), tcp=tcp)


def _refusal(query: Query, zone: Zone) -> int:
    if query.edns is not None and query.edns.version > 0:
        return BADVERS
    if query.type == OPT:  # RFC 6891 §6.1.1: no question asks for it
        return FORMERR
    if query.class_ != IN or not zone.holds(query.name) or query.type in (AXFR, IXFR):
        return REFUSED
    return NOERROR


def _chosen(query: Query, zone: Zone, node: Node) -> RecordSet | None:
    if query.name == zone.origin:
        node = {**node, zone.soa.type: zone.soa}
    if query.type == ANY:
        # RFC 8482 §4.1: one of the record sets will do, and makes a poor amplifier.
        return next(iter(node.values()), None)
    return node.get(query.type)


def _along_with(found: RecordSet, zone: Zone) -> list[Owned]:
    return [
        Owned(target, zone.nodes[target][type])
        for target in found.targets
        for type in _ADDRESSES
        if type in zone.nodes.get(target, {})
    ]


def nodes_of(origin: Labels, records: Iterable[tuple[str, str, str]], ttl_s: int) -> dict[Labels, Node]:
    """Nodes of (type, name, value) triples, with the empty ones between them and the origin."""
    found: dict[Labels, dict[int, RecordSet]] = {origin: {}}
    for type, name, value in records:
        owner = labels_of(name)
        for length in range(len(origin), len(owner)):
            found.setdefault(owner[-length:], {})
        node = found.setdefault(owner, {})
        node[TYPES[type]] = _joined(node.get(TYPES[type]), type, value, ttl_s)
    return dict(found)


def _joined(known: RecordSet | None, type: str, value: str, ttl_s: int) -> RecordSet:
    known = known or RecordSet(TYPES[type], ttl_s, ())
    targets = (labels_of(value.rpartition(" ")[2]),) if type in ("NS", "MX") else ()
    return known._replace(rdata=(*known.rdata, rdata(type, value)), targets=known.targets + targets)
