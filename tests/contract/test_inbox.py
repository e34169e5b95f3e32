"""Inbox: each mail leased to at most one worker, its steps and events written together, and only by who holds it."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.conftest import Backend, CountedWakeups, PostgresServer, SetClock
from tests.contract.values import HOUR_MS, NOW_MS, OURS, THEIRS, event, message

from posthouse.domain.events import EventType
from posthouse.domain.messages import Direction, NewMessage
from posthouse.ports.mailstore import Basis, ClaimedMail, MailSettlement, Settled
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import SqlStores, open_stores

LEASE_MS = 60_000
WRITER = Path(__file__).with_name("inbox_writer.py")


def mail(number: int = 1, *recipients: str, at_ms: int = NOW_MS, **more: object) -> NewMessage:
    return message(number, *recipients, at_ms=at_ms, direction=Direction.IN, **more)  # type: ignore[arg-type]


async def _add(stores: SqlStores, *mails: NewMessage) -> None:
    for one in mails:
        await stores.inbox.add(one)


async def _claim(stores: SqlStores, owner: str = "w", now_ms: int = NOW_MS, limit: int = 10) -> list[ClaimedMail]:
    return list(await stores.inbox.claim(owner, now_ms, LEASE_MS, limit))


def done(one: NewMessage, *types: EventType, basis: Basis | None = None) -> MailSettlement:
    events = tuple(event(one, type, *one.recipients) for type in types)
    return MailSettlement(one.facts.scope, one.facts.message_id, events, basis=basis)


async def _types(stores: SqlStores, one: NewMessage) -> list[EventType]:
    return [each.event.type for each in await stores.events.of_message(one.facts.scope, one.facts.message_id)]


async def test_claim_brings_a_mail_with_its_recipients(stores: SqlStores) -> None:
    added = mail(1, "b@here.example", "a@here.example")
    await _add(stores, added)
    [one] = await _claim(stores)
    assert one == ClaimedMail(added.facts, ("b@here.example", "a@here.example"), 0, "")
    assert await stores.inbox.depth() == 1


async def test_outgoing_mail_does_not_wait_in_the_inbox(stores: SqlStores) -> None:
    await stores.submissions.add(message(1), None)
    assert await _claim(stores) == []
    assert await stores.inbox.next_due_ms() is None


async def test_what_an_owner_does_not_know_of_is_freed(stores: SqlStores) -> None:
    await _add(stores, mail(1))
    await _claim(stores, "w1")
    assert await stores.inbox.keep_only("w2", []) == 0
    assert await stores.inbox.keep_only("w1", [mail(1).facts.message_id]) == 0
    assert await stores.inbox.keep_only("w1", []) == 1
    assert len(await _claim(stores, "w2")) == 1


async def test_what_is_leased_is_not_claimed_again(stores: SqlStores) -> None:
    await _add(stores, mail(1))
    assert len(await _claim(stores, "w1")) == 1
    assert await _claim(stores, "w2") == []
    assert await stores.inbox.owners() == ["w1"]


async def test_the_oldest_due_comes_first_no_more_than_asked_for_and_not_before_its_time(stores: SqlStores) -> None:
    old, new, future = mail(1, at_ms=NOW_MS - 2), mail(2, at_ms=NOW_MS - 1), mail(3, at_ms=NOW_MS + 1)
    await _add(stores, new, future, old)
    assert [one.facts for one in await _claim(stores, limit=1)] == [old.facts]
    assert [one.facts for one in await _claim(stores)] == [new.facts]
    assert await _claim(stores) == []


async def test_a_done_mail_is_gone_and_its_events_are_logged(stores: SqlStores, backend: Backend) -> None:
    added = mail(1)
    await _add(stores, added)
    await _claim(stores)
    backend.wakeups.notified.clear()
    assert await stores.inbox.settle("w", [done(added, EventType.RECEIVED)]) == [Settled.WRITTEN]
    assert backend.wakeups.notified == [Topic.EVENTS]
    assert await _types(stores, added) == [EventType.RECEIVED]
    assert await stores.inbox.depth() == 0
    assert await _claim(stores, now_ms=NOW_MS + HOUR_MS) == []
    assert await stores.messages.get(OURS, added.facts.message_id) is not None
    assert await stores.inbox.settle("w", []) == []


async def test_a_mail_comes_back_at_its_time_with_the_stage_it_was_left_in(stores: SqlStores) -> None:
    added, later = mail(1), NOW_MS + HOUR_MS
    await _add(stores, added)
    await _claim(stores)
    stage = '{"rule":"r","action":2}'
    step = MailSettlement(OURS, added.facts.message_id, (event(added, EventType.RECEIVED),), later, stage)
    assert await stores.inbox.settle("w", [step]) == [Settled.WRITTEN]
    assert await stores.inbox.next_due_ms() == later
    assert await _claim(stores, now_ms=later - 1) == []
    [again] = await _claim(stores, "other", now_ms=later)
    assert (again.stage, again.attempts) == (stage, 1)


async def test_a_mail_may_arrive_with_a_stage(stores: SqlStores) -> None:
    await asyncio.gather(stores.inbox.add(mail(1), "the plan"), stores.inbox.add(mail(2)))
    claimed = await _claim(stores)
    assert {each.facts.message_id: each.stage for each in claimed} == {
        mail(1).facts.message_id: "the plan",
        mail(2).facts.message_id: "",
    }


async def test_progress_on_the_way_is_kept_without_letting_the_mail_go(stores: SqlStores) -> None:
    added = mail(1)
    await _add(stores, added)
    await _claim(stores)
    told = (event(added, EventType.RECEIVED),)
    step = MailSettlement(OURS, added.facts.message_id, told, stage="one", holds=True)
    assert await stores.inbox.settle("w", [step]) == [Settled.WRITTEN]
    assert await stores.inbox.settle("other", [replace(step, stage="not mine")]) == [Settled.LOST]
    assert await _claim(stores, "other", now_ms=NOW_MS + 1) == []
    assert await _types(stores, added) == [EventType.RECEIVED]
    # What is put off without a stage of its own goes on where it was.
    assert await stores.inbox.settle("w", [MailSettlement(OURS, added.facts.message_id, due_ms=NOW_MS, stage=None)])
    [again] = await _claim(stores, "other")
    assert (again.stage, again.attempts) == ("one", 1)


async def test_a_lease_that_ran_out_is_taken_over_and_its_owner_settles_nothing(stores: SqlStores) -> None:
    added = mail(1)
    await _add(stores, added)
    await _claim(stores, "slow")
    assert await stores.inbox.next_due_ms() == NOW_MS + LEASE_MS
    assert await _claim(stores, "next", NOW_MS + LEASE_MS - 1) == []
    assert len(await _claim(stores, "next", NOW_MS + LEASE_MS)) == 1
    late = MailSettlement(OURS, added.facts.message_id, (event(added, EventType.RECEIVED),), NOW_MS, "late")
    assert await stores.inbox.settle("slow", [late]) == [Settled.LOST]
    assert await _types(stores, added) == []
    assert await stores.inbox.owners() == ["next"]
    assert await stores.inbox.settle("next", [done(added, EventType.RECEIVED)]) == [Settled.WRITTEN]
    assert await stores.inbox.settle("next", [done(added, EventType.RECEIVED)]) == [Settled.LOST]
    assert await _types(stores, added) == [EventType.RECEIVED]


async def test_renewing_extends_every_lease_of_the_owner(stores: SqlStores) -> None:
    await _add(stores, mail(1), mail(2))
    await _claim(stores, "w1", limit=1)
    await _claim(stores, "w1", limit=1)
    await stores.inbox.renew("w1", NOW_MS + 2 * LEASE_MS)
    assert await _claim(stores, "w2", NOW_MS + LEASE_MS) == []
    assert len(await _claim(stores, "w2", NOW_MS + 2 * LEASE_MS)) == 2


async def test_release_makes_leased_mails_due_at_once(stores: SqlStores, backend: Backend) -> None:
    await _add(stores, mail(1), mail(2))
    await _claim(stores, "w1")
    backend.wakeups.notified.clear()
    assert await stores.inbox.release("w1") == 2
    assert await stores.inbox.release("w1") == 0
    assert backend.wakeups.notified == [Topic.INBOX]
    assert await stores.inbox.owners() == []
    assert len(await _claim(stores, "w2")) == 2


async def test_the_leases_of_queue_and_inbox_are_apart(stores: SqlStores) -> None:
    await _add(stores, mail(1))
    await stores.submissions.add(message(2), None)
    await _claim(stores, "w")
    await stores.queue.claim("w", NOW_MS, LEASE_MS, 10)
    await stores.inbox.renew("w", NOW_MS + 2 * LEASE_MS)
    assert len(await stores.queue.claim("other", NOW_MS + LEASE_MS, LEASE_MS, 10)) == 1
    assert await _claim(stores, "other", NOW_MS + LEASE_MS) == []


async def test_what_was_decided_on_an_older_log_is_not_written(stores: SqlStores) -> None:
    original, report = message(1), mail(2)
    await stores.submissions.add(original, None)
    await _add(stores, report)
    await stores.events.append([event(original, EventType.DELIVERY)])
    [seen] = await stores.events.of_message(OURS, original.facts.message_id)
    await _claim(stores)
    await stores.events.append([event(original, EventType.BOUNCE)])
    told = (event(original, EventType.BOUNCE),)
    stale = MailSettlement(OURS, report.facts.message_id, told, basis=Basis(original.facts.message_id, seen.seq))
    assert await stores.inbox.settle("w", [stale]) == [Settled.STALE]
    assert await _types(stores, original) == [EventType.DELIVERY, EventType.BOUNCE]
    # The lease stays: who found out decides again.
    assert await stores.inbox.owners() == ["w"]
    seq = (await stores.events.of_message(OURS, original.facts.message_id))[-1].seq
    fresh = MailSettlement(OURS, report.facts.message_id, told, basis=Basis(original.facts.message_id, seq))
    assert await stores.inbox.settle("w", [fresh]) == [Settled.WRITTEN]


async def test_events_of_other_messages_do_not_move_a_basis(stores: SqlStores) -> None:
    report = mail(2)
    await _add(stores, report)
    await _claim(stores)
    await stores.events.append([event(message(1, scope=THEIRS), EventType.BOUNCE), event(message(3), EventType.BOUNCE)])
    settled = await stores.inbox.settle(
        "w", [done(report, EventType.RECEIVED, basis=Basis(message(1).facts.message_id, 0))]
    )
    assert settled == [Settled.WRITTEN]


@pytest.mark.parametrize("together", [True, False])
async def test_of_two_reports_decided_at_once_one_is_written(shared: Backend, together: bool) -> None:
    one, other = await shared.open(), await shared.open()
    original = message(1)
    reports = [mail(number) for number in range(2, 12)]
    await _add(one, *reports)
    await _claim(one, "w")
    basis = Basis(original.facts.message_id, 0)
    told = (event(original, EventType.BOUNCE, "user1@example.net"),)
    settlements = [MailSettlement(OURS, each.facts.message_id, told, basis=basis) for each in reports]
    if together:
        settled = list(await one.inbox.settle("w", settlements))
    else:
        answers = await asyncio.gather(
            *((one, other)[n % 2].inbox.settle("w", [each]) for n, each in enumerate(settlements))
        )
        settled = [answer for [answer] in answers]
    assert Counter(settled) == {Settled.WRITTEN: 1, Settled.STALE: 9}
    assert await _types(one, original) == [EventType.BOUNCE]


async def test_a_deleted_mail_waits_no_more(stores: SqlStores) -> None:
    added = mail(1)
    await _add(stores, added, mail(2))
    await _claim(stores, limit=1)
    assert await stores.messages.delete(OURS, added.facts.message_id)
    assert await stores.inbox.settle("w", [done(added, EventType.RECEIVED)]) == [Settled.LOST]
    assert await _types(stores, added) == []
    assert await stores.inbox.depth() == 1


async def test_scopes_do_not_touch_each_other(stores: SqlStores) -> None:
    ours, theirs = mail(1), mail(1, scope=THEIRS)
    await _add(stores, ours, theirs)
    assert len(await _claim(stores)) == 2
    await stores.inbox.settle("w", [done(ours, EventType.RECEIVED)])
    assert (await _types(stores, ours), await _types(stores, theirs)) == ([EventType.RECEIVED], [])
    assert await stores.inbox.depth() == 1


async def test_two_workers_never_hold_the_same_mail(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    await asyncio.gather(*(one.inbox.add(mail(n)) for n in range(100)))
    seen: Counter[str] = Counter()

    async def work(stores: SqlStores, owner: str) -> None:
        while got := await stores.inbox.claim(owner, NOW_MS, LEASE_MS, 7):
            seen.update(each.facts.message_id for each in got)
            settlements = [MailSettlement(OURS, each.facts.message_id) for each in got]
            assert set(await stores.inbox.settle(owner, settlements)) == {Settled.WRITTEN}

    await asyncio.gather(work(one, "w1"), work(other, "w2"), work(one, "w3"))
    assert len(seen) == 100
    assert set(seen.values()) == {1}
    assert await one.inbox.depth() == 0


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
async def test_acknowledged_mail_survives_kill_and_is_taken_over(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = name
    if name == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.new_database()
    writer = subprocess.Popen([sys.executable, WRITER, url, tmp_path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(100)]
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.wait(10)
    # The last line may have been cut in the middle.
    said = [line.split() for line in lines if line.endswith("\n")]
    added = {id for word, id in said if word == "added"}
    stores = await open_stores(url, tmp_path, SetClock(), CountedWakeups())
    left = await stores.inbox.claim("next", NOW_MS + LEASE_MS, LEASE_MS, 1_000_000)
    left_ids = {one.facts.message_id for one in left}
    for id in added:
        events = await stores.events.of_message(OURS, id)
        # Done with its event, or waiting without one: never both, never neither.
        assert (id in left_ids) == (not events), id
        assert len(events) <= 1
    await stores.close()
