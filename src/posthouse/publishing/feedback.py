"""Feedback by mail, as far as publishing goes: what the writer of such a mail is given."""

from dataclasses import dataclass
from typing import Protocol

from posthouse.domain.events import Event
from posthouse.ports.publications import StoredMail


@dataclass(frozen=True, slots=True)
class Feedback:
    """A bounce or complaint that the sender of a message is to be told of by mail."""

    event: Event
    seq: int
    """The event's number in the log."""
    feedback_id: str
    """The same each time this event is told, as in notifications of it."""
    mail: StoredMail
    """The message; its `facts.feedback_to` is who is told."""
    identity: str
    """The identity that it was sent from; empty where that is gone."""


class ForwardFeedback(Protocol):
    async def __call__(self, feedback: Feedback) -> None:
        """Makes the mail durable. May be called twice for one event, after a crash. Raises StoreUnavailable where it
        could not be kept: it is called again then."""
        ...
