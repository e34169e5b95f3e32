"""SendEmail's message from its parts (SES API SendEmail; MIME per RFC 2045 and 2046).

Composed is what the caller gave and nothing else: Message-ID, Date and the rest of what SES adds come from
``outgoing.rewrite_head``, for composed and raw mail alike. Bcc is never among the headers.
"""

import re
from collections.abc import Iterable
from typing import Protocol
from zlib import crc32

from posthouse.domain.messages import Draft, Text
from posthouse.mail import charsets, headers, mailboxes, transfer
from posthouse.mail.headers import Field, Message

DEFAULT_CHARSET = "UTF-8"
"""Of a text that came without one. SES documents 7-bit ASCII and labels such text UTF-8; nothing is lost this way."""

_MESSAGE_ID_TIME = re.compile(r"[0-9a-f]{4}([0-9a-f]{12})-")
_MIME_VERSION = Field(b"mime-version", b"MIME-Version: 1.0\r\n")
_ENCODINGS = {
    name: Field(b"content-transfer-encoding", f"Content-Transfer-Encoding: {name}\r\n".encode("ascii"))
    for name in ("7bit", "quoted-printable", "base64")
}


def compose(draft: Draft, message_id: str) -> bytes:
    """The message as bytes; see ``compose_message``."""
    return compose_message(draft, message_id).to_bytes()


def compose_message(draft: Draft, message_id: str) -> Message:
    """Compose. The same draft and SES message id give the same bytes.

    Raises charsets.Unencodable where a text does not fit its charset, and for addresses beyond ASCII.
    """
    heads = [*_addressed(draft), _subject(draft.subject), _MIME_VERSION]
    content, body = _content(draft, message_id)
    return Message(heads + content, body)


def compose_preview(subject: Text, text: Text | None, html: Text | None, date: str, mark: str) -> Message:
    """TestRenderTemplate's message: nobody's, and always an alternative, of the parts that there are.

    ``date``: see ``outgoing.date_value``. ``mark`` makes the boundary.
    """
    heads = [headers.field("Date", date), _subject(subject), _MIME_VERSION]
    content, body = _alternative(
        [(kind, part) for kind, part in (("plain", text), ("html", html)) if part is not None], mark
    )
    return Message(heads + content, body)


class Drafted(Protocol):
    """A `Draft`, or what is known of a message that has yet to be rendered from a template: no subject, no parts."""

    @property
    def source(self) -> str: ...
    @property
    def to(self) -> tuple[str, ...]: ...
    @property
    def cc(self) -> tuple[str, ...]: ...
    @property
    def reply_to(self) -> tuple[str, ...]: ...
    @property
    def subject(self) -> Text | None: ...
    @property
    def text(self) -> Text | None: ...
    @property
    def html(self) -> Text | None: ...


def compose_head(draft: Drafted, message_id: str) -> list[Field]:
    """The header section that `compose_message` makes, at a tenth of the cost: for who tells of a message. Without
    subject and parts, there are no fields of them."""
    heads = _addressed(draft)
    if draft.subject is not None:
        heads.append(_subject(draft.subject))
    heads.append(_MIME_VERSION)
    if draft.text is not None and draft.html is not None:
        # The boundary counts on only past one that stands in a part, which no text of anybody's does by chance.
        return [*heads, _multipart(_boundary(message_id, []))]
    if draft.text is None and draft.html is None:
        return heads
    subtype, part = ("html", draft.html) if draft.html is not None else ("plain", draft.text or Text(""))
    return heads + _describe(subtype, part, _encoded(part)[0])


def _addressed(draft: Drafted) -> list[Field]:
    given = (("Reply-To", draft.reply_to), ("To", draft.to), ("Cc", draft.cc))
    return [_addresses("From", (draft.source,)), *[_addresses(name, those) for name, those in given if those]]


def _addresses(name: str, given: tuple[str, ...]) -> Field:
    value = mailboxes.join([mailboxes.as_given(mailbox) for mailbox in given], len(name) + 2)
    return Field(name.lower().encode("ascii"), f"{name}: {value}\r\n".encode("ascii"))


def _subject(subject: Text) -> Field:
    charset = subject.charset or DEFAULT_CHARSET
    if charsets.codec(charset) is None:
        raise charsets.Unencodable(charset)
    return headers.field("Subject", subject.data, charset)


def _content(draft: Draft, message_id: str) -> tuple[list[Field], bytes]:
    if draft.text is not None and draft.html is not None:
        return _alternative((("plain", draft.text), ("html", draft.html)), message_id)
    subtype, part = ("html", draft.html) if draft.html is not None else ("plain", draft.text or Text(""))
    encoding, body = _encoded(part)
    # A message ends with a line ending; in a single part it is part of the text, as with every mail program.
    return _describe(subtype, part, encoding), body if body.endswith(b"\r\n") else body + b"\r\n"


def _alternative(given: Iterable[tuple[str, Text]], message_id: str) -> tuple[list[Field], bytes]:
    """RFC 2046 section 5.1.4: the plainest first, the richest last."""
    parts = [(subtype, part, *_encoded(part)) for subtype, part in given]
    boundary = _boundary(message_id, [body for *_, body in parts])
    mark = b"--" + boundary
    pieces: list[bytes] = []
    for subtype, part, encoding, body in parts:
        pieces += [mark, b"\r\n", *[field.raw for field in _describe(subtype, part, encoding)], b"\r\n", body, b"\r\n"]
    return [_multipart(boundary)], b"".join([*pieces, mark, b"--\r\n"])


def _multipart(boundary: bytes) -> Field:
    return Field(b"content-type", b'Content-Type: multipart/alternative;\r\n boundary="' + boundary + b'"\r\n')


def _boundary(message_id: str, bodies: list[bytes]) -> bytes:
    """SES's form ``----=_Part_<n>_<n>.<ms>``, counted on until it stands in no part (RFC 2046 section 5.1.1)."""
    time = _MESSAGE_ID_TIME.match(message_id)
    at_ms = int(time[1], 16) if time else 0
    serial, salt = divmod(crc32(message_id.encode()), 10_000)
    while True:
        boundary = b"----=_Part_%d_%d.%d" % (serial, salt, at_ms)
        if not any(boundary in body for body in bodies):
            return boundary
        serial += 1


def _encoded(part: Text) -> tuple[str, bytes]:
    data = part.data
    if "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n")
    return transfer.encode_body(charsets.encode(data.replace("\n", "\r\n"), part.charset or DEFAULT_CHARSET))


def _describe(subtype: str, part: Text, encoding: str) -> list[Field]:
    # Labels are safe to write: they are whitelisted.
    content_type = f"Content-Type: text/{subtype}; charset={_label(part)}\r\n"
    return [Field(b"content-type", content_type.encode("ascii")), _ENCODINGS[encoding]]


def _label(part: Text) -> str:
    return (part.charset or DEFAULT_CHARSET).strip()
