"""Publications: routed once, sent in order, tried again, given up, replayed; whoever dies in between loses nothing."""

import asyncio

import msgspec
from tests.contract.conftest import Backend, SetClock
from tests.contract.values import HOUR_MS, NOW_MS, OTHER_REGION, OURS, THEIRS, delivered, event, message

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import NewMessage
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.publications import Claimed, Failure, Publications, Round, Routed, Untold
from posthouse.ports.wakeups import Topic
from posthouse.stores import publications as module
from posthouse.stores.open import SqlStores

ONE, TWO = "set:111111111111:us-east-1:s:one", "set:111111111111:us-east-1:s:two"
DAYS_4 = 4 * 24 * HOUR_MS


def key(number: int) -> MessageKey:
    return MessageKey(OURS, message(number).facts.message_id)


def routed(destination: str, seq: int, number: int | None = None) -> Routed:
    return Routed(destination, OURS, seq, key(seq if number is None else number))


async def log(stores: SqlStores, *events: Event) -> None:
    await stores.events.append(events)


def opened(number: int) -> Event:
    return event(message(number), EventType.OPEN)


async def route(stores: SqlStores, *wanted: Routed, upto: int | None = None) -> bool:
    cursor = await stores.publications.cursor()
    return await stores.publications.route(cursor.seq, cursor.last_seq if upto is None else upto, wanted, NOW_MS)


async def filled(stores: SqlStores, *numbers: int, destination: str = ONE) -> None:
    """Events 1, 2, 3 ... about messages of these numbers, all for one destination."""
    await log(stores, *(opened(number) for number in numbers))
    assert await route(stores, *(routed(destination, seq, number) for seq, number in enumerate(numbers, 1)))


async def taken(stores: SqlStores, destination: str = ONE, now_ms: int = NOW_MS, limit: int = 100) -> list[int]:
    return [each.seq for each in await stores.publications.take(destination, now_ms, limit)]


async def claimed(publications: Publications, owner: str = "me", now_ms: int = NOW_MS, limit: int = 9) -> list[str]:
    return [each.destination for each in await publications.claim(owner, now_ms, 1000, limit)]


def failed(*seqs: int, due_ms: int = NOW_MS + 1000, reason: str = "no", **changes: int) -> Round:
    given = {"at_ms": NOW_MS, "failures": 0, **changes}
    return Round(destination=ONE, failed=tuple(Failure(seq, due_ms, reason) for seq in seqs), **given)


# -- routing


async def test_the_cursor_begins_at_nothing_and_follows_the_log(stores: SqlStores) -> None:
    assert (await stores.publications.cursor()).seq == 0
    await log(stores, opened(1), opened(2))
    cursor = await stores.publications.cursor()
    assert (cursor.seq, cursor.last_seq) == (0, 2)
    assert await route(stores, upto=1)
    assert (await stores.publications.cursor()).seq == 1


async def test_a_page_has_the_facts_of_messages_where_they_say_whom_to_tell(stores: SqlStores) -> None:
    known, gone = message(1), message(2)
    await stores.submissions.add(known, None)
    await log(
        stores,
        event(known, EventType.BOUNCE, "user1@example.net"),
        event(gone, EventType.DELIVERY, "user2@example.net"),
        event(known, EventType.OPEN),
        event(known, EventType.CLICK),
    )
    found = await stores.publications.page(0, 3, 10)
    assert [(each.seq, each.event.type) for each in found] == [
        (1, EventType.BOUNCE),
        (2, EventType.DELIVERY),
        (3, EventType.OPEN),
    ]
    assert [each.facts for each in found] == [known.facts, None, None]
    assert [each.seq for each in await stores.publications.page(1, 99, 2)] == [2, 3]


