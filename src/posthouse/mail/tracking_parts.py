"""A part's content out of its transfer encoding, and edits of it back in (RFC 2045 section 6).

What is not edited keeps its bytes: quoted-printable is edited where it stands, base64 written anew in lines of 76. A
part that cannot be put back exactly is not read at all.
"""

import binascii
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from posthouse.mail import transfer
from posthouse.mail.headers import Field
from posthouse.mail.mime import Part

_PLAIN = ("", "7bit", "8bit", "binary")
_ESCAPE = re.compile(rb"=(?:([0-9A-Fa-f]{2})|[ \t]*+\r?\n|\Z)")
# At the end of a piece: no escape, but it would be one with what comes to stand behind it.
_LONE_EQUALS = re.compile(rb"=([^\n]?)\Z")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*+={0,2}\Z")
# RFC 2045 section 6.7 allows 76 characters; the "=" at the end is one, an escaped dash at the start two more.
_LINE = 73
_ENCODING = b"content-transfer-encoding"
_QUOTED_PRINTABLE = Field(_ENCODING, b"Content-Transfer-Encoding: quoted-printable\r\n")


class Edit(NamedTuple):
    """Bytes ``start`` to ``end`` of a content become others, which are ASCII."""

    start: int
    end: int
    new: bytes


class Rewritten(NamedTuple):
    """What stands from ``start`` to ``end`` of the message instead of a part."""

    start: int
    end: int
    content: bytes
    fields: list[Field] | None = None
    """The message's header section, where the part is the whole message and its encoding had to change."""


def content_of(raw: bytes, part: Part) -> bytes | None:
    """The decoded content; None where it could not be put back. `raw`: an empty line, and a message's body after it."""
    encoding, encoded = _encoding(part), raw[part.start : part.end]
    if encoding in _PLAIN:
        return encoded
    if encoding == "quoted-printable":
        return _ESCAPE.sub(_unescaped, encoded)
    if encoding == "base64":
        flat = encoded.translate(None, b"\r\n \t")
        return binascii.a2b_base64(flat) if len(flat) % 4 == 0 and _BASE64.match(flat) else None
    return None


def put_back(raw: bytes, part: Part, content: bytes, edits: Sequence[Edit]) -> Rewritten | None:
    """The part with its content edited; edits in order, without overlap. None where there is no way."""
    encoding = _encoding(part)
    if encoding == "quoted-printable":
        return Rewritten(part.start, part.end, _edited_quoted(raw[part.start : part.end], edits))
    changed = _edited(content, edits)
    if encoding == "base64":
        encoded = raw[part.start : part.end]
        tail = encoded[len(encoded.rstrip(b"\r\n \t")) :]
        return Rewritten(part.start, part.end, transfer.write_base64(changed) + tail)
    if encoding == "binary" or not transfer.has_long_line(changed):
        return Rewritten(part.start, part.end, changed)
    return _as_quoted(raw, part, changed)


def _encoding(part: Part) -> str:
    return part.encoding.strip().lower()


def _edited(content: bytes, edits: Sequence[Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for edit in edits:
        pieces += [content[at : edit.start], edit.new]
        at = edit.end
    return b"".join([*pieces, content[at:]])


# -- quoted-printable


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode("ascii")) if escape[1] is not None else b""


def _edited_quoted(encoded: bytes, edits: Sequence[Edit]) -> bytes:
    """Each new text stands on lines of its own between soft line ends, so that no other line grows."""
    offsets = _encoded_offsets(encoded, [offset for edit in edits for offset in (edit.start, edit.end)])
    pieces: list[bytes] = []
    at = 0
    for edit, start, end in zip(edits, offsets, offsets, strict=False):
        pieces.append(_LONE_EQUALS.sub(rb"=3D\1", encoded[at:start]))
        if edit.new:
            pieces += [b"=\r\n", *_quoted_lines(edit.new)]
        elif b"\n" in encoded[start:end]:
            pieces.append(b"=\r\n")
        at = end
    return b"".join([*pieces, encoded[at:]])


def _quoted_lines(text: bytes) -> Iterator[bytes]:
    """ASCII text without line ends in lines of quoted-printable, each with its soft line end."""
    escaped = text.replace(b"=", b"=3D")
    at = 0
    while at < len(escaped):
        end = at + _LINE
        within = escaped.rfind(b"=", end - 2, end)
        line = escaped[at : end if within < 0 or end >= len(escaped) else within]
        at += len(line)
        # A line that began with a dash might be taken for a boundary.
        yield b"=2D%b=\r\n" % line[1:] if line.startswith(b"-") else line + b"=\r\n"


def _encoded_offsets(encoded: bytes, wanted: Sequence[int]) -> Iterator[int]:
    """Where the wanted offsets of the decoded text, in order, are in the encoded one."""
    asked = iter(wanted)
    offset = next(asked, None)
    at = decoded = 0
    for escape in _ESCAPE.finditer(encoded):
        literal = escape.start() - at
        while offset is not None and offset <= decoded + literal:
            yield at + offset - decoded
            offset = next(asked, None)
        decoded += literal + (escape[1] is not None)
        at = escape.end()
    while offset is not None:
        yield at + offset - decoded
        offset = next(asked, None)


def _as_quoted(raw: bytes, part: Part, changed: bytes) -> Rewritten | None:
    """A part that was 7bit or 8bit and has a line too long for that now."""
    # No line that only the folding begins may look like a boundary.
    content = transfer.write_quoted_printable(changed).replace(b"\n--", b"\n=2D-")
    fields = _with_encoding(part.fields)
    blank = b"\r\n"
    if part.start == len(blank):
        return Rewritten(part.start, part.end, content, fields)
    head = b"".join([each.raw for each in part.fields])
    start = part.start - len(head) - len(blank)
    if raw[start : part.start] != head + blank:
        return None
    return Rewritten(start, part.end, b"".join([each.raw for each in fields]) + blank + content)


def _with_encoding(fields: list[Field]) -> list[Field]:
    at = next((number for number, each in enumerate(fields) if each.key == _ENCODING), None)
    if at is None:
        return [*fields, _QUOTED_PRINTABLE]
    return [*fields[:at], _QUOTED_PRINTABLE, *fields[at + 1 :]]
