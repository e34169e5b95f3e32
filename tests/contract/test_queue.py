"""Queue: each recipient leased to at most one worker, and with exactly one end."""

import asyncio
from collections import Counter

import pytest
from tests.contract.conftest import Backend
from tests.contract.values import (
    HOUR_MS,
    NOW_MS,
    OTHER_REGION,
    OURS,
    THEIRS,
    claimed,
    delivered,
    event,
    message,
    result,
    settlement,
)  # fmt: skip

from posthouse.domain.events import EventType
from posthouse.domain.messages import NewMessage, RecipientState
from posthouse.ports.mailstore import ClaimedRecipient
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import SqlStores

LEASE_MS = 60_000


async def _add(stores: SqlStores, *messages: NewMessage) -> None:
    for one in messages:
        await stores.submissions.add(one, None)


async def _states(stores: SqlStores, one: NewMessage) -> dict[str, RecipientState]:
    stored = await stores.messages.get(one.facts.scope, one.facts.message_id)
    assert stored is not None
    return {r.recipient: r.state for r in stored.recipients}


async def test_claim_brings_a_message_with_its_recipients_and_content(stores: SqlStores) -> None:
    added = message(1, "a@x.example", "b@y.example", content=b"\0\xff")
    await _add(stores, added)
    [one] = await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)
    assert one.facts == added.facts
    assert sorted(one.recipients, key=lambda r: r.recipient) == [
        ClaimedRecipient("a@x.example", 0, NOW_MS),
        ClaimedRecipient("b@y.example", 0, NOW_MS),
    ]
    assert (one.content, one.sent) == (b"\0\xff", None)


async def test_what_is_leased_is_not_claimed_again(stores: SqlStores) -> None:
    await _add(stores, message(1))
    assert len(await stores.queue.claim("w1", NOW_MS, LEASE_MS, 10)) == 1
    assert await stores.queue.claim("w2", NOW_MS, LEASE_MS, 10) == []
    assert await stores.queue.owners() == ["w1"]


async def test_the_oldest_due_comes_first_and_not_before_its_time(stores: SqlStores) -> None:
    old, new, future = message(1, at_ms=NOW_MS - 2), message(2, at_ms=NOW_MS - 1), message(3, at_ms=NOW_MS + 1)
    await _add(stores, new, future, old)
    assert claimed(await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)) == [
        (old.facts.message_id, ("user1@example.net",)),
        (new.facts.message_id, ("user2@example.net",)),
    ]


async def test_claim_takes_no_more_than_asked_for(stores: SqlStores) -> None:
    await _add(stores, *(message(n, "a@x", "b@x") for n in range(10)))
    got = await stores.queue.claim("w", NOW_MS, LEASE_MS, 7)
    assert sum(len(one.recipients) for one in got) == 7
    rest = await stores.queue.claim("w", NOW_MS, LEASE_MS, 100)
    assert sum(len(one.recipients) for one in rest) == 13


async def test_excluded_domains_stay(stores: SqlStores) -> None:
    await _add(stores, message(1, "a@One.example", "b@two.example", "c@three.example"))
    got = await stores.queue.claim("w", NOW_MS, LEASE_MS, 10, {"one.example", "three.example"})
    assert claimed(got) == [(message(1).facts.message_id, ("b@two.example",))]
    assert len(await stores.queue.claim("w", NOW_MS, LEASE_MS, 10, [f"d{n}" for n in range(100)])) == 1


async def test_a_lease_that_ran_out_is_due_again(stores: SqlStores) -> None:
    await _add(stores, message(1))
    await stores.queue.claim("dead", NOW_MS, LEASE_MS, 10)
    assert await stores.queue.next_due_ms() == NOW_MS + LEASE_MS
    assert await stores.queue.claim("w", NOW_MS + LEASE_MS - 1, LEASE_MS, 10) == []
    assert len(await stores.queue.claim("w", NOW_MS + LEASE_MS, LEASE_MS, 10)) == 1
    assert await stores.queue.owners() == ["w"]


async def test_renewing_extends_every_lease_of_the_owner(stores: SqlStores) -> None:
    await _add(stores, message(1), message(2))
    await stores.queue.claim("w1", NOW_MS, LEASE_MS, 1)
    await stores.queue.claim("w1", NOW_MS, LEASE_MS, 1)
    assert await stores.queue.renew("w1", NOW_MS + 2 * LEASE_MS)
    assert await stores.queue.claim("w2", NOW_MS + LEASE_MS, LEASE_MS, 10) == []
    assert len(await stores.queue.claim("w2", NOW_MS + 2 * LEASE_MS, LEASE_MS, 10)) == 2
    assert not await stores.queue.renew("w1", NOW_MS + 3 * LEASE_MS)


async def test_what_an_owner_does_not_know_of_is_freed(stores: SqlStores) -> None:
    await _add(stores, message(1))
    [held] = await stores.queue.claim("w1", NOW_MS, LEASE_MS, 10)
    known = [(held.facts.message_id, each.recipient) for each in held.recipients]
    assert await stores.queue.keep_only("w2", []) == 0
    assert await stores.queue.keep_only("w1", known) == 0
    assert await stores.queue.keep_only("w1", known[1:]) == 1
    [freed] = await stores.queue.claim("w3", NOW_MS, LEASE_MS, 10)
    assert (freed.facts, freed.recipients) == (held.facts, held.recipients[:1])


