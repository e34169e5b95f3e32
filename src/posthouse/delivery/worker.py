"""The run loop of delivery: claims what is due, has it prepared, sends it on its way, and keeps the leases.

    async with asyncio.timeout(...): await worker.run()      until `stop` is called from elsewhere in the same loop

What is in memory is bounded by number and size; the rest waits in the queue. Waits are short sleeps on wake-ups, the
next due time and a poll: a lost wake-up costs a moment, never a message.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Protocol

from posthouse.delivery.attempt import Attempts, Random
from posthouse.delivery.conclusion import Conclusions
from posthouse.delivery.destinations import INTERNAL_ERROR, Destinations, Simulator, ToSevenBit
from posthouse.delivery.owner import is_known_dead
from posthouse.delivery.parcel import Job, Parcel
from posthouse.delivery.prepared import Postponed, Prepare, Prepared, Refused
from posthouse.delivery.settings import DeliverySettings
from posthouse.delivery.settling import Settling
from posthouse.domain.messages import RecipientState
from posthouse.observe import Metrics
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import ClaimedMessage, ClaimedRecipient, Queue, Settlement
from posthouse.ports.network import Network
from posthouse.ports.resolver import Resolver
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.wakeups import Topic, Wakeups

logger = logging.getLogger("posthouse.delivery")

PAUSE_S = 0.015
"""Between claims: rows that come one by one are claimed some at a time, and callers find the database free."""
NOTHING = Prepared(b"", "", new=False)
"""In the place of what could not be prepared; never sent."""
OUTCOMES = "posthouse_delivery_outcomes_total"
IN_FLIGHT = "posthouse_delivery_in_flight_recipients"
TURN = 32
"""Messages prepared in a row without letting others have the loop."""


class Courtesy(Protocol):
    """Stepping back while callers want the processor (`publishing.courtesy`)."""

    def at_once(self, most: int) -> int: ...

    def rest_s(self, count: int, lag_ms: int) -> float: ...


class DeliveryWorker:
    """One worker of one process. `run` once; `stop` ends it in good order."""

    def __init__(
        self,
        settings: DeliverySettings,
        *,
        owner: str,
        queue: Queue,
        wakeups: Wakeups,
        clock: Clock,
        network: Network,
        resolver: Resolver,
        prepare: Prepare,
        random: Random,
        to_seven_bit: ToSevenBit | None = None,
        simulator: Simulator | None = None,
        metrics: Metrics | None = None,
        courtesy: Courtesy | None = None,
    ) -> None:
        """`owner`: see delivery.owner.own_name; no two workers may share one. `simulator` writes back for the mailbox
        simulator; None: its mailboxes stay silent. `courtesy`: where no mail leaves, and so nobody waits for it."""
        self._settings = settings
        self._owner = owner
        self._queue = queue
        self._clock = clock
        self._prepare = prepare
        self._metrics = metrics or Metrics()
        self._metrics.describe(OUTCOMES, "counter", "ends of attempts, by recipient and new state")
        self._metrics.describe(IN_FLIGHT, "gauge", "recipients claimed and not settled")
        self._attempts = Attempts(network, resolver, settings, clock, random)
        self._to_seven_bit = to_seven_bit
        self._conclusions = Conclusions(settings, random.random)
        self._look = wakeups.subscribe(Topic.QUEUE)
        self._courtesy = courtesy
        self._simulator = simulator or _silent
        self._stopping = asyncio.Event()
        self._settling = Settling(queue, self._settled)
        self._parcels: dict[str, Parcel] = {}
        self._in_flight = 0
        self._bytes = 0
        self._full = False
        self._leased_until_s = 0.0
        """By the loop's clock, which goes on while the process is stopped."""
        self._lapses = 0
        self._unsure = False
        """The last claim failed, and may have leased something all the same."""
        self._largest = 4096.0
        self._to_prepare: asyncio.Queue[tuple[Parcel, list[ClaimedRecipient]]] = asyncio.Queue()

    async def run(self) -> None:
        """Works until stopped. Returns when all in flight is settled, or the deadline for that is over."""
        try:
            await self._take_over_from_the_dead()
        except StoreUnavailable as trouble:
            logger.warning("leases of the dead are left to run out: %s", trouble)
        async with asyncio.TaskGroup() as tasks:
            self._destinations = Destinations(
                self._attempts,
                self._conclusions,
                self._settings,
                self._clock,
                self._settling.add,
                tasks,
                self._look.set,
                self._simulator,
                self._to_seven_bit,
                self._may_begin,
            )
            settling = tasks.create_task(self._settling.run())
            renewing = tasks.create_task(self._keep_leases())
            preparing = [tasks.create_task(self._prepare_all()) for _ in range(self._settings.preparing)]
            claiming = tasks.create_task(self._claim_all())
            try:
                await self._stopping.wait()
            except asyncio.CancelledError:
                self._destinations.stop()  # no courier may start another one now
                raise
            self._look.set()
            deadline = asyncio.get_running_loop().time() + self._settings.stop_deadline_s
            await _until(deadline, [claiming])
            await _until(0, preparing)
            # What has begun comes to its end; what has not goes back to the queue with the leases.
            await _until(deadline, self._destinations.stop())
            self._settling.end()
            await _until(deadline + 1, [settling])
            renewing.cancel()
        await self._release()

    def stop(self) -> None:
        """No more claims; `run` returns soon."""
        self._stopping.set()

    @property
    def in_flight(self) -> int:
        """Recipients claimed and not settled."""
        return self._in_flight

    # -- claiming

    async def _claim_all(self) -> None:
        while not self._stopping.is_set():
            self._look.clear()
            self._metrics.set(IN_FLIGHT, self._in_flight)
            room = self._room()
            self._full = not room
            if room and self._courtesy is not None:
                room = self._courtesy.at_once(room)
            if not room:
                await self._wait(self._settings.poll_s)
            elif await self._claim(room) < room:
                await asyncio.sleep(PAUSE_S)
                await self._rest()
            elif self._in_flight > self._settings.claim_batch:
                await asyncio.sleep(PAUSE_S)

    def _room(self) -> int:
        """Recipients to claim now; 0: none before something is settled.

        A quarter of what is left: slow destinations that nobody knows yet, one after the other, then never take all.
        """
        settings = self._settings
        free = settings.max_in_flight - self._in_flight
        # How large the next messages are is not known before they are claimed; those before them are a hint.
        by_size = int((settings.max_in_flight_bytes - self._bytes) / self._largest)
        if self._in_flight and (free <= 0 or by_size <= 0):
            return 0
        return max(1, min(free // 4, settings.claim_batch, by_size))

    async def _claim(self, limit: int) -> int:
        if not self._is_leased():
            self._lapse()  # claimed again by us or by others: what is still in memory would be sent twice
        until_s = self._lease_end_s()
        try:
            if self._unsure:
                await self._queue.keep_only(self._owner, [(key, r) for key, p in self._parcels.items() for r in p.held])
                self._unsure = False
            messages = await self._queue.claim(
                self._owner, self._clock.now_ms(), self._settings.lease_ms, limit, self._destinations.excluded()
            )
        except StoreUnavailable as trouble:
            self._unsure = True
            logger.warning("nothing can be claimed from the queue: %s", trouble)
            return 0
        except Exception:
            self._unsure = True
            logger.exception("claiming from the queue failed")
            return 0
        if messages:
            self._leased_until_s = max(self._leased_until_s, until_s)
        for message in messages:
            self._take(message)
        count = sum(len(message.recipients) for message in messages)
        if count and self._courtesy is not None:
            await self._step_back(count, messages[0].recipients[0].queued_ms)
        return count

    async def _step_back(self, count: int, queued_ms: int) -> None:
        assert self._courtesy is not None
        rest_s = self._courtesy.rest_s(count, self._clock.now_ms() - queued_ms)
        if rest_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._stopping.wait()

    def _take(self, message: ClaimedMessage) -> None:
        parcel = self._parcels.get(message.facts.message_id)
        # After a lapse, what is on its way right now may be leased to us once more: its outcome is going to be written.
        held = parcel.held if parcel is not None else {}
        claimed = [each for each in message.recipients if held.get(each.recipient) != each.attempts]
        if not claimed:
            return
        self._in_flight += len(claimed)
        if parcel is None:
            parcel = self._parcels[message.facts.message_id] = Parcel(message)
            self._bytes += parcel.size
            self._largest = max(float(parcel.size), self._largest * 0.99, 4096.0)
        else:
            # More recipients of a message that is on its way: they get the same bytes, and no second Send event.
            parcel.recipients += claimed
            parcel.unsettled += len(claimed)
            parcel.held |= {each.recipient: each.attempts for each in claimed}
        self._to_prepare.put_nowait((parcel, claimed))

    async def _rest(self) -> None:
        """Until something may be due: a tap, the next due time, or the poll."""
        wait_s = self._settings.poll_s
        try:
            due_ms = await self._queue.next_due_ms()
        except StoreUnavailable:
            due_ms = None  # the claim before has said so, or the next one will
        except Exception:
            logger.exception("asking the queue for its next due time failed")
            due_ms = None
        if due_ms is not None and due_ms > (now_ms := self._clock.now_ms()):
            wait_s = min(wait_s, (due_ms - now_ms) / 1000)
        await self._wait(wait_s)

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._look.wait()
        except TimeoutError:
            return

    # -- preparing

    async def _prepare_all(self) -> None:
        count = 0
        while True:
            parcel, recipients = await self._to_prepare.get()
            await self._prepare_one(parcel, recipients)
            count += 1
            if count % TURN == 0:
                await asyncio.sleep(0)

    async def _prepare_one(self, parcel: Parcel, recipients: list[ClaimedRecipient]) -> None:
        lapses = self._lapses
        if parcel.prepared is None:
            try:
                made = await self._prepare(parcel.message)
            except StoreUnavailable as trouble:
                logger.warning("%s cannot be prepared now: %s", parcel.facts.message_id, trouble)
                self._destinations.answer(Job(parcel, NOTHING, tuple(recipients)), INTERNAL_ERROR)
                return
            except Exception:
                # A message we cannot handle is tried again until it is too old; it must not stop the others.
                logger.exception("preparing %s failed", parcel.facts.message_id)
                self._destinations.answer(Job(parcel, NOTHING, tuple(recipients)), INTERNAL_ERROR)
                return
            if isinstance(made, Postponed):
                self._destinations.answer(Job(parcel, NOTHING, tuple(recipients)), made.reply)
                return
            if isinstance(made, Refused):
                self._settling.add(self._conclusions.refused(parcel, recipients, made), parcel)
                return
            if parcel.prepared is None:  # somebody else may have been faster, with more recipients of this message
                parcel.prepared = made
                parcel.size += len(made.content)
                self._bytes += len(made.content)
        if self._lapses != lapses:
            self._give_back(parcel, recipients)
            return
        self._destinations.send(parcel, parcel.prepared, recipients)

    # -- ending

    def _settled(self, settlement: Settlement, parcel: Parcel) -> None:
        results = settlement.results
        for result in results:
            self._metrics.add(OUTCOMES, state=result.state)
        self._let_go(parcel, [result.recipient for result in results])
        # Room again, or somebody to be tried again perhaps sooner than we meant to look.
        if self._full or any(result.state is RecipientState.QUEUED for result in results):
            self._look.set()

    def _let_go(self, parcel: Parcel, recipients: Sequence[str]) -> None:
        self._in_flight -= len(recipients)
        parcel.unsettled -= len(recipients)
        for recipient in recipients:
            parcel.held.pop(recipient, None)
        if not parcel.unsettled:
            self._parcels.pop(parcel.facts.message_id, None)
            self._bytes -= parcel.size

    # -- leases

    def _lease_end_s(self) -> float:
        """Of a lease that is asked for now."""
        return asyncio.get_running_loop().time() + self._settings.lease_ms / 1000

    def _is_leased(self) -> bool:
        return not self._in_flight or asyncio.get_running_loop().time() < self._leased_until_s

    def _may_begin(self, job: Job) -> bool:
        if self._is_leased():
            return True
        self._give_back(job.parcel, job.recipients)
        self._lapse()
        return False

    def _lapse(self) -> None:
        """The database was away, or this process stopped, for longer than a lease: what has not begun is given up, for
        others may deliver it by now. What has begun comes to its end, and its outcome is written."""
        self._lapses += 1
        before = self._in_flight
        while not self._to_prepare.empty():
            self._give_back(*self._to_prepare.get_nowait())
        for job in self._destinations.empty():
            self._give_back(job.parcel, job.recipients)
        if before != self._in_flight:
            logger.warning("leases ran out: %d recipients go back to the queue", before - self._in_flight)
            self._look.set()

    def _give_back(self, parcel: Parcel, recipients: Sequence[ClaimedRecipient]) -> None:
        self._let_go(parcel, [each.recipient for each in recipients])

    async def _release(self) -> None:
        try:
            await self._queue.release(self._owner)
        except StoreUnavailable as trouble:
            logger.warning("leases are not released, they run out by themselves: %s", trouble)
        except Exception:
            logger.exception("releasing leases failed; they run out by themselves")

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_ms / 3000)
            if not self._in_flight:
                continue
            until_s = self._lease_end_s()
            try:
                if await self._queue.renew(self._owner, self._clock.now_ms() + self._settings.lease_ms):
                    self._leased_until_s = max(self._leased_until_s, until_s)
                else:
                    self._lapse()
            except StoreUnavailable as trouble:
                logger.warning("leases are not renewed: %s", trouble)
            except Exception:
                logger.exception("renewing leases failed")

    async def _take_over_from_the_dead(self) -> None:
        for owner in await self._queue.owners():
            if is_known_dead(owner):
                count = await self._queue.release(owner)
                logger.warning("released %d recipients leased to %s, which is gone", count, owner)


async def _silent(job: Job) -> None:
    """A mailbox simulator that never writes back."""


async def _until(deadline_s: float, tasks: Collection["asyncio.Task[None]"]) -> None:
    """Waits for the tasks to end; cancels those that have not at the deadline (of the loop's clock)."""
    if not tasks:
        return
    left_s = max(0.0, deadline_s - asyncio.get_running_loop().time())
    _, late = await asyncio.wait(tasks, timeout=left_s)
    for task in late:
        task.cancel()
