"""Subscribers of topics: subscribed once, confirmed by their token, delivered to by one at a time, never lost."""

import asyncio

from tests.contract.conftest import Backend
from tests.contract.values import NOW_MS

from posthouse.domain.subscriptions import Endpoint, MessageType
from posthouse.ports.subscriptions import (
    GivenUp,
    Health,
    KeptSubscription,
    Made,
    PutOff,
    SigningPair,
    Subscription,
)
from posthouse.ports.topics import Notification
from posthouse.ports.wakeups import Topic
from posthouse.stores import subscriptions
from posthouse.stores.open import SqlStores

ANN, BOB = "111111111111", "222222222222"
MAIL = "arn:aws:sns:us-east-1:111111111111:mail"
OTHER = "arn:aws:sns:us-east-1:111111111111:other"
ME, YOU = "host/boot/ns/1/1/a", "host/boot/ns/2/2/b"
WELL = Health()


def wanted(name: str = "a", topic: str = MAIL, account: str = ANN, **changes: object) -> Subscription:
    given = {
        "account": account,
        "topic_arn": topic,
        "arn": f"{topic}:{name}",
        "endpoint": Endpoint(url=f"http://{name}.example/hook"),
        "raw": False,
        "confirmed": True,
        "token": f"token {name} {account}",
        "created_ms": NOW_MS,
        **changes,
    }
    return Subscription(**given)  # type: ignore[arg-type]


def note(number: int, at_ms: int = NOW_MS, chain: str = "") -> Notification:
    text = f"message {number} ✓"
    return Notification(message_id=f"id-{number}", subject=None, message=text, published_ms=at_ms, chain=chain)


async def publish(
    stores: SqlStores, *numbers: int, topic: str = MAIL, account: str = ANN, at_ms: int = NOW_MS, chain: str = ""
) -> None:
    for number in numbers:
        assert await stores.topics.add(account, topic, note(number, at_ms, chain), create=True)


async def held(stores: SqlStores, owner: str = ME, now_ms: int = NOW_MS) -> KeptSubscription:
    (claimed,) = await stores.subscriptions.claim(owner, now_ms, 30_000, 10)
    return claimed


async def due(stores: SqlStores, number: int, now_ms: int = NOW_MS) -> list[str]:
    return [each.notification.message_id for each in await stores.subscriptions.due(number, now_ms, 100)]


async def test_a_subscription_is_read_back_with_its_login_sealed(stores: SqlStores) -> None:
    asked = wanted(endpoint=Endpoint(url="https://a.example/hook?x=y", login="user:secret"), raw=True)
    assert await stores.subscriptions.subscribe(asked, create_topic=True) == asked
    kept = await stores.subscriptions.find(asked.arn)
    assert kept is not None
    assert (kept.subscription, kept.health, kept.waiting) == (asked, WELL, 0)
    assert await stores.subscriptions.find("other") is None


async def test_an_endpoint_subscribes_once(stores: SqlStores) -> None:
    first = await stores.subscriptions.subscribe(wanted(), create_topic=True)
    again = wanted("b", endpoint=wanted().endpoint)
    assert await stores.subscriptions.subscribe(again, create_topic=True) == first
    elsewhere = wanted("c", OTHER, endpoint=wanted().endpoint)
    assert await stores.subscriptions.subscribe(elsewhere, create_topic=True) == elsewhere
    theirs = wanted("d", account=BOB, endpoint=wanted().endpoint)
    assert await stores.subscriptions.subscribe(theirs, create_topic=True) == theirs


