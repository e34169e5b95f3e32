"""EventLog and Statistics."""

import asyncio
from typing import Any

import msgspec
from tests.contract.conftest import Backend
from tests.contract.values import HOUR_MS, NOW_MS, OTHER_REGION, OURS, THEIRS, delivered, event, message, message_id

from posthouse.domain.events import Event, EventType
from posthouse.ports.mailstore import StatisticsPoint
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import SqlStores

POINT_MS = 15 * 60 * 1000
START_MS = NOW_MS // POINT_MS * POINT_MS


async def test_events_come_back_as_they_were_logged_in_order(stores: SqlStores, backend: Backend) -> None:
    written = [
        Event(
            scope=OURS,
            message_id=message_id(1),
            type=type,
            at_ms=NOW_MS - number,
            recipients=("a@x",),
            detail={"n": number, "text": "\0é", "list": [1, None, {"a": True}]},
        )
        for number, type in enumerate(EventType)
    ]
    await stores.events.append(written[:3])
    await stores.events.append(written[3:])
    await stores.events.append([])
    logged = await stores.events.of_message(OURS, message_id(1))
    assert [one.event for one in logged] == written
    assert [one.seq for one in logged] == sorted({one.seq for one in logged})
    assert await stores.events.last_seq() == logged[-1].seq
    assert backend.wakeups.notified == [Topic.EVENTS, Topic.EVENTS]


async def test_pages_go_on_after_the_last_number_seen(stores: SqlStores) -> None:
    assert await stores.events.last_seq() == 0
    await stores.events.append([event(message(n), EventType.OPEN) for n in range(7)])
    seen: list[int] = []
    ids: list[str] = []
    while page := await stores.events.page(OURS, seen[-1] if seen else 0, 3):
        seen += [one.seq for one in page]
        ids += [one.event.message_id for one in page]
    assert ids == [message_id(n) for n in range(7)]


async def test_pages_are_narrowed_by_scope_type_and_message(stores: SqlStores) -> None:
    await stores.events.append(
        [
            event(message(1), EventType.OPEN),
            event(message(1), EventType.CLICK),
            event(message(2), EventType.OPEN),
            event(message(1, scope=THEIRS), EventType.OPEN),
        ]
    )

    async def count(*args: object, **kwargs: object) -> int:
        return len(await stores.events.page(*args, **kwargs))  # type: ignore[arg-type]

    assert await count(None, 0, 10) == 4
    assert await count(OURS, 0, 10) == 3
    assert await count(OTHER_REGION, 0, 10) == 0
    assert await count(OURS, 0, 10, type=EventType.OPEN) == 2
    assert await count(OURS, 0, 10, message_id=message_id(1)) == 2
    assert await count(None, 0, 10, type=EventType.OPEN, message_id=message_id(1)) == 2


async def test_a_reader_that_follows_the_numbers_misses_no_event(shared: Backend) -> None:
    writers = [await shared.open() for _ in range(3)]
    reader = await shared.open()
    seen: list[str] = []

    async def write(stores: SqlStores, first: int) -> None:
        for number in range(first, first + 40):
            if number % 2:
                await stores.events.append([event(message(number), EventType.OPEN)])
            else:
                await stores.submissions.add(message(number, "a@x"), None)
                await stores.queue.settle([delivered(message(number), "a@x")])

    async def follow() -> None:
        last = 0
        while len(seen) < 120:
            for one in await reader.events.page(None, last, 50):
                last = one.seq
                seen.append(one.event.message_id)
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(follow(), *(write(stores, n * 40) for n, stores in enumerate(writers)))
    assert sorted(seen) == [message_id(n) for n in range(120)]


HARD = {"kind": {"type": "Permanent", "subtype": "General"}}


def counted(number: int, type: EventType, *recipients: str, **more: Any) -> Event:
    return msgspec.structs.replace(event(message(number), type, *recipients, at_ms=START_MS), **more)


