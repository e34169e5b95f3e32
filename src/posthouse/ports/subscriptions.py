"""Subscribers of the embedded stand-in's topics, what is on its way to them, and what never arrived.

A subscription is leased as a whole: one process at a time delivers to it, so that a claim costs one row however much
waits, and a subscriber is never called by more at once than it bears. An owner whose lease has run out loses it to
the next who asks. A process that died in between leaves deliveries in the table: they are made again, so a subscriber
may see a notification twice, as with SNS.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from posthouse.domain.subscriptions import Endpoint, MessageType
from posthouse.ports.topics import Notification


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    """Whose topic it is; see ports.topics.Topic."""
    topic_arn: str
    arn: str
    endpoint: Endpoint
    raw: bool
    """What is delivered is the message alone, without SNS's envelope (RawMessageDelivery)."""
    confirmed: bool
    token: str
    """Confirms it."""
    keeps_to_owner: bool = False
    """Not to be ended by the link in a notification (AuthenticateOnUnsubscribe)."""
    created_ms: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a subscriber has answered of late."""

    failures: int = 0
    """In a row."""
    resume_ms: int = 0
    """Not to be called before."""
    last_failure: str = ""
    """Why, the last time; kept when it does well again."""
    last_failure_ms: int = 0


class KeptSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as it stands."""

    number: int
    """For the engine: short, and never another's."""
    subscription: Subscription
    health: Health
    waiting: int = 0
    """Deliveries not made yet; only counted for listings."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A notification on its way to one subscriber."""

    number: int
    type: MessageType
    notification: Notification
    attempts: int
    """Made so far."""


@dataclass(frozen=True, slots=True)
class Made:
    """It arrived."""

    number: int


@dataclass(frozen=True, slots=True)
class PutOff:
    """It did not, and is tried again."""

    number: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It did not, and is a dead letter now."""

    number: int
    reason: str
    tried: bool = True
    """False: without another attempt, for it waited too long, or too much waits behind it."""


DeliveryEnd = Made | PutOff | GivenUp


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What never arrived. Outlives its subscription."""

    seq: int
    account: str
    subscription_arn: str
    endpoint: str
    """Without login."""
    type: MessageType
    notification: Notification
    attempts: int
    reason: str
    died_ms: int


class SigningPair(msgspec.Struct, frozen=True, kw_only=True):
    """What the installation signs with, and what proves it to subscribers."""

    private_pem: bytes
    certificate_pem: str


class SubscriptionStore(Protocol):
    # What people do

    async def subscribe(self, wanted: Subscription, create_topic: bool) -> Subscription | None:
        """The subscription of this endpoint to this topic: the wanted one, or the one that was there with the login
        and the form (raw or not) that are wanted now, and confirmed where the wanted one is. One that is still to be
        confirmed is sent a SubscriptionConfirmation with the token wanted now.
        None where there is no such topic and it is not to be created."""
        ...

    async def confirm(
        self, topic_arn: str, token: str, not_before_ms: int, keeps_to_owner: bool
    ) -> Subscription | None:
        """The subscription of this token, confirmed; None where there is none, or it is older and unconfirmed."""
        ...

    async def find(self, arn: str) -> KeptSubscription | None: ...

    async def unsubscribe(self, arn: str) -> bool:
        """Ends it; what is on its way to it goes. False where there is none."""
        ...

    async def page(
        self, account: str | None, topic_arn: str | None, after: str, limit: int
    ) -> Sequence[KeptSubscription]:
        """By ARN; `after` is the last one seen."""
        ...

    async def dead_letters(
        self, account: str | None, topic_arn: str, before_seq: int | None, limit: int
    ) -> Sequence[DeadLetter]:
        """Newest first; the last thousand of each topic are kept."""
        ...

    # What the engine does

    async def claim(self, owner: str, now_ms: int, lease_ms: int, limit: int) -> Sequence[KeptSubscription]:
        """Subscriptions with something due that nobody holds, those first that waited longest for their turn."""
        ...

    async def due(
        self, subscription: int, now_ms: int, limit: int, excluding: Collection[int] = ()
    ) -> Sequence[Delivery]:
        """Deliveries of a held subscription that are due, in their order, but for those at hand, and for those that
        stand in their chain behind one that failed and waits."""
        ...

    async def settle(self, subscription: int, ends: Sequence[DeliveryEnd], health: Health, now_ms: int) -> None:
        """Writes how deliveries ended, and how the subscriber does since."""
        ...

    async def overdue(
        self, subscription: int, published_before_ms: int, most_waiting: int, limit: int
    ) -> Sequence[Delivery]:
        """Deliveries that were published before, and those beyond so many newer ones."""
        ...

    async def renew(self, owner: str, until_ms: int) -> None: ...

    async def keep_only(self, owner: str, held: Collection[int]) -> int:
        """Ends those leases of `owner` that are not among `held` (numbers), and says how many that were.

        A claim that failed may have come to pass all the same, and its owner, who knows of nothing, would renew.
        """
        ...

    async def release(self, owner: str, subscription: int | None = None, now_ms: int = 0) -> int:
        """Gives one back, to the end of the line as of `now_ms`, or all of an owner; how many that were."""
        ...

    async def owners(self) -> Sequence[str]:
        """Who holds any."""
        ...

    async def sweep(self) -> None:
        """Removes what is on its way to subscriptions that are gone: published at the moment they went."""
        ...

    async def next_due_ms(self) -> int | None:
        """When the next free subscription can be claimed."""
        ...

    # What subscribers verify

    async def signing_pair(self) -> SigningPair | None: ...

    async def offer_signing_pair(self, pair: SigningPair, now_ms: int) -> SigningPair:
        """The pair of the installation: this one, where it is the first."""
        ...