async def test_release_makes_leased_recipients_due_at_once(stores: SqlStores, backend: Backend) -> None:
    await _add(stores, message(1), message(2))
    await stores.queue.claim("w1", NOW_MS, LEASE_MS, 10)
    backend.wakeups.notified.clear()
    assert await stores.queue.release("w1") == 2
    assert await stores.queue.release("w1") == 0
    assert backend.wakeups.notified == [Topic.QUEUE]
    assert await stores.queue.owners() == []
    assert len(await stores.queue.claim("w2", NOW_MS, LEASE_MS, 10)) == 2


async def test_settled_recipients_keep_state_reply_and_attempts(stores: SqlStores, backend: Backend) -> None:
    added = message(1, "a@x", "b@x")
    await _add(stores, added)
    await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)
    backend.clock.ms = NOW_MS + 5
    later = NOW_MS + HOUR_MS
    await stores.queue.settle(
        [settlement(added, result("a@x"), result("b@x", RecipientState.QUEUED, "451 later", later), sent=b"bytes")]
    )
    stored = await stores.messages.get(OURS, added.facts.message_id)
    assert stored is not None
    a, b = stored.recipients
    assert (a.state, a.reply, a.attempts, a.updated_ms) == (RecipientState.DELIVERED, "250 ok", 1, NOW_MS + 5)
    assert (b.state, b.reply, b.attempts, b.due_ms) == (RecipientState.QUEUED, "451 later", 1, later)
    assert await stores.queue.next_due_ms() == later
    assert await stores.queue.depth() == 1
    assert await stores.queue.claim("w", later - 1, LEASE_MS, 10) == []
    [again] = await stores.queue.claim("w", later, LEASE_MS, 10)
    assert again.recipients == (ClaimedRecipient("b@x", 1, NOW_MS),)
    assert again.sent == b"bytes"


async def test_an_operator_sees_when_a_leased_recipient_was_due(stores: SqlStores) -> None:
    await _add(stores, message(1))
    await stores.queue.claim("w", NOW_MS + 7, LEASE_MS, 10)
    [row] = await stores.queue.page(None, "", 10)
    assert (row.due_ms, row.leased) == (NOW_MS, True)
    await stores.queue.release("w")
    [row] = await stores.queue.page(None, "", 10)
    assert (row.due_ms, row.leased) == (NOW_MS, False)


@pytest.mark.parametrize("together", [True, False])
async def test_of_two_ends_the_first_stays_and_only_its_events(stores: SqlStores, together: bool) -> None:
    added = message(1, "a@x")
    await _add(stores, added)
    first = delivered(added, "a@x")
    second = settlement(
        added,
        result("a@x", RecipientState.BOUNCED, "550 no"),
        events=(event(added, EventType.BOUNCE, "a@x"),),
        sent=b"other",
    )
    if together:
        await stores.queue.settle([first, second])
    else:
        await stores.queue.settle([first])
        await stores.queue.settle([second])
    assert await _states(stores, added) == {"a@x": RecipientState.DELIVERED}
    logged = await stores.events.of_message(OURS, added.facts.message_id)
    assert [one.event.type for one in logged] == [EventType.DELIVERY]
    assert await stores.messages.sent(OURS, added.facts.message_id) == b"sent"
    [point] = await stores.statistics.points(OURS, 0) or [None]
    assert point is None or point.bounces == 0


async def test_an_event_that_also_tells_of_a_live_recipient_is_written(stores: SqlStores) -> None:
    added = message(1, "a@x", "b@x")
    await _add(stores, added)
    await stores.queue.settle([delivered(added, "a@x")])
    await stores.queue.settle([delivered(added, "a@x", "b@x")])
    logged = await stores.events.of_message(OURS, added.facts.message_id)
    assert [one.event.recipients for one in logged] == [("a@x",), ("b@x",)]


async def test_a_dropped_recipient_stays_dropped(stores: SqlStores) -> None:
    added = message(1, "a@x", "b@x")
    await _add(stores, added)
    await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)
    assert await stores.queue.drop(OURS, added.facts.message_id, NOW_MS + 1) == 2
    assert await stores.queue.drop(OURS, added.facts.message_id, NOW_MS + 1) == 0
    await stores.queue.settle([delivered(added, "a@x", "b@x")])
    assert set((await _states(stores, added)).values()) == {RecipientState.DROPPED}
    logged = await stores.events.of_message(OURS, added.facts.message_id)
    assert [(one.event.type, one.event.recipients) for one in logged] == [(EventType.DROPPED, ("a@x", "b@x"))]
    assert await stores.queue.depth() == 0


