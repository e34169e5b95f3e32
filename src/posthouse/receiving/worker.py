"""The run loop of receiving: claims mail that came in, has it handled, and writes down what came of it.

    async with asyncio.timeout(...): await worker.run()      until `stop` is called from elsewhere in the same loop

What handles a mail is told apart by what it was accepted as (`receiving/accept.py`): a report about a message of ours,
or mail for somebody here. A handler says in a settlement what happened and whether there is more to do, later; it may
be asked for the same mail again after a crash.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from posthouse.observe import Metrics
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import ClaimedMail, Inbox, MailSettlement, Messages, Settled
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.receiving import events

logger = logging.getLogger("posthouse.receiving")

HANDLED = "posthouse_inbox_handled_total"
IN_FLIGHT = "posthouse_inbox_in_flight_mails"
SETTLE_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Waits after the database refused a settlement; the last one repeats."""
FIRST_RETRY_MS, LAST_RETRY_MS = 5_000, 10 * 60_000
"""Between looks at a mail whose handling fails for a reason of ours: doubled each time."""
GIVE_UP_MS = 4 * 60 * 60 * 1000
"""As long as SES retries the actions of a rule (ses-reference 24.5); the mail itself stays where it is kept."""
MAX_DECISIONS = 20
"""Looks at a mail whose basis moves under it, before it is put off."""

