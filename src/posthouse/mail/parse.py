"""A mail for people to look at: the console and the admin API. Any bytes are a mail; nothing here raises.

What comes out is text and bytes of a stranger's making: whoever shows it escapes it.
"""

from dataclasses import dataclass

from posthouse.mail import charsets, headers, mime, transfer
from posthouse.mail.encoded_words import clean
from posthouse.mail.headers import Field
from posthouse.mail.mime import Part

MAX_HEAD = 256 * 1024
MAX_FIELDS = 1000
MAX_TEXT = 2 * 1024 * 1024
"""Bytes of a text or HTML part that are shown."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not the mail's text."""

    path: str
    """What ``part`` wants to hear."""
    name: str
    """As the sender wrote it, without controls; may hold slashes and be empty."""
    content_type: str
    size: int
    """Decoded, in bytes."""
    content_id: str
    """Without angle brackets; empty when there is none."""
    inline: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as one looks at it."""

    headers: list[tuple[str, str]]
    """Names as written, values decoded, in order."""
    text: str | None
    html: str | None
    attachments: list[Attachment]
    complete: bool
    """False when a bound was met and something was left out."""

    def header(self, name: str) -> str | None:
        """The value of the first header of this name, any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def read(raw: bytes) -> Mail:
    """Read ``raw``: the first text and the first HTML that are no attachments, and all else as attachments."""
    fields, whole = _fields(raw)
    walk = mime.walk(raw, fields)
    text = _first_shown(walk.parts, "text/plain")
    html = _first_shown(walk.parts, "text/html")
    plain_text, plain_whole = _text(raw, text)
    html_text, html_whole = _text(raw, html)
    return Mail(
        headers=headers.texts(fields),
        text=plain_text,
        html=html_text,
        attachments=[_attachment(raw, part) for part in walk.parts if part is not text and part is not html],
        complete=walk.complete and whole and plain_whole and html_whole,
    )


def part(raw: bytes, path: str) -> bytes | None:
    """The decoded content of the part at ``path``, or None when there is no such part."""
    found = next((each for each in mime.walk(raw, _fields(raw)[0]).parts if each.path == path), None)
    return transfer.read_body(found.encoding, raw[found.start : found.end]) if found else None


def _fields(raw: bytes) -> tuple[list[Field], bool]:
    """The header fields that are looked at, and whether these are all."""
    head, _, _ = headers.split(raw)
    fields = headers.fields(head[:MAX_HEAD], MAX_FIELDS)
    return fields, sum(len(field.raw) for field in fields) >= len(head)


def _first_shown(parts: list[Part], content_type: str) -> Part | None:
    return next((part for part in parts if part.content_type == content_type and not _is_attachment(part)), None)


def _is_attachment(part: Part) -> bool:
    return part.disposition[0] == "attachment" or bool(part.file_names)


def _text(raw: bytes, part: Part | None) -> tuple[str | None, bool]:
    """The text of a part, and whether that is all of it."""
    if part is None:
        return None, True
    # Three bytes for one is the worst that quoted-printable makes of a text, but for its soft line ends.
    read_to = min(part.end, part.start + 4 * MAX_TEXT)
    data = transfer.read_body(part.encoding, raw[part.start : read_to])
    whole = read_to == part.end and len(data) <= MAX_TEXT
    return charsets.decode(data[:MAX_TEXT], part.parameters.get("charset")), whole


def _attachment(raw: bytes, part: Part) -> Attachment:
    return Attachment(
        path=part.path,
        name=clean(next(iter(part.file_names), "")).strip(),
        content_type=part.content_type,
        size=transfer.size_of(part.encoding, raw[part.start : part.end]),
        content_id=part.value(b"content-id").strip("<> "),
        inline=part.disposition[0] == "inline" or bool(part.value(b"content-id")),
    )
