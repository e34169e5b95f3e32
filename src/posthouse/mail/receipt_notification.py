"""What topics and functions are told of mail that came in.

Source: SES developer guide, "Contents of notifications" and "Invoke Lambda function action", and recorded payloads (SES
reference 26). Header fields are those of the mail as SES hands it on, what it added on top included.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from posthouse.domain.messages import MessageFacts
from posthouse.domain.receipt_rules import Action
from posthouse.domain.verdicts import Verdicts, receipt_members
from posthouse.mail import mailboxes
from posthouse.mail.headers import Field, fields, split
from posthouse.mail.receipt_setup import action_told

MAX_HEADERS = 10 * 1024
"""Characters of names and values that are told (SES reference 10.2); the rest is cut, and that is told."""
_MAX_HEAD = 256 * 1024
_MAX_FIELDS = 2000
_LISTS = ((b"from", "from"), (b"to", "to"), (b"cc", "cc"), (b"bcc", "bcc"), (b"reply-to", "replyTo"))
_TEXTS = ((b"sender", "sender"), (b"date", "date"), (b"message-id", "messageId"), (b"subject", "subject"))
_COMMON = ("returnPath", "from", "date", "to", "cc", "bcc", "sender", "replyTo", "messageId", "subject")
"""In the order of SES."""


def mail_told(facts: MessageFacts, content: bytes) -> dict[str, Any]:
    """The ``mail`` object."""
    found = [field for field in fields(split(content).head[:_MAX_HEAD], _MAX_FIELDS) if field.key]
    shown = _within(((field.name, field.value) for field in found), MAX_HEADERS)
    return {
        "timestamp": _iso(facts.accepted_ms),
        "source": facts.source,
        "messageId": facts.message_id,
        "destination": _bounded(each.address for each in _mailboxes(found, b"to", b"cc")),
        "headersTruncated": len(shown) < len(found),
        "headers": [{"name": name, "value": value} for name, value in shown],
        "commonHeaders": _common(facts, found),
    }


def _within(pairs: Iterable[tuple[str, str]], room: int) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    for name, value in pairs:
        room -= len(name) + len(value)
        if room < 0:
            break
        kept.append((name, value))
    return kept


def _bounded(texts: Iterable[str]) -> list[str]:
    return [text for _, text in _within((("", text) for text in texts), MAX_HEADERS)]


def _common(facts: MessageFacts, found: Sequence[Field]) -> dict[str, Any]:
    """Of all fields, also where they are too many to be told: readers look for the subject here."""
    common: dict[str, Any] = {"returnPath": facts.source}
    for key, name in _LISTS:
        if any(field.key == key for field in found):
            common[name] = _bounded(
                f"{each.display} <{each.address}>" if each.display else each.address for each in _mailboxes(found, key)
            )
    for key, name in _TEXTS:
        first = next((field for field in found if field.key == key), None)
        if first is not None:
            common[name] = first.text[:MAX_HEADERS]
    return {name: common[name] for name in _COMMON if name in common}


def _mailboxes(found: Sequence[Field], *keys: bytes) -> list[mailboxes.Mailbox]:
    values = [field.value for key in keys for field in found if field.key == key]
    return [mailbox for value in values for mailbox in mailboxes.parse(value)]


def receipt_told(
    facts: MessageFacts, recipients: Sequence[str], verdicts: Verdicts, action: Action, now_ms: int
) -> dict[str, Any]:
    """The ``receipt`` object, as one rule sees the mail."""
    return {
        "timestamp": _iso(facts.accepted_ms),
        "processingTimeMillis": max(0, now_ms - facts.accepted_ms),
        "recipients": list(recipients),
        **receipt_members(verdicts),
        "action": action_told(action, facts.message_id),
    }


def notification(mail: Mapping[str, Any], receipt: Mapping[str, Any], content: str | None = None) -> str:
    """The message of an SNS notification; `content`: the mail itself, for the SNS action."""
    told: dict[str, Any] = {"notificationType": "Received", "mail": mail, "receipt": receipt}
    if content is not None:
        told["content"] = content
    return msgspec.json.encode(told).decode()


def function_event(mail: Mapping[str, Any], receipt: Mapping[str, Any]) -> bytes:
    """The event that a function is called with."""
    record = {"eventSource": "aws:ses", "eventVersion": "1.0", "ses": {"mail": mail, "receipt": receipt}}
    return msgspec.json.encode({"Records": [record]})


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
