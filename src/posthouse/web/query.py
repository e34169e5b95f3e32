"""Query parameters: declared once, read strictly, described by the same declaration.

A parameter that is misspelt, repeated or malformed is refused: a test that filters by ``recipent`` must not be told
that everything matched.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

from posthouse.web.problems import Problem

_LONGEST_QUERY = 8192
_LONGEST_TEXT = 1000
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A blank where the zone's sign belongs is a plus that nobody escaped.
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(Z|[+ -][0-9]{2}:?[0-9]{2})?)?\Z"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read (`read` raises ValueError with what is allowed) and its JSON schema."""

    schema: dict[str, Any]
    read: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Param:
    """One query parameter; left out or empty it has its default."""

    name: str
    kind: Kind
    doc: str
    default: Any = None


def whole_number(text: str, low: int, high: int) -> int:
    """Raises ValueError for anything but decimal ASCII digits in the range."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise ValueError(f"a whole number from {low} to {high}")
    return int(text)


def moment_ms(text: str) -> int:
    """Epoch milliseconds of a number of them or of an ISO 8601 date or time; without a zone it is UTC."""
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    match = _MOMENT.match(text)
    if match is None:
        raise ValueError("milliseconds since 1970, or ISO 8601 such as 2026-11-23T09:30:00Z")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    micros = int((match[7] or "").ljust(6, "0")[:6])
    at = datetime(year, month, day, hour, minute, second, micros, tzinfo=_zone(match[8] or "Z"))
    return max(0, (at - _EPOCH) // timedelta(milliseconds=1))


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    if minutes >= 24 * 60:
        raise ValueError("a zone within a day of UTC")
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def iso(at_ms: int) -> str:
    """UTC with milliseconds, as every time in an answer is written."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def text() -> Kind:
    return Kind({"type": "string", "maxLength": _LONGEST_TEXT}, str)


def pattern(regex: str, allowed: str) -> Kind:
    compiled = re.compile(rf"(?:{regex})\Z")

    def read(value: str) -> str:
        if not compiled.match(value):
            raise ValueError(allowed)
        return value

    return Kind({"type": "string", "pattern": f"^(?:{regex})$"}, read)


def number(low: int, high: int) -> Kind:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(schema, lambda value: whole_number(value, low, high))


def choice(values: type[StrEnum]) -> Kind:
    names = [each.value for each in values]

    def read(value: str) -> StrEnum:
        if value not in names:
            raise ValueError("one of " + ", ".join(names))
        return values(value)

    return Kind({"type": "string", "enum": names}, read)


def moment() -> Kind:
    return Kind({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]}, moment_ms)


ACCOUNT = Param(
    "account",
    pattern("[0-9]{12}", "twelve digits"),
    "The account. Without account and region: everything you may see; with only one of them, the other is the default.",
)
REGION = Param("region", pattern("[a-z0-9-]{1,32}", "a region such as us-east-1"), "The region.")


def decode(raw: bytes) -> list[tuple[str, str]]:
    """The pairs of a query string or of a urlencoded form. Raises Problem for bad escapes, bytes or controls."""
    if _BROKEN_ESCAPE.search(raw):
        raise Problem(400, "A percent sign is not followed by two hexadecimal digits.")
    pairs = []
    for piece in raw.split(b"&"):
        if not piece:
            continue
        name, _, value = piece.replace(b"+", b" ").partition(b"=")
        try:
            pairs.append((unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()))
        except UnicodeDecodeError:
            raise Problem(400, "A parameter is not UTF-8.") from None
    return pairs


def parse(raw: bytes, allowed: Iterable[Param]) -> dict[str, Any]:
    """Values by name, defaults included. Raises Problem (400) for anything unknown, repeated or malformed."""
    if len(raw) > _LONGEST_QUERY:
        raise Problem(400, f"The query string is longer than {_LONGEST_QUERY} bytes.")
    known = {param.name: param for param in allowed}
    values = {param.name: param.default for param in known.values()}
    seen: set[str] = set()
    for name, value in decode(raw):
        if name not in known:
            raise Problem(400, _unknown(name, list(known)), parameter=name[:100])
        if name in seen:
            raise Problem(400, f"The parameter {name} is given twice.", parameter=name)
        seen.add(name)
        if value:
            values[name] = read_one(known[name], value)
    return values


def read_one(param: Param, value: str) -> Any:
    """Raises Problem (400) that names the parameter and what is allowed."""
    # Stores of every kind take what comes after this: PostgreSQL, for one, has no NUL in its texts.
    if _CONTROL.search(value):
        raise Problem(400, f"The parameter {param.name} holds control characters.", parameter=param.name)
    if len(value) > _LONGEST_TEXT:
        raise Problem(400, f"The parameter {param.name} is longer than {_LONGEST_TEXT}.", parameter=param.name)
    try:
        return param.kind.read(value)
    except ValueError as error:
        detail = f"The parameter {param.name} must be {error}."
        raise Problem(400, detail, parameter=param.name) from None


def _unknown(name: str, known: Sequence[str]) -> str:
    allowed = f"Known here: {', '.join(known)}." if known else "None are known here."
    return f"There is no parameter {name[:100]}. {allowed}"
