"""The life of a message as text."""

from posthouse.cli.story import told
from posthouse.domain.messages import (
    ContentKind,
    Direction,
    MessageFacts,
    RecipientState,
    RecipientStatus,
    StoredMessage,
)
from posthouse.domain.scope import Scope
from posthouse.web.views import NamedValue, Step

NOON_MS = 1_800_000_000_000
SCOPE = Scope("123456789012", "us-east-1")


def stored(subject: str = "Hello") -> StoredMessage:
    facts = MessageFacts(
        scope=SCOPE,
        message_id="0100-1",
        direction=Direction.OUT,
        accepted_ms=NOON_MS,
        operation="SendEmail",
        source="a@example.com",
        from_domain="example.com",
        feedback_to="a@example.com",
        subject=subject,
        size=321,
        content_kind=ContentKind.DRAFT,
        tags=(("campaign", "one"),),
    )
    waiting = RecipientStatus(
        recipient="b@example.org",
        state=RecipientState.QUEUED,
        attempts=1,
        due_ms=NOON_MS + 60_000,
        reply="450 4.2.1 try again",
        updated_ms=NOON_MS,
    )
    return StoredMessage(facts=facts, recipients=(waiting,))


def delayed() -> Step:
    return Step(
        at="2027-01-15T08:00:01.000Z",
        tone="waiting",
        title="Deferred",
        text="450 4.2.1 try again",
        recipients=["b@example.org"],
        facts=[NamedValue("Server", "mx.example.org"), NamedValue("Attempt", "1")],
        conversation=["C: EHLO us", "S: 450 no\x1b["],
    )


def test_it_tells_the_sentence_each_recipient_and_each_step() -> None:
    text = told(stored(), [delayed()], "Not delivered yet.", False)
    for part in (
        "0100-1",
        "a@example.com",
        "Hello",
        "campaign=one",
        "\n\nNot delivered yet.\n\n",
        "b@example.org  queued  1 attempt  next 2027-01-15 08:01:00  450 4.2.1 try again",
        "2027-01-15 08:00:01  Deferred: 450 4.2.1 try again",
        "for b@example.org\n                     Server mx.example.org; Attempt 1",
    ):
        assert part in text
    assert "EHLO" not in text


def test_the_conversation_is_told_where_asked_for() -> None:
    text = told(stored(), [delayed()], "", True)
    assert "C: EHLO us" in text


def test_what_strangers_said_does_not_drive_the_terminal() -> None:
    text = told(stored(subject="x\x1b]0;owned\x07"), [delayed()], "reply \x1b[2J", True)
    assert "\x1b" not in text
    assert "\x07" not in text
