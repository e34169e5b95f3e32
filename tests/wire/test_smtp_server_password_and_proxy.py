"""The SMTP password of SES, and the PROXY protocol."""

import ipaddress

import pytest

from posthouse.wire.proxy_protocol import MalformedHeader, client_ip, octets_missing
from posthouse.wire.smtp_password import region_of, smtp_password

SECRET = "exampleSecretKey0123456789abcdefghijklmn"
PASSWORDS = {
    "us-east-1": "BFt7YItBPvwFW/TEhUA4Nswyeh/4zULQqBCuVousD+97",
    "us-west-2": "BF+ojLWmT+1/5RfzI6fmBQJnBWSRP3dF71XKADWjwiCq",
    "eu-west-1": "BHGwKn4D6iwQZxQ/EPpSzDPcQk6MyfcF1qGTYiL8Rg1t",
}


@pytest.mark.parametrize("region", PASSWORDS)
def test_password_is_derived_as_ses_does(region: str) -> None:
    assert smtp_password(SECRET, region) == PASSWORDS[region]
    assert region_of(PASSWORDS[region], SECRET, PASSWORDS) == region


def test_password_is_good_in_its_region_only() -> None:
    assert region_of(PASSWORDS["us-east-1"], SECRET, ["us-west-2", "eu-west-1"]) is None
    assert region_of(PASSWORDS["us-east-1"], SECRET + "x", PASSWORDS) is None
    assert region_of(SECRET, SECRET, PASSWORDS) is None
    assert region_of("é\ud800", SECRET, PASSWORDS) is None


SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, addresses: bytes, extra: bytes = b"") -> bytes:
    body = addresses + extra
    return SIGNATURE + bytes([0x20 | command, family]) + len(body).to_bytes(2, "big") + body


IPV4 = ipaddress.ip_address("192.0.2.7").packed + ipaddress.ip_address("192.0.2.1").packed + b"\x10\x00\x00\x19"
IPV6 = ipaddress.ip_address("2001:db8::7").packed * 2 + b"\x10\x00\x00\x19"
MAPPED = ipaddress.ip_address("::ffff:192.0.2.7").packed * 2 + b"\x10\x00\x00\x19"

HEADERS = [
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 4096 25\r\n", "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4096 25\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN whatever it is\r\n", None),
    (v2(1, 0x11, IPV4), "192.0.2.7"),
    (v2(1, 0x11, IPV4, b"\x01\x00\x01x"), "192.0.2.7"),
    (v2(1, 0x21, IPV6), "2001:db8::7"),
    (v2(1, 0x21, MAPPED), "192.0.2.7"),
    (v2(0, 0x00, b""), None),
    (v2(1, 0x31, b"x" * 216), None),
]


@pytest.mark.parametrize(("header", "address"), HEADERS)
def test_header_is_read_to_its_end_and_not_beyond(header: bytes, address: str | None) -> None:
    stream = header + b"EHLO behind\r\n"
    read = b""
    while missing := octets_missing(read):
        read += stream[len(read) : len(read) + missing]
    assert read == header
    assert client_ip(header) == address


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client\r\n....",
        b"PROXY TCP4 " + b"x" * 97,
        SIGNATURE + b"\x21\x11\xff\xff",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
    ],
)
def test_what_cannot_become_a_header_is_refused_early(header: bytes) -> None:
    with pytest.raises(MalformedHeader):
        octets_missing(header)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 2001:db8::7 2001:db8::1 4096 25\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.1 4096 25\r\n",
        b"PROXY TCP4 192.0.2.700 192.0.2.1 4096 25\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4096\r\n",
        b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
        v2(2, 0x11, IPV4),
        v2(1, 0x11, IPV4[:8]),
        v2(1, 0x41, IPV4),
        v2(1, 0x11, IPV4).replace(b"\x21\x11", b"\x11\x11"),
    ],
)
def test_malformed_header_is_refused(header: bytes) -> None:
    with pytest.raises(MalformedHeader):
        client_ip(header)
