"""A stored message as one looks at it: its content read from the bytes that left, came in, or from its draft."""

import asyncio
import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from posthouse.domain.messages import ContentKind, Draft, StoredMessage, TemplatedDraft
from posthouse.mail import parse
from posthouse.ports.mailstore import Messages

T = TypeVar("T")

_LARGE = 64 * 1024
"""Bytes from which reading a mail would be felt by others in the loop, and goes to a thread."""
_MAX_EMBEDDED = 8 * 1024 * 1024
_CID = re.compile(r"""cid:([^"'\s<>()]{1,256})""", re.IGNORECASE)
# Drawn, never run: what an <img> loads is a picture only.
_PICTURES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml"}
)


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of a message as it is kept."""

    stage: str
    """``sent``, ``accepted``, ``draft`` or ``gone``."""
    raw: bytes | None
    """An RFC 5322 message; None for a draft that was not composed yet, and for what is gone."""
    draft: Draft | TemplatedDraft | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything a person looks for in a mail."""

    stage: str
    headers: list[tuple[str, str]]
    text: str | None
    html: str | None
    attachments: list[parse.Attachment]
    complete: bool
    draft: Draft | TemplatedDraft | None


async def fetch(messages: Messages, stored: StoredMessage) -> Stored:
    """The bytes that left; before that what was accepted."""
    sent = await messages.sent(stored.facts.scope, stored.facts.message_id)
    return Stored("sent", sent) if sent is not None else await accepted(messages, stored)


async def accepted(messages: Messages, stored: StoredMessage) -> Stored:
    """What was handed in, or came in."""
    content = await messages.content(stored.facts.scope, stored.facts.message_id)
    if content is None:
        return Stored("gone", None)
    if stored.facts.content_kind is ContentKind.DRAFT:
        return Stored("draft", None, msgspec.json.decode(content, type=Draft))
    if stored.facts.content_kind is ContentKind.TEMPLATED:
        return Stored("draft", None, msgspec.json.decode(content, type=TemplatedDraft))
    return Stored("accepted", content)


async def templated(messages: Messages, stored: StoredMessage) -> TemplatedDraft | None:
    """What was asked for with a template; None for other mail, and for what is gone."""
    if stored.facts.content_kind is not ContentKind.TEMPLATED:
        return None
    draft = (await accepted(messages, stored)).draft
    return draft if isinstance(draft, TemplatedDraft) else None


async def read(messages: Messages, stored: StoredMessage) -> Reading:
    content = await fetch(messages, stored)
    if content.raw is None:
        return _of_draft(content)
    mail = await _elsewhere(parse.read, content.raw)
    return Reading(content.stage, mail.headers, mail.text, mail.html, mail.attachments, mail.complete, None)


async def attachment(messages: Messages, stored: StoredMessage, part: str) -> tuple[parse.Attachment, bytes] | None:
    """An attachment with its decoded bytes; None where there is no such part."""
    raw = (await fetch(messages, stored)).raw
    if raw is None:
        return None
    mail = await _elsewhere(parse.read, raw)
    found = next((each for each in mail.attachments if each.path == part), None)
    data = await asyncio.to_thread(parse.part, raw, part) if found else None
    return None if found is None or data is None else (found, data)


async def page(messages: Messages, stored: StoredMessage) -> str | None:
    """The HTML body with the pictures it carries along put into it; None where there is none.

    As data: URLs, since a sandboxed frame has no origin and thus no session to fetch them with.
    """
    content = await fetch(messages, stored)
    if content.raw is None:
        return content.draft.html.data if isinstance(content.draft, Draft) and content.draft.html else None
    return await _elsewhere(_with_pictures, content.raw)


def _with_pictures(raw: bytes) -> str | None:
    mail = parse.read(raw)
    if mail.html is None or "cid:" not in mail.html.lower():
        return mail.html
    pictures = {each.content_id: each for each in mail.attachments if each.content_id and each.size <= _MAX_EMBEDDED}
    urls: dict[str, str] = {}
    room = _MAX_EMBEDDED

    def embed(match: re.Match[str]) -> str:
        # Each mention takes room: a mail that names one picture ten thousand times must not grow a thousandfold.
        nonlocal room
        picture = pictures.get(match[1])
        if picture is None or picture.content_type not in _PICTURES or picture.size > room:
            return match[0]
        room -= picture.size + 1024
        if match[1] not in urls:
            data = base64.b64encode(parse.part(raw, picture.path) or b"").decode()
            urls[match[1]] = f"data:{picture.content_type};base64,{data}"
        return urls[match[1]]

    return _CID.sub(embed, mail.html)


def _of_draft(content: Stored) -> Reading:
    draft = content.draft
    if draft is None:
        return Reading(content.stage, [], None, None, [], True, None)
    lists = (("To", draft.to), ("Cc", draft.cc), ("Reply-To", draft.reply_to))
    headers = [("From", draft.source), *((name, ", ".join(given)) for name, given in lists if given)]
    if isinstance(draft, TemplatedDraft):
        return Reading(content.stage, headers, None, None, [], True, draft)
    headers.append(("Subject", draft.subject.data))
    text = draft.text.data if draft.text else None
    html = draft.html.data if draft.html else None
    return Reading(content.stage, headers, text, html, [], True, draft)


async def _elsewhere(work: Callable[[bytes], T], raw: bytes) -> T:
    return work(raw) if len(raw) < _LARGE else await asyncio.to_thread(work, raw)
