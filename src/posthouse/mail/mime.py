"""The parts of a MIME message: RFC 2045 and 2046 structure, RFC 2231 parameters.

Made for strangers' mail: bounded in depth, parts and time, and never raising. What does not follow the rules is a
plain leaf. A walk that met a bound says so: it has not seen everything.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from posthouse.mail import charsets, headers
from posthouse.mail.encoded_words import decode_words
from posthouse.mail.headers import Field

MAX_PARTS = 500
"""As many as SES takes in a message."""
MAX_DEPTH = 20
MAX_PART_HEAD = 64 * 1024
MAX_PART_FIELDS = 200
_MAX_DELIMITERS = 10_000
_MAX_BOUNDARY = 200
"""RFC 2046 section 5.1.1 allows 70."""
_MAX_VALUE = 16 * 1024
_MAX_PARAMETERS = 100
PARAMETER = re.compile(r'[ \t]*([^ \t=;"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"?|([^;]*))', re.DOTALL)
_LAST_PARAMETER = re.compile(r"(?<=;)[ \t]*[^;\s][^;]*$")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TYPE = re.compile(r"[!#-'*+.0-9A-Z^-~-]{1,127}/[!#-'*+.0-9A-Z^-~-]{1,127}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the MIME tree: ``raw[start:end]`` of the walked message is its encoded content."""

    path: str
    """Numbers from one, joined by dots: ``1.2`` is the second part of the first."""
    fields: list[Field]
    content_type: str
    """Lower case, without parameters."""
    parameters: dict[str, str]
    start: int
    end: int

    def value(self, key: bytes) -> str:
        """The value of the first field of this name (lower case), or an empty string."""
        return next((each.value for each in self.fields if each.key == key), "")

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding, bare."""
        return self.value(b"content-transfer-encoding").partition(";")[0]

    @property
    def disposition(self) -> tuple[str, dict[str, str]]:
        """Content-Disposition: kind in lower case, and its parameters (RFC 2183)."""
        return read_parameters(self.value(b"content-disposition"))

    @property
    def file_names(self) -> list[str]:
        """Every name a mail program may save this part under: ``filename`` first, then ``name``."""
        named = (self.disposition[1].get("filename"), self.parameters.get("name"))
        return [name for name in named if name]


@dataclass(slots=True)
class Walk:
    """What was found in a message."""

    parts: list[Part] = field(default_factory=list)
    complete: bool = True
    """False when a bound was met and something stayed unseen."""
    delimiters: int = 0


@dataclass(frozen=True, slots=True)
class _Entity:
    """Something with a header section and content, still to be looked into."""

    path: str
    fields: list[Field]
    start: int
    end: int
    depth: int
    default_type: str = "text/plain"


def walk(
    raw: bytes, fields: list[Field] | None = None, into_messages: bool = False, sealed: Collection[str] = ()
) -> Walk:
    """The leaves of a message in order; ``fields`` when its header section has been read already.

    ``into_messages`` looks into message/rfc822 parts too, which are leaves otherwise. Parts of the types ``sealed`` are
    leaves though they hold others.
    """
    found = Walk()
    head, body, _ = headers.split(raw)
    known = fields if fields is not None else headers.fields(head[:MAX_PART_HEAD], MAX_PART_FIELDS)
    waiting = [_Entity("", known, len(raw) - len(body), len(raw), 0)]
    while waiting:
        entity = waiting.pop()
        content_type, parameters = read_type(_first(entity.fields, b"content-type"), entity.default_type)
        is_sealed = content_type in sealed
        children = [] if is_sealed else _children(raw, entity, content_type, parameters, found, into_messages)
        if children:
            waiting += reversed(children)
        elif len(found.parts) < MAX_PARTS:
            path = entity.path or "1"
            found.parts.append(Part(path, entity.fields, content_type, parameters, entity.start, entity.end))
        else:
            found.complete = False
            break
    return found


def _children(
    raw: bytes, entity: _Entity, content_type: str, parameters: dict[str, str], found: Walk, into_messages: bool
) -> list[_Entity]:
    composite = content_type.startswith("multipart/") or (into_messages and content_type == "message/rfc822")
    if not composite:
        return []
    if entity.depth >= MAX_DEPTH:
        found.complete = False
        return []
    if content_type == "message/rfc822":
        return [_entity(raw, entity, 1, entity.start, entity.end, found)]
    boundary = parameters.get("boundary", "").encode("utf-8", "replace")[:_MAX_BOUNDARY].rstrip(b" \t")
    if not boundary:
        return []
    # RFC 2046 section 5.1.5: what is in a digest is a message unless it says otherwise.
    default = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
    found_at = spans(raw, entity.start, entity.end, boundary, found)
    return [
        _entity(raw, entity, number, start, end, found, default)
        for number, (start, end) in enumerate(found_at, start=1)
    ]


def _entity(
    raw: bytes, parent: _Entity, number: int, start: int, end: int, found: Walk, default_type: str = "text/plain"
) -> _Entity:
    path = f"{parent.path}.{number}" if parent.path else str(number)
    head_end, content = content_start(raw, start, end)
    if head_end - start > MAX_PART_HEAD:
        found.complete = False
    fields = headers.fields(raw[start : min(head_end, start + MAX_PART_HEAD)], MAX_PART_FIELDS + 1)
    if len(fields) > MAX_PART_FIELDS:
        found.complete = False
    return _Entity(path, fields[:MAX_PART_FIELDS], content, end, parent.depth + 1, default_type)


def content_start(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the header section of ``raw[start:end]`` ends and where its content starts."""
    if raw.startswith(b"\n", start, end):
        return start, start + 1
    if raw.startswith(b"\r\n", start, end):
        return start, start + 2
    crlf = raw.find(b"\n\r\n", start, end)
    lf = raw.find(b"\n\n", start, crlf + 1 if crlf >= 0 else end)
    if lf >= 0:
        return lf + 1, lf + 2
    if crlf >= 0:
        return crlf + 1, crlf + 3
    # No empty line: header fields alone, or, where the first line is none, content alone.
    line_end = raw.find(b"\n", start, end)
    colon = raw.find(b":", start, line_end if line_end >= 0 else end)
    return (end, end) if colon > start else (start, start)


