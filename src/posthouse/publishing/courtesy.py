"""Stepping back while mail is taken in and the processor is scarce: a caller waits for his answer, nobody waits for a
notification.

Telling of an event costs some 0.1 ms of a processor, and a mail has two or more: on a small machine at full load its
senders would pay for that. Linux says how long this thread was ready to run and had to wait (proc(5), schedstat): while
that is much and mail comes in, events are told at a measured pace; what piles up is told as soon as there is room.
Events that have waited for long are told faster all the same, so that they do not fall behind for good.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

SCHEDSTAT = Path("/proc/self/schedstat")
LOOK_S = 0.05
SENDING_S = 0.2
"""So long after the last mail was taken in, more is expected."""
CROWDED = 0.15
"""Part of the time that this thread wanted to run in which it had to wait."""
PACE = 500.0
"""Events a second, of one process, while the processor is wanted elsewhere."""
CALLS_PACE = 100.0
"""The same for calls to subscribers: each costs some 0.45 ms, two thirds of it for its signature."""
SMALL = 50
"""Events told in one go meanwhile: callers do not have to wait behind a large one."""
LATE_PACE = 4000.0
LATE_MS = 30_000


class Courtesy:
    """One for all that a process tells."""

    def __init__(
        self,
        sending: asyncio.Event,
        read: Callable[[], str] = SCHEDSTAT.read_text,
        clock: Callable[[], float] = time.monotonic,
        pace: float = PACE,
    ) -> None:
        """`sending` is set whenever mail is taken in, and cleared here."""
        self._pace = pace
        self._sending, self._read, self._clock = sending, read, clock
        self._sent_at = -SENDING_S
        self._ran, self._waited = self._times()
        self._looked = clock()
        self._crowded = False
        self._free_at: defaultdict[str, float] = defaultdict(float)

    def at_once(self, most: int) -> int:
        """How many events to tell in one go, `most` at the best of times."""
        now = self._clock()
        self._look(now)
        return min(most, SMALL) if self._is_wanted_elsewhere(now) else most

    def _is_wanted_elsewhere(self, now: float) -> bool:
        return self._crowded and now - self._sent_at <= SENDING_S

    def rest_s(self, events: int, lag_ms: int, lane: str = "") -> float:
        """How long to wait after so many events, the first of which had waited for `lag_ms`; mostly not at all. Each
        lane keeps the pace by itself."""
        now = self._clock()
        self._look(now)
        if not self._is_wanted_elsewhere(now):
            self._free_at[lane] = now
            return 0.0
        self._free_at[lane] = max(self._free_at[lane], now) + events / (self._pace if lag_ms < LATE_MS else LATE_PACE)
        return self._free_at[lane] - now

    def _look(self, now: float) -> None:
        if self._sending.is_set():
            self._sending.clear()
            self._sent_at = now
        if now - self._looked < LOOK_S:
            return
        ran, waited = self._times()
        wanted = ran - self._ran + waited - self._waited
        self._crowded = wanted > 0 and (waited - self._waited) / wanted > CROWDED
        self._ran, self._waited, self._looked = ran, waited, now

    def _times(self) -> tuple[int, int]:
        """Nanoseconds on the processor, and waiting for it; both zero on a kernel that does not count them."""
        try:
            ran, waited, *_ = map(int, self._read().split())
        except (OSError, ValueError):
            return 0, 0
        return ran, waited
