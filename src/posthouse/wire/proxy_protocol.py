"""The PROXY protocol, versions 1 and 2: whom a balancer in front of us speaks for.

Source: "The PROXY protocol", HAProxy, sections 2.1 (text) and 2.2 (binary). Only what a server needs: the client's
address. Extra fields (TLVs) of version 2 are skipped.
"""

import ipaddress
import re

MAX_TEXT_HEADER = 107
MAX_BINARY_HEADER = 16 + 2048
"""Octets we take: addresses need 36 at most, the rest would be extra fields we do not read."""

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_TEXT_START = b"PROXY "
_TEXT = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) [0-9]{1,5} [0-9]{1,5})\r\n"
)
_SHORTEST = 12
"""Octets that any header has, and that tell the versions apart."""


class MalformedHeader(ValueError):
    """What came is no PROXY header: whoever connected is not the balancer we were told of."""


def octets_missing(received: bytes) -> int:
    """How many octets to read next so that not one behind the header is taken; 0 when it is whole.

    Those behind it belong to SMTP or to a TLS handshake. Raises MalformedHeader as soon as it cannot become a header.
    """
    if len(received) < _SHORTEST:
        return _SHORTEST - len(received)
    if received.startswith(_SIGNATURE):
        if len(received) < 16:
            return 16 - len(received)
        total = 16 + int.from_bytes(received[14:16], "big")
        if total > MAX_BINARY_HEADER:
            raise MalformedHeader("header too long")
        return total - len(received)
    if not received.startswith(_TEXT_START) or len(received) > MAX_TEXT_HEADER:
        raise MalformedHeader("no PROXY header")
    return 0 if received.endswith(b"\r\n") else 1


def client_ip(header: bytes) -> str | None:
    """The client's address in a whole header; None where the balancer speaks for itself (LOCAL, UNKNOWN, sockets).

    Raises MalformedHeader.
    """
    if not header.startswith(_SIGNATURE):
        return _text_client(header)
    version, command = header[12] >> 4, header[12] & 0x0F
    family, addresses = header[13] >> 4, header[16:]
    if version != 2 or command > 1:
        raise MalformedHeader("unknown version or command")
    if command == 0 or family in (0, 3):
        return None
    length = {1: 4, 2: 16}.get(family)
    if length is None or len(addresses) < 2 * length + 4:
        raise MalformedHeader("addresses missing")
    return _plain(str(ipaddress.ip_address(addresses[:length])))


def _text_client(header: bytes) -> str | None:
    found = _TEXT.fullmatch(header)
    if found is None:
        raise MalformedHeader("malformed text header")
    if found[1] is None:
        return None
    try:
        address = ipaddress.ip_address(found[2].decode())
    except ValueError as error:
        raise MalformedHeader("malformed address") from error
    if address.version != int(found[1]):
        raise MalformedHeader("address of the other family")
    return _plain(str(address))


def _plain(address: str) -> str:
    """An IPv4 address as such, also where it came as ``::ffff:192.0.2.1``."""
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
