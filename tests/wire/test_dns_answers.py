"""Answers of an authoritative server, read back by another implementation of DNS."""

from collections.abc import Iterable

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from posthouse.wire.dns_answers import Zone, answer, nodes_of
from posthouse.wire.dns_message import (
    TYPES,
    Query,
    RecordSet,
    Unanswerable,
    labels_of,
    read_query,
    soa_rdata,
    write_error,
)

ORIGIN = labels_of("mail.example")
LONG = "v=DKIM1; k=rsa; p=" + "A" * 392
RECORDS = [
    ("NS", "mail.example", "ns1.mail.example"),
    ("NS", "mail.example", "ns.elsewhere.test"),
    ("A", "ns1.mail.example", "192.0.2.7"),
    ("AAAA", "ns1.mail.example", "2001:db8::7"),
    ("TXT", "mail.example", "v=spf1 ip4:192.0.2.7 -all"),
    ("MX", "eu-west-1.mail.example", "10 feedback-smtp.eu-west-1.mail.example"),
    ("A", "feedback-smtp.eu-west-1.mail.example", "192.0.2.7"),
    ("TXT", "key.dkim.mail.example", LONG),
    *(("TXT", "big.mail.example", f"{number} " + "x" * 200) for number in range(6)),
]
SOA = RecordSet(TYPES["SOA"], 1800, (soa_rdata("ns1.mail.example", "hostmaster.mail.example", 7, 60),))
ZONE = Zone(ORIGIN, nodes_of(ORIGIN, RECORDS, 300), SOA, 60)


def answered(packet: bytes, *, tcp: bool = False) -> bytes:
    query = read_query(packet)
    assert query is not None
    if isinstance(query, Unanswerable):
        return write_error(query)
    return answer(query, ZONE, ZONE.nodes.get(query.name), tcp=tcp)


def ask(name: str, type: str, *, tcp: bool = False, class_: str = "IN", **options: object) -> dns.message.Message:
    query = dns.message.make_query(name, type, class_, **options)  # type: ignore[arg-type]
    reply = dns.message.from_wire(answered(query.to_wire(), tcp=tcp), one_rr_per_rrset=False, ignore_trailing=False)
    assert query.is_response(reply)
    assert not reply.flags & dns.flags.RA
    return reply


def texts(section: Iterable[object]) -> list[str]:
    return sorted(line for each in section for line in str(each).splitlines())


def is_authoritative(reply: dns.message.Message) -> bool:
    return bool(reply.flags & dns.flags.AA)


# -- what is there


def test_records_are_answered_with_authority() -> None:
    reply = ask("mail.example.", "TXT")
    assert reply.rcode() == dns.rcode.NOERROR
    assert is_authoritative(reply)
    assert texts(reply.answer) == ['mail.example. 300 IN TXT "v=spf1 ip4:192.0.2.7 -all"']
    assert reply.authority == []


def test_a_long_text_comes_in_strings_of_255_octets() -> None:
    [found] = ask("key.dkim.mail.example.", "TXT").answer[0]
    assert [len(each) for each in found.strings] == [255, len(LONG) - 255]
    assert b"".join(found.strings).decode() == LONG


def test_addresses_of_our_own_hosts_come_along() -> None:
    reply = ask("eu-west-1.mail.example.", "MX")
    assert texts(reply.answer) == ["eu-west-1.mail.example. 300 IN MX 10 feedback-smtp.eu-west-1.mail.example."]
    assert texts(reply.additional) == ["feedback-smtp.eu-west-1.mail.example. 300 IN A 192.0.2.7"]
    assert texts(ask("mail.example.", "NS").additional) == [
        "ns1.mail.example. 300 IN A 192.0.2.7",
        "ns1.mail.example. 300 IN AAAA 2001:db8::7",
    ]


def test_the_soa_record_can_be_asked_for() -> None:
    assert texts(ask("mail.example.", "SOA").answer) == [
        "mail.example. 1800 IN SOA ns1.mail.example. hostmaster.mail.example. 7 3600 600 604800 60"
    ]