def spans(raw: bytes, start: int, end: int, boundary: bytes, found: Walk) -> list[tuple[int, int]]:
    """Start and end of each body part between the delimiter lines (RFC 2046 section 5.1.1).

    Text before the first and after the closing delimiter is no part. A missing closing delimiter ends with the range.
    """
    found_at: list[tuple[int, int]] = []
    open_at = -1
    for line, line_end, closing in _delimiters(raw, start, end, boundary, found):
        if open_at >= 0:
            found_at.append((open_at, max(open_at, _before_newline(raw, line))))
            open_at = -1
        if len(found_at) > MAX_PARTS or closing:
            break
        open_at = line_end
    if open_at >= 0:
        found_at.append((open_at, end))
    return found_at


def _before_newline(raw: bytes, line: int) -> int:
    """The line ending before a delimiter belongs to the delimiter."""
    return line - 2 if raw[line - 2 : line] == b"\r\n" else line - 1


def _delimiters(raw: bytes, start: int, end: int, boundary: bytes, found: Walk) -> Iterator[tuple[int, int, bool]]:
    """Delimiter lines: where each starts, where the next line starts, whether it closes."""
    mark = b"\n--" + boundary
    at = start if raw.startswith(mark[1:], start, end) else _find_line(raw, mark, start, end)
    while at >= 0:
        found.delimiters += 1
        if found.delimiters > _MAX_DELIMITERS:
            found.complete = False
            return
        line_end = raw.find(b"\n", at, end)
        line_end = end if line_end < 0 else line_end + 1
        rest = raw[at + len(mark) - 1 : min(line_end, at + len(mark) + _MAX_BOUNDARY)].rstrip(b" \t\r\n")
        if rest in (b"", b"--"):
            yield at, line_end, rest == b"--"
        at = _find_line(raw, mark, line_end - 1, end)


def _find_line(raw: bytes, mark: bytes, start: int, end: int) -> int:
    at = raw.find(mark, max(start, 0), end)
    return at + 1 if at >= 0 else -1