async def test_drop_and_settle_at_once_agree_on_one_end(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    many = [message(n, "a@x") for n in range(20)]
    await _add(one, *many)
    await asyncio.gather(
        *(one.queue.settle([delivered(m, "a@x")]) for m in many),
        *(other.queue.drop(OURS, m.facts.message_id, NOW_MS) for m in many),
    )
    for m in many:
        [state] = (await _states(one, m)).values()
        [logged] = await one.events.of_message(OURS, m.facts.message_id)
        assert (state is RecipientState.DROPPED) == (logged.event.type is EventType.DROPPED)


async def test_settling_a_message_that_was_deleted_writes_nothing(stores: SqlStores) -> None:
    added = message(1, "a@x")
    await _add(stores, added)
    await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)
    assert await stores.messages.delete(OURS, added.facts.message_id)
    await stores.queue.settle([delivered(added, "a@x")])
    assert await stores.messages.sent(OURS, added.facts.message_id) is None
    assert await stores.events.of_message(OURS, added.facts.message_id) == []


async def test_settling_wakes_readers_of_events(stores: SqlStores, backend: Backend) -> None:
    await _add(stores, message(1, "a@x"))
    backend.wakeups.notified.clear()
    await stores.queue.settle([delivered(message(1), "a@x")])
    assert backend.wakeups.notified == [Topic.EVENTS]


async def test_what_was_sent_is_replaced_by_a_later_attempt(stores: SqlStores) -> None:
    added = message(1, "a@x")
    await _add(stores, added)
    for sent in (b"one", b"x" * 1_000_000, b"three"):
        later = result("a@x", RecipientState.QUEUED, "451", NOW_MS)
        await stores.queue.settle([settlement(added, later, sent=b"zero"), settlement(added, later, sent=sent)])
        assert await stores.messages.sent(OURS, added.facts.message_id) == sent


async def test_two_workers_never_hold_the_same_recipient(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    await asyncio.gather(*(one.submissions.add(message(n, "a@x", "b@x"), None) for n in range(100)))
    seen: Counter[tuple[str, str]] = Counter()

    async def work(stores: SqlStores, owner: str) -> None:
        while got := await stores.queue.claim(owner, NOW_MS, LEASE_MS, 9):
            seen.update((m.facts.message_id, r.recipient) for m in got for r in m.recipients)

    await asyncio.gather(work(one, "w1"), work(other, "w2"), work(one, "w3"))
    assert len(seen) == 200
    assert set(seen.values()) == {1}


async def test_pages_of_the_queue_bring_each_recipient_once(stores: SqlStores) -> None:
    await _add(stores, *(message(n, "b@x", "a@x") for n in range(5)), message(9, scope=THEIRS))
    await stores.queue.settle([delivered(message(2), "a@x")])
    seen: list[str] = []
    while page := await stores.queue.page(OURS, seen[-1] if seen else "", 2):
        assert all(row.scope == OURS for row in page)
        seen += [f"{row.message_id} {row.recipient}" for row in page]
    assert len(seen) == len(set(seen)) == 9
    assert seen == sorted(seen)
    assert len(await stores.queue.page(None, "", 100)) == 10


async def test_retry_makes_a_deferred_message_due(stores: SqlStores) -> None:
    added = message(1, "a@x", "b@x")
    await _add(stores, added)
    later = NOW_MS + HOUR_MS
    await stores.queue.settle([settlement(added, result("a@x", RecipientState.QUEUED, "451", later), result("b@x"))])
    assert await stores.queue.retry(THEIRS, added.facts.message_id, NOW_MS) == 0
    assert await stores.queue.retry(OURS, added.facts.message_id, NOW_MS) == 1
    assert claimed(await stores.queue.claim("w", NOW_MS, LEASE_MS, 9)) == [(added.facts.message_id, ("a@x",))]


async def test_scopes_do_not_touch_each_other(stores: SqlStores) -> None:
    same_id = [message(1, "a@x", scope=scope) for scope in (OURS, OTHER_REGION, THEIRS)]
    await _add(stores, *same_id)
    await stores.queue.settle([delivered(same_id[0], "a@x")])
    assert await stores.queue.drop(OTHER_REGION, same_id[0].facts.message_id, NOW_MS) == 1
    states = [(await _states(stores, one))["a@x"] for one in same_id]
    assert states == [RecipientState.DELIVERED, RecipientState.DROPPED, RecipientState.QUEUED]


async def test_an_empty_queue_has_nothing_due(stores: SqlStores) -> None:
    assert await stores.queue.next_due_ms() is None
    assert await stores.queue.claim("w", NOW_MS, LEASE_MS, 10) == []
    assert await stores.queue.owners() == []
    assert await stores.queue.depth() == 0
    await stores.queue.settle([])


async def test_a_message_whose_content_is_lost_does_not_hold_up_the_others(stores: SqlStores) -> None:
    await _add(stores, message(1, content=b"x" * 1_000_000), message(2))
    async for info in stores._blobs.listing():
        await stores._blobs.delete(info.key)
    got = await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)
    assert [one.facts.message_id for one in got] == [message(2).facts.message_id]
    rows = {row.message_id: row for row in await stores.queue.page(None, "", 10)}
    lost = rows[message(1).facts.message_id]
    assert "cannot be read" in lost.reply
    assert lost.due_ms > NOW_MS
    assert not lost.leased