def test_any_is_answered_with_one_record_set() -> None:
    assert len(ask("mail.example.", "ANY").answer) == 1
    assert len(ask("ns1.mail.example.", "ANY").answer) == 1


def test_case_does_not_matter_and_comes_back_as_asked() -> None:
    reply = ask("nS1.MaIl.eXample.", "A")
    assert reply.answer[0].name.labels[0] == b"nS1"
    assert str(reply.question[0].name) == "nS1.MaIl.eXample."
    assert str(reply.answer[0].name) == "nS1.MaIl.eXample."


# -- what is not there


def test_an_unknown_name_is_denied_with_the_negative_ttl() -> None:
    reply = ask("nope.mail.example.", "A")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert is_authoritative(reply)
    assert reply.answer == []
    [soa] = reply.authority
    assert (str(soa.name), soa.ttl, soa[0].minimum) == ("mail.example.", 60, 60)


@pytest.mark.parametrize("name", ["ns1.mail.example.", "dkim.mail.example."])
def test_a_name_without_such_records_is_no_missing_name(name: str) -> None:
    reply = ask(name, "MX")
    assert reply.rcode() == dns.rcode.NOERROR
    assert is_authoritative(reply)
    assert reply.answer == []
    assert [each.rdtype for each in reply.authority] == [dns.rdatatype.SOA]


def test_below_a_name_with_records_is_nothing() -> None:
    assert ask("x.key.dkim.mail.example.", "TXT").rcode() == dns.rcode.NXDOMAIN


def test_an_unknown_type_has_no_records() -> None:
    assert ask("mail.example.", "TYPE65280").rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize("name", ["example.", "other.test.", ".", "xmail.example.", "mail.example.test."])
def test_other_peoples_names_are_refused(name: str) -> None:
    reply = ask(name, "A")
    assert reply.rcode() == dns.rcode.REFUSED
    assert not is_authoritative(reply)
    assert reply.authority == []


def test_other_classes_are_refused() -> None:
    assert ask("version.bind.", "TXT", class_="CH").rcode() == dns.rcode.REFUSED
    assert ask("mail.example.", "TXT", class_="CH").rcode() == dns.rcode.REFUSED


def test_the_zone_is_not_handed_over() -> None:
    assert ask("mail.example.", "AXFR", tcp=True).rcode() == dns.rcode.REFUSED


# -- EDNS and sizes


def test_who_does_not_speak_edns_does_not_hear_it() -> None:
    assert ask("mail.example.", "TXT", use_edns=False).edns == -1
    reply = ask("mail.example.", "TXT", use_edns=0, payload=4096)
    assert (reply.edns, reply.payload, reply.ednsflags & dns.flags.DO) == (0, 1232, 0)


def test_the_dnssec_bit_comes_back() -> None:
    assert ask("mail.example.", "TXT", want_dnssec=True).ednsflags & dns.flags.DO


def test_unknown_edns_options_are_ignored() -> None:
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    assert ask("mail.example.", "TXT", use_edns=0, options=[cookie]).rcode() == dns.rcode.NOERROR


def test_another_version_of_edns_is_refused_with_ours() -> None:
    reply = ask("mail.example.", "TXT", use_edns=1)
    assert reply.rcode() == dns.rcode.BADVERS
    assert reply.edns == 0
    assert reply.answer == []


@pytest.mark.parametrize(
    ("options", "size"),
    [({"use_edns": False}, 512), ({"use_edns": 0, "payload": 100}, 512), ({"use_edns": 0, "payload": 9000}, 1232)],
)
def test_what_does_not_fit_a_datagram_is_asked_for_again_over_tcp(options: dict[str, int], size: int) -> None:
    query = dns.message.make_query("big.mail.example.", "TXT", **options)  # type: ignore[arg-type]
    packet = answered(query.to_wire())
    reply = dns.message.from_wire(packet)
    assert len(packet) <= size
    assert reply.flags & dns.flags.TC
    assert reply.answer == []
    whole = dns.message.from_wire(answered(query.to_wire(), tcp=True))
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 6


