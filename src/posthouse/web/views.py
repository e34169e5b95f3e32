"""What the admin API answers with, as types; the OpenAPI document is made from them.

Times are ISO 8601 in UTC with milliseconds.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from posthouse.domain.events import EventType, LoggedEvent
from posthouse.domain.messages import Direction, MessageFacts, RecipientState, RecipientStatus, StoredMessage
from posthouse.ports.mailstore import QueuedRecipient
from posthouse.web.query import iso

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class NamedValue(msgspec.Struct, frozen=True):
    """A header field (decoded) or a message tag."""

    name: str
    value: str


class ComposedMail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mail from its parts, to be let in."""

    from_: str = msgspec.field(name="from")
    to: list[str]
    cc: list[str] = []
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: list[NamedValue] = []
    """Put on top of those that follow from the rest."""


class RefusedRecipient(msgspec.Struct, frozen=True):
    """A recipient that was not taken, and what an SMTP client would have heard."""

    recipient: str
    reply: str


class RuleOutcome(msgspec.Struct, frozen=True):
    """What became of one rule of the active rule set."""

    rule: str
    outcome: str
    recipients: list[str]


class ActionOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One try of one action of a rule."""

    rule: str
    action: str
    notification: bool
    """It was the notification of the action's topic."""
    result: str
    text: str
    at: str
    again_at: str | None
    """When it is tried again."""


class InboundResult(msgspec.Struct, frozen=True, kw_only=True):
    """One of the messages that a mail became."""

    message_id: str
    account: str
    region: str
    done: bool
    """False: actions are still to be run, or tried again."""
    rule_set: str | None
    """None: none was active."""
    rules: list[RuleOutcome]
    verdicts: dict[str, str]
    actions: list[ActionOutcome]


class InboundTrial(msgspec.Struct, frozen=True):
    """What became of a mail that was tried out."""

    refused: list[RefusedRecipient]
    messages: list[InboundResult]


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """How far one envelope recipient got."""

    recipient: str
    status: RecipientState
    attempts: int
    due_at: Moment | None
    """When it is tried next; null in a final state."""
    reply: str
    """The last answer of the other side, or our own reason."""
    updated_at: Moment


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message in a list."""

    message_id: str
    account: str
    region: str
    direction: Direction
    accepted_at: Moment
    operation: str
    """The SES operation, SMTP or Inbound."""
    source: str
    subject: str
    size: int
    configuration_set: str
    tags: list[NamedValue]
    status: str
    """The state all recipients share, else ``mixed``."""
    recipients: list[Recipient]


class MessageList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    messages: list[Message]
    next: str | None
    """Give it as `after` to go on; null at the end."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is from and for, whatever its headers say."""

    mail_from: str
    """Where its bounces are told: of mail that came in, its MAIL FROM; what leaves carries a return path of ours."""
    recipients: list[str]


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is not one of the bodies."""

    part: str
    """Its place in the MIME tree, such as 1.2."""
    filename: str
    content_type: str
    """What the sender calls it; it is always served as octets."""
    content_id: str
    inline: bool
    size: int
    """Bytes, decoded."""
    url: str
    """Where to download it."""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the event log."""

    seq: int
    type: EventType
    at: Moment
    account: str
    region: str
    message_id: str
    recipients: list[str]
    detail: dict[str, Any]


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first."""

    events: list[LogEntry]
    next: int
    """Give it as `after` to hear what comes next."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of a message."""

    at: Moment
    tone: str
    """good, bad, waiting or plain."""
    title: str
    text: str
    recipients: list[str]
    facts: list[NamedValue]
    """Peer, TLS, signatures and the like."""
    conversation: list[str]
    """What was said on the wire, ``C:`` and ``S:`` lines."""


class TemplateUse(msgspec.Struct, frozen=True, kw_only=True):
    """A template and the data that it was given."""

    name: str
    data: str


class TellingState(StrEnum):
    TOLD = "told"
    """Nothing of it waits any more."""
    WAITING = "waiting"
    GIVEN_UP = "given up"


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one destination."""

    seq: int
    type: EventType
    state: TellingState
    attempts: int
    """Failed ones, so far."""
    next_attempt_at: Moment | None
    error: str
    """Why it was given up."""


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A destination that hears of the message's events, as destinations are set up now."""

    destination: str
    """Its key, see `Destination`."""
    name: str
    kind: str
    """``SNS``, ``Firehose``, ``CloudWatch`` or ``Mail``."""
    target: str
    """An ARN; empty where there is none."""
    last_error: str
    """Why its last round failed; empty where it did not."""
    events: list[Telling]


