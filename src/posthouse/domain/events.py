"""What happened to a message, as one row of the event log.

Source: SES developer guide, "Contents of event data": the event types and what each tells. A row says what happened
in our own words; publishing/ turns it into the JSON of a destination. `DELIVERY_DELAY` is written for the timeline of
a message (version 1 of the API cannot subscribe to it), and so is `SUBSCRIPTION`.
"""

from enum import StrEnum
from typing import Any

import msgspec

from posthouse.domain.scope import Scope


class EventType(StrEnum):
    """Types of event as their JSON spells them."""

    SEND = "Send"
    REJECT = "Reject"
    BOUNCE = "Bounce"
    COMPLAINT = "Complaint"
    DELIVERY = "Delivery"
    OPEN = "Open"
    CLICK = "Click"
    RENDERING_FAILURE = "Rendering Failure"
    DELIVERY_DELAY = "DeliveryDelay"
    RECEIVED = "Received"
    DROPPED = "Dropped"
    """An operator took the recipient out of the queue: a final state of its own (not an SES event)."""
    BOUNCE_SENT = "BounceSent"
    """Mail that came in was bounced by us (not an SES event; told of both mails)."""
    SUBSCRIPTION = "Subscription"
    """A recipient has left a mailing list (domain/mailing_lists)."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to one message, for one or more of its recipients."""

    scope: Scope
    message_id: str
    type: EventType
    at_ms: int
    recipients: tuple[str, ...] = ()
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
    """Plain JSON values; each type's keys are written where it is made (delivery/, web/, receiving/)."""
    configuration_set: str = ""
    """The message's: who asks what happened under a set need not read the message."""
    simulated: int = 0
    """How many of its recipients are the mailbox simulator's: told as any other, counted in no statistics."""
    uncounted: bool = False
    """About the installation's own mail (`MessageFacts.system`): counted in no statistics either,
    and suppressing nobody."""


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it stands in the log."""

    seq: int
    """Grows with each event; the cursor of readers."""
    event: Event