def _first(fields: list[Field], key: bytes) -> str:
    return next((each.value for each in fields if each.key == key), "")


def read_type(value: str, default: str = "text/plain") -> tuple[str, dict[str, str]]:
    """A Content-Type value: type in lower case, parameters. What is no type is the default (RFC 2045 section 5.2)."""
    content_type, parameters = read_parameters(value)
    return (content_type if _TYPE.fullmatch(content_type) else default), parameters


def read_parameters(value: str) -> tuple[str, dict[str, str]]:
    """``main; name=value; ...`` -> main in lower case, and the parameters with lower-case names, decoded.

    Understands quotes, RFC 2231's charsets and continuations, and the encoded words many programs put there. The
    first of two equal names counts.
    """
    value = value[:_MAX_VALUE]
    main, _, _ = value.partition(";")
    found: dict[str, str] = {}
    at = len(main)
    while 0 <= at < len(value) and len(found) < _MAX_PARAMETERS:
        parameter = PARAMETER.match(value, at + 1)
        if parameter:
            name, quoted, plain = parameter.groups()
            text = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain.strip(" \t")
            found.setdefault(name.lower(), text)
        at = value.find(";", parameter.end() if parameter else at + 1)
    return main.strip(" \t").lower(), _joined(found)


def possible_values(value: str, names: Collection[str]) -> list[str]:
    """All that different readers may take for the value of one of these parameters: each of several instances, plain
    and extended (RFC 2231), and of a value without quotes also what stands before a comment or a blank."""
    parameters, found, pieces = value[:_MAX_VALUE], list[str](), dict[str, str]()
    at = parameters.find(";")
    while at >= 0 and len(found) < _MAX_PARAMETERS:
        parameter = PARAMETER.match(parameters, at + 1)
        if parameter:
            name, quoted, plain = parameter[1].lower(), parameter[2], parameter[3]
            text = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain.strip(" \t")
            if name in names:
                found.append(decode_words(text))
                if quoted is None:
                    found += [text.partition("(")[0], text.partition(" ")[0]]
            elif name.partition("*")[0] in names:
                pieces.setdefault(name, text)
        at = parameters.find(";", parameter.end() if parameter else at + 1)
    return found + [text for base in names if (text := _extended(base, pieces)) is not None]


def ends_without_value(value: str) -> bool:
    """Whether the last parameter has a name and nothing else: ``text/plain; charset``."""
    last = _LAST_PARAMETER.search(value[:_MAX_VALUE])
    # A quotation mark or parenthesis: the semicolon was inside of quotes or a comment.
    return last is not None and not set('=")') & set(last[0])


def _joined(parameters: dict[str, str]) -> dict[str, str]:
    """Put together what RFC 2231 has split and encoded: ``name*``, ``name*0``, ``name*1*`` ..."""
    if not any("*" in name for name in parameters):
        return {name: decode_words(text) for name, text in parameters.items()}
    joined = {name: decode_words(text) for name, text in parameters.items() if "*" not in name}
    for base in {name.partition("*")[0] for name in parameters if "*" in name}:
        text = _extended(base, parameters)
        if text is not None:
            joined[base] = text
    return joined


def _extended(base: str, parameters: dict[str, str]) -> str | None:
    """One RFC 2231 parameter, or None when its pieces do not start at zero."""
    if f"{base}*" in parameters:
        pieces = [(parameters[f"{base}*"], True)]
    else:
        pieces = []
        while (key := f"{base}*{len(pieces)}") in parameters or f"{key}*" in parameters:
            encoded = f"{key}*" in parameters
            pieces.append((parameters[f"{key}*" if encoded else key], encoded))
    if not pieces:
        return None
    charset = "utf-8"
    if pieces[0][1] and pieces[0][0].count("'") >= 2:
        charset, _, rest = pieces[0][0].split("'", 2)
        pieces[0] = (rest, True)
    data = b"".join(unquote_to_bytes(text) if encoded else text.encode() for text, encoded in pieces)
    return charsets.decode(data, charset)
