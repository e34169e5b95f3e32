"""DNS messages, as much of them as an authoritative server needs (RFC 1035 §4, RFC 6891).

A query is read in one bounded pass: one question, and the EDNS record behind it. A general library would first build an
object of everything a stranger put into the packet, at twenty times the cost.
"""

import ipaddress
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

Labels = tuple[bytes, ...]
"""A name without the root, in lower case: names compare without regard to ASCII case (RFC 4343)."""

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
BADVERS: Final = 16
IN: Final = 1
TYPES: Final[Mapping[str, int]] = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}
OPT, IXFR, AXFR, ANY = 41, 251, 252, 255

_HEADER: Final = struct.Struct("!6H")
_TWO: Final = struct.Struct("!2H")
_FIXED: Final = struct.Struct("!HHIH")
"""Type, class, TTL and length of a record, after its name."""
_QR, _AA, _TC, _RD = 0x8000, 0x0400, 0x0200, 0x0100
_DNSSEC_OK: Final = 0x8000
_OPCODE: Final = 0x7800
_POINTER: Final = 0xC000
_LONGEST_NAME: Final = 255
_MOST_ADDITIONAL: Final = 4
"""OPT, TSIG and SIG(0) are all that a query may carry behind its question; each at most once."""

UDP_SIZE: Final = 1232
"""What fits one datagram without fragments, everywhere (RFC 9715)."""
UDP_SIZE_WITHOUT_EDNS: Final = 512
TCP_SIZE: Final = 65535