def test_additional_records_are_left_out_before_anything_is_cut() -> None:
    origin = labels_of("m.example")
    hosts = [("MX", "m.example", "10 a.m.example"), *(("A", "a.m.example", f"192.0.2.{n}") for n in range(40))]
    zone = Zone(origin, nodes_of(origin, hosts, 300), SOA, 60)
    query = read_query(dns.message.make_query("m.example.", "MX", use_edns=False).to_wire())
    assert isinstance(query, Query)
    reply = dns.message.from_wire(answer(query, zone, zone.nodes[origin], tcp=False))
    assert (len(reply.answer), len(reply.additional), reply.flags & dns.flags.TC) == (1, 0, 0)


# -- what is no question


def test_answers_and_fragments_are_not_answered() -> None:
    query = dns.message.make_query("mail.example.", "A")
    reply = dns.message.make_response(query)
    assert read_query(reply.to_wire()) is None
    assert read_query(query.to_wire()[:11]) is None
    assert read_query(b"") is None


@pytest.mark.parametrize("opcode", [dns.opcode.IQUERY, dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE, 6, 15])
def test_other_operations_are_not_implemented(opcode: int) -> None:
    packet = bytearray(dns.message.make_query("mail.example.", "A", id=513).to_wire())
    packet[2] |= opcode << 3
    reply = dns.message.from_wire(answered(bytes(packet)))
    assert (reply.id, reply.opcode(), reply.rcode()) == (513, opcode, dns.rcode.NOTIMP)


HEADER = bytes.fromhex("00070100 0001 0000 0000 0000")
QUESTION = b"\x04mail\x07example\0\0\x01\0\x01"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    "packet",
    [
        HEADER,
        HEADER + b"\x04mai",
        HEADER + b"\x04mail\x07example",
        HEADER + b"\x04mail\x07example\0\0\x01",
        HEADER + b"\xc0\x0c\0\x01\0\x01",  # a name that leads to itself
        HEADER + b"\x41" + b"a" * 65 + b"\0\0\x01\0\x01",
        HEADER + b"\x3f" + (b"a" * 63 + b"\x3f") * 4 + b"a" * 63 + b"\0\0\x01\0\x01",
        HEADER + QUESTION + b"x",
        bytes.fromhex("00070100 0000 0000 0000 0000"),
        bytes.fromhex("00070100 0002 0000 0000 0000") + QUESTION * 2,
        bytes.fromhex("00070100 0001 0001 0000 0000") + QUESTION,
        bytes.fromhex("00070100 0001 0000 0001 0000") + QUESTION,
        bytes.fromhex("00070100 0001 0000 0000 0001") + QUESTION,
        bytes.fromhex("00070100 0001 0000 0000 0001") + QUESTION + OPT[:-1],
        bytes.fromhex("00070100 0001 0000 0000 0001") + QUESTION + OPT[:-1] + b"\x09",
        bytes.fromhex("00070100 0001 0000 0000 0001") + QUESTION + b"\x01a" + OPT,
        bytes.fromhex("00070100 0001 0000 0000 0002") + QUESTION + OPT * 2,
        bytes.fromhex("00070100 0001 0000 0000 ffff") + QUESTION + OPT * 300,
    ],
)
def test_what_cannot_be_read_is_a_format_error(packet: bytes) -> None:
    reply = dns.message.from_wire(answered(packet))
    assert (reply.id, reply.rcode(), reply.question) == (7, dns.rcode.FORMERR, [])


def test_a_question_for_the_edns_record_is_a_format_error() -> None:
    assert ask("mail.example.", "TYPE41", use_edns=False).rcode() == dns.rcode.FORMERR


def test_a_signed_query_is_answered_unsigned() -> None:
    tsig = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x04none"
    packet = bytes.fromhex("00070100 0001 0000 0000 0002") + QUESTION + OPT + tsig
    assert dns.message.from_wire(answered(packet)).rcode() == dns.rcode.NOERROR
