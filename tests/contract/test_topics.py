"""Topics of the embedded SNS: created or refused, each with its last notifications, each account for itself."""

import asyncio

from tests.contract.conftest import Backend
from tests.contract.values import NOW_MS

from posthouse.ports.topics import Notification
from posthouse.stores import topics
from posthouse.stores.open import SqlStores

ANN, BOB = "111111111111", "222222222222"
MAIL = "arn:aws:sns:us-east-1:111111111111:mail"
OTHER = "arn:aws:sns:us-east-1:111111111111:other"


def note(number: int, subject: str | None = None) -> Notification:
    return Notification(message_id=f"id-{number}", subject=subject, message=f"message {number} ✓", published_ms=NOW_MS)


async def numbers(stores: SqlStores, account: str | None, arn: str = MAIL, before: int | None = None) -> list[str]:
    kept = await stores.topics.notifications(account, arn, before, 5000)
    assert kept is not None
    return [each.notification.message_id.removeprefix("id-") for each in kept]


async def test_what_was_published_is_read_back_newest_first(stores: SqlStores) -> None:
    assert await stores.topics.add(ANN, MAIL, note(1, "Subject"), create=True)
    assert await stores.topics.add(ANN, MAIL, note(2), create=False)
    kept = await stores.topics.notifications(ANN, MAIL, None, 10)
    assert kept is not None
    assert [(each.account, each.notification) for each in kept] == [(ANN, note(2)), (ANN, note(1, "Subject"))]


async def test_an_unknown_topic_takes_nothing_unless_it_is_to_be_created(stores: SqlStores) -> None:
    assert not await stores.topics.add(ANN, MAIL, note(1), create=False)
    assert await stores.topics.notifications(ANN, MAIL, None, 10) is None
    await stores.topics.create(ANN, MAIL, NOW_MS)
    await stores.topics.create(ANN, MAIL, NOW_MS + 1)
    assert await numbers(stores, ANN) == []
    assert await stores.topics.add(ANN, MAIL, note(2), create=False)
    assert [topic.created_ms for topic in await stores.topics.page(ANN, "", 10)] == [NOW_MS]


async def test_each_account_has_a_world_of_topics_for_itself(stores: SqlStores) -> None:
    await stores.topics.add(ANN, MAIL, note(1), create=True)
    assert not await stores.topics.add(BOB, MAIL, note(2), create=False)
    assert await stores.topics.notifications(BOB, MAIL, None, 10) is None
    assert await stores.topics.add(BOB, MAIL, note(3), create=True)
    assert (await numbers(stores, ANN), await numbers(stores, BOB)) == (["1"], ["3"])
    assert await numbers(stores, None) == ["3", "1"]


async def test_topics_are_listed_in_pages(stores: SqlStores) -> None:
    for account, arn in ((BOB, MAIL), (ANN, OTHER), (ANN, MAIL)):
        await stores.topics.create(account, arn, NOW_MS)
    first = await stores.topics.page(None, "", 2)
    rest = await stores.topics.page(None, f"{first[-1].account} {first[-1].arn}", 2)
    assert [(each.account, each.arn) for each in (*first, *rest)] == [(ANN, MAIL), (ANN, OTHER), (BOB, MAIL)]
    assert [each.arn for each in await stores.topics.page(ANN, f"{ANN} {MAIL}", 5)] == [OTHER]
    assert await stores.topics.page("333333333333", "", 5) == []


async def test_notifications_are_listed_in_pages(stores: SqlStores) -> None:
    for number in range(5):
        await stores.topics.add(ANN, MAIL, note(number), create=True)
        await stores.topics.add(ANN, OTHER, note(number), create=True)
    kept = await stores.topics.notifications(ANN, MAIL, None, 2)
    assert kept is not None
    assert [each.notification.message_id for each in kept] == ["id-4", "id-3"]
    assert await numbers(stores, ANN, before=kept[-1].seq) == ["2", "1", "0"]


async def test_a_topic_keeps_its_last_notifications_only(stores: SqlStores) -> None:
    await asyncio.gather(*(stores.topics.add(ANN, OTHER, note(number), create=True) for number in range(3)))
    surplus = topics.KEPT + 7
    await asyncio.gather(*(stores.topics.add(ANN, MAIL, note(number), create=True) for number in range(surplus)))
    found = await numbers(stores, ANN)
    assert found == [str(number) for number in range(surplus - 1, 6, -1)]
    assert len(await numbers(stores, ANN, OTHER)) == 3


async def test_what_came_at_once_is_kept_once_each(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    taken = await asyncio.gather(
        *(one.topics.add(ANN, MAIL, note(number), create=True) for number in range(20)),
        *(two.topics.add(ANN, MAIL, note(number), create=True) for number in range(20, 40)),
    )
    assert all(taken)
    assert sorted(map(int, await numbers(one, ANN))) == list(range(40))


async def test_notifications_outlive_the_process(shared: Backend) -> None:
    await (await shared.open()).topics.add(ANN, MAIL, note(1), create=True)
    assert await numbers(await shared.open(), ANN) == ["1"]
