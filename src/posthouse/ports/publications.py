"""What is still to be told, and to whom: the durable side of event publishing.

The event log is read by a cursor; each event becomes one publication for each destination that shall hear of it, in the
transaction that moves the cursor. A publication is deleted once it was sent: a crash in between sends it twice, never
zero times. Destinations are leased to one sender at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from posthouse.domain.events import Event
from posthouse.domain.messages import MessageFacts
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageKey


@dataclass(frozen=True, slots=True)
class Cursor:
    seq: int
    """The last event that was routed."""
    last_seq: int
    """The last one in the log."""


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An event that waits to be routed."""

    seq: int
    event: Event
    facts: MessageFacts | None
    """Of its message, for events of the types in `domain.publishing.NOTIFIED`; None where the message is gone too."""


@dataclass(frozen=True, slots=True)
class Routed:
    """One event for one destination."""

    destination: str
    """See `domain.publishing.target_key`."""
    owner: Scope
    """Whose destination it is."""
    seq: int
    message: MessageKey


@dataclass(frozen=True, slots=True)
class Replay:
    """A destination that shall hear again of the events in (`after`, `until`]."""

    destination: str
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Claimed:
    destination: str
    failures: int
    """Rounds running in which nothing got through."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One event that one destination has not heard of."""

    seq: int
    event: Event | None
    """None where the log no longer has it."""
    attempts: int
    routed_ms: int


@dataclass(frozen=True, slots=True)
class Failure:
    seq: int
    due_ms: int
    """When to try it again."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of one batch at one destination."""

    destination: str
    at_ms: int
    sent: Sequence[int] = ()
    """Numbers of the events that were taken, or that there is nothing to tell of any more."""
    failed: Sequence[Failure] = ()
    failures: int = 0
    """Rounds running in which nothing got through, this one included."""
    waiting_until_ms: int = 0
    """The whole destination is left alone until then."""
    give_up_ms: int = 0
    """What was routed before becomes a dead letter, where something failed."""


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A message as far as events tell of it."""

    facts: MessageFacts
    recipients: tuple[str, ...]
    """Envelope recipients in the order they were given."""
    content: bytes | None
    """As it was accepted; None where it cannot be read."""


class DestinationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a destination stands, for operators."""

    destination: str
    owner: Scope
    waiting: int
    """Publications that wait; counted up to a bound."""
    dead: int
    """Dead letters that are kept."""
    oldest_ms: int | None
    """When the first of those that wait was routed; None: nothing waits."""
    failures: int
    waiting_until_ms: int
    last_error: str
    last_failure_ms: int | None
    last_success_ms: int | None
    leased: bool
    replaying: bool


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it, for the metrics."""

    waiting: int
    dead: int
    oldest_ms: int | None
    failing: int
    """Destinations where the last round failed."""
    unrouted: int
    """Events that the cursor has not passed."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A publication that was given up."""

    seq: int
    message: MessageKey
    routed_ms: int
    died_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class Untold:
    """Something that one destination was not told, yet or at all."""

    destination: str
    seq: int
    attempts: int
    due_ms: int | None
    """When it may be tried; None: it was given up."""
    error: str
    """Why it was given up."""


class Publications(Protocol):
    # Routing

    async def cursor(self) -> Cursor: ...

    async def page(self, after: int, until: int, limit: int) -> Sequence[Unrouted]:
        """Events with a seq in (`after`, `until`], in order."""
        ...

    async def route(self, after: int, upto: int, routed: Sequence[Routed], now_ms: int) -> bool:
        """Adds publications and moves the cursor from `after` to `upto`, in one transaction. False, and nothing done,
        where the cursor is not at `after` any more: somebody else has routed these. What waits already is left as it
        is."""
        ...

    async def replay(self, destination: str, owner: Scope, from_seq: int) -> None:
        """Asks for a replay of what was routed already, from the event `from_seq` on; `replays` tells the router."""
        ...

    async def replays(self) -> Sequence[Replay]: ...

    async def route_again(self, replay: Replay, upto: int, routed: Sequence[Routed], now_ms: int) -> bool:
        """As `route`, for a replay: `routed` are the destination's own. Those that were dead letters are none now."""
        ...

    # Sending

    async def claim(
        self, owner: str, now_ms: int, lease_ms: int, limit: int, healthy_only: bool = False
    ) -> Sequence[Claimed]:
        """Leases up to `limit` destinations that have something due, those that have waited longest first. A lease
        that ran out makes its destination free again. `healthy_only`: none where the last round failed."""
        ...

    async def take(self, destination: str, now_ms: int, limit: int) -> Sequence[Publication]:
        """What may be sent now, in the order of the log: nothing of a message that has an earlier publication which
        failed and is not due yet."""
        ...

    async def settle(self, ended: Round) -> None:
        """Writes what came of a batch: deletes what was sent, puts off what failed, makes dead letters. Needs no sync
        of its own: lost with the power, it makes a second notification."""
        ...

    async def leave(self, destination: str, owner: str, now_ms: int) -> None:
        """Ends the owner's lease; the destination is due again when its next publication is."""
        ...

    async def renew(self, owner: str, until_ms: int) -> None:
        """Extends every lease of `owner`."""
        ...

    async def keep_only(self, owner: str, held: Collection[str]) -> int:
        """Ends those leases of `owner` that are not among `held` (destinations), and says how many that were.

        A claim that failed may have come to pass all the same, and its owner, who knows of nothing, would renew.
        """
        ...

    async def release(self, owner: str) -> int:
        """Ends every lease of `owner`: at an orderly end, or for an owner known to be dead. How many."""
        ...

    async def owners(self) -> Sequence[str]:
        """Who holds leases now."""
        ...

    async def drop(self, destination: str) -> int:
        """Forgets a destination that is gone, with all that waits for it; how many publications."""
        ...

    async def redirect(self, destination: str, to: str, owner: Scope, now_ms: int) -> int:
        """The same, but another destination gets what waits; how many publications."""
        ...

    async def mails(self, keys: Collection[MessageKey]) -> Mapping[MessageKey, StoredMail]:
        """The messages that still exist."""
        ...

    # Looking, and an operator's hand

    async def destinations(self, account: str | None, after: str, limit: int) -> Sequence[DestinationStatus]:
        """By key, from the first after `after` on; of one account or of all."""
        ...

    async def status(self, destination: str) -> DestinationStatus | None: ...

    async def untold(self, destination: str, seqs: Sequence[int]) -> Sequence[Untold]:
        """Those of the events that the destination waits for, or that were given up for it."""
        ...

    async def dead(self, destination: str, after_seq: int, limit: int) -> Sequence[DeadLetter]:
        """In the order of the log."""
        ...

    async def revive(self, destination: str, now_ms: int) -> int:
        """Tries the dead letters again; how many."""
        ...

    async def totals(self) -> Totals: ...
