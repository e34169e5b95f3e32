"""Messages, the queue and the event log: the durable joints between the engines.

`Submissions.add` is where promise 1 of the contract is kept: when it returns, the message survives a power cut.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from posthouse.domain.events import Event, EventType, LoggedEvent
from posthouse.domain.mailing_lists import Unsubscription
from posthouse.domain.messages import Direction, MessageFacts, NewMessage, RecipientState, StoredMessage
from posthouse.domain.quotas import Refusal, SendingLimits
from posthouse.domain.scope import Scope
from posthouse.domain.suppression import SuppressedAddress


class Submissions(Protocol):
    """The way in for outgoing mail."""

    async def add(self, message: NewMessage, limits: SendingLimits | None, simulated: int = 0) -> Refusal | None:
        """Charges the quota (`domain.quotas.admit`; None: not charged), stores the message and queues its recipients.
        So many of them are `simulated`: they cost rate and no daily quota.

        One transaction, shared with whoever comes at the same time, synced before any of them is answered. The
        wake-ups QUEUE and EVENTS follow. Returns why it was refused; then nothing was stored or charged.
        """
        ...

    async def sent_last_24_hours(self, scope: Scope, now_ms: int) -> int:
        """Recipients charged in the rolling 24 hours that end at `now_ms`."""
        ...


@dataclass(frozen=True, slots=True)
class MessageKey:
    scope: Scope
    message_id: str


@dataclass(frozen=True, slots=True)
class ClaimedRecipient:
    recipient: str
    attempts: int
    """Attempts made before this claim."""
    queued_ms: int
    suppressed: str = ""
    """Why it is on the account's suppression list (`domain.suppression.Reason`); empty: it is not."""
    unsubscribed: bool = False
    """He has left the mailing list that the message is for."""


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message with those of its recipients that this worker may now try."""

    facts: MessageFacts
    recipients: tuple[ClaimedRecipient, ...]
    content: bytes
    sent: bytes | None
    """The exact bytes of an earlier attempt: a retry sends them again."""


@dataclass(frozen=True, slots=True)
class RecipientResult:
    recipient: str
    state: RecipientState
    reply: str
    due_ms: int = 0
    """When to try next, for QUEUED."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one attempt: new states and the events that tell of them, kept together or not at all."""

    scope: Scope
    message_id: str
    results: tuple[RecipientResult, ...]
    events: tuple[Event, ...]
    sent: bytes | None = None
    """To be kept for retries and readers; None: nothing new."""


class QueuedRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the queue as an operator sees it."""

    scope: Scope
    message_id: str
    recipient: str
    attempts: int
    queued_ms: int
    due_ms: int
    reply: str
    leased: bool


class Queue(Protocol):
    """Outgoing recipients, each due at a time and leased to at most one worker."""

    async def claim(
        self, owner: str, now_ms: int, lease_ms: int, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedMessage]:
        """Leases up to `limit` due recipients to `owner`, oldest due first, whose domain is not in `excluding`.

        A lease that ran out makes its rows due again. Recipients of one message come together where they were
        claimed together.
        """
        ...

    async def renew(self, owner: str, until_ms: int) -> bool:
        """Extends every lease of `owner`; False where they had run out, and somebody freed what they held."""
        ...

    async def keep_only(self, owner: str, held: Collection[tuple[str, str]]) -> int:
        """Ends those leases of `owner` that are not among `held` (message id, recipient), and says how many that were.

        A claim that failed may have come to pass all the same, and its owner, who knows of nothing, would renew.
        """
        ...

    async def release(self, owner: str) -> int:
        """Makes everything leased to `owner` due at once: at an orderly end, or for an owner known to be dead."""
        ...

    async def owners(self) -> Sequence[str]:
        """Who holds leases now."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Writes all of them in one transaction: states, events, statistics, sent bytes.

        A recipient that is no longer queued (dropped by an operator meanwhile) keeps its final state; events are
        written without such recipients, and not at all where they tell of no other: one final state each. The wake-up
        EVENTS follows. Needs no sync of its own: lost with the power, it makes a second delivery, never a lost one.
        """
        ...

    async def next_due_ms(self) -> int | None:
        """When the earliest queued recipient is due; None where the queue is empty."""
        ...

    async def depth(self) -> int:
        """Queued recipients, all scopes."""
        ...

    async def page(self, scope: Scope | None, after: str, limit: int) -> Sequence[QueuedRecipient]:
        """Queued recipients by (message_id, recipient); `after` is ``message_id recipient`` of the last one seen."""
        ...

    async def retry(self, scope: Scope, message_id: str, now_ms: int) -> int:
        """Makes the message's queued recipients due now; how many."""
        ...

    async def drop(self, scope: Scope, message_id: str, now_ms: int) -> int:
        """Ends the message's queued recipients as DROPPED, with an event; how many."""
        ...


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages; empty fields do not filter. Texts match case-insensitively; subject as a substring."""

    recipient: str = ""
    sender: str = ""
    subject: str = ""
    status: str = ""
    """A RecipientState: messages with at least one recipient in it."""
    direction: Direction | None = None
    since_ms: int = 0


class Messages(Protocol):
    """Stored messages, for readers."""

    async def get(self, scope: Scope, message_id: str) -> StoredMessage | None: ...

    async def find(self, message_id: str) -> StoredMessage | None:
        """Without knowing the scope: for an operator."""
        ...

    async def page(
        self, scope: Scope | None, wanted: MessageFilter, before: str, limit: int
    ) -> Sequence[StoredMessage]:
        """Newest first (by acceptance), from the one after `before` (a message id; empty: the newest) on."""
        ...

    async def content(self, scope: Scope, message_id: str) -> bytes | None:
        """As it was accepted: a Draft as JSON or raw bytes, see `MessageFacts.content_kind`."""
        ...

    async def sent(self, scope: Scope, message_id: str) -> bytes | None:
        """The exact bytes that left; None before the first attempt."""
        ...

    async def delete_all(self, scope: Scope) -> int:
        """Empties the inbox of a scope: messages whose recipients are all in a final state and that do not wait for
        their receipt rules, with their content. The event log and the statistics stay. How many."""
        ...

    async def delete(self, scope: Scope, message_id: str) -> bool: ...


class Suppressions(Protocol):
    """The suppression list of each scope. The transactions that write bounces and complaints add to it by themselves
    (`domain.suppression.suppressed_by`), and claims tell who is on it."""

    async def add(self, scope: Scope, entry: SuppressedAddress) -> None:
        """Creates or replaces."""
        ...

    async def get(self, scope: Scope, address: str) -> SuppressedAddress | None: ...

    async def remove(self, scope: Scope, address: str) -> bool:
        """True where it was on the list."""
        ...

    async def page(self, scope: Scope, after: str, limit: int, containing: str = "") -> Sequence[SuppressedAddress]:
        """By address, from the first greater than `after` on; only those that contain this text, in any case."""
        ...

    async def expire(self, before_ms: int) -> int:
        """Takes off, in every scope, what was put on before; how many."""
        ...


class Unsubscriptions(Protocol):
    """Who has left a mailing list; claims tell of whom a message must not be sent to."""

    async def add(self, scope: Scope, left: Unsubscription, event: Event) -> bool:
        """Durable, with its event; EVENTS follows. False, and nothing written, where he had left it before."""
        ...

    async def page(self, scope: Scope, name: str, after: str, limit: int) -> Sequence[Unsubscription]:
        """Of one list, by topic and address; `after` is ``topic address`` of the last one seen."""
        ...

    async def remove(self, scope: Scope, name: str, topic: str, address: str) -> bool:
        """True where he had left it."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """Mail that came in and that this worker may now handle. Its content is `Messages.content`: it may be large, and
    is read when its turn comes."""

    facts: MessageFacts
    recipients: tuple[str, ...]
    attempts: int
    """Settled before this claim."""
    stage: str
    """What the last settlement left; empty at first."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The events that a decision about a message was made on: all of its events up to this one."""

    message_id: str
    last_seq: int


