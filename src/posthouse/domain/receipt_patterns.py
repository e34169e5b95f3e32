"""Recipient patterns of receipt rules: which addresses each one means.

Source: SES developer guide, "Creating receipt rules": ``user@example.com`` is that address, with any label behind a
plus sign; ``user+label@example.com`` that label alone; ``example.com`` every address there, ``.example.com`` every
address in its subdomains, neither the other's. Patterns are kept in lower case, sorted, each once (probed), so that the
case of an address makes no difference.
"""

import re

from posthouse.domain.addresses import check_address
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import LimitExceededException

MAX_RECIPIENTS = 1000
"""Of one rule. The guide says 100, the live service takes more."""
MAX_LENGTH = 320
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\Z")


def accepted_patterns(given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The patterns as they are kept; raises InvalidParameterValue for what is neither an address nor a domain."""
    if given is None:
        return None
    if len(given) > MAX_RECIPIENTS:
        raise LimitExceededException("Too many recipients")
    return tuple(sorted({_accepted(pattern) for pattern in given}))


def _accepted(pattern: str) -> str:
    kept = pattern.lower()
    _, at, domain = kept.rpartition("@")
    if not at:
        domain = domain.removeprefix(".")
    if len(kept) > MAX_LENGTH or not kept.isascii() or not _DOMAIN.match(domain) or (at and not _is_address(kept)):
        raise InvalidParameterValue(f"Invalid recipient: {pattern}")
    return kept


def _is_address(text: str) -> bool:
    try:
        check_address(text)
    except InvalidParameterValue:
        return False
    return True


def patterns_of(address: str) -> tuple[str, ...]:
    """Every pattern that means this address, the narrowest first."""
    local, _, domain = address.lower().rpartition("@")
    labels = domain.split(".")
    base, plus, _ = local.partition("+")
    unlabelled = (f"{base}@{domain}",) if plus and base else ()
    parents = (f".{'.'.join(labels[depth:])}" for depth in range(1, len(labels)))
    return (f"{local}@{domain}", *unlabelled, domain, *parents)