class MessageDetail(Message, frozen=True, kw_only=True):
    """One message with everything that is known of it."""

    why: str
    """One sentence: what became of it, or what it waits for."""
    envelope: Envelope
    content_stage: str
    """Whose content is shown: ``sent`` (the bytes that left), ``accepted`` (as handed in, or as it came), ``draft``
    (not composed yet) or ``gone``."""
    template: TemplateUse | None
    """What it is rendered from; null for mail without a template."""
    headers: list[NamedValue]
    text: str | None
    html: str | None
    attachments: list[Attachment]
    complete: bool
    """False where a text was too long, or the mail too deeply nested, to be shown whole."""
    from_domain: str
    feedback_to: str
    source_ip: str
    access_key: str
    helo: str
    tls: str
    events: list[LogEntry]
    publications: list[Publication]
    timeline: list[Step]


class Deleted(msgspec.Struct, frozen=True):
    """How many messages were deleted."""

    deleted: int


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient that waits for its next attempt."""

    account: str
    region: str
    message_id: str
    recipient: str
    attempts: int
    queued_at: Moment
    due_at: Moment
    reply: str
    leased: bool
    """A worker has it in hand now."""


class QueueList(msgspec.Struct, frozen=True, kw_only=True):
    """By message, then recipient."""

    queue: list[QueueEntry]
    next: str | None


class QueueChange(msgspec.Struct, frozen=True, kw_only=True):
    """How many queued recipients of the message it changed."""

    message_id: str
    recipients: int


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Whom events are told to, and how far behind it is."""

    destination: str
    """Its key: `set:ACCOUNT:REGION:SET:NAME`, `identity:ACCOUNT:REGION:IDENTITY:TYPE` or `forward:ACCOUNT:REGION`."""
    name: str
    """As people call it."""
    kind: str
    """``SNS``, ``Firehose``, ``CloudWatch`` or ``Mail``, as the records stand now; ``Gone``: disabled or deleted."""
    target: str
    """The ARN it leads to; empty where there is none."""
    account: str
    region: str
    waiting: int
    """Events that it has not heard of yet; counted up to 100000."""
    dead_letters: int
    """Events that were given up after four days."""
    lag_seconds: float
    """How long the first of them has waited."""
    oldest_at: Moment | None
    failures: int
    """Rounds running in which nothing got through."""
    waiting_until: Moment | None
    """It is left alone until then."""
    last_error: str
    last_failure_at: Moment | None
    last_success_at: Moment | None
    sending: bool
    replaying: bool


class DestinationList(msgspec.Struct, frozen=True, kw_only=True):
    """By key; only such as something was routed to."""

    destinations: list[Destination]
    next: str | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was given up."""

    seq: int
    message_id: str
    routed_at: Moment
    given_up_at: Moment
    error: str


class DeadLetterList(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of the event log."""

    dead_letters: list[DeadLetter]
    next: int | None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What will be told again: the events from `from_seq` on, or the dead letters."""

    destination: str
    from_seq: int | None = None
    revived: int | None = None


class Dkim(msgspec.Struct, frozen=True, kw_only=True):
    """Easy DKIM of a domain."""

    enabled: bool
    status: str
    tokens: list[str]
    signing: str
    """The one whose key signs."""


class DnsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record to publish."""

    purpose: str
    type: str
    name: str
    value: str


class MailFrom(msgspec.Struct, frozen=True, kw_only=True):
    """A custom MAIL FROM domain."""

    domain: str
    status: str
    behavior_on_mx_failure: str


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An address or domain that may send once it is verified."""

    identity: str
    type: str
    """``EmailAddress`` or ``Domain``."""
    account: str
    region: str
    status: str
    requested_at: Moment
    dkim: Dkim
    mail_from: MailFrom | None
    records: list[DnsRecord]


class IdentityList(msgspec.Struct, frozen=True, kw_only=True):
    """By account, region and name."""

    identities: list[Identity]
    next: str | None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account in a region; -1 is unlimited."""

    account: str
    region: str
    sandbox: bool
    sending_enabled: bool
    paused: bool
    paused_why: str
    """The rates it was paused for, where the server did it by itself (`reputation.pause`)."""
    max_24_hour_send: float
    max_send_rate: float
    sent_last_24_hours: int


class AccountList(msgspec.Struct, frozen=True):
    """Every account and region that anything is known of."""

    accounts: list[Account]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """An access key; its secret is shown once, when it is made."""

    access_key: str
    account: str
    console: bool
    expires_at: Moment | None


class CredentialList(msgspec.Struct, frozen=True):
    """By creation."""

    credentials: list[Credential]


class StatisticsPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Fifteen minutes of GetSendStatistics."""

    start_at: Moment
    delivery_attempts: int
    bounces: int
    complaints: int
    rejects: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The points added up."""

    delivery_attempts: int
    bounces: int
    complaints: int
    rejects: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Sending statistics of one account in one region."""

    account: str
    region: str
    since: Moment
    points: list[StatisticsPoint]
    totals: Totals
    sent_last_24_hours: int


class SuppressedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address that mail is no longer sent to."""

    address: str
    reason: str
    """``BOUNCE`` or ``COMPLAINT``."""
    since: Moment
    message_id: str | None
    """The message that bounced or was complained of; null where an operator put the address there."""


