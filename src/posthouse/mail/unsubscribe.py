"""The way out of a mailing list, in the mail itself: one click in the mail program, or the link in the text.

Source: RFC 8058 and RFC 2369 (List-Unsubscribe, List-Unsubscribe-Post; both are signed with the message), SES developer
guide, "Using subscription management": the placeholder ``{{amazonSESUnsubscribeUrl}}``. What the caller wrote himself
stays, and what is signed or encrypted from end to end is left alone.
"""

import re

from posthouse.mail import mime
from posthouse.mail.headers import Field, Message, field
from posthouse.mail.mime import Part
from posthouse.mail.tracking import SEALED_TYPES, put_together
from posthouse.mail.tracking_parts import Edit, Rewritten, content_of, put_back

_PLACEHOLDER = re.compile(re.escape(b"{{amazonSESUnsubscribeUrl}}"))
_TEXTS = ("text/plain", "text/html")


def with_way_out(message: Message, url: str) -> Message:
    """The message with its link. `url`: letters of RFC 3986 that mean nothing in HTML. Newlines have to be CRLF."""
    raw = b"\r\n" + message.body
    parts = mime.walk(raw, message.fields, sealed=SEALED_TYPES).parts
    changed = [found for part in parts if _is_text(part) and (found := _linked(raw, part, url)) is not None]
    linked = put_together(raw, message.fields, changed) if changed else message
    return Message(_with_fields(linked.fields, url), linked.body)


def _is_text(part: Part) -> bool:
    attached = part.disposition[0] == "attachment" or bool(part.file_names)
    return part.content_type in _TEXTS and not attached


def _linked(raw: bytes, part: Part, url: str) -> Rewritten | None:
    content = content_of(raw, part)
    if content is None:
        return None
    edits = [Edit(found.start(), found.end(), url.encode("ascii")) for found in _PLACEHOLDER.finditer(content)]
    return put_back(raw, part, content, edits) if edits else None


def _with_fields(fields: list[Field], url: str) -> list[Field]:
    if any(each.key in (b"list-unsubscribe", b"list-unsubscribe-post") for each in fields):
        return fields
    # Not encoded words: a URL is folded nowhere, and RFC 5322 allows a line of 998 bytes.
    own = Field(b"list-unsubscribe", f"List-Unsubscribe: <{url}>\r\n".encode("ascii"))
    return [*fields, own, field("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")]
