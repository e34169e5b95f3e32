"""Settlements in batches: what comes while one batch is written goes into the next."""

import asyncio
import logging
from collections.abc import Callable

from posthouse.delivery.parcel import Parcel
from posthouse.ports.mailstore import Queue, Settlement
from posthouse.ports.stores import StoreUnavailable

logger = logging.getLogger("posthouse.delivery")

MAX_BATCH = 128
"""Settlements in one transaction: a bound for how long it keeps other writers waiting."""
GATHER_S = 0.002
RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Waits after the database refused a batch; the last one repeats."""

_Entry = tuple[Settlement, Parcel, "asyncio.Future[None]"]


class Settling:
    """Writes settlements in the order they came, and keeps them until the database has taken them."""

    def __init__(self, queue: Queue, settled: Callable[[Settlement, Parcel], None]) -> None:
        """`settled` is told of each settlement that was written."""
        self._queue = queue
        self._settled = settled
        self._waiting: list[_Entry] = []
        self._some = asyncio.Event()
        self._ending = False

    def add(self, settlement: Settlement, parcel: Parcel) -> "asyncio.Future[None]":
        """Takes it over; the future is done when it is written."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((settlement, parcel, written))
        self._some.set()
        return written

    def end(self) -> None:
        """`run` returns once everything added so far is written."""
        self._ending = True
        self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            # Replies that arrive about together are settled together.
            await asyncio.sleep(GATHER_S)
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if batch:
                await self._write(batch)
            elif self._ending:
                return
            if not self._waiting and not self._ending:
                self._some.clear()

    async def _write(self, batch: list[_Entry]) -> None:
        """What happened has happened: a settlement that was given up would make a second delivery later."""
        failures = 0
        while True:
            try:
                await self._queue.settle([settlement for settlement, _, _ in batch])
                break
            except Exception as trouble:
                known = isinstance(trouble, StoreUnavailable)
                text = "settling %d outcomes failed, trying again: %s"
                logger.warning(text, len(batch), trouble, exc_info=None if known else trouble)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
        for settlement, parcel, written in batch:
            self._settled(settlement, parcel)
            if not written.done():
                written.set_result(None)
