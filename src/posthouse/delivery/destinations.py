"""All destinations of a worker, and the connection slots they share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from posthouse.delivery.attempt import Attempt, Attempts, Offer
from posthouse.delivery.conclusion import Conclusions
from posthouse.delivery.destination import Destination
from posthouse.delivery.parcel import Job, Parcel
from posthouse.delivery.prepared import Prepared
from posthouse.delivery.session import Session
from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.messages import MessageFacts, domain_of
from posthouse.domain.outcomes import Notice, Reply
from posthouse.domain.routing import KEPT
from posthouse.domain.simulator import reply_of
from posthouse.domain.suppression import HAS_LEFT, Reason, reply_for
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import ClaimedRecipient, Settlement
from posthouse.wire.smtp_transaction import Envelope

logger = logging.getLogger("posthouse.delivery")

INTERNAL_ERROR = Notice(451, "4.3.0", "Internal error, delivery will be tried again")
LOOPBACK = "127.0.0.1"
MAX_EXCLUDED = 500
"""Domains left out of a claim: a bound for the query. Others that are away cost one look each."""

ToSevenBit = Callable[[MessageFacts, bytes], Awaitable[bytes | None]]
"""(facts, content that would leave) -> the same for a server without 8BITMIME, signed; None where it cannot be."""

Settle = Callable[[Settlement, Parcel], "asyncio.Future[None]"]
Simulator = Callable[[Job], Awaitable[None]]
"""Sends what the mailboxes of a simulated job write back: reports and automatic replies, as mail."""


class Destinations:
    """Sorts prepared messages by destination and sees each job through to its settlement."""

    def __init__(
        self,
        attempts: Attempts,
        conclusions: Conclusions,
        settings: DeliverySettings,
        clock: Clock,
        settle: Settle,
        tasks: asyncio.TaskGroup,
        roomier: Callable[[], None],
        simulator: Simulator,
        to_seven_bit: ToSevenBit | None = None,
        may_begin: Callable[[Job], bool] = lambda job: True,
    ) -> None:
        """`roomier` is called when a destination that was left out of claims may take jobs again; `may_begin` before
        each attempt."""
        self._attempts = attempts
        self._conclusions = conclusions
        self._settings = settings
        self._clock = clock
        self._settle = settle
        self._tasks = tasks
        self._roomier = roomier
        self._simulator = simulator
        self._to_seven_bit = to_seven_bit
        self.may_begin = may_begin
        self._by_name: dict[str, Destination] = {}
        self._slots = 0
        self._waiting: dict[Destination, None] = {}
        self._stopping = False
        self._couriers: set[asyncio.Task[None]] = set()
        self._excluded: set[str] = set()
        self._now_s = asyncio.get_running_loop().time

    # -- in

    def send(self, parcel: Parcel, prepared: Prepared, recipients: list[ClaimedRecipient]) -> None:
        """Every recipient ends in a settlement."""
        held_back = [recipient for recipient in recipients if self._is_held_back(recipient)]
        if held_back:
            self._hold_back(Job(parcel, prepared, tuple(held_back)))
            recipients = [recipient for recipient in recipients if not self._is_held_back(recipient)]
            if not recipients:
                return
        routing = self._settings.routing
        if len(recipients) == 1:
            self._put(routing.destination(domain_of(recipients[0].recipient)), parcel, prepared, recipients)
            return
        groups: dict[str, list[ClaimedRecipient]] = {}
        for recipient in recipients:
            groups.setdefault(routing.destination(domain_of(recipient.recipient)), []).append(recipient)
        for name, group in groups.items():
            self._put(name, parcel, prepared, group)

    def _put(self, name: str, parcel: Parcel, prepared: Prepared, recipients: list[ClaimedRecipient]) -> None:
        domain = domain_of(recipients[0].recipient)
        route = self._settings.routing.fixed(domain)
        job = Job(parcel, prepared, tuple(recipients), domain, route)
        if route is not None and route.capture:
            self.answer(job, KEPT)
            return
        if route is not None and route.simulator:
            self._simulate(job)
            return
        destination = self._by_name.get(name)
        if destination is None:
            destination = self._by_name[name] = Destination(name, self._settings, self, self._now_s)
        destination.put(job)

    def _is_held_back(self, recipient: ClaimedRecipient) -> bool:
        return recipient.unsubscribed or bool(recipient.suppressed and self._settings.holds_back)

    def _hold_back(self, job: Job) -> None:
        now_ms = self._clock.now_ms()
        replies = {
            each.recipient: HAS_LEFT if each.unsubscribed else reply_for(Reason(each.suppressed))
            for each in job.recipients
        }
        self.conclude(job, Attempt(now_ms, now_ms, dict(replies)))

    def _simulate(self, job: Job) -> None:
        now_ms = self._clock.now_ms()
        replies = {each.recipient: reply_of(each.recipient) for each in job.recipients}
        written = self.conclude(job, Attempt(now_ms, now_ms, replies, host=job.domain, ip=LOOPBACK))
        self._tasks.create_task(self._follow_up(job, written))

    async def _follow_up(self, job: Job, written: "asyncio.Future[None]") -> None:
        """What simulated mailboxes write back, after the delivery that it is about was written."""
        await written
        try:
            await self._simulator(job)
        except Exception:
            logger.exception("the mailbox simulator could not answer %s", job.parcel.facts.message_id)

    # -- for the worker

    def excluded(self) -> set[str]:
        """Recipient domains to be left out of the next claim."""
        found: set[str] = set()
        for destination in list(self._by_name.values()):
            if destination.unused:
                del self._by_name[destination.name]
            elif destination.away is not None:
                # The names of fixed routes are no domains; what is claimed for one that is away is answered at once.
                found.add(destination.name)
            elif destination.saturated:
                found.update(destination.domains)
            if len(found) >= MAX_EXCLUDED:
                break
        self._excluded = found
        return found

    def empty(self) -> list[Job]:
        """Takes back what no courier has begun."""
        return [job for destination in self._by_name.values() for job in destination.empty()]

    def stop(self) -> set["asyncio.Task[None]"]:
        """Nothing new is begun: what waits is dropped, idle couriers end. Returns the couriers."""
        self._stopping = True
        self._waiting.clear()
        for destination in self._by_name.values():
            destination.empty()
            while destination.dismiss_one():
                continue
        return self._couriers.copy()

    # -- for destinations (destination.Carrier)

    async def carry(self, job: Job, session: Session | None) -> tuple[Attempt, Session | None]:
        prepared = job.prepared
        recipients = tuple([r.recipient for r in job.recipients])
        envelope = Envelope(prepared.mail_from, recipients, prepared.content, prepared.eight_bit)
        convert = self._to_seven_bit
        in_seven_bits = partial(convert, job.parcel.facts, prepared.content) if convert is not None else None
        offer = Offer(job.domain, job.route, envelope, prepared.require_tls, in_seven_bits)
        try:
            return await self._attempts.attempt(offer, session)
        except Exception:
            # One message that we cannot handle must not stop the others, nor vanish: it is tried again until too old.
            logger.exception("attempt to deliver %s failed", job.parcel.facts.message_id)
            now_ms = self._clock.now_ms()
            return Attempt(now_ms, now_ms, dict.fromkeys(recipients, INTERNAL_ERROR)), None

    def conclude(self, job: Job, attempt: Attempt) -> "asyncio.Future[None]":
        settlement = self._conclusions.conclude(job, attempt.replies, attempt, self._clock.now_ms())
        written = self._settle(settlement, job.parcel)
        if self._excluded and not self._excluded.isdisjoint((job.domain,)):
            self._look_again(job.domain)
        return written

    def answer(self, job: Job, reply: Reply) -> None:
        now_ms = self._clock.now_ms()
        self.conclude(job, Attempt(now_ms, now_ms, {r.recipient: reply for r in job.recipients}))

    def _look_again(self, domain: str) -> None:
        destination = self._by_name.get(self._settings.routing.destination(domain))
        if destination is None or (destination.away is None and not destination.saturated):
            self._excluded.discard(domain)
            self._roomier()

    def start(self, destination: Destination, job: Job) -> None:
        task = self._tasks.create_task(destination.courier(job))
        self._couriers.add(task)
        task.add_done_callback(self._couriers.discard)

    def take_slot(self, destination: Destination) -> bool:
        if self._slots < self._settings.concurrency:
            self._slots += 1
            return True
        if destination not in self._waiting:
            self._waiting[destination] = None
            # An idle connection of somebody else makes room; the slot comes when it has said goodbye.
            any(other.dismiss_one() for other in self._by_name.values())
        return False

    def free_slot(self, destination: Destination) -> None:
        self._slots -= 1
        while self._waiting and self._slots < self._settings.concurrency:
            first = next(iter(self._waiting))
            del self._waiting[first]
            first.fill()
        if destination.queue:
            destination.fill()

    def is_wanted(self) -> bool:
        return self._stopping or bool(self._waiting)