class SuppressionList(msgspec.Struct, frozen=True, kw_only=True):
    """By address, of one account in one region."""

    suppression: list[SuppressedAddress]
    next: str | None


class Unsubscription(msgspec.Struct, frozen=True, kw_only=True):
    """An address that has left a mailing list."""

    address: str
    topic: str | None
    """The topic that was left; null: the list as a whole."""
    since: Moment
    message_id: str
    """The message whose link was followed."""


class UnsubscriptionList(msgspec.Struct, frozen=True, kw_only=True):
    """By topic and address, of one list of one account in one region."""

    unsubscriptions: list[Unsubscription]
    next: str | None


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of the embedded stand-in for SNS."""

    arn: str
    account: str
    created_at: Moment


class TopicList(msgspec.Struct, frozen=True, kw_only=True):
    topics: list[Topic]
    next: str | None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic was given."""

    seq: int
    message_id: str
    account: str
    subject: str | None
    message: str
    published_at: Moment


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be told what a topic is given."""

    endpoint: str
    """An http:// or https:// URL; a login in it is sent as HTTP Basic authentication."""
    raw: bool = False
    """The message alone, without SNS's envelope."""
    confirmed: bool = False
    """Taken at your word, without a SubscriptionConfirmation."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber of a topic, and how it does."""

    arn: str
    topic_arn: str
    account: str
    protocol: str
    endpoint: str
    """Without login."""
    has_login: bool
    raw: bool
    confirmed: bool
    created_at: Moment
    waiting: int
    """Deliveries not made yet."""
    failures: int
    """In a row."""
    last_failure: str
    last_failure_at: Moment | None
    paused_until: Moment | None


class SubscriptionList(msgspec.Struct, frozen=True, kw_only=True):
    subscriptions: list[Subscription]
    next: str | None


class Undelivered(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was given up."""

    seq: int
    account: str
    subscription_arn: str
    endpoint: str
    type: str
    message_id: str
    subject: str | None
    message: str
    published_at: Moment
    attempts: int
    reason: str
    died_at: Moment


class UndeliveredList(msgspec.Struct, frozen=True, kw_only=True):
    dead_letters: list[Undelivered]
    next: int | None


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A series of the embedded stand-in for CloudWatch."""

    account: str
    region: str
    name: str
    dimensions: dict[str, str]
    unit: str
    samples: int
    sum: float
    latest: float
    latest_at: Moment


class MetricList(msgspec.Struct, frozen=True, kw_only=True):
    metrics: list[Metric]
    next: int | None


class NotificationList(msgspec.Struct, frozen=True, kw_only=True):
    notifications: list[Notification]
    next: int | None


def recipient(status: RecipientStatus) -> Recipient:
    queued = status.state is RecipientState.QUEUED
    return Recipient(
        recipient=status.recipient,
        status=status.state,
        attempts=status.attempts,
        due_at=iso(status.due_ms) if queued else None,
        reply=status.reply,
        updated_at=iso(status.updated_ms),
    )


def common_status(stored: StoredMessage) -> str:
    """The state that all recipients share, ``mixed`` where they differ."""
    states = Counter(each.state.value for each in stored.recipients)
    return next(iter(states), "") if len(states) <= 1 else "mixed"


def facts_of(facts: MessageFacts) -> dict[str, Any]:
    """The fields of a `Message` that do not depend on its recipients."""
    return {
        "message_id": facts.message_id,
        "account": facts.scope.account,
        "region": facts.scope.region,
        "direction": facts.direction,
        "accepted_at": iso(facts.accepted_ms),
        "operation": facts.operation,
        "source": facts.source,
        "subject": facts.subject,
        "size": facts.size,
        "configuration_set": facts.configuration_set,
        "tags": [NamedValue(name, value) for name, value in facts.tags],
    }


def message_fields(stored: StoredMessage) -> dict[str, Any]:
    """All fields of a `Message`."""
    return {
        **facts_of(stored.facts),
        "status": common_status(stored),
        "recipients": [recipient(each) for each in stored.recipients],
    }


def message(stored: StoredMessage) -> Message:
    return Message(**message_fields(stored))


def log_entry(logged: LoggedEvent) -> LogEntry:
    event = logged.event
    return LogEntry(
        seq=logged.seq,
        type=event.type,
        at=iso(event.at_ms),
        account=event.scope.account,
        region=event.scope.region,
        message_id=event.message_id,
        recipients=list(event.recipients),
        detail=event.detail,
    )


def queue_entry(row: QueuedRecipient) -> QueueEntry:
    return QueueEntry(
        account=row.scope.account,
        region=row.scope.region,
        message_id=row.message_id,
        recipient=row.recipient,
        attempts=row.attempts,
        queued_at=iso(row.queued_ms),
        due_at=iso(row.due_ms),
        reply=row.reply,
        leased=row.leased,
    )
