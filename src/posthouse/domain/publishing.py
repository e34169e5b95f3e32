"""Who hears of an event: event destinations of configuration sets, topics of identities, or a mail to the sender.

Source: SES developer guide, "Monitoring email sending using event publishing", "Receiving Amazon SES notifications
using Amazon SNS", "Receiving Amazon SES notifications through email"; API reference of EventDestination. A destination
is known by a key, one line of text: what waits for it is kept under that key, and operators name it so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote

from posthouse.domain.configuration_sets import ConfigurationSet, Dimension
from posthouse.domain.events import Event, EventType
from posthouse.domain.identities import Identity, Notifications, candidates, key_of
from posthouse.domain.messages import MessageFacts
from posthouse.domain.scope import Scope

SUBSCRIBED_AS = {
    EventType.SEND: "send",
    EventType.REJECT: "reject",
    EventType.BOUNCE: "bounce",
    EventType.COMPLAINT: "complaint",
    EventType.DELIVERY: "delivery",
    EventType.OPEN: "open",
    EventType.CLICK: "click",
    EventType.RENDERING_FAILURE: "renderingFailure",
}
"""MatchingEventTypes of the API by the type of the event; version 1 of the API knows no other types."""

NOTIFIED = (EventType.BOUNCE, EventType.COMPLAINT, EventType.DELIVERY)
"""What identities have topics for; the message must be known to tell whose."""

SENT_BY_ACCOUNTS = frozenset(
    {
        *("SendEmail", "SendRawEmail", "SendTemplatedEmail", "SendBulkTemplatedEmail", "SMTP"),
        "SendCustomVerificationEmail",
    }
)
"""Operations whose mail is somebody's: feedback about the installation's own mail (feedback itself, bounces,
verification links) would be mail about mail about mail."""

BACKOFF_FIRST_MS = 1_000
BACKOFF_MAX_MS = 5 * 60 * 1000
GIVE_UP_MS = 4 * 24 * 60 * 60 * 1000
"""How long an event is tried for; then it is a dead letter."""


class NotificationType(StrEnum):
    """NotificationType of the API."""

    BOUNCE = "Bounce"
    COMPLAINT = "Complaint"
    DELIVERY = "Delivery"


@dataclass(frozen=True, slots=True)
class SetDestination:
    """An event destination of a configuration set."""

    scope: Scope
    configuration_set: str
    name: str


@dataclass(frozen=True, slots=True)
class IdentityTopic:
    """The topic that an identity has for one type of notification."""

    scope: Scope
    identity: str
    """The name under which it is kept."""
    type: NotificationType


@dataclass(frozen=True, slots=True)
class Forward:
    """Feedback by mail, for messages of one account in one region."""

    scope: Scope


Target = SetDestination | IdentityTopic | Forward


def target_key(target: Target) -> str:
    """``set:ACCOUNT:REGION:SET:DESTINATION``, ``identity:ACCOUNT:REGION:IDENTITY:TYPE`` or ``forward:ACCOUNT:REGION``;
    what a part has beyond letters, digits and ``@.-_~`` is percent-encoded."""
    parts: tuple[str, ...]
    match target:
        case SetDestination(scope, configuration_set, name):
            parts = ("set", *scope, configuration_set, name)
        case IdentityTopic(scope, identity, type):
            parts = ("identity", *scope, identity, type.value)
        case Forward(scope):
            parts = ("forward", *scope)
    return ":".join([quote(part, safe="@") for part in parts])


def read_target_key(text: str) -> Target | None:
    """The target of a key; None for anything that is none, or not written as `target_key` writes it."""
    kind, *parts = [unquote(part) for part in text.split(":")]
    target: Target | None = None
    match kind, parts:
        case "set", [account, region, configuration_set, name]:
            target = SetDestination(Scope(account, region), configuration_set, name)
        case "identity", [account, region, identity, type] if type in set(NotificationType):
            target = IdentityTopic(Scope(account, region), identity, NotificationType(type))
        case "forward", [account, region]:
            target = Forward(Scope(account, region))
    return target if target is not None and target_key(target) == text else None


# -- routing


class Notified(NamedTuple):
    """An identity that may have topics for what happens to a message."""

    scope: Scope
    identity: Identity


def governing_identity(address: str, identities: Mapping[str, Identity]) -> Identity | None:
    """The identity that mail from `address` is sent from: the most specific one that is verified, else (it was, when
    the mail was taken) the most specific there is. `identities` are those of `candidates(address)` that exist."""
    known = [identities[name] for name in map(key_of, candidates(address)) if name in identities]
    return next((identity for identity in known if identity.verified), next(iter(known), None))


def route(
    event: Event, found: ConfigurationSet | None, notified: Sequence[Notified] = (), *, may_forward: bool = False
) -> tuple[Target, ...]:
    """Who hears of an event.

    `found` is the message's configuration set as it is now. `notified` are the identity that the message is sent from,
    its owner's first, whose settings say whether feedback is mailed; and, where somebody else sent by the owner's
    leave, what that account itself has set for the address. `may_forward`: the message is one whose sender can be told
    by mail.
    """
    targets: list[Target] = [
        SetDestination(event.scope, event.configuration_set, destination.name)
        for destination in (found.destinations if found is not None else ())
        if destination.enabled and SUBSCRIBED_AS.get(event.type) in destination.event_types
    ]
    if event.type not in NOTIFIED:
        return tuple(targets)
    type = NotificationType(event.type.value)
    targets += [
        IdentityTopic(scope, key_of(identity.name), type)
        for scope, identity in notified
        if topic_of(identity.notifications, type)
    ]
    if may_forward and is_mailed(type, notified[0].identity.notifications if notified else None, bool(targets)):
        targets.append(Forward(event.scope))
    return tuple(dict.fromkeys(targets))


def feedback_address(facts: MessageFacts) -> str:
    """Who is told by mail of what becomes of a message; empty: nobody. Never of what leaves under the null path (RFC
    5321 section 4.5.5), nor of the installation's own mail: so a bounce of feedback is the end of it."""
    theirs = facts.operation in SENT_BY_ACCOUNTS and not facts.null_sender and not facts.system
    return facts.feedback_to if theirs else ""


