"""The worker of the inbox on real stores in memory: handling, retries, leases, beginning and end."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.values import NOW_MS, OURS, event, message
from tests.support.context import FixedClock
from tests.support.lost_answers import LostAnswers

from posthouse.domain.events import EventType
from posthouse.domain.messages import Direction, NewMessage
from posthouse.observe import Metrics
from posthouse.ports.mailstore import Basis, ClaimedMail, MailSettlement
from posthouse.ports.wakeups import Topic
from posthouse.receiving.worker import FIRST_RETRY_MS, GIVE_UP_MS, HANDLED, InboxSettings, InboxWorker, keep
from posthouse.stores.open import SqlStores, open_stores

SETTINGS = InboxSettings(concurrency=3, poll_s=0.02, stop_deadline_s=2.0)


class Taps:
    def __init__(self) -> None:
        self._events: defaultdict[Topic, list[asyncio.Event]] = defaultdict(list)

    def notify(self, topic: Topic) -> None:
        for each in self._events[topic]:
            each.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        self._events[topic].append(made := asyncio.Event())
        return made


class Receiving:
    """Stores, and workers over them."""

    def __init__(self, stores: SqlStores, clock: FixedClock, taps: Taps) -> None:
        self.stores, self.clock, self.taps = stores, clock, taps
        self.metrics = Metrics()
        self.seen: list[tuple[ClaimedMail, bytes]] = []

    def worker(self, handle: Any = None, owner: str = "w", **more: Any) -> InboxWorker:
        async def handle_mail(mail: ClaimedMail, content: bytes) -> MailSettlement:
            self.seen.append((mail, content))
            return await (handle or keep)(mail, content)

        given: dict[str, Any] = {"handlers": {}, "is_known_dead": lambda owner: False, **more}
        return InboxWorker(
            given.pop("settings", SETTINGS),
            owner=owner,
            inbox=self.stores.inbox,
            messages=self.stores.messages,
            wakeups=self.taps,
            clock=self.clock,
            handle_mail=handle_mail,
            metrics=self.metrics,
            **given,
        )

    @asynccontextmanager
    async def working(self, *workers: InboxWorker) -> AsyncIterator[None]:
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker.run())
            try:
                yield
            finally:
                for worker in workers:
                    worker.stop()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(10):
            while not await condition():
                await asyncio.sleep(0.002)

    async def until_empty(self) -> None:
        async def is_empty() -> bool:
            return not await self.stores.inbox.depth()

        await self.until(is_empty)

    async def types(self, one: NewMessage) -> list[EventType]:
        return [each.event.type for each in await self.stores.events.of_message(OURS, one.facts.message_id)]


def mail(number: int = 1, content: bytes = b"content", operation: str = "Inbound", at_ms: int = NOW_MS) -> NewMessage:
    from msgspec.structs import replace as changed

    made = message(number, "user@here.example", direction=Direction.IN, content=content, at_ms=at_ms)
    return replace(made, facts=changed(made.facts, operation=operation))


@pytest.fixture
async def r() -> AsyncIterator[Receiving]:
    clock, taps = FixedClock(NOW_MS), Taps()
    stores = await open_stores("memory", Path(), clock, taps)
    yield Receiving(stores, clock, taps)
    await stores.close()


async def test_mail_is_handled_once_and_its_arrival_is_told(r: Receiving) -> None:
    mails = [mail(n, content=b"%d" % n) for n in range(20)]
    async with r.working(r.worker()):
        await asyncio.gather(*map(r.stores.inbox.add, mails))
        await r.until_empty()
    assert sorted(content for _, content in r.seen) == sorted(one.content for one in mails)
    for one in mails:
        assert await r.types(one) == [EventType.RECEIVED]
    samples = {(name, labels): value for name, labels, value in r.metrics.samples()}
    assert samples[HANDLED, (("operation", "Inbound"), ("result", "done"))] == 20


async def test_what_a_mail_was_accepted_as_decides_who_handles_it(r: Receiving) -> None:
    reports: list[bytes] = []

    async def report(mail: ClaimedMail, content: bytes) -> MailSettlement:
        reports.append(content)
        return MailSettlement(mail.facts.scope, mail.facts.message_id)

    await r.stores.inbox.add(mail(1, b"report", "Feedback"))
    await r.stores.inbox.add(mail(2, b"mail"))
    async with r.working(r.worker(handlers={"Feedback": report})):
        await r.until_empty()
    assert (reports, [content for _, content in r.seen]) == ([b"report"], [b"mail"])


async def test_a_mail_goes_on_later_where_it_was_left(r: Receiving) -> None:
    async def in_steps(mail: ClaimedMail, content: bytes) -> MailSettlement:
        step = int(mail.stage or 0) + 1
        due_ms = None if step == 3 else r.clock.now_ms() + 1000
        r.clock.at_ms += 1000
        return MailSettlement(mail.facts.scope, mail.facts.message_id, due_ms=due_ms, stage=str(step))

    await r.stores.inbox.add(mail())
    async with r.working(r.worker(in_steps)):
        await r.until_empty()
    assert [(each.stage, each.attempts) for each, _ in r.seen] == [("", 0), ("1", 1), ("2", 2)]


async def test_a_bug_puts_a_mail_off_and_stops_no_other(r: Receiving) -> None:
    broken, good = mail(1, b"broken"), mail(2, b"good")

    async def handle(mail: ClaimedMail, content: bytes) -> MailSettlement:
        if content == b"broken":
            raise RuntimeError("a bug")
        return await keep(mail, content)

    async def good_is_done() -> bool:
        return await r.stores.inbox.depth() == 1 and await r.stores.inbox.next_due_ms() == NOW_MS + FIRST_RETRY_MS

    await r.stores.inbox.add(broken)
    await r.stores.inbox.add(good)
    async with r.working(r.worker(handle)):
        await r.until(good_is_done)
        assert await r.types(good) == [EventType.RECEIVED]
        # Not for ever: the mail itself stays among the messages.
        r.clock.at_ms = NOW_MS + GIVE_UP_MS
        await r.until_empty()
    assert await r.types(broken) == []
    assert await r.stores.messages.get(OURS, broken.facts.message_id) is not None


async def test_a_mail_whose_content_is_lost_is_put_off(r: Receiving) -> None:
    await r.stores.inbox.add(mail(1, b"x" * 1_000_000))
    async for info in r.stores._blobs.listing():
        await r.stores._blobs.delete(info.key)

    async def put_off() -> bool:
        return (await r.stores.inbox.next_due_ms() or 0) > NOW_MS

    async with r.working(r.worker()):
        await r.until(put_off)
    assert r.seen == []


async def test_a_decision_that_events_overtook_is_made_again(r: Receiving) -> None:
    original, report = message(1), mail(2)

    async def handle(mail: ClaimedMail, content: bytes) -> MailSettlement:
        logged = await r.stores.events.of_message(OURS, original.facts.message_id)
        if not logged:
            await r.stores.events.append([event(original, EventType.BOUNCE)])
        told = () if logged else (event(original, EventType.BOUNCE),)
        basis = Basis(original.facts.message_id, logged[-1].seq if logged else 0)
        return MailSettlement(mail.facts.scope, mail.facts.message_id, told, basis=basis)

    await r.stores.inbox.add(report)
    async with r.working(r.worker(handle)):
        await r.until_empty()
    assert len(r.seen) == 2
    assert await r.types(original) == [EventType.BOUNCE]


async def test_no_more_mails_are_in_hand_than_allowed(r: Receiving) -> None:
    in_hand, most, go_on = 0, 0, asyncio.Event()

    async def handle(mail: ClaimedMail, content: bytes) -> MailSettlement:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        if in_hand == SETTINGS.concurrency:
            go_on.set()
        await go_on.wait()
        await asyncio.sleep(0)
        in_hand -= 1
        return await keep(mail, content)

    for number in range(12):
        await r.stores.inbox.add(mail(number))
    async with r.working(r.worker(handle)):
        await r.until_empty()
    assert (most, len(r.seen)) == (SETTINGS.concurrency, 12)


async def test_two_workers_share_the_inbox(r: Receiving) -> None:
    for number in range(30):
        await r.stores.inbox.add(mail(number))
    async with r.working(r.worker(owner="w1"), r.worker(owner="w2")):
        await r.until_empty()
    assert len({each.facts.message_id for each, _ in r.seen}) == len(r.seen) == 30


async def test_at_an_orderly_end_what_is_in_hand_is_settled_and_the_rest_released(r: Receiving) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(mail: ClaimedMail, content: bytes) -> MailSettlement:
        begun.set()
        await go_on.wait()
        return await keep(mail, content)

    await r.stores.inbox.add(mail(1))
    worker = r.worker(handle)
    async with r.working(worker):
        await begun.wait()
        worker.stop()
        await r.stores.inbox.add(mail(2))
        go_on.set()
    assert await r.types(mail(1)) == [EventType.RECEIVED]
    assert await r.stores.inbox.owners() == []
    assert [each.facts.message_id for each in await r.stores.inbox.claim("next", NOW_MS, 1000, 10)] == [
        mail(2).facts.message_id
    ]


async def test_what_takes_too_long_at_the_end_goes_back(r: Receiving) -> None:
    begun = asyncio.Event()

    async def handle(mail: ClaimedMail, content: bytes) -> MailSettlement:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    await r.stores.inbox.add(mail(1))
    async with r.working(r.worker(handle, settings=replace(SETTINGS, stop_deadline_s=0.01))):
        await begun.wait()
    assert len(await r.stores.inbox.claim("next", NOW_MS, 1000, 10)) == 1


async def test_leases_are_renewed_while_a_mail_is_in_hand(r: Receiving) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(mail: ClaimedMail, content: bytes) -> MailSettlement:
        begun.set()
        await go_on.wait()
        return await keep(mail, content)

    async def renewed() -> bool:
        return (await r.stores.inbox.next_due_ms() or 0) >= NOW_MS + 2000

    await r.stores.inbox.add(mail(1))
    async with r.working(r.worker(handle, settings=replace(SETTINGS, lease_ms=1500))):
        await begun.wait()
        r.clock.at_ms += 500
        await r.until(renewed)
        go_on.set()


async def test_what_a_claim_leased_whose_answer_got_lost_is_handled(r: Receiving) -> None:
    await r.stores.inbox.add(mail(1))
    real = r.stores.inbox
    r.stores.inbox = LostAnswers(real, "claim")  # type: ignore[assignment]
    worker = r.worker()
    r.stores.inbox = real
    async with r.working(worker):
        await r.until_empty()
    assert len(r.seen) == 1


async def test_what_a_dead_worker_held_is_taken_over_at_once(r: Receiving) -> None:
    await r.stores.inbox.add(mail(1))
    await r.stores.inbox.claim("dead", NOW_MS, 10**9, 10)
    async with r.working(r.worker(is_known_dead=lambda owner: owner == "dead")):
        await r.until_empty()
    assert len(r.seen) == 1
