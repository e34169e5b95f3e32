"""Hostile packets: whatever comes, the reply is one that another implementation reads, within its size, or none."""

import random

import dns.flags
import dns.message
from tests.fuzz.inputs import inputs
from tests.wire.test_dns_answers import ZONE

from posthouse.wire.dns_answers import answer
from posthouse.wire.dns_message import Unanswerable, read_query, write_error

ROUNDS = inputs(100000)
NAMES = ("mail.example.", "eu-west-1.mail.example.", "key.dkim.mail.example.", "big.mail.example.", "x.test.", ".")
TYPES = ("A", "TXT", "MX", "NS", "SOA", "ANY", "AXFR", "OPT", "TYPE999")
READ_BACK_EVERY = 50
"""The other implementation is slow; ours sees every packet."""


def seeds() -> list[bytes]:
    options = ({"use_edns": False}, {"use_edns": 0, "payload": 1232}, {"use_edns": 0, "want_dnssec": True})
    return [
        dns.message.make_query(name, type, **each).to_wire() for name in NAMES for type in TYPES for each in options
    ]


def damaged(source: random.Random, packet: bytes) -> bytes:
    result = bytearray(packet)
    for _ in range(source.randrange(4)):
        at = source.randrange(len(result) + 1)
        match source.randrange(4):
            case 0:
                result[at : at + 1] = bytes([source.choice((0, 1, 63, 64, 0xC0, 0xFF, source.randrange(256)))])
            case 1:
                del result[at : at + source.randrange(8)]
            case 2:
                result[at:at] = source.randbytes(source.randrange(8))
            case _:
                result[at:at] = result[source.randrange(len(result) + 1) :][:64]
    return bytes(result[:4096])


def reply_to(packet: bytes, tcp: bool) -> bytes | None:
    query = read_query(packet)
    if query is None:
        return None
    if isinstance(query, Unanswerable):
        return write_error(query)
    return answer(query, ZONE, ZONE.nodes.get(query.name), tcp=tcp)


def test_any_packet_gets_a_sound_reply_or_none() -> None:
    source, known = random.Random(53), seeds()
    for number in range(ROUNDS):
        packet = damaged(source, source.choice(known)) if number % 4 else source.randbytes(source.randrange(600))
        tcp = bool(number % 2)
        reply = reply_to(packet, tcp)
        if reply is None:
            assert len(packet) < 12 or packet[2] & 0x80
            continue
        assert reply[:2] == packet[:2]
        assert reply[2] & 0x80, "an answer, not a question"
        assert len(reply) <= (65535 if tcp else 1232)
        if number % READ_BACK_EVERY == 0:
            assert dns.message.from_wire(reply).flags & dns.flags.QR