async def test_subscribing_again_changes_login_and_form(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    changed = Endpoint(url=wanted().endpoint.url, login="ann:new")
    again = await stores.subscriptions.subscribe(wanted("b", endpoint=changed, raw=True), create_topic=True)
    assert again == wanted(endpoint=changed, raw=True)


async def test_asking_again_for_a_confirmation_gives_a_new_token_with_a_new_life(stores: SqlStores) -> None:
    store = stores.subscriptions
    await store.subscribe(wanted(confirmed=False), create_topic=True)
    later = wanted("b", endpoint=wanted().endpoint, confirmed=False, created_ms=NOW_MS + 9)
    again = await store.subscribe(later, create_topic=True)
    assert again is not None
    assert (again.arn, again.token, again.created_ms) == (wanted().arn, later.token, NOW_MS + 9)
    assert await store.confirm(MAIL, wanted().token, 0, False) is None
    assert await store.confirm(MAIL, later.token, NOW_MS + 9, False) is not None


async def test_an_unknown_topic_has_no_subscribers_unless_it_is_to_be_created(stores: SqlStores) -> None:
    assert await stores.subscriptions.subscribe(wanted(), create_topic=False) is None
    assert await stores.subscriptions.page(None, None, "", 10) == []
    await stores.topics.create(ANN, MAIL, NOW_MS)
    assert await stores.subscriptions.subscribe(wanted(), create_topic=False) == wanted()


async def test_the_unconfirmed_are_sent_a_confirmation_and_nothing_else(stores: SqlStores, backend: Backend) -> None:
    pending = wanted(confirmed=False)
    await stores.subscriptions.subscribe(pending, create_topic=True)
    await stores.subscriptions.subscribe(pending, create_topic=True)
    assert Topic.SUBSCRIBERS in backend.wakeups.notified
    await publish(stores, 1)
    claimed = await held(stores)
    (confirmation,) = await stores.subscriptions.due(claimed.number, NOW_MS, 10)
    assert (confirmation.type, confirmation.attempts) == (MessageType.CONFIRMATION, 0)
    assert confirmation.notification.message_id == "a"


async def test_a_token_confirms_its_subscription(stores: SqlStores) -> None:
    pending = wanted(confirmed=False)
    await stores.subscriptions.subscribe(pending, create_topic=True)
    store = stores.subscriptions
    assert await store.confirm(MAIL, "nobody's", 0, False) is None
    assert await store.confirm(OTHER, pending.token, 0, False) is None
    assert await store.confirm(MAIL, pending.token, NOW_MS + 1, False) is None
    confirmed = await store.confirm(MAIL, pending.token, NOW_MS, False)
    assert confirmed == wanted()
    # A link may be followed twice, also when it is old.
    assert await store.confirm(MAIL, pending.token, NOW_MS + 1, True) == wanted(keeps_to_owner=True)
    await publish(stores, 1)
    assert await due(stores, (await held(stores)).number) == ["id-1"]


async def test_who_subscribes_as_confirmed_confirms_what_was_pending(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(confirmed=False), create_topic=True)
    again = await stores.subscriptions.subscribe(wanted("b", endpoint=wanted().endpoint), create_topic=True)
    assert again == wanted()
    assert await stores.subscriptions.claim(ME, NOW_MS, 1000, 10) == []


async def test_what_is_published_is_due_to_each_confirmed_subscriber_of_its_topic(stores: SqlStores) -> None:
    for each in (wanted("a"), wanted("b"), wanted("c", OTHER), wanted("d", account=BOB), wanted("e", confirmed=False)):
        await stores.subscriptions.subscribe(each, create_topic=True)
    await publish(stores, 1, 2)
    claimed = await stores.subscriptions.claim(ME, NOW_MS, 30_000, 10)
    of = {kept.subscription.arn.rpartition(":")[2]: kept.number for kept in claimed}
    assert sorted(of) == ["a", "b", "e"]
    assert await due(stores, of["a"]) == await due(stores, of["b"]) == ["id-1", "id-2"]


async def test_publishing_taps_the_engine_only_where_somebody_listens(stores: SqlStores, backend: Backend) -> None:
    await publish(stores, 1)
    assert Topic.SUBSCRIBERS not in backend.wakeups.notified
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    backend.wakeups.notified.clear()
    await publish(stores, 2)
    assert Topic.SUBSCRIBERS in backend.wakeups.notified


async def test_due_passes_over_what_is_at_hand(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1, 2, 3)
    claimed = await held(stores)
    first, second, third = await stores.subscriptions.due(claimed.number, NOW_MS, 10)
    left = await stores.subscriptions.due(claimed.number, NOW_MS, 10, [first.number, third.number])
    assert left == [second]
    assert await stores.subscriptions.due(claimed.number, NOW_MS, 1, [first.number]) == [second]


async def test_ends_are_written(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1, 2, 3)
    claimed = await held(stores)
    made, later, dead = await stores.subscriptions.due(claimed.number, NOW_MS, 10)
    ends = [Made(made.number), PutOff(later.number, NOW_MS + 5000), GivenUp(dead.number, "HTTP status 404")]
    failing = Health(failures=3, resume_ms=NOW_MS + 10, last_failure="connection refused", last_failure_ms=NOW_MS)
    await stores.subscriptions.settle(claimed.number, ends, failing, NOW_MS + 7)
    assert await due(stores, claimed.number) == []
    (again,) = await stores.subscriptions.due(claimed.number, NOW_MS + 5000, 10)
    assert (again.notification.message_id, again.attempts) == ("id-2", 1)
    (kept,) = await stores.subscriptions.page(ANN, MAIL, "", 10)
    assert (kept.health, kept.waiting) == (failing, 1)
    (letter,) = await stores.subscriptions.dead_letters(ANN, MAIL, None, 10)
    assert (letter.notification, letter.attempts, letter.reason) == (note(3), 1, "HTTP status 404")
    assert (letter.subscription_arn, letter.endpoint) == (wanted().arn, wanted().endpoint.url)
    assert letter.died_ms == NOW_MS + 7
    # Settled a second time, by one that lost its lease: nothing changes.
    await stores.subscriptions.settle(claimed.number, ends[:1] + ends[2:], WELL, NOW_MS)
    assert len(await stores.subscriptions.dead_letters(ANN, MAIL, None, 10)) == 1
    (kept,) = await stores.subscriptions.page(ANN, MAIL, "", 10)
    assert kept.health == WELL


async def test_a_subscription_is_held_by_one_until_it_is_released_or_its_lease_ends(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    await one.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(one, 1)
    assert await one.subscriptions.next_due_ms() == NOW_MS
    claimed = await held(one)
    assert await two.subscriptions.claim(YOU, NOW_MS, 30_000, 10) == []
    assert await two.subscriptions.owners() == [ME]
    assert await one.subscriptions.next_due_ms() == NOW_MS + 30_000
    await one.subscriptions.renew(ME, NOW_MS + 60_000)
    assert await two.subscriptions.claim(YOU, NOW_MS + 30_000, 30_000, 10) == []
    assert [each.number for each in await two.subscriptions.claim(YOU, NOW_MS + 60_000, 30_000, 10)] == [claimed.number]
    # Who lost it neither releases nor renews it for the other.
    assert await one.subscriptions.release(ME, claimed.number) == 0
    assert await two.subscriptions.release(YOU, claimed.number, NOW_MS + 61_000) == 1
    assert await two.subscriptions.claim(YOU, NOW_MS + 60_999, 30_000, 10) == []
    assert await two.subscriptions.claim(YOU, NOW_MS + 61_000, 30_000, 10) != []


async def test_what_an_owner_does_not_know_of_is_freed(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1)
    one = await held(stores)
    assert await stores.subscriptions.keep_only(YOU, []) == 0
    assert await stores.subscriptions.keep_only(ME, [one.number]) == 0
    assert await stores.subscriptions.keep_only(ME, []) == 1
    assert (await held(stores, YOU)).number == one.number


async def test_all_that_an_owner_held_can_be_released_at_once(stores: SqlStores) -> None:
    for name in "ab":
        await stores.subscriptions.subscribe(wanted(name), create_topic=True)
    await publish(stores, 1)
    assert len(await stores.subscriptions.claim(ME, NOW_MS, 30_000, 10)) == 2
    assert await stores.subscriptions.release(YOU) == 0
    assert await stores.subscriptions.release(ME) == 2
    assert await stores.subscriptions.owners() == []


async def test_many_claim_at_once_and_each_subscription_has_one_holder(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    for number in range(20):
        await one.subscriptions.subscribe(wanted(f"s{number}"), create_topic=True)
    await publish(one, 1)
    found = await asyncio.gather(
        *(stores.subscriptions.claim(who, NOW_MS, 30_000, 3) for stores, who in ((one, ME), (two, YOU)) * 5)
    )
    numbers = [kept.number for claimed in found for kept in claimed]
    assert len(numbers) == len(set(numbers))


async def test_those_that_waited_longest_for_their_turn_come_first(stores: SqlStores) -> None:
    for name in "abc":
        await stores.subscriptions.subscribe(wanted(name), create_topic=True)
    await publish(stores, 1)
    now_ms = NOW_MS
    turns = []
    for _ in range(6):
        (claimed,) = await stores.subscriptions.claim(ME, now_ms, 30_000, 1)
        turns.append(claimed.number)
        await stores.subscriptions.release(ME, claimed.number, now_ms)
        now_ms += 1
    assert turns[:3] == turns[3:]
    assert len(set(turns)) == 3


async def test_a_paused_subscriber_waits_until_it_may_be_called_again(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1)
    claimed = await held(stores)
    paused = Health(failures=9, resume_ms=NOW_MS + 20_000, last_failure="x", last_failure_ms=NOW_MS)
    await stores.subscriptions.settle(claimed.number, [], paused, NOW_MS)
    await stores.subscriptions.release(ME, claimed.number, NOW_MS)
    assert await stores.subscriptions.claim(ME, NOW_MS + 19_999, 1000, 1) == []
    assert await stores.subscriptions.next_due_ms() == NOW_MS + 20_000
    assert (await held(stores, now_ms=NOW_MS + 20_000)).health == paused


async def test_what_waits_too_long_or_too_deep_is_overdue(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1, 2)
    await publish(stores, 3, 4, 5, at_ms=NOW_MS + 1000)
    number = (await held(stores)).number

    async def overdue(before_ms: int, most: int, limit: int = 10) -> list[str]:
        found = await stores.subscriptions.overdue(number, before_ms, most, limit)
        return [each.notification.message_id for each in found]

    assert await overdue(NOW_MS, 5) == []
    assert await overdue(NOW_MS + 1, 5) == ["id-1", "id-2"]
    assert await overdue(NOW_MS, 2) == ["id-1", "id-2", "id-3"]
    assert await overdue(NOW_MS, 2, 1) == ["id-1"]


async def test_a_letter_given_up_untried_has_no_attempt_more(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1)
    number = (await held(stores)).number
    (waiting,) = await stores.subscriptions.due(number, NOW_MS, 1)
    await stores.subscriptions.settle(number, [GivenUp(waiting.number, "too old", tried=False)], WELL, NOW_MS)
    (letter,) = await stores.subscriptions.dead_letters(None, MAIL, None, 1)
    assert letter.attempts == 0


async def test_unsubscribing_ends_it_and_leaves_its_dead_letters(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1, 2)
    number = (await held(stores)).number
    (first, _) = await stores.subscriptions.due(number, NOW_MS, 10)
    await stores.subscriptions.settle(number, [GivenUp(first.number, "no")], WELL, NOW_MS)
    assert await stores.subscriptions.unsubscribe(wanted().arn)
    assert not await stores.subscriptions.unsubscribe(wanted().arn)
    assert await due(stores, number) == []
    assert await stores.subscriptions.page(None, None, "", 10) == []
    assert len(await stores.subscriptions.dead_letters(ANN, MAIL, None, 10)) == 1
    # The next one is another.
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 3)
    assert (await held(stores)).number != number


async def test_what_was_left_for_nobody_is_swept(shared: Backend) -> None:
    stores = await shared.open()
    for name in "ab":
        await stores.subscriptions.subscribe(wanted(name), create_topic=True)
    await publish(stores, 1)
    numbers = {kept.subscription.arn: kept.number for kept in await stores.subscriptions.claim(ME, NOW_MS, 1, 9)}
    delete = "DELETE FROM subscriptions WHERE arn = ?"
    await stores._database.write(lambda session: session.run(delete, (wanted("a").arn,)))
    await stores.subscriptions.sweep()
    assert await due(stores, numbers[wanted("a").arn]) == []
    assert await due(stores, numbers[wanted("b").arn]) == ["id-1"]


async def test_subscriptions_are_listed_in_pages(stores: SqlStores) -> None:
    for each in (wanted("b"), wanted("a"), wanted("c", OTHER), wanted("d", account=BOB)):
        await stores.subscriptions.subscribe(each, create_topic=True)

    async def names(account: str | None, topic: str | None, after: str = "", limit: int = 10) -> str:
        found = await stores.subscriptions.page(account, topic, after, limit)
        return "".join(kept.subscription.arn[-1] for kept in found)

    assert await names(None, None) == "abdc"
    assert await names(ANN, None) == "abc"
    assert await names(ANN, MAIL) == "ab"
    assert await names(None, MAIL, limit=2) == "ab"
    assert await names(None, MAIL, after=wanted("b").arn) == "d"


async def test_a_topic_keeps_its_last_dead_letters_only(stores: SqlStores) -> None:
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    surplus = subscriptions.KEPT_DEAD + 3
    await asyncio.gather(*(publish(stores, number) for number in range(surplus)))
    number = (await held(stores)).number
    waiting = await stores.subscriptions.due(number, NOW_MS, 5000)
    await stores.subscriptions.settle(number, [GivenUp(each.number, "no") for each in waiting], WELL, NOW_MS)
    letters = await stores.subscriptions.dead_letters(ANN, MAIL, None, 5000)
    assert len(letters) == subscriptions.KEPT_DEAD
    assert letters[0].notification == waiting[-1].notification
    rest = await stores.subscriptions.dead_letters(ANN, MAIL, letters[2].seq, 2)
    assert rest == letters[3:5]


async def test_the_first_signing_pair_is_everybodys(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    assert await one.subscriptions.signing_pair() is None
    pairs = [SigningPair(private_pem=name, certificate_pem=f"{name!r}") for name in (b"a", b"b")]
    kept = await asyncio.gather(
        *(s.subscriptions.offer_signing_pair(pair, NOW_MS) for s, pair in zip((one, two), pairs, strict=True))
    )
    assert kept[0] == kept[1]
    assert await (await shared.open()).subscriptions.signing_pair() == kept[0]


async def test_deliveries_outlive_the_process(shared: Backend) -> None:
    stores = await shared.open()
    await stores.subscriptions.subscribe(wanted(), create_topic=True)
    await publish(stores, 1)
    number = (await held(stores)).number
    assert await due(await shared.open(), number) == ["id-1"]


async def test_what_stands_behind_one_that_failed_waits_for_it(stores: SqlStores) -> None:
    for name in ("a", "b"):
        await stores.subscriptions.subscribe(wanted(name), create_topic=True)
    await publish(stores, 1, 2, chain="x")
    await publish(stores, 3, chain="y")
    await publish(stores, 4)
    first, other = [each.number for each in await stores.subscriptions.claim(ME, NOW_MS, 30_000, 10)]
    found = await stores.subscriptions.due(first, NOW_MS, 100)
    assert [each.notification.chain for each in found] == ["x", "x", "y", ""]
    later_ms = NOW_MS + 5_000
    await stores.subscriptions.settle(first, [PutOff(found[0].number, later_ms)], WELL, NOW_MS)
    assert await due(stores, first) == ["id-3", "id-4"]
    assert await due(stores, other) == ["id-1", "id-2", "id-3", "id-4"], "each subscriber has lines of its own"
    ends = [Made(found[2].number), Made(found[3].number)]
    await stores.subscriptions.settle(first, ends, WELL, NOW_MS)
    assert await due(stores, first, later_ms) == ["id-1"], "due, and still ahead of what follows it"

    # Nothing can go: nobody claims it for nothing, and nobody looks for it in vain.
    await stores.subscriptions.unsubscribe(f"{MAIL}:b")
    await stores.subscriptions.release(ME, now_ms=NOW_MS)
    assert await stores.subscriptions.next_due_ms() == later_ms
    assert not await stores.subscriptions.claim(ME, NOW_MS, 30_000, 10)
    assert (await held(stores, now_ms=later_ms)).number == first
    await stores.subscriptions.settle(first, [Made(found[0].number)], WELL, later_ms)
    assert await due(stores, first, later_ms) == ["id-2"]
