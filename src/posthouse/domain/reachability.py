"""Which addresses a URL that a user gives may lead us to: plain checks, no deeds.

We stand where the user does not: beside the database, the cloud's metadata service, other machines' unguarded ports.
Source: the IANA special-purpose address registries (RFC 6890), RFC 6052 and 8215 (IPv4 inside IPv6); "Server-side
request forgery prevention" of OWASP.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# Python 3.11 knows neither as special: NAT64 leads to the IPv4 address in its last 32 bits, as does the deprecated
# form of RFC 4291 §2.5.5.1.
_IPV4_AT_THE_END = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_SITE_LOCAL = IPv6Network("fec0::/10")
_RELAY_6TO4 = ip_network("192.88.99.0/24")
# Metadata and host agents of clouds whose addresses are no link-local ones: AWS over IPv6, Azure, Alibaba.
_CLOUD_SERVICES = frozenset(map(ip_address, ("fd00:ec2::254", "168.63.129.16", "100.100.100.200")))


@lru_cache(maxsize=1024)
def why_not_callable(text: str, allow_private: bool) -> str:
    """What stands against calling this address; empty where nothing does.

    Even where private addresses are allowed, those that no subscriber has are refused: link-local ones (metadata
    services live there), multicast, unspecified.
    """
    try:
        address = _innermost(ip_address(text))
    except ValueError:
        return f"{text[:100]} is no IP address"
    if address in _CLOUD_SERVICES or address.is_link_local:
        return f"{text} belongs to the machine's own surroundings"
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        return f"{text} is not the address of one host"
    if allow_private:
        return ""
    return "" if _is_public(address) else f"{text} is not a public address"


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    # `::` and `::1` lie in the deprecated range too, and are themselves.
    if any(address in network for network in _IPV4_AT_THE_END) and int(address) & 0xFFFFFFFF > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address in _LOCAL_NAT64 or address in _SITE_LOCAL or address.teredo):
        return False
    if isinstance(address, IPv4Address) and address in _RELAY_6TO4:
        return False
    return address.is_global and not address.is_reserved
