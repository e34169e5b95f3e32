"""A time limit for many short waits, at the price of one timer."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Ends waits that last longer than ``limit_s`` (up to a quarter more) with TimeoutError.

    A timer for each request costs as much as reading the request, and hardly one is ever needed: here a single timer
    looks at the oldest waits now and then, and rests while there are none.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._began: dict[asyncio.Timeout, float] = {}  # oldest first
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, work: Awaitable[T]) -> T:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as waiting:
            self._began[waiting] = loop.time()
            if self._timer is None:
                self._timer = loop.call_later(self.limit_s / 4, self._look, loop)
            try:
                return await work
            finally:
                del self._began[waiting]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for waiting, began in self._began.items():
            if began > now - self.limit_s:
                break
            if not waiting.expired():
                waiting.reschedule(now)
        self._timer = loop.call_later(self.limit_s / 4, self._look, loop) if self._began else None
