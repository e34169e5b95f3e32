"""All that is kept, as one bundle: what assembly opens and hands to operations and engines."""

from typing import Protocol

from posthouse.ports.call_rates import CallRates
from posthouse.ports.credentials import CredentialStore
from posthouse.ports.mailstore import (
    EventLog,
    Inbox,
    Messages,
    Queue,
    Statistics,
    Submissions,
    Suppressions,
    Unsubscriptions,
)
from posthouse.ports.metric_series import MetricSeriesStore
from posthouse.ports.publications import Publications
from posthouse.ports.records import RecordStore
from posthouse.ports.subscriptions import SubscriptionStore
from posthouse.ports.topics import TopicStore


class StoreUnavailable(Exception):
    """The database or the blob storage cannot serve now: disk full, read-only, locked, gone; the text says which.

    What was asked for did not happen as far as anybody was told, and may be asked for again: a door answers with a
    temporary error (ServiceUnavailable, 451). Raised by every method of every store; the store recovers by itself.
    """


class StoreRefused(Exception):
    """The store cannot be opened or read as it stands, and only an operator can help: a schema newer than this
    version knows or older than it needs, another master key, a damaged secret."""


class Stores(Protocol):
    @property
    def records(self) -> RecordStore: ...
    @property
    def credentials(self) -> CredentialStore: ...
    @property
    def submissions(self) -> Submissions: ...
    @property
    def queue(self) -> Queue: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def events(self) -> EventLog: ...
    @property
    def statistics(self) -> Statistics: ...
    @property
    def suppressions(self) -> Suppressions: ...
    @property
    def unsubscriptions(self) -> Unsubscriptions: ...
    @property
    def publications(self) -> Publications: ...
    @property
    def metric_series(self) -> MetricSeriesStore: ...
    @property
    def topics(self) -> TopicStore: ...
    @property
    def subscriptions(self) -> SubscriptionStore: ...
    @property
    def call_rates(self) -> CallRates: ...

    async def ping(self) -> None:
        """Raises StoreUnavailable where the database does not answer."""
        ...

    async def sweep_blobs(self) -> int:
        """Deletes large contents that no row names and that are old enough to be nobody's any more; how many."""
        ...

    async def close(self) -> None: ...
