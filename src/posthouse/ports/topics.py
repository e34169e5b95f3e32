"""SNS: publishing to a topic, and the keeping of the embedded stand-in's topics.

Source: Amazon SNS API reference, Publish. What is published reaches subscribers at least once; who publishes learns
only whether the topic took it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec


@dataclass(frozen=True, slots=True)
class Published:
    message_id: str
    """Given by SNS."""


@dataclass(frozen=True, slots=True)
class TopicUnknown:
    """There is no such topic for this publisher, or it is none that this backend can reach by its ARN."""


@dataclass(frozen=True, slots=True)
class PublishFailed:
    reason: str
    """For the log: not permitted, not taken, not reached."""


PublishOutcome = Published | TopicUnknown | PublishFailed


class Topics(Protocol):
    async def publish(
        self, account: str, arn: str, subject: str | None, message: str, *, chain: str = ""
    ) -> PublishOutcome:
        """Publishes on behalf of an account. Never raises for what a topic or the network does.

        `chain`: messages of one chain are to reach each subscriber in the order in which they were published, as far as
        the backend can see to that (a standard topic of Amazon's cannot); empty: in any order."""
        ...

    async def close(self) -> None: ...


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of the embedded stand-in."""

    account: str
    """Whose calls it takes. Each account has a world of topics for itself, whatever account their ARNs name: there
    are no topic policies here that could open one to another."""
    arn: str
    created_ms: int


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic was given."""

    message_id: str
    subject: str | None
    message: str
    published_ms: int
    chain: str = ""
    """Is delivered behind what has the same and was published before; empty: is delivered by itself. Not kept by the
    topic, only with what is on its way."""


class KeptNotification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that a topic still has."""

    seq: int
    """Grows with each notification of any topic."""
    account: str
    notification: Notification


class TopicStore(Protocol):
    """Topics of the embedded stand-in, each with its last notifications."""

    async def create(self, account: str, arn: str, now_ms: int) -> None:
        """As it is where it exists already."""
        ...

    async def add(self, account: str, arn: str, notification: Notification, create: bool) -> bool:
        """Durable when it returns, with a delivery to each confirmed subscriber (ports.subscriptions); False where
        there is no such topic and it is not to be created."""
        ...

    async def page(self, account: str | None, after: str, limit: int) -> Sequence[Topic]:
        """By account and ARN, of one account or of all; `after` is ``account arn`` of the last one seen."""
        ...

    async def notifications(
        self, account: str | None, arn: str, before_seq: int | None, limit: int
    ) -> Sequence[KeptNotification] | None:
        """Newest first, from the first with a smaller seq; None where there is no such topic."""
        ...