def is_mailed(type: NotificationType, settings: Notifications | None, heard: bool) -> bool:
    """Whether a bounce or complaint is told by mail: where the identity forwards (or is gone, as SES's default), and
    where nobody else hears of it: SES mails it then whatever the settings say. Deliveries are never mailed."""
    return type is not NotificationType.DELIVERY and (settings is None or settings.forwarding or not heard)


def topic_of(settings: Notifications, type: NotificationType) -> str:
    """The ARN of the topic for one type; empty: there is none."""
    return {
        NotificationType.BOUNCE: settings.bounce_topic,
        NotificationType.COMPLAINT: settings.complaint_topic,
        NotificationType.DELIVERY: settings.delivery_topic,
    }[type]


def shows_headers(settings: Notifications, type: NotificationType) -> bool:
    return {
        NotificationType.BOUNCE: settings.headers_in_bounce,
        NotificationType.COMPLAINT: settings.headers_in_complaint,
        NotificationType.DELIVERY: settings.headers_in_delivery,
    }[type]


# -- where a key leads to, as the records stand now


@dataclass(frozen=True, slots=True)
class EventTopic:
    """An SNS topic that takes event records."""

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class NotificationTopic:
    """An SNS topic that takes the older notifications."""

    account: str
    """Whose identity it is: who set the topic publishes to it."""
    arn: str
    headers: bool
    """With the headers of the original message."""


@dataclass(frozen=True, slots=True)
class EventStream:
    """A Firehose delivery stream."""

    account: str
    arn: str
    role_arn: str


@dataclass(frozen=True, slots=True)
class EventMetrics:
    """CloudWatch metrics."""

    scope: Scope
    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True, slots=True)
class FeedbackMail:
    """A mail to who sent the message."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """The destination is gone or disabled: what waits for it is dropped."""


@dataclass(frozen=True, slots=True)
class MailedInstead:
    """The topic is gone, and without it the sender is told by mail."""

    forward: Forward


Endpoint = EventTopic | NotificationTopic | EventStream | EventMetrics | FeedbackMail | Nowhere | MailedInstead


def set_endpoint(target: SetDestination, found: ConfigurationSet | None) -> Endpoint:
    """`found`: the set that the target names, as it is now."""
    destination = found.destination(target.name) if found is not None else None
    if destination is None or not destination.enabled:
        return Nowhere()
    if destination.sns_topic:
        return EventTopic(target.scope.account, destination.sns_topic)
    if destination.stream_arn:
        return EventStream(target.scope.account, destination.stream_arn, destination.role_arn)
    return EventMetrics(target.scope, destination.dimensions) if destination.dimensions else Nowhere()


def identity_endpoint(target: IdentityTopic, found: Identity | None) -> Endpoint:
    """`found`: the identity that the target names, as it is now."""
    arn = topic_of(found.notifications, target.type) if found is not None else ""
    if found is not None and arn:
        return NotificationTopic(target.scope.account, arn, shows_headers(found.notifications, target.type))
    # API reference of SetIdentityFeedbackForwardingEnabled: without its topic forwarding is on again.
    return Nowhere() if target.type is NotificationType.DELIVERY else MailedInstead(Forward(target.scope))


# -- trying again


def backoff_ms(failures: int, jitter: float) -> int:
    """How long to leave alone what failed so many times running: a second doubling to five minutes, less a part of up
    to a quarter that `jitter` (0 to 1) says, so that what failed together does not come back together."""
    full = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(max(failures, 1) - 1, 20))
    return int(full * (1 - jitter / 4))
