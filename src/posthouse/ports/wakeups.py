"""A tap on the shoulder between processes: something was committed that you may want to look at.

A wake-up carries no data and may be lost or spurious; whoever waits also looks by itself now and then. Truth is in
the database.
"""

import asyncio
from enum import StrEnum
from typing import Protocol


class Topic(StrEnum):
    QUEUE = "queue"
    """Outgoing recipients are due."""
    INBOX = "inbox"
    """Inbound mail waits for its rules."""
    EVENTS = "events"
    """The event log or the list of messages grew."""
    RECORDS = "records"
    """Identities, accounts or other settings changed."""
    SUBSCRIBERS = "subscribers"
    """Notifications are due to subscribers of topics."""


class Wakeups(Protocol):
    def notify(self, topic: Topic) -> None:
        """Taps everybody who subscribed, in this process and others. Never blocks, never raises."""
        ...

    def subscribe(self, topic: Topic) -> asyncio.Event:
        """An event that is set at each tap; the waiter clears it before it looks."""
        ...
