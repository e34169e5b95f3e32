"""Delivering to one subscriber: as much at once as it bears, until nothing is due, or until it fails too often."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from posthouse.domain.subscriptions import (
    ANSWER_S,
    DOWN,
    Again,
    Answer,
    Arrived,
    Dead,
    judge,
    opening,
    patience_ms,
    pause_ms,
)
from posthouse.observe import Metrics
from posthouse.ports.clock import Clock
from posthouse.ports.http_calls import HttpAnswer, HttpCalls, HttpFailed
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.subscriptions import (
    Delivery,
    DeliveryEnd,
    GivenUp,
    KeptSubscription,
    Made,
    PutOff,
    SubscriptionStore,
)
from posthouse.publishing.courtesy import Courtesy
from posthouse.publishing.envelopes import Envelopes, Letter
from posthouse.publishing.lines import Lines

log = logging.getLogger("posthouse.subscribers")

AHEAD = 64
"""Deliveries read and signed before their calls can begin."""
BURIED_AT_ONCE = 500
MOST_REST_S = 1.0
"""At a time, while the processor is wanted elsewhere: what was so then may be otherwise now."""
MAX_ANSWER = 4096
"""Of what a subscriber says, which nobody reads; enough to keep its connection."""
OUTCOMES = "posthouse_subscriber_deliveries_total"
TOO_OLD = "not delivered in time: the subscriber was down"
TOO_MANY = "not delivered: too many wait for this subscriber"


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierSettings:
    waits_s: Sequence[float]
    """Between attempts; after the last one a delivery is a dead letter."""
    most_calls: int = 20
    """At once, to one subscriber."""
    most_waiting: int = 100_000
    """Deliveries to one subscriber; the oldest beyond are dead letters."""
    answer_s: float = ANSWER_S


@dataclass(frozen=True, slots=True)
class Desk:
    """What all couriers of a process share."""

    settings: CourierSettings
    store: SubscriptionStore
    calls: HttpCalls
    envelopes: Envelopes
    clock: Clock
    metrics: Metrics
    room: asyncio.Semaphore
    """For calls of all subscribers together."""
    courtesy: Courtesy


class Courier:
    """Holds one subscription. `run` once."""

    def __init__(self, kept: KeptSubscription, desk: Desk) -> None:
        self._number, self._subscription = kept.number, kept.subscription
        self._health = kept.health
        self._desk = desk
        self._window = opening(kept.health.failures)
        self._tapped = asyncio.Event()
        self._dry = False
        self._leaving = False
        self._left = asyncio.Event()
        self._round = 0
        self._lines: Lines[tuple[Delivery, Letter]] = Lines()
        self._taken: set[int] = set()
        """Deliveries at hand: in lines, under way, or not yet settled."""
        self._put_off: set[str] = set()
        """Lines that were closed by what failed, as long as the store or a question to it may not know."""
        self._opens: set[str] = set()
        """Of these, those where the store does."""
        self._frees = False
        """What has ended lets the store give out others."""
        self._calls: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._ends: list[DeliveryEnd] = []

    def tap(self) -> None:
        """There may be more."""
        self._dry = False
        self._tapped.set()

    def leave(self) -> None:
        """Begin no more calls; `run` returns when those that have begun are answered."""
        self._leaving = True
        self._left.set()
        self._tapped.set()

    async def run(self) -> None:
        """Until nothing is due, the subscriber is to be left alone, or `leave`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._tapped.clear()
                    self._read_on(tasks)
                    self._begin_calls(tasks)
                    await self._settle()
                    if self._is_idle():
                        break
                    await self._tapped.wait()
            self._put_back()
            await self.bury()
        except* StoreUnavailable as trouble:
            log.warning("deliveries to %s wait: %s", self._subscription.endpoint.url, trouble.exceptions[0])

    def _is_idle(self) -> bool:
        """Nothing is under way, and nothing is to be begun."""
        under_way = self._calls or self._ends or self._reading
        return not under_way and (self._leaving or not (len(self._lines) or self._may_be_more()))

    def _may_be_more(self) -> bool:
        return not self._dry and len(self._lines) < AHEAD

    def _read_on(self, tasks: asyncio.TaskGroup) -> None:
        """Beside the calls: those at hand are made while the next ones are read and signed."""
        if self._reading is None and not self._leaving and self._may_be_more():
            self._reading = tasks.create_task(self._read())

    async def _read(self) -> None:
        # Before the question: what a tap tells of may be too late for its answer.
        self._dry = True
        courtesy, now_ms = self._desk.courtesy, self._desk.clock.now_ms()
        most = courtesy.at_once(AHEAD)
        found = await self._desk.store.due(self._number, now_ms, most, self._taken)
        if len(found) == most:
            self._dry = False
        self._taken.update(each.number for each in found)
        letters = await self._desk.envelopes.write(self._subscription, found)
        # By number: of one chain the first that was published is the first to go.
        for each, letter in sorted(zip(found, letters, strict=True), key=lambda pair: pair[0].number):
            if not self._lines.add(each.notification.chain, (each, letter)):
                self._taken.discard(each.number)
        self._tapped.set()
        if found:
            lag_ms = now_ms - found[0].notification.published_ms
            await self._rest(min(MOST_REST_S, courtesy.rest_s(len(found), lag_ms)))
        self._reading = None
        self._open_lines()
        self._tapped.set()

    async def _rest(self, seconds: float) -> None:
        """The end of the courier cuts it short."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._left.wait()

    def _open_lines(self) -> None:
        """Those of which the store knows what failed; not while an answer is awaited that may be older."""
        if self._reading is None:
            self._lines.open(self._opens)
            self._opens = set()

    def _put_back(self) -> None:
        """What was read and not begun waits in the store as before."""
        self._taken.difference_update(delivery.number for delivery, _ in self._lines.clear())

    # -- calls

    def _begin_calls(self, tasks: asyncio.TaskGroup) -> None:
        most = min(self._window.size, self._desk.settings.most_calls)
        while len(self._calls) < most and not self._leaving and (first := self._lines.take()) is not None:
            call = tasks.create_task(self._call(*first))
            self._calls.add(call)
            call.add_done_callback(self._called)

    def _called(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._tapped.set()

    async def _call(self, delivery: Delivery, letter: Letter) -> None:
        async with self._desk.room:
            begun, start_s = self._round, time.monotonic()
            answer = await self._post(letter)
            took_s = time.monotonic() - start_s
        self._learn(answer, took_s, begun)
        attempts, waits_s = delivery.attempts + 1, self._desk.settings.waits_s
        match judge(answer, attempts, waits_s, self._desk.clock.now_ms()):
            case Arrived():
                self._pass(delivery)
                self._end(Made(delivery.number), "delivered")
            case Again(due_ms):
                self._hold_back(delivery)
                self._end(PutOff(delivery.number, due_ms), "put off")
            case Dead(reason):
                self._pass(delivery)
                log.warning(
                    "gave up delivering %s of %s to %s: %s",
                    delivery.notification.message_id,
                    self._subscription.topic_arn,
                    self._subscription.endpoint.url,
                    reason,
                )
                self._end(GivenUp(delivery.number, reason), "dead letter")

    async def _post(self, letter: Letter) -> Answer:
        settings, url = self._desk.settings, self._subscription.endpoint.url
        try:
            outcome = await self._desk.calls.post(url, letter.body, letter.headers, settings.answer_s, MAX_ANSWER)
        except Exception:
            # A notification that we cannot handle is tried again; it must not stop the others.
            log.exception("delivering to %s failed", url)
            return Answer(None, "an error of our own; see the log")
        if isinstance(outcome, HttpAnswer):
            return Answer(outcome.status)
        return Answer(None, outcome.reason if isinstance(outcome, HttpFailed) else f"not called: {outcome.reason}")

    def _learn(self, answer: Answer, took_s: float, begun: int) -> None:
        """What the answer says of the subscriber. Calls that fail together count once."""
        if not answer.is_up:
            reason = answer.reason or f"HTTP status {answer.status}"
            now_ms = self._desk.clock.now_ms()
            if begun == self._round:
                self._round += 1
                self._window = self._window.after(False, took_s, self._desk.settings.most_calls)
            failures = self._window.failures
            pause = pause_ms(failures)
            self._health = msgspec.structs.replace(
                self._health,
                failures=failures,
                resume_ms=now_ms + pause if pause else 0,
                last_failure=reason,
                last_failure_ms=now_ms,
            )
            if pause:
                self.leave()
            return
        self._window = self._window.after(True, took_s, self._desk.settings.most_calls)
        if self._health.failures:
            self._health = msgspec.structs.replace(self._health, failures=0, resume_ms=0)

    # -- lines

    def _pass(self, delivery: Delivery) -> None:
        self._lines.passed(delivery.notification.chain)
        if delivery.attempts and delivery.notification.chain:
            # The store has kept back what stands behind it.
            self._frees = True

    def _hold_back(self, delivery: Delivery) -> None:
        chain = delivery.notification.chain
        self._taken.difference_update(behind.number for behind, _ in self._lines.close(chain))
        self._put_off.add(chain)

    # -- ends

    def _end(self, end: DeliveryEnd, outcome: str) -> None:
        self._ends.append(end)
        self._desk.metrics.add(OUTCOMES, outcome=outcome)

    async def _settle(self) -> None:
        if self._ends:
            ends, self._ends = self._ends, []
            put_off, self._put_off = self._put_off, set()
            frees, self._frees = self._frees, False
            await self._desk.store.settle(self._number, ends, self._health, self._desk.clock.now_ms())
            self._taken.difference_update(end.number for end in ends)
            self._opens |= put_off
            self._open_lines()
            if frees or any(isinstance(end, PutOff) for end in ends):
                # The first wait may be none at all.
                self.tap()

    async def bury(self) -> None:
        """Gives up what waits behind too much, and, while the subscriber is down, what has waited as long as all its
        tries would have taken."""
        settings, now_ms = self._desk.settings, self._desk.clock.now_ms()
        is_down = self._health.failures >= DOWN
        before_ms = now_ms - patience_ms(settings.waits_s) if is_down else 0
        while True:
            found = await self._desk.store.overdue(self._number, before_ms, settings.most_waiting, BURIED_AT_ONCE)
            dead = [
                GivenUp(each.number, TOO_OLD if each.notification.published_ms < before_ms else TOO_MANY, tried=False)
                for each in found
                if each.number not in self._taken
            ]
            if not dead:
                return
            self._desk.metrics.add(OUTCOMES, len(dead), outcome="dead letter")
            log.warning("gave up %d deliveries to %s", len(dead), self._subscription.endpoint.url)
            await self._desk.store.settle(self._number, dead, self._health, now_ms)
