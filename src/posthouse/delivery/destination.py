"""Where mail of one kind goes: its queue in memory, its connections, and how hard it may be pushed.

Every connection is one courier: a task that carries job after job and waits a while for more before it says goodbye.
The number of couriers grows with success and shrinks with refusals, so that a dead or slow destination holds few of the
slots all destinations share; one that cannot be reached at all is left alone for a while.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.parcel import Job
from posthouse.delivery.session import Session
from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.outcomes import Reply, shortest_wait_ms

FIRST_WINDOW = 2
"""Couriers of a destination nothing is known about."""
PACE_S = 0.25
"""Over how long the pace of a destination is measured."""
FAIR_SHARE = 10
"""Jobs after which even a destination's only courier makes way for destinations that have none."""
PATIENCE = 50
"""Transactions that must go well, once a server has refused more connections, before another one is tried."""


class Carrier(Protocol):
    """What a destination needs of whoever runs it."""

    async def carry(self, job: Job, session: Session | None) -> tuple[Attempt, Session | None]:
        """Makes the attempt; never raises but when cancelled."""
        ...

    def may_begin(self, job: Job) -> bool:
        """False where the lease ran out meanwhile: the job is somebody else's, and so is all that waits."""
        ...

    def conclude(self, job: Job, attempt: Attempt) -> "asyncio.Future[None]":
        """Has the outcome written; the future is done when it is."""
        ...

    def answer(self, job: Job, reply: Reply) -> None:
        """Concludes without an attempt: every recipient has this reply."""
        ...

    def take_slot(self, destination: "Destination") -> bool:
        """One more connection? Where not, `destination.fill` is called once there is room."""
        ...

    def free_slot(self, destination: "Destination") -> None: ...
    def is_wanted(self) -> bool:
        """Other destinations wait for a slot."""
        ...

    def start(self, destination: "Destination", job: Job) -> None:
        """Runs `destination.courier(job)` as a task."""
        ...


