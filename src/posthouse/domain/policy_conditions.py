"""Conditions of a sending authorization policy: operators, and what a request says under a key.

Source: IAM user guide, "Condition operators", "Multivalued context keys" and "IfExists"; SES developer guide, "Sending
authorization" (its keys). Everything is read once, when the policy is; what cannot be read is refused then.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import eq, ge, gt, le, lt
from typing import Any

from posthouse.domain.wildcards import Pattern

Context = Mapping[str, tuple[str, ...]]
"""What is known of a request: values by condition key in lower case; a key without a value is not there."""

SES_KEYS = frozenset(
    {"ses:apiversion", "ses:feedbackaddress", "ses:fromaddress", "ses:fromdisplayname", "ses:recipients"}
)
ALL, ANY = "ForAllValues", "ForAnyValue"
MAX_VALUE = 1000
"""Characters of a value that policies are asked about: addresses have 320, display names in raw mail no end."""


class InvalidCondition(ValueError):
    """A condition that says nothing; its text says why."""


class TooMuchWork(Exception):
    """An evaluation came to the end of its budget."""


class Effort:
    """The steps that one evaluation may still take: fifty recipients under 80 KB of patterns are many."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork


Matches = Callable[[str, Effort], bool]
"""Whether a value of the request is one of those that the policy lists."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator."""

    key: str
    matches: Matches
    negated: bool = False
    quantifier: str = ""
    if_exists: bool = False

    def holds(self, context: Context, allows: bool, effort: Effort) -> bool:
        values = context.get(self.key, ())
        if not values:
            # IAM user guide: a missing key fails, but for IfExists, negated operators and ForAllValues.
            return self.if_exists or self.quantifier == ALL or (self.negated and self.quantifier != ANY)
        fitting = (self.matches(value, effort) != self.negated for value in values)
        if any(len(value) > MAX_VALUE for value in values):
            raise TooMuchWork
        # Several values without a quantifier: IAM does not say which is meant, so neither side gets more than was
        # written. An Allow wants all of them, a Deny is content with one.
        every = self.quantifier == ALL or (not self.quantifier and allows)
        return all(fitting) if every else any(fitting)


@dataclass(frozen=True, slots=True)
class Absence:
    """The operator ``Null``."""

    key: str
    absent: bool

    def holds(self, context: Context, allows: bool, effort: Effort) -> bool:
        return (not context.get(self.key)) == self.absent


def read_condition(operator: str, key: str, values: Sequence[str], variables: bool) -> Condition | Absence:
    """The condition that is written so. `variables`: ``${...}`` has a meaning (version 2012-10-17).

    Raises InvalidCondition for operators, keys and values that do not exist.
    """
    name = operator
    quantifier = next((prefix for prefix in (ALL, ANY) if name.startswith(prefix + ":")), "")
    name = name.removeprefix(quantifier + ":") if quantifier else name
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    lowered = _key(key)
    if not values:
        raise InvalidCondition(f"no value for {key}")
    if name == "Null" and not if_exists and not quantifier:
        truths = {_truth(value) for value in values}
        if len(truths) != 1:
            raise InvalidCondition("Null takes true or false")
        return Absence(lowered, absent="true" in truths)
    if name not in _OPERATORS:
        raise InvalidCondition(f"unknown operator {operator}")
    build, negated = _OPERATORS[name]
    return Condition(lowered, build(values, variables), negated, quantifier, if_exists)


def _key(key: str) -> str:
    """Condition keys have no case (IAM user guide). A key of SES that does not exist would never hold: a slip."""
    lowered = key.lower()
    if lowered not in SES_KEYS and not lowered.startswith("aws:"):
        raise InvalidCondition(f"unknown key {key}")
    return lowered


def _literal(value: str, variables: bool) -> str:
    """The text meant: policy variables stand for facts that this service does not have, but for three characters."""
    if not variables or "${" not in value:
        return value
    if re.search(r"\$\{(?![*?$]\})", value):
        raise InvalidCondition("policy variables are not supported")
    return re.sub(r"\$\{([*?$])\}", r"\1", value)


def _equals(values: Sequence[str], variables: bool) -> Matches:
    wanted = frozenset(_literal(value, variables) for value in values)
    return lambda value, effort: value in wanted


