"""Waiting for news, shared by all who wait: one subscription per process, however many streams are open."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from posthouse.web.problems import Problem

STREAMS = 256
"""Streams and waits open at once; more are refused, so that they cannot use up the process."""


class Taps:
    """Counts the taps of a wake-up so that none is missed between a look and the next wait."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event
        self._count = 0
        self._waiting = 0

    def check_room(self) -> None:
        """Raises Problem (503) where too many wait already."""
        if self._waiting >= STREAMS:
            raise Problem(503, f"{STREAMS} streams and waits are open already.", headers={"retry-after": "1"})

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts one who waits, for as long as it does."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @property
    def count(self) -> int:
        """What to hand to `next` after having looked."""
        if self._event.is_set():
            self._event.clear()
            self._count += 1
        return self._count

    async def next(self, seen: int, timeout_s: float) -> None:
        """Returns at the first tap after `seen` was read, or when time is over."""
        if self.count != seen:
            return
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return