class Destination:
    """Jobs for one destination, and the couriers that carry them."""

    def __init__(self, name: str, settings: DeliverySettings, carrier: Carrier, now_s: Callable[[], float]) -> None:
        self.name = name
        self.queue: deque[Job] = deque()
        self.couriers = 0
        self.window = FIRST_WINDOW
        self.domains: dict[str, int] = {}
        """Recipient domains of the jobs in the queue, with how many."""
        self._settings = settings
        self._carrier = carrier
        self._now_s = now_s
        self._idle: deque[asyncio.Future[Job | None]] = deque()
        self._refused = False
        self._credit = 0
        self._sessions = 0
        self._away_until_s = 0.0
        self._away_reply: Reply | None = None
        self._next_s = 0.0
        self._rate_timer: asyncio.TimerHandle | None = None
        self._pace = 0.0
        self._pace_count = 0
        self._pace_since_s = now_s()

    # -- jobs in

    def put(self, job: Job) -> None:
        """Takes over a job: it ends in `conclude` or `answer`."""
        reply = self.away
        if reply is not None:
            self._carrier.answer(job, reply)
            return
        self.queue.append(job)
        self.domains[job.domain] = self.domains.get(job.domain, 0) + 1
        self.fill()

    def fill(self) -> None:
        """Gives waiting jobs to idle couriers, then to new ones, as far as window, rate and slots allow."""
        while self.queue and not self._too_early():
            if self._idle:
                # The one that waited least: the others may then end.
                self._idle.pop().set_result(self._take())
            elif self.couriers < self.window and self._carrier.take_slot(self):
                self.couriers += 1
                self._carrier.start(self, self._take())
            else:
                return

    def _take(self) -> Job:
        job = self.queue.popleft()
        left = self.domains[job.domain] - 1
        if left:
            self.domains[job.domain] = left
        else:
            del self.domains[job.domain]
        if self._settings.per_domain_rate:
            self._next_s = max(self._next_s, self._now_s()) + 1 / self._settings.per_domain_rate
        return job

    def _too_early(self) -> bool:
        """The configured rate allows nothing now; `fill` is called again when it does."""
        wait_s = self._next_s - self._now_s()
        if not self._settings.per_domain_rate or wait_s <= 0:
            return False
        if self._rate_timer is None:
            self._rate_timer = asyncio.get_running_loop().call_later(wait_s, self._on_rate_timer)
        return True

    def _on_rate_timer(self) -> None:
        self._rate_timer = None
        self.fill()

    def empty(self) -> list[Job]:
        """Takes back what no courier has begun."""
        jobs = list(self.queue)
        self.queue.clear()
        self.domains.clear()
        return jobs

    # -- how busy

    @property
    def away(self) -> Reply | None:
        """Why it is left alone just now."""
        return self._away_reply if self._now_s() < self._away_until_s else None

    @property
    def saturated(self) -> bool:
        """More than a second's worth of jobs waits here: more would only fill the memory others need."""
        enough = min(max(2 * self.window, self._pace_now()), self._settings.max_in_flight // 2)
        return len(self.queue) >= enough

    @property
    def unused(self) -> bool:
        return not self.queue and not self.couriers and self.away is None

    def _count(self) -> None:
        self._pace_count += 1
        passed_s = self._now_s() - self._pace_since_s
        if passed_s >= PACE_S:
            self._pace = self._pace_count / passed_s
            self._pace_count, self._pace_since_s = 0, self._now_s()

    def _pace_now(self) -> float:
        """Attempts a second, lately; where none ends any more, what was measured once counts no longer."""
        passed_s = self._now_s() - self._pace_since_s
        return self._pace if passed_s < 4 * PACE_S else self._pace_count / passed_s

    # -- couriers

    async def courier(self, job: Job | None) -> None:
        """Carries jobs over one connection until there are none for a while."""
        session: Session | None = None
        carried = 0
        try:
            while job is not None and self._carrier.may_begin(job):
                had = session is not None
                attempt, session = await self._carrier.carry(job, session)
                self._sessions += (session is not None) - had
                if attempt.unreachable is not None and self._sessions:
                    self._fewer(job)
                    return
                self._learn(attempt)
                # Promise 3: what a crash makes arrive twice is what was in flight. So nothing new is begun here before
                # the last outcome is written; that is one message for each connection, never a backlog of outcomes.
                await self._carrier.conclude(job, attempt)
                carried += 1
                if session is not None and session.used >= self._settings.max_messages_per_connection:
                    self._sessions -= 1
                    session.quit()
                    session = None
                job = await self._next(session, carried)
        finally:
            if session is not None:
                self._sessions -= 1
                session.quit()
            self.couriers -= 1
            self._carrier.free_slot(self)

    async def _next(self, session: Session | None, carried: int) -> Job | None:
        """The next job; None: the courier ends."""
        wanted = self._carrier.is_wanted()
        if self.couriers > self.window or (wanted and (self.couriers > 1 or carried >= FAIR_SHARE)):
            return None
        if self.queue and not self._too_early():
            return self._take()
        return await self._wait() if session is not None and not wanted else None

    async def _wait(self) -> Job | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Job | None] = loop.create_future()
        self._idle.append(waiter)
        timer = loop.call_later(self._settings.idle_timeout_s, self._dismiss, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            if waiter.cancelled():
                self._idle.remove(waiter)

    def _dismiss(self, waiter: "asyncio.Future[Job | None]") -> None:
        if not waiter.done():
            self._idle.remove(waiter)
            waiter.set_result(None)

    def dismiss_one(self) -> bool:
        """Ends the courier that was idle longest; False where none is."""
        if not self._idle:
            return False
        self._idle.popleft().set_result(None)
        return True

    # -- lessons

    def _learn(self, attempt: Attempt) -> None:
        if attempt.unreachable is not None:
            if attempt.unreachable.code < 500:  # a refusal for good is for each message to hear by itself
                self._leave_alone(attempt.unreachable)
            return
        self._count()
        if self.window >= self._settings.per_domain_concurrency or not attempt.took_any:
            return
        self._credit += 1
        if self._credit >= (PATIENCE if self._refused else 1):
            self._credit = 0
            self.window += 1
            if self.queue:
                self.fill()

    def _fewer(self, job: Job) -> None:
        """One more connection was refused while others work: not dead, only enough of us. The job goes to them."""
        self._refused = True
        self._credit = 0
        self.window = max(1, self._sessions)
        self.queue.appendleft(job)
        self.domains[job.domain] = self.domains.get(job.domain, 0) + 1
        if self._idle:
            self._idle.pop().set_result(self._take())

    def _leave_alone(self, reply: Reply) -> None:
        settings = self._settings
        pause_s = min(settings.backoff_s, shortest_wait_ms(settings.retry) / 1000)
        self._away_until_s, self._away_reply = self._now_s() + pause_s, reply
        self.window, self._refused, self._credit = 1, False, 0
        for job in self.empty():
            self._carrier.answer(job, reply)
