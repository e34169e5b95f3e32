"""IP address filters: from where an account takes mail, and from where not.

Source: API reference of CreateReceiptFilter; SES developer guide, "Creating IP address filters". What is taken as a
CIDR block, and the texts, as probed on the live service.
"""

import ipaddress
import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from posthouse.domain.receipt_rules import is_name
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import AlreadyExistsException, LimitExceededException

MAX_FILTERS = 100
_BLOCK = re.compile(r"([0-9.]{7,15}|[0-9A-Fa-f:]{2,39})(?:/([0-9]{1,3}))?\Z")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Policy(StrEnum):
    ALLOW = "Allow"
    BLOCK = "Block"


class ReceiptFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Kept under its name."""

    policy: Policy
    cidr: str
    """As it was given: an address or a block, whose host bits may be set."""


def check_filter(name: str, cidr: str) -> None:
    """Raises InvalidParameterValue with the text of SES."""
    if not name:
        raise InvalidParameterValue("filterName must not be empty")
    if not is_name(name):
        raise InvalidParameterValue(f"Not a valid filterName: {name}")
    if network(cidr) is None:
        raise InvalidParameterValue(f"Invalid CIDR block: {cidr}")


def check_new_filter(name: str, exists: bool, count: int) -> None:
    """`count`: of the filters that are there already."""
    if exists:
        raise AlreadyExistsException(f"Filter already exists: {name}", name=name)
    if count >= MAX_FILTERS:
        raise LimitExceededException("Too many filters")


def network(cidr: str) -> Network | None:
    """The block that the text means; None for brackets, zones, mapped addresses, masks of any other kind."""
    found = _BLOCK.match(cidr)
    if found is None:
        return None
    try:
        return ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return None


def address(text: str) -> Address | None:
    """A client's address; an IPv4 one that came by an IPv6 socket is itself. None for what is no address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def decide(filters: Sequence[tuple[Network, Policy]], client: Address | None) -> Policy | None:
    """What the filters say of this client; None where none of them means it.

    The narrowest block decides, and Allow beats Block where two are the same: so a Block of 0.0.0.0/0 leaves those in
    that an Allow names (developer guide).
    """
    found: tuple[int, Policy] | None = None
    for block, policy in filters:
        if client is None or client.version != block.version or client not in block:
            continue
        if found is None or block.prefixlen > found[0] or (block.prefixlen == found[0] and policy is Policy.ALLOW):
            found = (block.prefixlen, policy)
    return found[1] if found else None