@dataclass(frozen=True, slots=True)
class MailSettlement:
    """The end of one look at a mail: its events (of this message or another of its scope), and whether it is done."""

    scope: Scope
    message_id: str
    events: tuple[Event, ...] = ()
    due_ms: int | None = None
    """When to go on with it; None: it is done."""
    stage: str | None = ""
    """How far it came, for who goes on: JSON in the words of who handles it. None: as it was written last."""
    holds: bool = False
    """It is not the end of the look: `stage` and events are written, and the mail stays in this worker's hand."""
    basis: Basis | None = None
    """Written only while the log still ends so for that message: what must be told once is decided on what was told."""


class Settled(Enum):
    """What became of a settlement."""

    WRITTEN = "written"
    STALE = "stale"
    """Its basis has moved: decide again. The lease stays."""
    LOST = "lost"
    """The lease ran out and somebody else has the mail now, or it was deleted."""


class Inbox(Protocol):
    """Mail that came in and waits for what is to be done with it, each leased to at most one worker."""

    async def add(self, message: NewMessage, stage: str = "") -> None:
        """Durable when it returns, by group commit; the recipients' state is RECEIVED, and the mail is due at once.
        `stage`: what its first look finds. INBOX and EVENTS follow."""
        ...

    async def claim(self, owner: str, now_ms: int, lease_ms: int, limit: int) -> Sequence[ClaimedMail]:
        """Leases up to `limit` due mails to `owner`, oldest due first. A lease that ran out makes its mails due."""
        ...

    async def renew(self, owner: str, until_ms: int) -> None:
        """Extends every lease of `owner`."""
        ...

    async def keep_only(self, owner: str, held: Collection[str]) -> int:
        """Ends those leases of `owner` that are not among `held` (message ids), and says how many that were.

        A claim that failed may have come to pass all the same, and its owner, who knows of nothing, would renew.
        """
        ...

    async def release(self, owner: str) -> int:
        """Makes everything leased to `owner` due at once: at an orderly end, or for an owner known to be dead."""
        ...

    async def owners(self) -> Sequence[str]:
        """Who holds leases now."""
        ...

    async def settle(self, owner: str, settlements: Sequence[MailSettlement]) -> Sequence[Settled]:
        """Writes all of them in one transaction, events and progress together, but for those it answers STALE or LOST,
        of which nothing is written. Each mail at most once in a call. EVENTS follows.

        Needs no sync of its own: lost with the power, it makes the same look again.
        """
        ...

    async def next_due_ms(self) -> int | None:
        """When the earliest waiting mail is due; None where none waits."""
        ...

    async def depth(self) -> int:
        """Mails that wait, all scopes."""
        ...


class EventLog(Protocol):
    async def append(self, events: Sequence[Event]) -> None:
        """For events that no settlement causes (opens, clicks, late bounces ...). Durable; EVENTS follows."""
        ...

    async def of_message(self, scope: Scope, message_id: str) -> Sequence[LoggedEvent]:
        """In the order they were logged."""
        ...

    async def page(
        self, scope: Scope | None, after_seq: int, limit: int, type: EventType | None = None, message_id: str = ""
    ) -> Sequence[LoggedEvent]:
        """In order, from the first with a greater seq."""
        ...

    async def last_seq(self) -> int: ...


class StatisticsPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One 15-minute point of GetSendStatistics."""

    start_ms: int
    delivery_attempts: int
    bounces: int
    complaints: int
    rejects: int


class Statistics(Protocol):
    """Kept by the same transactions that write the events, as `domain.statistics.counted` says."""

    async def points(self, scope: Scope, since_ms: int) -> Sequence[StatisticsPoint]:
        """In order of time, points without anything left out."""
        ...

    async def points_of_set(self, scope: Scope, configuration_set: str, since_ms: int) -> Sequence[StatisticsPoint]:
        """The same, of the messages of one configuration set."""
        ...

    async def scopes(self, since_ms: int) -> Sequence[Scope]:
        """Who has points since then."""
        ...