class Edns(NamedTuple):
    """The asker's extensions (RFC 6891 §6)."""

    udp_size: int
    version: int
    dnssec_ok: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A question that can be understood."""

    id: int
    flags: int
    name: Labels
    type: int
    class_: int
    question: bytes
    """As it came, case and all: it is sent back (draft-vixie-dnsext-dns0x20: some askers check it)."""
    edns: Edns | None


@dataclass(frozen=True, slots=True)
class Unanswerable:
    """A query that gets nothing but an error."""

    id: int
    flags: int
    rcode: int


class RecordSet(NamedTuple):
    """All records of one name and type (RFC 2181 §5)."""

    type: int
    ttl_s: int
    rdata: tuple[bytes, ...]
    targets: tuple[Labels, ...] = ()
    """Names that the records lead to, for NS and MX: their addresses are sent along."""


class Owned(NamedTuple):
    """A record set and whose it is."""

    name: Labels
    records: RecordSet


@dataclass(frozen=True, slots=True)
class Sections:
    """What is answered."""

    answer: Sequence[Owned] = ()
    authority: Sequence[Owned] = ()
    additional: Sequence[Owned] = ()


# -- reading


def read_query(packet: bytes) -> Query | Unanswerable | None:
    """None for what must not be answered at all: fragments of a header, and answers (two servers would never stop)."""
    if len(packet) < _HEADER.size:
        return None
    id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    if flags & _QR:
        return None
    if flags & _OPCODE:
        return Unanswerable(id, flags, NOTIMP)
    if (questions, answers, authorities) != (1, 0, 0) or additionals > _MOST_ADDITIONAL:
        return Unanswerable(id, flags, FORMERR)
    try:
        name, at = _read_name(packet, _HEADER.size)
        type, class_ = _TWO.unpack_from(packet, at)
        at += _TWO.size
        edns = _read_edns(packet, at, additionals)
    except (IndexError, struct.error, ValueError):
        return Unanswerable(id, flags, FORMERR)
    return Query(id, flags, name, type, class_, packet[_HEADER.size : at], edns)


def _read_name(packet: bytes, at: int) -> tuple[Labels, int]:
    """A name without pointers: before the question there is nothing that one could lead to. Raises ValueError."""
    labels = []
    start = at
    while size := packet[at]:
        if size > 63:
            raise ValueError
        labels.append(packet[at + 1 : at + 1 + size].lower())
        at += 1 + size
    if at + 1 - start > _LONGEST_NAME:
        raise ValueError
    return tuple(labels), at + 1


def _read_edns(packet: bytes, at: int, records: int) -> Edns | None:
    """Walks the additional section, which has to end with the packet. Raises ValueError where it does not."""
    found = None
    for _ in range(records):
        is_root = not packet[at]
        at = _past_name(packet, at)
        type, class_, ttl, size = _FIXED.unpack_from(packet, at)
        at += _FIXED.size + size
        if type == OPT:
            if found is not None or not is_root:  # RFC 6891 §6.1.1
                raise ValueError
            found = Edns(class_, ttl >> 16 & 0xFF, bool(ttl & _DNSSEC_OK))
    if at != len(packet):
        raise ValueError
    return found


def _past_name(packet: bytes, at: int) -> int:
    while size := packet[at]:
        if size >= 0xC0:
            return at + 2
        if size > 63:
            raise ValueError
        at += 1 + size
    return at + 1


# -- writing


def write_error(query: Unanswerable) -> bytes:
    """A header alone: of what could not be read, nothing is sent back."""
    flags = _QR | query.flags & (_OPCODE | _RD) | query.rcode
    return _HEADER.pack(query.id, flags, 0, 0, 0, 0)


def write_reply(query: Query, rcode: int, *, authoritative: bool, sections: Sections, tcp: bool) -> bytes:
    """The reply within the size that the asker can take.

    Over UDP, additional records are left out where they do not fit; where the answer itself does not, none of it is
    sent and the asker comes again over TCP (RFC 2181 §9).
    """
    edns = _written_edns(query, rcode)
    limit = TCP_SIZE if tcp else _udp_limit(query.edns)
    room = limit - _HEADER.size - len(query.question) - len(edns)
    flags = _QR | query.flags & _RD | (_AA if authoritative else 0) | rcode & 0xF
    answer, authority, additional = (
        _written(query, owned) for owned in (sections.answer, sections.authority, sections.additional)
    )
    if len(answer) + len(authority) > room:
        flags |= _TC
        sections, answer, authority, additional = Sections(), b"", b"", b""
    elif len(answer) + len(authority) + len(additional) > room:
        sections, additional = Sections(sections.answer, sections.authority), b""
    counts = (_count(sections.answer), _count(sections.authority), _count(sections.additional) + bool(edns))
    return _HEADER.pack(query.id, flags, 1, *counts) + query.question + answer + authority + additional + edns


def _udp_limit(edns: Edns | None) -> int:
    # RFC 6891 §6.2.3: values below 512 are treated as 512.
    return UDP_SIZE_WITHOUT_EDNS if edns is None else min(max(edns.udp_size, UDP_SIZE_WITHOUT_EDNS), UDP_SIZE)


def _written_edns(query: Query, rcode: int) -> bytes:
    """RFC 6891 §7: who asks with EDNS is answered with it, who does not is not; RFC 3225 §3: DO comes back."""
    if query.edns is None:
        return b""
    extended = rcode >> 4 << 24 | (_DNSSEC_OK if query.edns.dnssec_ok else 0)
    return b"\0" + _FIXED.pack(OPT, UDP_SIZE, extended, 0)


def _count(owned: Sequence[Owned]) -> int:
    return sum(len(each.records.rdata) for each in owned)


def _written(query: Query, owned: Sequence[Owned]) -> bytes:
    parts = []
    for name, records in owned:
        head = _written_owner(query, name)
        for rdata in records.rdata:
            parts += [head, _FIXED.pack(records.type, IN, records.ttl_s, len(rdata)), rdata]
    return b"".join(parts)


def _written_owner(query: Query, name: Labels) -> bytes:
    """The labels that differ from the question, and a pointer into it for the rest (RFC 1035 §4.1.4).

    The name of the answer is thus the question's own, in its case.
    """
    common = 0
    while common < min(len(name), len(query.name)) and name[-1 - common] == query.name[-1 - common]:
        common += 1
    own = b"".join(_label(label) for label in name[: len(name) - common])
    if not common:
        return own + b"\0"
    before = sum(len(label) + 1 for label in query.name[: len(query.name) - common])
    return own + (_POINTER | _HEADER.size + before).to_bytes(2)


def _label(label: bytes) -> bytes:
    return len(label).to_bytes(1) + label


# -- values


def labels_of(name: str) -> Labels:
    """Of an ASCII name without a final dot."""
    return tuple(name.lower().encode("ascii").split(b"."))


def name_rdata(name: str) -> bytes:
    return b"".join(map(_label, labels_of(name))) + b"\0"


def rdata(type: str, value: str) -> bytes:
    """The wire form of a value: A, AAAA, NS, CNAME as their text, MX as ``10 name``, TXT as the whole text."""
    match type:
        case "A" | "AAAA":
            return ipaddress.ip_address(value).packed
        case "MX":
            preference, _, host = value.partition(" ")
            return int(preference).to_bytes(2) + name_rdata(host)
        case "TXT":
            return text_rdata(value.encode())
        case _:
            return name_rdata(value)


def text_rdata(text: bytes) -> bytes:
    """As strings of up to 255 octets, which their reader puts together again (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""
    return b"".join(_label(text[start : start + 255]) for start in range(0, max(len(text), 1), 255))


def soa_rdata(nameserver: str, mailbox: str, serial: int, negative_ttl_s: int) -> bytes:
    """`mailbox` as a name (RFC 1035 §3.3.13). Refresh, retry and expiry speak to secondaries, and there are none."""
    numbers = struct.pack("!5I", serial & 0xFFFFFFFF, 3600, 600, 604_800, negative_ttl_s)
    return name_rdata(nameserver) + name_rdata(mailbox) + numbers