async def test_statistics_count_by_quarters_of_an_hour(stores: SqlStores) -> None:
    await stores.events.append(
        [
            event(message(1), EventType.SEND, "a@x", "b@x", at_ms=START_MS),
            event(message(2), EventType.SEND, "a@x", at_ms=START_MS + POINT_MS - 1),
            msgspec.structs.replace(event(message(1), EventType.BOUNCE, "b@x", at_ms=START_MS + 1), detail=HARD),
            event(message(3), EventType.DELIVERY, "b@x", at_ms=START_MS + HOUR_MS),
            event(message(1), EventType.COMPLAINT, "a@x", at_ms=START_MS + POINT_MS),
            event(message(4), EventType.REJECT, at_ms=START_MS + POINT_MS),
            event(message(5, scope=THEIRS), EventType.SEND, "a@x", at_ms=START_MS),
        ]
    )
    await stores.events.append([event(message(6), EventType.SEND, "a@x", at_ms=START_MS)])
    first = StatisticsPoint(start_ms=START_MS, delivery_attempts=4, bounces=1, complaints=0, rejects=0)
    second = StatisticsPoint(start_ms=START_MS + POINT_MS, delivery_attempts=0, bounces=0, complaints=1, rejects=1)
    assert await stores.statistics.points(OURS, 0) == [first, second]
    assert await stores.statistics.points(OURS, START_MS + 1) == [second]
    assert await stores.statistics.points(OTHER_REGION, 0) == []
    assert await stores.statistics.scopes(0) == sorted([OURS, THEIRS])
    assert await stores.statistics.scopes(START_MS + 1) == [OURS]


async def test_only_hard_bounces_count_and_no_list_simulator_or_system_mail(
    stores: SqlStores,
) -> None:
    listed = {"kind": {"type": "Permanent", "subtype": "OnAccountSuppressionList"}}
    left = {"kind": {"type": "Permanent", "subtype": "UnsubscribedRecipient"}}
    await stores.events.append(
        [
            counted(1, EventType.SEND, "a@x", "success@simulator.amazonses.com", simulated=1),
            counted(2, EventType.SEND, "bounce@simulator.amazonses.com", simulated=1),
            counted(2, EventType.BOUNCE, "bounce@simulator.amazonses.com", simulated=1, detail=HARD),
            counted(3, EventType.BOUNCE, "a@x", detail={"kind": {"type": "Transient", "subtype": "MailboxFull"}}),
            counted(4, EventType.BOUNCE, "a@x", detail=listed),
            counted(5, EventType.COMPLAINT, "a@x", detail={"subtype": "OnAccountSuppressionList"}),
            counted(6, EventType.BOUNCE, "a@x", "b@x", detail=HARD),
            counted(4, EventType.BOUNCE, "a@x", detail=left),
            counted(7, EventType.SEND, "a@x", uncounted=True),
            counted(7, EventType.BOUNCE, "a@x", detail=HARD, uncounted=True),
        ]
    )
    assert await stores.statistics.points(OURS, 0) == [
        StatisticsPoint(start_ms=START_MS, delivery_attempts=1, bounces=2, complaints=0, rejects=0)
    ]


async def test_each_configuration_set_has_statistics_of_its_own(stores: SqlStores) -> None:
    await stores.events.append(
        [
            counted(1, EventType.SEND, "a@x", configuration_set="blue"),
            counted(2, EventType.SEND, "a@x", configuration_set="green"),
            counted(3, EventType.SEND, "a@x"),
        ]
    )
    await stores.events.append([counted(1, EventType.COMPLAINT, "a@x", configuration_set="blue")])
    blue = StatisticsPoint(start_ms=START_MS, delivery_attempts=1, bounces=0, complaints=1, rejects=0)
    assert await stores.statistics.points_of_set(OURS, "blue", 0) == [blue]
    assert await stores.statistics.points_of_set(OURS, "blue", START_MS + 1) == []
    assert await stores.statistics.points_of_set(THEIRS, "blue", 0) == []
    [both] = await stores.statistics.points(OURS, 0)
    assert (both.delivery_attempts, both.complaints) == (3, 1)


async def test_settled_events_are_counted_in_the_same_transaction(stores: SqlStores) -> None:
    sent = message(1, "a@x")
    await stores.submissions.add(sent, None)
    one = delivered(sent, "a@x")
    send = event(sent, EventType.SEND, "a@x", at_ms=NOW_MS)
    with_send = type(one)(one.scope, one.message_id, one.results, (send, *one.events), one.sent)
    await stores.queue.settle([with_send])
    await stores.queue.settle([with_send])
    [point] = await stores.statistics.points(OURS, 0)
    assert point.delivery_attempts == 1


async def test_two_processes_count_into_the_same_point(shared: Backend) -> None:
    stores = [await shared.open(), await shared.open()]
    await asyncio.gather(*(stores[n % 2].events.append([event(message(n), EventType.SEND, "a@x")]) for n in range(20)))
    [point] = await stores[0].statistics.points(OURS, 0)
    assert point.delivery_attempts == 20
