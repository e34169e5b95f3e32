"""The run loop of deliveries to subscribers of the embedded stand-in's topics.

Claims subscriptions that have something due, gives each to a courier, keeps the leases. Publishing waits for none of
this: notifications and their deliveries stand in the store. One courier more or less busy, hanging or failing takes
nothing from the others but its share of calls, which shrinks while it does not answer (domain/subscriptions.Window).
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from posthouse.ports.clock import Clock
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.subscriptions import KeptSubscription
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.publishing.couriers import OUTCOMES, Courier, Desk

log = logging.getLogger("posthouse.subscribers")

SUBSCRIBER_CALLS = 200
"""At once, of one process, to all subscribers together."""
PAUSE_S = 0.02
"""Between looks: taps that come one by one are heeded some at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    couriers: int = 200
    """Subscriptions held at once by one process."""
    lease_ms: int = 30_000
    turn_s: float = 5.0
    """How long a subscriber is served while others wait for a courier."""
    poll_s: float = 5.0
    """A lost wake-up costs so long."""
    stop_deadline_s: float = 8.0


class Subscribers:
    """One engine of one process. `run` once; `stop` ends it in good order."""

    def __init__(
        self,
        settings: EngineSettings,
        desk: Desk,
        *,
        owner: str,
        is_known_dead: Callable[[str], bool],
        wakeups: Wakeups,
    ) -> None:
        """`owner`: no two engines may share one. `is_known_dead`: whether another owner is surely gone."""
        self._settings = settings
        self._desk = desk
        self._store = desk.store
        self._clock: Clock = desk.clock
        self._owner = owner
        self._is_known_dead = is_known_dead
        self._look = wakeups.subscribe(Topic.SUBSCRIBERS)
        self._stopping = asyncio.Event()
        self._couriers: dict[int, tuple[Courier, asyncio.Task[None], float]] = {}
        self._unsure = False
        """A claim or a release failed, and may have come to pass all the same, or not."""
        desk.metrics.describe(OUTCOMES, "counter", "ends of attempts to deliver to subscribers of topics")

    async def run(self) -> None:
        """Works until stopped. Returns when all calls are answered, or the deadline for that is over."""
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._keep_leases())
            working = tasks.create_task(self._work(tasks))
            await self._stopping.wait()
            self._look.set()
            for courier, _, _ in self._couriers.values():
                courier.leave()
            deadline_s = asyncio.get_running_loop().time() + self._settings.stop_deadline_s
            await _until(deadline_s, [working])
            await _until(deadline_s, [task for _, task, _ in self._couriers.values()])
            renewing.cancel()
        try:
            await self._store.release(self._owner)
        except StoreUnavailable as trouble:
            log.warning("subscriptions are not released, their leases run out: %s", trouble)

    def stop(self) -> None:
        """No more claims; `run` returns soon."""
        self._stopping.set()

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        is_ready = False
        while not self._stopping.is_set():
            self._look.clear()
            for courier, _, _ in self._couriers.values():
                courier.tap()
            wait_s = self._settings.poll_s
            try:
                if not is_ready:
                    await self._take_over_from_the_dead()
                    is_ready = True
                wait_s = await self._claim(tasks)
            except StoreUnavailable as trouble:
                self._unsure = True
                log.warning("subscriptions cannot be claimed: %s", trouble)
            await self._rest(PAUSE_S, heed=False)
            await self._rest(wait_s, heed=True)

    async def _take_over_from_the_dead(self) -> None:
        await self._store.sweep()
        for owner in await self._store.owners():
            if self._is_known_dead(owner):
                count = await self._store.release(owner)
                log.warning("released %d subscriptions held by %s, which is gone", count, owner)

    async def _claim(self, tasks: asyncio.TaskGroup) -> float:
        """Claims what can be claimed; how long to wait for more, where nobody taps."""
        now_ms = self._clock.now_ms()
        if self._unsure:
            await self._store.keep_only(self._owner, list(self._couriers))
            self._unsure = False
        due_ms = await self._store.next_due_ms()
        if due_ms is None or due_ms > now_ms:
            later_s = self._settings.poll_s if due_ms is None else (due_ms - now_ms) / 1000
            return min(self._settings.poll_s, later_s)
        room = self._settings.couriers - len(self._couriers)
        if room <= 0:
            self._send_home()
            return self._settings.poll_s
        for kept in await self._store.claim(self._owner, now_ms, self._settings.lease_ms, room):
            self._send_out(kept, tasks)
        return 0.0 if room > 0 else self._settings.poll_s

    def _send_out(self, kept: KeptSubscription, tasks: asyncio.TaskGroup) -> None:
        if kept.number in self._couriers:  # its lease had run out under it: it goes on under the new one
            return
        courier = Courier(kept, self._desk)
        if self._stopping.is_set():  # claimed while the others were told
            courier.leave()
        task = tasks.create_task(self._accompany(kept.number, courier))
        self._couriers[kept.number] = (courier, task, asyncio.get_running_loop().time())

    def _send_home(self) -> None:
        """Others wait for a courier: those who had their turn go to the end of the line."""
        before_s = asyncio.get_running_loop().time() - self._settings.turn_s
        for courier, _, since_s in self._couriers.values():
            if since_s < before_s:
                courier.leave()

    async def _accompany(self, number: int, courier: Courier) -> None:
        try:
            await courier.run()
            await self._store.release(self._owner, number, self._clock.now_ms())
        except StoreUnavailable as trouble:
            self._unsure = True
            log.warning("a subscription is not released: %s", trouble)
        finally:
            del self._couriers[number]
            # What was published while it was being released is claimed anew.
            self._look.set()

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_ms / 3000)
            if not self._couriers:
                continue
            try:
                await self._store.renew(self._owner, self._clock.now_ms() + self._settings.lease_ms)
                for courier, _, _ in list(self._couriers.values()):
                    await courier.bury()
            except StoreUnavailable as trouble:
                log.warning("leases are not renewed: %s", trouble)

    async def _rest(self, timeout_s: float, *, heed: bool) -> None:
        waited_for = self._look if heed else self._stopping
        try:
            async with asyncio.timeout(timeout_s):
                await waited_for.wait()
        except TimeoutError:
            return


async def _until(deadline_s: float, tasks: Collection["asyncio.Task[None]"]) -> None:
    """Waits for the tasks to end; cancels those that have not at the deadline (of the loop's clock)."""
    if not tasks:
        return
    left_s = max(0.0, deadline_s - asyncio.get_running_loop().time())
    _, late = await asyncio.wait(tasks, timeout=left_s)
    for task in late:
        task.cancel()