Handle = Callable[[ClaimedMail, bytes], Awaitable[MailSettlement]]
"""(mail, content) -> what came of it. Raises only for bugs of ours and for what is out of order here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSettings:
    concurrency: int = 8
    """Mails handled at one time by one process; each may hold its content, up to 40 MB."""
    lease_ms: int = 45_000
    """A worker that died without a trace is taken over after so long."""
    poll_s: float = 1.0
    """The inbox is looked at so often even when nobody taps."""
    stop_deadline_s: float = 8.0
    """For mails in hand at an orderly end; leaves time for the rest within the 10 s of the contract."""


class InboxWorker:
    """One worker of one process. `run` once; `stop` ends it in good order."""

    def __init__(
        self,
        settings: InboxSettings,
        *,
        owner: str,
        inbox: Inbox,
        messages: Messages,
        wakeups: Wakeups,
        clock: Clock,
        handle_mail: Handle,
        handlers: Mapping[str, Handle],
        is_known_dead: Callable[[str], bool],
        metrics: Metrics | None = None,
    ) -> None:
        """`handlers`: by the operation that a mail was accepted as; `handle_mail` for all others. `owner` and
        `is_known_dead`: names of workers, as of delivery.owner."""
        self._settings = settings
        self._owner = owner
        self._inbox = inbox
        self._messages = messages
        self._clock = clock
        self._handle_mail, self._handlers = handle_mail, handlers
        self._is_known_dead = is_known_dead
        self._metrics = metrics or Metrics()
        self._metrics.describe(HANDLED, "counter", "looks at mail that came in, by what it was accepted as and result")
        self._metrics.describe(IN_FLIGHT, "gauge", "mails of the inbox in hand")
        self._look = wakeups.subscribe(Topic.INBOX)
        self._stopping = asyncio.Event()
        self._in_hand: dict[asyncio.Task[None], str] = {}
        self._unsure = False
        """The last claim failed, and may have leased something all the same."""

    async def run(self) -> None:
        """Works until stopped. Returns when all in hand is settled, or the deadline for that is over."""
        try:
            await self._take_over_from_the_dead()
        except StoreUnavailable as trouble:
            logger.warning("leases of the dead are left to run out: %s", trouble)
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._keep_leases())
            claiming = tasks.create_task(self._claim_all(tasks))
            await self._stopping.wait()
            self._look.set()
            await claiming
            if self._in_hand:
                _, late = await asyncio.wait(self._in_hand, timeout=self._settings.stop_deadline_s)
                for task in late:
                    task.cancel()
            renewing.cancel()
        await self._release()

    def stop(self) -> None:
        """No more claims; `run` returns soon."""
        self._stopping.set()

    # -- claiming

    async def _claim_all(self, tasks: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            self._look.clear()
            self._metrics.set(IN_FLIGHT, len(self._in_hand))
            room = self._settings.concurrency - len(self._in_hand)
            for mail in await self._claim(room) if room else ():
                task = tasks.create_task(self._work_on(mail))
                self._in_hand[task] = mail.facts.message_id
                task.add_done_callback(self._put_down)
                room -= 1
            if not self._stopping.is_set():
                # Without room the next one that is done taps; with room left there was no more to claim.
                await self._wait(await self._until_due_s() if room else self._settings.poll_s)

    async def _claim(self, limit: int) -> list[ClaimedMail]:
        try:
            if self._unsure:
                await self._inbox.keep_only(self._owner, set(self._in_hand.values()))
                self._unsure = False
            return list(await self._inbox.claim(self._owner, self._clock.now_ms(), self._settings.lease_ms, limit))
        except Exception as trouble:
            self._unsure = True
            _tell(trouble, "nothing can be claimed from the inbox")
            return []

    def _put_down(self, task: "asyncio.Task[None]") -> None:
        if len(self._in_hand) >= self._settings.concurrency:
            self._look.set()
        self._in_hand.pop(task, None)

    async def _until_due_s(self) -> float:
        """Until something may be due, or the poll."""
        try:
            due_ms = await self._inbox.next_due_ms()
        except Exception as trouble:
            _tell(trouble, "the inbox does not say when the next mail is due")
            due_ms = None
        left_s = self._settings.poll_s if due_ms is None else (due_ms - self._clock.now_ms()) / 1000
        # What is due already is in somebody's hand, or its claim just failed: not at once again.
        return min(self._settings.poll_s, left_s) if left_s > 0 else self._settings.poll_s

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._look.wait()
        except TimeoutError:
            return

    # -- handling

    async def _work_on(self, mail: ClaimedMail) -> None:
        """Looks at a mail and writes down what came of it; once more where that was overtaken by other events."""
        for _ in range(MAX_DECISIONS):
            settlement, result = await self._handled(mail)
            settled = await self._settle(settlement)
            if settled is not Settled.STALE:
                result = result if settled is Settled.WRITTEN else settled.value
                self._metrics.add(HANDLED, operation=mail.facts.operation, result=result)
                return
        await self._settle(self._put_off(mail))

    async def _handled(self, mail: ClaimedMail) -> tuple[MailSettlement, str]:
        facts = mail.facts
        handle = self._handlers.get(facts.operation, self._handle_mail)
        try:
            content = await self._messages.content(facts.scope, facts.message_id)
            if content is None:
                logger.error("the content of message %s in %s/%s cannot be read", facts.message_id, *facts.scope)
                return self._put_off(mail), "unreadable"
            settlement = await handle(mail, content)
        except Exception as trouble:
            # A mail that we cannot handle is looked at again; it must not stop the others.
            _tell(trouble, f"handling {facts.message_id} failed")
            return self._put_off(mail), "failed"
        return settlement, "done" if settlement.due_ms is None else "again"

    def _put_off(self, mail: ClaimedMail) -> MailSettlement:
        """To be looked at later; not for ever."""
        facts, now_ms = mail.facts, self._clock.now_ms()
        if now_ms - facts.accepted_ms >= GIVE_UP_MS:
            logger.error("giving up on %s after %d looks; it stays among the messages", facts.message_id, mail.attempts)
            return MailSettlement(facts.scope, facts.message_id)
        wait_ms = min(LAST_RETRY_MS, FIRST_RETRY_MS << min(mail.attempts, 10))
        return MailSettlement(facts.scope, facts.message_id, due_ms=now_ms + wait_ms, stage=None)

    async def _settle(self, settlement: MailSettlement) -> Settled:
        """What was done has been done: it is written as soon as the database takes it."""
        failures = 0
        while True:
            try:
                [settled] = await self._inbox.settle(self._owner, [settlement])
            except Exception as trouble:
                _tell(trouble, f"settling {settlement.message_id} failed, trying again")
                await asyncio.sleep(SETTLE_RETRY_S[min(failures, len(SETTLE_RETRY_S) - 1)])
                failures += 1
            else:
                return settled

    # -- leases

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_ms / 3000)
            if not self._in_hand:
                continue
            try:
                await self._inbox.renew(self._owner, self._clock.now_ms() + self._settings.lease_ms)
            except Exception as trouble:
                _tell(trouble, "renewing leases failed")

    async def _release(self) -> None:
        try:
            await self._inbox.release(self._owner)
        except Exception as trouble:
            _tell(trouble, "releasing leases failed; they run out by themselves")

    async def _take_over_from_the_dead(self) -> None:
        for owner in await self._inbox.owners():
            if self._is_known_dead(owner):
                count = await self._inbox.release(owner)
                logger.warning("released %d mails leased to %s, which is gone", count, owner)


def _tell(trouble: Exception, text: str) -> None:
    """An absent database in one line; a bug of ours with its traceback."""
    known = isinstance(trouble, StoreUnavailable)
    logger.error("%s: %s", text, trouble, exc_info=None if known else trouble)


async def keep(mail: ClaimedMail, content: bytes) -> MailSettlement:
    """Mail for somebody here, where no receipt rule says more: it is kept for who looks."""
    received = events.received(mail.facts, mail.recipients)
    return MailSettlement(mail.facts.scope, mail.facts.message_id, (received,))