async def test_two_routers_never_route_the_same_events(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    await log(one, *(opened(number) for number in range(1, 11)))
    done = await asyncio.gather(
        *(stores.publications.route(0, 10, [routed(ONE, seq) for seq in range(1, 11)], NOW_MS) for stores in (one, two))
    )
    assert sorted(done) == [False, True]
    assert await taken(two) == list(range(1, 11))
    assert not await one.publications.route(3, 4, [routed(TWO, 4)], NOW_MS)
    assert await taken(one, TWO) == []


async def test_an_event_without_destination_moves_the_cursor_and_nothing_else(stores: SqlStores) -> None:
    await log(stores, opened(1))
    assert await route(stores)
    assert await claimed(stores.publications) == []
    assert await stores.publications.destinations(None, "", 10) == []


# -- sending


async def test_what_was_sent_is_gone_and_what_was_not_comes_again(stores: SqlStores) -> None:
    await filled(stores, 1, 2, 3)
    assert await claimed(stores.publications) == [ONE]
    first = await stores.publications.take(ONE, NOW_MS, 2)
    assert [(each.seq, each.event, each.attempts, each.routed_ms) for each in first] == [
        (1, opened(1), 0, NOW_MS),
        (2, opened(2), 0, NOW_MS),
    ]
    await stores.publications.settle(Round(destination=ONE, at_ms=NOW_MS, sent=(1,)))
    # The sender died here, before it could say that the second one was sent.
    assert await claimed(stores.publications, "heir") == []
    assert await claimed(stores.publications, "heir", NOW_MS + 1000) == [ONE]
    assert await taken(stores) == [2, 3]


async def test_later_events_of_a_message_wait_for_one_that_failed(stores: SqlStores) -> None:
    await filled(stores, 1, 2, 1, 2)
    await stores.publications.settle(failed(1))
    assert await taken(stores) == [2, 4]
    assert await taken(stores, now_ms=NOW_MS + 999) == [2, 4]
    assert await taken(stores, now_ms=NOW_MS + 1000) == [1, 2, 3, 4]
    again = await stores.publications.take(ONE, NOW_MS + 1000, 1)
    assert again[0].attempts == 1
    await stores.publications.settle(Round(destination=ONE, at_ms=NOW_MS, sent=(2, 1)))
    assert await taken(stores) == [3, 4]


async def test_a_destination_has_one_sender_and_each_its_own(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    await log(one, *(opened(number) for number in range(1, 21)))
    names = [f"{ONE}{number:02}" for number in range(20)]
    assert await route(one, *(routed(name, seq) for seq, name in enumerate(names, 1)))
    got = await asyncio.gather(
        *(claimed(stores.publications, f"owner {n}", limit=5) for n, stores in enumerate((one, two, one, two)))
    )
    assert sorted(name for some in got for name in some) == names
    assert await one.publications.owners() == [f"owner {n}" for n in range(4)]


async def test_leases_are_renewed_released_and_run_out(stores: SqlStores, backend: Backend) -> None:
    await filled(stores, 1)
    assert await claimed(stores.publications, "a") == [ONE]
    await stores.publications.renew("a", NOW_MS + 5000)
    assert await claimed(stores.publications, "b", NOW_MS + 4999) == []
    assert await claimed(stores.publications, "b", NOW_MS + 5000) == [ONE]
    # Who lost his lease leaves nothing behind when he comes back.
    await stores.publications.leave(ONE, "a", NOW_MS)
    assert await stores.publications.owners() == ["b"]
    backend.wakeups.notified.clear()
    assert await stores.publications.release("b") == 1
    assert backend.wakeups.notified == [Topic.EVENTS]
    assert (await stores.publications.release("b"), await stores.publications.owners()) == (0, [])
    assert await claimed(stores.publications, "c") == [ONE]


async def test_a_destination_is_due_again_when_its_next_publication_is(stores: SqlStores) -> None:
    await filled(stores, 1, 2, 1)
    assert await claimed(stores.publications) == [ONE]
    await stores.publications.settle(failed(1))
    await stores.publications.leave(ONE, "me", NOW_MS)
    assert await claimed(stores.publications) == [ONE], "the second message may be sent"
    await stores.publications.settle(Round(destination=ONE, at_ms=NOW_MS, sent=(2,)))
    await stores.publications.leave(ONE, "me", NOW_MS)
    assert await claimed(stores.publications, now_ms=NOW_MS + 999) == []
    assert await claimed(stores.publications, now_ms=NOW_MS + 1000) == [ONE]
    await stores.publications.settle(Round(destination=ONE, at_ms=NOW_MS, sent=(1, 3)))
    await stores.publications.leave(ONE, "me", NOW_MS + 1000)
    assert await claimed(stores.publications, now_ms=NOW_MS + DAYS_4) == []
    # And again when something new is routed.
    await log(stores, opened(5))
    await route(stores, routed(ONE, 4))
    assert await claimed(stores.publications) == [ONE]


async def test_what_is_routed_while_a_sender_leaves_is_not_forgotten(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    for seq in range(1, 41):
        await log(one, opened(seq))
        await asyncio.gather(
            two.publications.route(seq - 1, seq, [routed(ONE, seq)], NOW_MS),
            one.publications.leave(ONE, "me", NOW_MS),
        )
        assert await claimed(one.publications) == [ONE]
        await one.publications.settle(Round(destination=ONE, at_ms=NOW_MS, sent=(seq,)))


async def test_what_an_owner_does_not_know_of_is_freed(stores: SqlStores) -> None:
    await filled(stores, 1)
    assert await claimed(stores.publications) == [ONE]
    assert await stores.publications.keep_only("you", []) == 0
    assert await stores.publications.keep_only("me", [ONE]) == 0
    assert await stores.publications.keep_only("me", []) == 1
    assert await claimed(stores.publications, "you") == [ONE]


async def test_a_destination_that_fails_is_left_alone_for_a_while(stores: SqlStores) -> None:
    await filled(stores, 1, 2)
    await claimed(stores.publications)
    await stores.publications.settle(
        failed(1, 2, due_ms=NOW_MS, reason="refused\0here", failures=3, waiting_until_ms=NOW_MS + 4000)
    )
    await stores.publications.leave(ONE, "me", NOW_MS)
    assert await claimed(stores.publications, now_ms=NOW_MS + 3999) == []
    assert await stores.publications.claim("me", NOW_MS + 4000, 1000, 9, healthy_only=True) == []
    assert await stores.publications.claim("me", NOW_MS + 4000, 1000, 9) == [Claimed(ONE, 3)]
    status = await stores.publications.status(ONE)
    assert status is not None
    assert (status.last_error, status.last_failure_ms, status.last_success_ms) == ("refused here", NOW_MS, None)
    await stores.publications.settle(Round(destination=ONE, at_ms=NOW_MS + 5000, sent=(1, 2)))
    status = await stores.publications.status(ONE)
    assert status is not None
    assert (status.failures, status.last_error, status.last_success_ms) == (0, "refused here", NOW_MS + 5000)


async def test_rounds_of_many_destinations_are_written_together(stores: SqlStores) -> None:
    await log(stores, *(opened(number) for number in range(1, 31)))
    await route(stores, *(routed(f"{ONE}{seq}", seq) for seq in range(1, 31)))
    await asyncio.gather(
        *(
            stores.publications.settle(Round(destination=f"{ONE}{seq}", at_ms=NOW_MS, sent=(seq,)))
            for seq in range(1, 31)
        )
    )
    assert (await stores.publications.totals()).waiting == 0


# -- dead letters, replays, destinations that are gone


async def test_what_is_too_old_is_a_dead_letter_and_can_be_revived(stores: SqlStores) -> None:
    await filled(stores, 1, 2, 3)
    # Not tried in this round, yet as old: the destination was down for days.
    await stores.publications.settle(failed(1, reason="gone", give_up_ms=NOW_MS))
    assert await taken(stores, now_ms=NOW_MS + DAYS_4) == [1, 2, 3]
    await stores.publications.settle(failed(1, reason="gone", give_up_ms=NOW_MS + 1))
    assert await taken(stores, now_ms=NOW_MS + DAYS_4) == []
    dead = await stores.publications.dead(ONE, 0, 10)
    assert [(each.seq, each.message, each.error) for each in dead] == [(seq, key(seq), "gone") for seq in (1, 2, 3)]
    assert [each.seq for each in await stores.publications.dead(ONE, 1, 1)] == [2]
    assert await stores.publications.revive("nowhere", NOW_MS) == 0
    assert await stores.publications.revive(ONE, NOW_MS + DAYS_4) == 3
    assert await stores.publications.dead(ONE, 0, 10) == []
    assert await claimed(stores.publications, now_ms=NOW_MS + DAYS_4) == [ONE]
    again = await stores.publications.take(ONE, NOW_MS + DAYS_4, 9)
    assert [(each.seq, each.attempts, each.routed_ms) for each in again] == [
        (seq, 0, NOW_MS + DAYS_4) for seq in (1, 2, 3)
    ]


async def test_dead_letters_are_bounded(stores: SqlStores) -> None:
    numbers = range(1, 31)
    await filled(stores, *numbers)
    kept, module.TRIM_DEAD = module.TRIM_DEAD, module.TRIM_DEAD.replace(f"OFFSET {module.DEAD_KEPT}", "OFFSET 10")
    try:
        await stores.publications.settle(failed(1, give_up_ms=NOW_MS + 1))
    finally:
        module.TRIM_DEAD = kept
    assert [each.seq for each in await stores.publications.dead(ONE, 0, 99)] == list(range(21, 31))


async def test_a_destination_hears_again_of_what_it_is_asked_to(stores: SqlStores, backend: Backend) -> None:
    await filled(stores, 1, 2, 3, 4)
    await stores.publications.settle(Round(destination=ONE, at_ms=NOW_MS, sent=(1, 2)))
    await stores.publications.settle(failed(3, give_up_ms=NOW_MS + 1))
    await log(stores, opened(5))
    backend.wakeups.notified.clear()
    await stores.publications.replay(ONE, OURS, 2)
    assert backend.wakeups.notified == [Topic.EVENTS]
    replay = (await stores.publications.replays())[0]
    # What is not routed yet is not replayed: it comes by itself.
    assert (replay.destination, replay.after, replay.until) == (ONE, 1, 4)
    assert await stores.publications.route_again(replay, 3, [routed(ONE, 2), routed(ONE, 3)], NOW_MS)
    assert not await stores.publications.route_again(replay, 3, [routed(ONE, 2)], NOW_MS), "somebody was faster"
    rest = (await stores.publications.replays())[0]
    assert (rest.after, rest.until) == (3, 4)
    status = await stores.publications.status(ONE)
    assert status is not None
    assert status.replaying
    assert await stores.publications.route_again(rest, 4, [], NOW_MS)
    assert await stores.publications.replays() == []
    assert await taken(stores) == [2, 3]
    assert [each.seq for each in await stores.publications.dead(ONE, 0, 9)] == [4]
    # A destination that never had anything may be asked to hear too.
    await stores.publications.replay(TWO, OURS, 1)
    assert [each.destination for each in await stores.publications.replays()] == [TWO]


async def test_a_destination_that_is_gone_is_forgotten_with_all_that_waits(stores: SqlStores) -> None:
    await filled(stores, 1, 2)
    assert await stores.publications.drop(ONE) == 2
    assert await stores.publications.status(ONE) is None
    assert (await stores.publications.totals()).waiting == 0
    assert await stores.publications.drop(ONE) == 0


async def test_another_destination_may_get_what_waits(stores: SqlStores) -> None:
    await log(stores, opened(1), opened(2))
    await route(stores, routed(ONE, 1), routed(ONE, 2), routed(TWO, 2))
    await stores.publications.settle(failed(1))
    assert await stores.publications.redirect(ONE, TWO, OURS, NOW_MS) == 2
    assert await stores.publications.status(ONE) is None
    assert await claimed(stores.publications) == [TWO]
    assert [(each.seq, each.attempts) for each in await stores.publications.take(TWO, NOW_MS, 9)] == [(1, 0), (2, 0)]


# -- looking


async def test_messages_are_read_with_their_recipients_in_order(stores: SqlStores) -> None:
    mine: NewMessage = message(1, "zoe@example.net", "amy@example.net", content=b"From: a\r\n\r\n")
    other = msgspec.structs.replace(message(2).facts, scope=OTHER_REGION)
    await stores.submissions.add(mine, None)
    await stores.submissions.add(NewMessage(other, ("b@example.net",), b"x" * 400_000), None)
    keys = [MessageKey(OURS, mine.facts.message_id), MessageKey(OTHER_REGION, other.message_id), key(9)]
    found = await stores.publications.mails(keys)
    assert set(found) == set(keys[:2])
    assert found[keys[0]].facts == mine.facts
    assert found[keys[0]].recipients == ("zoe@example.net", "amy@example.net")
    assert found[keys[0]].content == b"From: a\r\n\r\n"
    assert found[keys[1]].content == b"x" * 400_000
    await stores.queue.claim("w", NOW_MS, 1000, 9)
    await stores.queue.settle([delivered(mine, "amy@example.net")])
    assert (await stores.publications.mails(keys[:1]))[keys[0]].recipients == ("zoe@example.net", "amy@example.net")
    assert await stores.publications.mails([]) == {}


async def test_destinations_are_listed_by_account_with_their_lag(stores: SqlStores, clock: SetClock) -> None:
    theirs = "set:222222222222:us-east-1:s:one"
    await log(stores, opened(1), opened(2), opened(3))
    await route(stores, routed(ONE, 1), routed(ONE, 2), routed(TWO, 2), Routed(theirs, THEIRS, 3, key(3)))
    listed = await stores.publications.destinations(None, "", 2)
    assert [(each.destination, each.owner, each.waiting, each.oldest_ms) for each in listed] == [
        (ONE, OURS, 2, NOW_MS),
        (TWO, OURS, 1, NOW_MS),
    ]
    assert [each.destination for each in await stores.publications.destinations(None, TWO, 9)] == [theirs]
    assert [each.destination for each in await stores.publications.destinations("222222222222", "", 9)] == [theirs]
    await claimed(stores.publications)
    await stores.publications.settle(failed(1, failures=1))
    assert await stores.publications.status("none") is None
    leased = await stores.publications.status(ONE)
    assert leased is not None
    assert (leased.leased, leased.failures) == (True, 1)
    await log(stores, opened(4))
    totals = await stores.publications.totals()
    assert (totals.waiting, totals.dead, totals.failing, totals.unrouted) == (4, 0, 1, 1)
    assert totals.oldest_ms == NOW_MS


async def test_an_event_that_the_log_no_longer_has_is_told_as_such(shared: Backend) -> None:
    stores = await shared.open()
    await filled(stores, 1)
    assert await route(stores, routed(ONE, 77), upto=1)
    assert [(each.seq, each.event) for each in await stores.publications.take(ONE, NOW_MS, 9)] == [
        (1, opened(1)),
        (77, None),
    ]


async def test_what_a_destination_was_not_told_is_known_by_event(stores: SqlStores) -> None:
    await filled(stores, 1)
    await stores.publications.settle(failed(1, reason="gone", give_up_ms=NOW_MS + 1))
    await log(stores, opened(2), opened(3), opened(4))
    assert await route(stores, *(routed(ONE, seq) for seq in (2, 3, 4)))
    ended = Round(destination=ONE, at_ms=NOW_MS, sent=(2,), failed=(Failure(3, NOW_MS + 5000, "no"),))
    await stores.publications.settle(ended)
    found = {each.seq: each for each in await stores.publications.untold(ONE, [1, 2, 3, 4, 5])}
    assert found == {
        1: Untold(ONE, 1, 0, None, "gone"),
        3: Untold(ONE, 3, 1, NOW_MS + 5000, ""),
        4: Untold(ONE, 4, 0, NOW_MS, ""),
    }
    assert await stores.publications.untold(TWO, [1, 2]) == []
    assert await stores.publications.untold(ONE, []) == []
