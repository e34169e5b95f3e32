"""The header section as bytes: where it ends, its fields, their values (RFC 5322 section 2.2).

Fields keep their raw bytes, folding and all, so that a message can be put together again byte for byte. Nothing here
raises on any input, and all of it is linear in the length of the input.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from posthouse.mail import charsets
from posthouse.mail.encoded_words import decode_words, encode_words

# Every position matches, also in a piece cut off before its line's end: a search that fails would be quadratic.
_FIELD = re.compile(rb"(?:[^\n]++\n?|\n)(?:[ \t][^\n]*+\n?)*+")


class Field(NamedTuple):
    """One header field."""

    key: bytes
    """The name in lower case, without blanks around it; empty for a line that has no name."""
    raw: bytes
    """The whole field as it stands in the message, folding and final line ending included."""

    @property
    def name(self) -> str:
        """The name as written; empty for a line without a colon."""
        return self.raw[: max(self.raw.find(b":"), 0)].strip(b" \t").decode("iso-8859-1")

    @property
    def value(self) -> str:
        """The field body: unfolded, without the blanks around it, bytes beyond ASCII read as UTF-8 or ISO-8859-1."""
        body = self.raw[self.raw.find(b":") + 1 :].translate(None, b"\r\n\0").strip(b" \t")
        return charsets.guess(body)

    @property
    def text(self) -> str:
        """``value`` with its encoded words decoded. Not for address lists: split those first (``mailboxes.parse``)."""
        return decode_words(self.value)


class Split(NamedTuple):
    """A message cut at its first empty line."""

    head: bytes
    """The header section up to and with the last field's line ending; empty when there is none."""
    body: bytes
    newline: bytes
    """``CRLF`` or ``LF``: what ends the header section."""


class Message(NamedTuple):
    """A message whose header section has been read; newlines are CRLF."""

    fields: list[Field]
    body: bytes

    def to_bytes(self) -> bytes:
        """The whole message."""
        return b"".join([*[field.raw for field in self.fields], b"\r\n", self.body])


def split(raw: bytes) -> Split:
    """Cut ``raw`` at the first empty line. Mail with bare LF is understood; a bare CR ends no line.

    A message without an empty line is all header section, and its last line is given a line ending if it lacks one.
    """
    if raw[:1] == b"\n":
        return Split(b"", raw[1:], b"\n")
    if raw[:2] == b"\r\n":
        return Split(b"", raw[2:], b"\r\n")
    crlf = raw.find(b"\n\r\n")
    # Looked for only before the other one, so that the body of a CRLF mail is not searched.
    lf = raw.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(raw))
    if lf >= 0:
        return Split(raw[: lf + 1], raw[lf + 2 :], b"\n")
    if crlf >= 0:
        return Split(raw[: crlf + 1], raw[crlf + 3 :], b"\r\n")
    newline = b"\n" if b"\n" in raw and b"\r\n" not in raw else b"\r\n"
    return Split(raw if raw[-1:] in (b"\n", b"") else raw + newline, b"", newline)


def fields(head: bytes, limit: int | None = None) -> list[Field]:
    """The fields of a header section in order, at most ``limit`` of them. Joined, their ``raw`` is ``head`` again."""
    if limit is None or head.count(b"\n") <= limit:
        return list(map(_field, _FIELD.findall(head)))
    return [_field(found[0]) for found in islice(_FIELD.finditer(head), limit)]


def _field(raw: bytes) -> Field:
    colon = raw.find(b":")
    # A name of an obsolete field may have blanks after it (RFC 5322 section 4.5): "From :" must not pass for another.
    return Field(raw[:colon].strip(b" \t").lower() if colon > 0 else b"", raw)


def read(raw: bytes) -> Message:
    """Read a CRLF message (see ``outgoing.crlf``) into fields and body."""
    head, body, _ = split(raw)
    return Message(fields(head), body)


def field(name: str, value: str, charset: str = "UTF-8") -> Field:
    """Write an unstructured field: folded, encoded where it must be, controls made blanks.

    Raises charsets.Unencodable. ``name`` is one of ours, never a caller's.
    """
    body = encode_words(value, charset, len(name) + 2)
    return Field(name.lower().encode("ascii"), f"{name}: {body}\r\n".encode("ascii"))


def texts(of: Iterable[Field]) -> list[tuple[str, str]]:
    """Names as written with decoded values, as events and the console show them."""
    return [(each.name, each.text) for each in of]