def _equals_ignoring_case(values: Sequence[str], variables: bool) -> Matches:
    wanted = frozenset(_literal(value, variables).casefold() for value in values)
    return lambda value, effort: value.casefold() in wanted


def compile_patterns(values: Sequence[str], variables: bool) -> tuple[Pattern, ...]:
    for value in values:
        _literal(value, variables)
    return tuple([Pattern(value, escapes=variables) for value in values])


def _fits(pattern: Pattern, value: str, effort: Effort) -> bool:
    effort.spend(pattern.steps(value))
    return pattern.matches(value)


def _like(values: Sequence[str], variables: bool) -> Matches:
    patterns = compile_patterns(values, variables)
    return lambda value, effort: any(_fits(pattern, value, effort) for pattern in patterns)


def _arn_like(values: Sequence[str], variables: bool) -> Matches:
    """Each of the six parts by itself: a star does not reach over a colon (IAM user guide)."""
    shapes = []
    for value in values:
        parts = value.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn":
            raise InvalidCondition(f"{value} is no ARN")
        shapes.append(compile_patterns(parts, variables))

    def matches(value: str, effort: Effort) -> bool:
        parts = value.split(":", 5)
        return len(parts) == 6 and any(all(map(_fits, shape, parts, [effort] * 6)) for shape in shapes)

    return matches


_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise InvalidCondition(f"{text} is no number")
    return Decimal(text)


_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?:Z|([+-])([0-9]{2}):?([0-9]{2})))?)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(text: str) -> Decimal:
    """Seconds since 1970 of a date: ISO 8601 as W3C writes it, or already in seconds (IAM user guide)."""
    found = _DATE.fullmatch(text)
    if found is None or (len(text) == 4 and not "1900" <= text <= "2999"):
        return _number(text)
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    try:
        at = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        raise InvalidCondition(f"{text} is no date") from None
    if int(off_hours or 0) > 23 or int(off_minutes or 0) > 59:
        raise InvalidCondition(f"{text} is no date")
    offset_s = (int(off_hours or 0) * 60 + int(off_minutes or 0)) * (-60 if sign == "-" else 60)
    return Decimal((at - _EPOCH) // timedelta(seconds=1) - offset_s) + Decimal(f"0.{fraction or 0}")


Build = Callable[[Sequence[str], bool], Matches]
"""(values of the policy, whether ``${...}`` has a meaning)."""


def _compared(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Build:
    def build(values: Sequence[str], variables: bool) -> Matches:
        wanted = [read(value) for value in values]

        def matches(value: str, effort: Effort) -> bool:
            try:
                ours = read(value)
            except InvalidCondition:
                return False
            return any(compare(ours, theirs) for theirs in wanted)

        return matches

    return build


def _truth(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise InvalidCondition(f"{text} is neither true nor false")
    return text.lower()


_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str) -> _Network:
    try:
        if _ADDRESS.fullmatch(text):
            return ipaddress.ip_network(text, strict=False)
    except ValueError:
        pass
    raise InvalidCondition(f"{text} is no IP address or range")


def _ip_address(values: Sequence[str], variables: bool) -> Matches:
    networks = [_network(value) for value in values]

    def matches(value: str, effort: Effort) -> bool:
        try:
            address: _Address = ipaddress.ip_address(value)
        except ValueError:
            return False
        # A socket for both families shows IPv4 clients so (RFC 4291 section 2.5.5.2).
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address.version == network.version and address in network for network in networks)

    return matches


_COMPARISONS = {"Equals": eq, "LessThan": lt, "LessThanEquals": le, "GreaterThan": gt, "GreaterThanEquals": ge}

_OPERATORS: dict[str, tuple[Build, bool]] = {
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "IpAddress": (_ip_address, False),
    "NotIpAddress": (_ip_address, True),
    # "ArnEquals and ArnLike behave identically" (IAM user guide).
    "ArnEquals": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnLike": (_arn_like, False),
    "ArnNotLike": (_arn_like, True),
    "Bool": (_compared(_truth, eq), False),
    "NumericNotEquals": (_compared(_number, eq), True),
    "DateNotEquals": (_compared(_moment, eq), True),
    **{f"Numeric{name}": (_compared(_number, compare), False) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": (_compared(_moment, compare), False) for name, compare in _COMPARISONS.items()},
}
