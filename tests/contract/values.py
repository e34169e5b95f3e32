"""Messages, settlements and events as plain as they can be."""

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import ContentKind, Direction, MessageFacts, NewMessage, RecipientState
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import ClaimedMessage, RecipientResult, Settlement

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
OURS = Scope("111111111111", "us-east-1")
OTHER_REGION = Scope("111111111111", "eu-west-1")
THEIRS = Scope("222222222222", "us-east-1")


def message_id(number: int, at_ms: int = NOW_MS) -> str:
    return f"0100{at_ms:012x}-{number:08x}-0000-4000-8000-000000000000-000000"


def message(
    number: int = 1,
    *recipients: str,
    scope: Scope = OURS,
    at_ms: int = NOW_MS,
    source: str = "sender@example.com",
    subject: str = "Hello",
    content: bytes = b"content",
    direction: Direction = Direction.OUT,
) -> NewMessage:
    return NewMessage(
        MessageFacts(
            scope=scope,
            message_id=message_id(number, at_ms),
            direction=direction,
            accepted_ms=at_ms,
            operation="SendEmail",
            source=source,
            from_domain="example.com",
            feedback_to="sender@example.com",
            subject=subject,
            size=len(content),
            content_kind=ContentKind.RAW,
            tags=(("campaign", "spring"),),
        ),
        recipients or (f"user{number}@example.net",),
        content,
    )


def result(
    recipient: str, state: RecipientState = RecipientState.DELIVERED, reply: str = "250 ok", due_ms: int = 0
) -> RecipientResult:
    return RecipientResult(recipient, state, reply, due_ms)


def event(stored: NewMessage, type: EventType, *recipients: str, at_ms: int = NOW_MS) -> Event:
    return Event(
        scope=stored.facts.scope,
        message_id=stored.facts.message_id,
        type=type,
        at_ms=at_ms,
        recipients=recipients,
        detail={"reply": "250 ok"},
    )


def settlement(
    stored: NewMessage, *results: RecipientResult, events: tuple[Event, ...] = (), sent: bytes | None = None
) -> Settlement:
    return Settlement(stored.facts.scope, stored.facts.message_id, results, events, sent)


def delivered(stored: NewMessage, *recipients: str) -> Settlement:
    """What a worker settles after a good attempt."""
    return settlement(
        stored,
        *(result(recipient) for recipient in recipients),
        events=(event(stored, EventType.DELIVERY, *recipients),),
        sent=b"sent",
    )


def claimed(messages: list[ClaimedMessage] | tuple[ClaimedMessage, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.facts.message_id, tuple(r.recipient for r in one.recipients)) for one in messages]
