"""multipart/report (RFC 6522): a text for people, fields for machines, and the mail that they are about.

What `dsn` and `arf` share. Reading is for strangers' mail: bounded, linear, never raising. Writing gives a whole
message but for Date and Message-ID, which every message gets where it leaves (`outgoing.rewrite_head`).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from posthouse.mail import headers, mailboxes, mime, transfer
from posthouse.mail.headers import Field

MAX_REPORT = 256 * 1024
"""Bytes of the machine-readable part that are looked at."""
MAX_HEAD = 64 * 1024
"""Bytes of the returned mail's header section that are looked at, or sent along."""
MAX_FIELDS = 2000
MAX_VALUE = 1000
"""Characters of a value that are kept: it goes into rows, events and bounce mails."""
_EMPTY_LINE = re.compile(rb"\n(?:[ \t]*+\r?+\n)++")
_BARE = re.compile(r"[!-'*-;=?A-~]{1,255}@[!-'*-;=?A-~]{1,255}")
_RETURNED = frozenset(
    {
        *("message/rfc822", "text/rfc822-headers", "message/rfc822-headers"),
        *("message/global", "message/global-headers"),  # RFC 6532, 6533: the same with UTF-8 in headers
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Whom a report is from, to whom, about what."""

    from_: str
    """A mailbox as given, with or without a name."""
    to: str
    subject: str
    in_reply_to: str = ""
    """Message-ID of the mail that it is about, with angle brackets; empty where it has none."""
    auto_submitted: str = "auto-replied"
    """RFC 3834 section 5: what a machine sends, and no machine is to answer; empty: it does not say."""
    more: tuple[tuple[str, str], ...] = ()
    """Fields of our own, names that are such."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The mail that a report is about."""

    content: bytes
    """With CRLF newlines."""
    whole: bool
    """Else its header section alone goes along."""


# -- reading


@dataclass(frozen=True, slots=True)
class Found:
    """The parts of a report."""

    groups: list[list[Field]]
    """The fields of the machine-readable part, by the empty lines between them."""
    returned: list[Field]
    """Header fields of the mail that came back; none where it did not."""


def find(raw: bytes, machine_types: Collection[str]) -> Found | None:
    """The first part of one of these types with what belongs to it, or None. What is inside a mail that was merely
    forwarded does not count."""
    parts = mime.walk(raw).parts
    machine = next((part for part in parts if part.content_type in machine_types), None)
    if machine is None:
        return None
    data = transfer.read_body(machine.encoding, raw[machine.start : min(machine.end, machine.start + MAX_REPORT)])
    return Found(_groups(data), returned_fields(raw, parts))


def returned_fields(raw: bytes, parts: Sequence[mime.Part]) -> list[Field]:
    """The header fields of the first mail that is a part."""
    returned = next((part for part in parts if part.content_type in _RETURNED), None)
    if returned is None:
        return []
    data = transfer.read_body(returned.encoding, raw[returned.start : min(returned.end, returned.start + MAX_HEAD)])
    return headers.fields(headers.split(data.lstrip(b"\r\n")).head, MAX_FIELDS)


def _groups(data: bytes) -> list[list[Field]]:
    groups: list[list[Field]] = []
    left = MAX_FIELDS
    for block in _blocks(data):
        fields = [field for field in headers.fields(block, left) if field.key]
        left -= len(fields)
        if fields:
            groups.append(fields)
        if left <= 0:
            break
    return groups


def _blocks(data: bytes) -> Iterator[bytes]:
    at = 0
    for gap in _EMPTY_LINE.finditer(data):
        yield data[at : gap.start() + 1]
        at = gap.end()
    yield data[at:]


def value_of(fields: Sequence[Field], *keys: bytes) -> str:
    """The value of the first field that has one of these names (lower case), in the order of the names; bounded."""
    for key in keys:
        for field in fields:
            if field.key == key and (text := field.text[:MAX_VALUE].strip()):
                return text
    return ""


def address_in(value: str) -> str:
    """The address of ``rfc822; ann@example.com`` and of what is seen in its place: without the type, in angle brackets,
    with a name or a comment. Empty where there is none; not checked."""
    kind, semicolon, rest = value.partition(";")
    text = (rest if semicolon and "@" not in kind else value).strip(" \t;")
    if _BARE.fullmatch(text):
        return text
    return next((mailbox.address for mailbox in mailboxes.parse(text) if _BARE.fullmatch(mailbox.address)), "")


# -- writing


def write(head: Head, kind: str, text: str, machine_type: str, machine: bytes, returned: Returned) -> bytes:
    """The whole message. `kind` is the report-type, `machine` the fields for machines, ASCII with CRLF newlines."""
    parts = [_text_part(text), _part(machine_type, "7bit", machine), _returned_part(returned)]
    boundary = _boundary(parts)
    fields = head_fields(head)
    content_type = f'multipart/report; report-type={kind};\r\n boundary="{boundary.decode()}"'
    fields.append(b"Content-Type: " + content_type.encode("ascii") + b"\r\n")
    if not all(part.isascii() for part in parts):
        # RFC 2046 section 5.2.1: a mail that is a part is never encoded; then the whole says so.
        fields.append(b"Content-Transfer-Encoding: 8bit\r\n")
    mark = b"--" + boundary
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return b"".join([*fields, b"\r\n", body, mark, b"--\r\n"])


def head_fields(head: Head) -> list[bytes]:
    """The header fields of an answer, without those of its content."""
    fields = [
        f"From: {mailboxes.as_given(head.from_)}\r\n".encode("ascii"),
        f"To: {mailboxes.as_given(head.to)}\r\n".encode("ascii"),
        headers.field("Subject", head.subject).raw,
    ]
    if head.in_reply_to:
        # RFC 3834 section 3.1.5: both, so that it is shown beside what it answers.
        fields += [headers.field(name, head.in_reply_to).raw for name in ("In-Reply-To", "References")]
    if head.auto_submitted:
        fields.append(headers.field("Auto-Submitted", head.auto_submitted).raw)
    fields += [headers.field(name, value).raw for name, value in head.more]
    return [*fields, b"MIME-Version: 1.0\r\n"]


def written(name: str, value: str) -> bytes:
    """One field for machines; nothing where there is no value. `name` was found to be one."""
    return headers.field(name, value).raw if value.strip() else b""


def _text_part(text: str) -> bytes:
    data = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
    encoding, body = transfer.encode_body(data)
    return _part("text/plain; charset=UTF-8", encoding, body)


def _returned_part(returned: Returned) -> bytes:
    if returned.whole:
        return _part("message/rfc822", "7bit" if returned.content.isascii() else "8bit", returned.content)
    head = headers.split(returned.content).head
    if len(head) > MAX_HEAD:
        head = head[: head.rfind(b"\r\n", 0, MAX_HEAD) + 2]
    # RFC 6522 section 4: broken headers may be quoted-printable; as they are, they must be 7bit.
    plain = head.isascii() and b"\0" not in head and not transfer.has_long_line(head)
    encoding, body = ("7bit", head) if plain else ("quoted-printable", transfer.write_quoted_printable(head))
    return _part("text/rfc822-headers", encoding, body)


def _part(content_type: str, encoding: str, body: bytes) -> bytes:
    return f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode("ascii") + body


def _boundary(parts: Sequence[bytes]) -> bytes:
    """One that stands in no part (RFC 2046 section 5.1.1); the same parts give the same."""
    number = crc32(b"".join(parts))
    while True:
        boundary = b"----=_Report_%d" % number
        if not any(boundary in part for part in parts):
            return boundary
        number += 1
