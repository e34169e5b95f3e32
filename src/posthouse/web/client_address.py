"""Whose request it is, where proxies stand in between.

X-Forwarded-For is what anybody may write; each proxy adds at the end whom it heard. So it is read from the end, for as
long as who added is a proxy of ours (``http.trusted_proxies``).
"""

import ipaddress
import re
from collections.abc import Iterable, MutableMapping
from typing import Any

MAX_HOPS = 20
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ClientAddresses:
    """Reads the address of the client out of an ASGI scope."""

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._trusted = [ipaddress.ip_network(each) for each in trusted_proxies]

    def of(self, scope: MutableMapping[str, Any]) -> str:
        """Empty where there is none, as over a Unix socket."""
        client = scope.get("client")
        peer = _address(client[0]) if client else None
        if peer is None or not self._trusts(peer):
            return "" if peer is None else str(peer)
        for hop in _forwarded(scope["headers"]):
            if hop is None:
                break
            peer = hop
            if not self._trusts(hop):
                break
        return str(peer)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[Address | None]:
    """X-Forwarded-For from the last hop to the first; None for what is no address."""
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    hops = b",".join(values).decode("iso-8859-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    return [_address(hop.strip(" \t")) for hop in reversed(hops)]


def _address(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address(text if with_port is None else with_port[1] or with_port[2])
    except ValueError:
        return None
    # A socket that listens to both families shows IPv4 clients like this.
    return getattr(address, "ipv4_mapped", None) or address
