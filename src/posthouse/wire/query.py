"""The AWS Query protocol, without sockets: form -> request, response or error -> XML.

Source: the "Query requests" and "Responses" pages of the SES API reference; the awsQuery protocol; MalformedInput and
ValidationError texts as the live service was seen to print them (2018 to 2026). The service model drives everything: a
shape's ``MEMBERS`` say where its parts stand and what they must satisfy. Every limit below is a bound on what a hostile
form can cost; time and memory are linear in its length.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from posthouse.model.errors import MalformedInput, MalformedQueryString, ServiceError, ValidationError
from posthouse.model.shapes import Limits, Member, Operation, Structure

NAMESPACE = "http://ses.amazonaws.com/doc/2010-12-01/"

# The widest call SES documents, 50 destinations of SendBulkTemplatedEmail with 50 tags each, has some 7,500.
MAX_PARAMETERS = 10_000
# The deepest name of the model (BouncedRecipientInfoList...ExtensionFields.member.1.Name) has 8 parts.
MAX_NAME_PARTS = 16
# Observed on the live service: the largest index it takes, and the widest gap between two.
MAX_INDEX = 214_748_369
MAX_GAP = 10
# An answer stays an answer: a form of thousands of bad members is told of the first hundred.
MAX_VIOLATIONS = 100

VALUE_UNEXPECTED = "Value found where not expected"
STRUCTURE_UNEXPECTED = "Start of structure or map found where not expected."
LIST_UNEXPECTED = "Start of list found where not expected"

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

S = TypeVar("S", bound=Structure)

_Tree = dict[str, Any]
"""A form by its dots: ``A.B=c`` is ``{"A": {"B": "c"}}``."""
_Path = tuple[Any, ...]
"""Where a member stands: (path of what holds it, its name), () at the top. Spelt out only for an error."""


def parse_form(raw: bytes, *, unique: bool = False, max_parameters: int = MAX_PARAMETERS) -> dict[str, str]:
    """The parameters of a form or query string (``application/x-www-form-urlencoded``, UTF-8), in their order.

    A parameter given twice keeps its first value, as the live service does; with ``unique`` it is refused, for query
    strings: SigV4 sorts those before signing, so that their order is not protected. Raises MalformedQueryString.
    """
    if raw.count(b"&") >= max_parameters:
        raise MalformedQueryString(f"More than {max_parameters} parameters")
    if _BAD_ESCAPE.search(raw):
        raise MalformedQueryString("A percent sign is not followed by two hexadecimal digits")
    form: dict[str, str] = {}
    try:
        for pair in raw.decode().split("&"):
            name, _, value = pair.partition("=")
            if "%" in name or "+" in name:
                name = _unescape(name)
            if name not in form:
                if pair:
                    form[name] = _unescape(value) if "%" in value or "+" in value else value
            elif unique:
                raise MalformedQueryString("A parameter is given more than once")
    except UnicodeDecodeError:
        raise MalformedQueryString("A parameter is not UTF-8") from None
    return form


def _unescape(text: str) -> str:
    # Quoted-printable is the same code with another sign, and the standard library decodes it in C. That decoder is
    # lenient only where "=" is not followed by two hexadecimal digits, and both ways to get there are closed: escapes
    # have been checked, and an equals sign proper is escaped first.
    coded = text.replace("+", " ").replace("=", "=3D").replace("%", "=")
    return binascii.a2b_qp(coded.encode()).decode()


def parse(form: Mapping[str, str], shape: type[S]) -> S:
    """The request that the form describes. Parameters that the shape does not know are ignored.

    An empty optional string counts as not given (samples of the API reference send ``ReturnPath=`` and ``After=``), but
    for an enum, where it is a value outside the set (observed); an empty list parameter (``Name=``) is the empty list.
    Raises MalformedInput for the first value that cannot be read, else one ValidationError that lists every broken
    constraint.
    """
    violations: list[str] = []
    request = _read_structure(_tree(form), shape, (), violations)
    if request is None:
        raise ValidationError.of(violations[:MAX_VIOLATIONS])
    return request


def _tree(form: Mapping[str, str]) -> _Tree:
    root: _Tree = {}
    for name, value in form.items():
        node, last = root, name
        if "." in name:
            *path, last = name.split(".", MAX_NAME_PARTS)
            if len(path) == MAX_NAME_PARTS:
                raise MalformedInput(f"A parameter name has more than {MAX_NAME_PARTS} parts")
            for part in path:
                inner = node.get(part)
                if inner is None:
                    inner = node[part] = {}
                elif inner.__class__ is str:
                    raise MalformedInput(STRUCTURE_UNEXPECTED)
                node = inner
        if last in node:
            raise MalformedInput(VALUE_UNEXPECTED)
        node[last] = value
    return root


def _read_structure(node: _Tree, shape: type[S], path: _Path, violations: list[str]) -> S | None:
    """The structure, or None once anything at all was violated."""
    values = {}
    for member in shape.MEMBERS:
        name, attribute, kind, required, _, limits = member
        given = node.get(name)
        if given is None:
            if required:
                # The live service prints "null" where there is no value, and leaves a value out where there is one.
                where = f"Value null at '{_printed((path, name))}'"
                violations.append(f"{where} failed to satisfy constraint: Member must not be null")
            continue
        # Most members of most requests are plain strings.
        if kind == "string" and limits is None and given.__class__ is str:
            value = given if given or required else None
        else:
            value = _READERS[kind](given, member, (path, name), violations)
        if value is not None:
            values[attribute] = value
    return None if violations else shape(**values)


def _printed(path: _Path) -> str:
    """``rule.actions.1.member.sNSAction``: only the first letter of each name is lowered."""
    names: list[str] = []
    while path:
        path, name = path
        names.append(name[0].lower() + name[1:])
    return ".".join(reversed(names))


def _violated(path: _Path, rule: str) -> str:
    return f"Value at '{_printed(path)}' failed to satisfy constraint: {rule}"


def _scalar(given: Any) -> str:
    if given.__class__ is not str:
        raise MalformedInput(STRUCTURE_UNEXPECTED)
    text: str = given
    return text


def _read_string(given: Any, member: Member, path: _Path, violations: list[str]) -> str | None:
    text, limits = _scalar(given), member.limits or Limits()
    if not text and not member.required and limits.enum is None:
        return None
    violations += [_violated(path, rule) for rule, kept in _rules(text, limits) if not kept]
    return text


def _rules(text: str, limits: Limits) -> list[tuple[str, bool]]:
    """Every constraint on this string and whether it is kept, in the order in which the live service prints them."""
    rules = []
    length = "Member must have length"
    if limits.maximum is not None:
        rules.append((f"{length} less than or equal to {limits.maximum}", len(text) <= limits.maximum))
    if limits.minimum is not None:
        rules.append((f"{length} greater than or equal to {limits.minimum}", len(text) >= limits.minimum))
    if limits.pattern is not None:
        kept = re.fullmatch(limits.pattern, text, re.ASCII) is not None
        rules.append((f"Member must satisfy regular expression pattern: {limits.pattern}", kept))
    if limits.enum is not None:
        rules.append((f"Member must satisfy enum value set: [{', '.join(limits.enum)}]", text in limits.enum))
    return rules


def _read_boolean(given: Any, member: Member, path: _Path, violations: list[str]) -> bool:
    match _scalar(given):
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case "":
            raise MalformedInput("missing value for boolean type")
        case _:
            raise MalformedInput("boolean must follow xsd1.1 definition")


def _read_integer(given: Any, member: Member, path: _Path, violations: list[str]) -> int:
    text = _scalar(given)
    if not text:
        raise MalformedInput("missing value for decimal type")
    number = int(text) if _INTEGER.fullmatch(text) else 1 << 31
    if not -(1 << 31) <= number < 1 << 31:
        # Observed: neither a text that is no number nor one past 32 bits gets a message.
        raise MalformedInput
    limits = member.limits or Limits()
    if limits.maximum is not None and number > limits.maximum:
        violations.append(_violated(path, f"Member must have value less than or equal to {limits.maximum}"))
    if limits.minimum is not None and number < limits.minimum:
        violations.append(_violated(path, f"Member must have value greater than or equal to {limits.minimum}"))
    return number


def _read_timestamp(given: Any, member: Member, path: _Path, violations: list[str]) -> int:
    """Milliseconds since 1970; finer fractions are cut off."""
    found = _TIMESTAMP.fullmatch(_scalar(given))
    if found is None:
        raise MalformedInput("timestamp must follow ISO8601")
    *clock, fraction, sign, hours, minutes = found.groups()
    year, month, day, hour, minute, second = map(int, clock)
    east = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - east
    except (ValueError, OverflowError):
        raise MalformedInput("timestamp must follow ISO8601") from None
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int((fraction or "0")[:3].ljust(3, "0"))


def _read_blob(given: Any, member: Member, path: _Path, violations: list[str]) -> bytes:
    text = _scalar(given)
    if "\n" in text or "\r" in text:
        # Encoders made for MIME fold their lines (Ruby's encode64 does); SES takes that.
        text = text.replace("\r", "").replace("\n", "")
    try:
        # Strict mode still takes padding after a full group; the length tells.
        if len(text) % 4 == 0:
            return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    raise MalformedInput(f"{member.name} is not valid base64")


def _read_nested(given: Any, member: Member, path: _Path, violations: list[str]) -> Structure | None:
    if given.__class__ is str:
        if given:
            raise MalformedInput(VALUE_UNEXPECTED)
        given = {}
    assert member.shape is not None  # the generator gives every structure its shape
    return _read_structure(given, member.shape, path, violations)


def _read_list(given: Any, member: Member, path: _Path, violations: list[str]) -> tuple[Any, ...]:
    if given.__class__ is str:
        if given:
            raise MalformedInput(VALUE_UNEXPECTED)
        return ()
    elements = given.get("member")
    if elements.__class__ is not dict or len(given) > 1:
        raise MalformedInput(STRUCTURE_UNEXPECTED if elements is None or len(given) > 1 else VALUE_UNEXPECTED)
    places = _in_order(elements)
    if member.shape is None:
        return _read_strings([_scalar(element) for _, element in places], member, path, violations)
    read = []
    for place, element in places:
        if element.__class__ is str:
            raise MalformedInput(VALUE_UNEXPECTED)
        read.append(_read_structure(element, member.shape, ((path, str(place)), "member"), violations))
    return tuple(read)


def _read_strings(texts: list[str], member: Member, path: _Path, violations: list[str]) -> tuple[str, ...]:
    limits = member.limits
    if limits is not None and not all(kept for text in texts for _, kept in _rules(text, limits)):
        # Observed: one violation for the whole list, without an index, naming all that an element must satisfy.
        rules = ", ".join(rule for rule, _ in _rules("", limits))
        violations.append(_violated(path, f"Member must satisfy constraint: [{rules}]"))
    return tuple(texts)


def _in_order(elements: _Tree) -> list[tuple[int, Any]]:
    """The elements of a list by ascending index. Small gaps are closed; the live service refuses wider ones."""
    places = sorted(((_index(text), element) for text, element in elements.items()), key=lambda place: place[0])
    previous = 1
    for place, _ in places:
        if place - previous > MAX_GAP:
            raise MalformedInput(f"Excessively sparse input would skip {place - previous:,d} list elements")
        previous = place
    return places


def _index(text: str) -> int:
    """A list index, 1 and up; the texts are those of the live service."""
    if not (text.isascii() and text.isdigit()):
        raise MalformedInput(LIST_UNEXPECTED)
    if text[0] == "0":
        raise MalformedInput("0 is not a valid index" if text == "0" else VALUE_UNEXPECTED)
    if len(text) > 9 or int(text) > MAX_INDEX:
        raise MalformedInput(f"Index {text[:32]} is illegal")
    return int(text)


# No request of SES holds a map, a long or a double.
_READERS: dict[str, Callable[[Any, Member, _Path, list[str]], Any]] = {
    "string": _read_string,
    "blob": _read_blob,
    "boolean": _read_boolean,
    "integer": _read_integer,
    "timestamp": _read_timestamp,
    "structure": _read_nested,
    "list": _read_list,
}


def render(response: Structure, operation: Operation, request_id: str) -> bytes:
    """The XML answer: UTF-8, without declaration, as SES sends it."""
    name = operation.name
    parts = [f'<{name}Response xmlns="{NAMESPACE}">']
    if operation.result_wrapper:
        _write_structure(parts, operation.result_wrapper, response)
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>")
    return "".join(parts).encode()


def render_error(error: ServiceError, request_id: str) -> bytes:
    """The XML of an error; an error without a message has no Message element, as seen on the live service."""
    told = {"Message": error.message, **error.members} if error.message else error.members
    members = "".join(f"<{name}>{_escape(value)}</{name}>" for name, value in told.items())
    fault = "Sender" if error.sender_fault else "Receiver"
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{fault}</Type><Code>{error.code}</Code>{members}</Error>'
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _write_structure(parts: list[str], name: str, structure: Structure) -> None:
    """Members that are None are left out; a structure without any is an empty element."""
    start = len(parts)
    for member in structure.MEMBERS:
        value = getattr(structure, member.attribute)
        if value is not None:
            _WRITERS[member.kind](parts, member, value)
    _wrap(parts, start, name)


def _wrap(parts: list[str], start: int, name: str) -> None:
    """Puts what was written since ``start`` into an element."""
    if len(parts) == start:
        parts.append(f"<{name}/>")
    else:
        parts.insert(start, f"<{name}>")
        parts.append(f"</{name}>")


def _write_item(parts: list[str], name: str, item: Any) -> None:
    """An element of a list or the value of a map entry."""
    if isinstance(item, Structure):
        _write_structure(parts, name, item)
    else:
        parts.append(f"<{name}>{_escape(item)}</{name}>")


def _write_list(parts: list[str], member: Member, items: tuple[Any, ...]) -> None:
    # SDKs read an empty element as an empty list, a missing one as a missing key.
    start = len(parts)
    for item in items:
        _write_item(parts, "member", item)
    _wrap(parts, start, member.name)


def _write_map(parts: list[str], member: Member, entries: Mapping[str, Any]) -> None:
    start = len(parts)
    for key, value in entries.items():
        parts.append(f"<entry><key>{_escape(key)}</key>")
        _write_item(parts, "value", value)
        parts.append("</entry>")
    _wrap(parts, start, member.name)


def _write_string(parts: list[str], member: Member, text: str) -> None:
    parts.append(f"<{member.name}>{_escape(text)}</{member.name}>")


def _write_boolean(parts: list[str], member: Member, value: bool) -> None:
    parts.append(f"<{member.name}>{'true' if value else 'false'}</{member.name}>")


def _write_whole(parts: list[str], member: Member, number: int) -> None:
    parts.append(f"<{member.name}>{number:d}</{member.name}>")


def _write_double(parts: list[str], member: Member, number: float) -> None:
    parts.append(f"<{member.name}>{float(number)}</{member.name}>")


def _write_timestamp(parts: list[str], member: Member, at_ms: int) -> None:
    moment = (_EPOCH + timedelta(milliseconds=at_ms)).replace(tzinfo=None)
    text = moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds")
    parts.append(f"<{member.name}>{text}Z</{member.name}>")


# No response of SES holds a blob.
_WRITERS: dict[str, Callable[[list[str], Member, Any], None]] = {
    "string": _write_string,
    "boolean": _write_boolean,
    "integer": _write_whole,
    "long": _write_whole,
    "double": _write_double,
    "timestamp": _write_timestamp,
    "structure": lambda parts, member, value: _write_structure(parts, member.name, value),
    "list": _write_list,
    "map": _write_map,
}

_UNSAFE = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}


def _escape(text: str) -> str:
    """Text for XML 1.0. A carriage return survives as a reference; what XML cannot carry becomes U+FFFD."""
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)
