"""The life of one message as text for a terminal. Pure."""

from collections.abc import Iterator, Sequence

from posthouse.cli.tables import moment, printable, table
from posthouse.domain.messages import Direction, RecipientState, StoredMessage
from posthouse.web import views

INDENT = " " * 21
"""The width of a time and two blanks."""


def told(stored: StoredMessage, steps: Sequence[views.Step], sentence: str, conversation: bool) -> str:
    """Head, the one sentence, recipients, then the steps; `conversation`: with what was said on the wire."""
    parts = [table((), _head(stored)), printable(sentence), _recipients(stored)]
    return "\n\n".join([*parts, "\n".join(_lines(steps, conversation))])


def _head(stored: StoredMessage) -> list[tuple[str, object]]:
    facts = stored.facts
    facts_told = [
        ("Message", facts.message_id),
        ("Account", f"{facts.scope.account} in {facts.scope.region}"),
        ("From", facts.source),
        ("Bounces go to", facts.feedback_to if facts.direction is Direction.OUT else ""),
        ("Subject", facts.subject),
        ("Tags", ", ".join(f"{name}={value}" for name, value in facts.tags)),
    ]
    return [(name, value) for name, value in facts_told if value]


def _recipients(stored: StoredMessage) -> str:
    rows = [
        (
            each.recipient,
            each.state.value,
            f"{each.attempts} attempt{'' if each.attempts == 1 else 's'}",
            f"next {moment(each.due_ms)}" if each.state is RecipientState.QUEUED else moment(each.updated_ms),
            each.reply,
        )
        for each in stored.recipients
    ]
    return table((), rows) if rows else "no recipients"


def _lines(steps: Sequence[views.Step], conversation: bool) -> Iterator[str]:
    for step in steps:
        yield printable(f"{step.at[:19].replace('T', ' ')}  {step.title}{f': {step.text}' if step.text else ''}")
        if step.recipients:
            yield printable(f"{INDENT}for {', '.join(step.recipients)}")
        if step.facts:
            yield printable(f"{INDENT}{'; '.join(f'{fact.name} {fact.value}' for fact in step.facts)}")
        if conversation:
            yield from (printable(f"{INDENT}{line}") for line in step.conversation)
