"""Submissions and Inbox: what was accepted is there, and the quota holds."""

import asyncio

import pytest
from tests.contract.conftest import Backend
from tests.contract.values import HOUR_MS, NOW_MS, OURS, THEIRS, claimed, message

from posthouse.domain.messages import Direction, RecipientState
from posthouse.domain.quotas import Refusal, SendingLimits
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import SqlStores

UNLIMITED = SendingLimits(-1.0, -1.0)


async def test_what_was_added_can_be_read_as_it_was_given(stores: SqlStores) -> None:
    added = message(1, "a@example.net", "b@example.org", content=bytes(range(256)))
    assert await stores.submissions.add(added, UNLIMITED) is None
    stored = await stores.messages.get(OURS, added.facts.message_id)
    assert stored is not None
    assert stored.facts == added.facts
    assert [(r.recipient, r.state, r.attempts, r.due_ms, r.reply) for r in stored.recipients] == [
        ("a@example.net", RecipientState.QUEUED, 0, NOW_MS, ""),
        ("b@example.org", RecipientState.QUEUED, 0, NOW_MS, ""),
    ]
    assert await stores.messages.content(OURS, added.facts.message_id) == added.content
    assert await stores.messages.sent(OURS, added.facts.message_id) is None


async def test_adding_wakes_the_queue_and_readers(backend: Backend) -> None:
    stores = await backend.open()
    await stores.submissions.add(message(), None)
    assert set(backend.wakeups.notified) == {Topic.QUEUE, Topic.EVENTS}


async def test_hundreds_at_once_are_all_kept(stores: SqlStores) -> None:
    many = [message(number) for number in range(300)]
    answers = await asyncio.gather(*(stores.submissions.add(one, UNLIMITED) for one in many))
    assert answers == [None] * 300
    assert await stores.queue.depth() == 300
    assert await stores.submissions.sent_last_24_hours(OURS, NOW_MS) == 300


async def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(stores: SqlStores) -> None:
    await stores.submissions.add(message(1), None)
    group = [message(2), message(1), message(3)]
    answers = await asyncio.gather(*(stores.submissions.add(one, None) for one in group), return_exceptions=True)
    assert answers[0] is None
    assert isinstance(answers[1], Exception)
    assert answers[2] is None
    assert await stores.queue.depth() == 3


async def test_text_that_is_no_unicode_fails_alone(stores: SqlStores) -> None:
    group = [message(1), message(2, subject="\ud800"), message(3, "\ud800@example.net")]
    answers = await asyncio.gather(*(stores.submissions.add(one, None) for one in group), return_exceptions=True)
    assert answers[0] is None
    assert isinstance(answers[1], UnicodeEncodeError)
    assert isinstance(answers[2], UnicodeEncodeError)


async def test_nul_and_endless_subjects_are_kept_as_they_are(stores: SqlStores) -> None:
    added = message(1, subject="a\0b" * 5000, source='"\0" <a@example.com>' + "x" * 5000)
    await stores.submissions.add(added, None)
    stored = await stores.messages.get(OURS, added.facts.message_id)
    assert stored is not None
    assert stored.facts == added.facts


async def test_content_too_large_for_a_row_comes_back_whole(stores: SqlStores) -> None:
    added = message(1, content=b"0123456789" * 100_000)
    await stores.submissions.add(added, None)
    assert await stores.messages.content(OURS, added.facts.message_id) == added.content
    [one] = await stores.queue.claim("w", NOW_MS, 1000, 10)
    assert one.content == added.content


async def test_daily_quota_refuses_once_it_is_used_up(stores: SqlStores) -> None:
    limits = SendingLimits(3.0, -1.0)
    assert await stores.submissions.add(message(1, "a@x", "b@x"), limits) is None
    # A call is let through while anything is left, and may overshoot.
    assert await stores.submissions.add(message(2, "a@x", "b@x"), limits) is None
    assert await stores.submissions.add(message(3), limits) is Refusal.DAILY
    assert await stores.submissions.sent_last_24_hours(OURS, NOW_MS) == 4
    assert await stores.queue.depth() == 4
    assert await stores.messages.get(OURS, message(3).facts.message_id) is None


async def test_the_simulator_costs_rate_and_no_daily_quota(stores: SqlStores) -> None:
    limits = SendingLimits(1.0, 3.0)
    assert await stores.submissions.add(message(1, "a@x", "success@sim"), limits, 1) is None
    assert await stores.submissions.sent_last_24_hours(OURS, NOW_MS) == 1
    assert await stores.submissions.add(message(2, "success@sim", "a@x"), limits, 1) is Refusal.DAILY
    answers = [await stores.submissions.add(message(n, "ok@sim"), limits, 1) for n in (3, 4)]
    assert answers == [None, Refusal.RATE]
    assert await stores.submissions.sent_last_24_hours(OURS, NOW_MS) == 1


async def test_rate_refuses_until_the_bucket_refills(stores: SqlStores, backend: Backend) -> None:
    limits = SendingLimits(-1.0, 2.0)
    answers = await asyncio.gather(*(stores.submissions.add(message(n), limits) for n in range(4)))
    assert answers == [None, None, Refusal.RATE, Refusal.RATE]
    backend.clock.ms += 500
    assert await stores.submissions.add(message(10), limits) is None
    assert await stores.submissions.add(message(11), limits) is Refusal.RATE


async def test_refusal_wakes_nobody(backend: Backend) -> None:
    stores = await backend.open()
    assert await stores.submissions.add(message(1), SendingLimits(0.0, -1.0)) is Refusal.DAILY
    assert backend.wakeups.notified == []


async def test_a_refused_large_message_leaves_no_blob(stores: SqlStores, backend: Backend) -> None:
    await stores.submissions.add(message(1, content=b"x" * 1_000_000), SendingLimits(0.0, -1.0))
    assert [info async for info in stores._blobs.listing()] == []


async def test_quota_of_one_scope_is_not_charged_to_another(stores: SqlStores) -> None:
    limits = SendingLimits(1.0, -1.0)
    assert await stores.submissions.add(message(1), limits) is None
    assert await stores.submissions.add(message(2, scope=THEIRS), limits) is None
    assert await stores.submissions.sent_last_24_hours(THEIRS, NOW_MS) == 1


async def test_messages_without_limits_are_not_charged(stores: SqlStores) -> None:
    assert await stores.submissions.add(message(1), None) is None
    assert await stores.submissions.sent_last_24_hours(OURS, NOW_MS) == 0


async def test_what_was_sent_leaves_the_window_after_24_hours(stores: SqlStores, backend: Backend) -> None:
    limits = SendingLimits(2.0, -1.0)
    await stores.submissions.add(message(1), limits)
    backend.clock.ms += 12 * HOUR_MS
    await stores.submissions.add(message(2), limits)
    assert await stores.submissions.add(message(3), limits) is Refusal.DAILY
    later = NOW_MS + 24 * HOUR_MS
    assert await stores.submissions.sent_last_24_hours(OURS, later - 1) == 2
    assert await stores.submissions.sent_last_24_hours(OURS, later) == 1
    backend.clock.ms = later
    assert await stores.submissions.add(message(4), limits) is None
    assert await stores.submissions.add(message(5), limits) is Refusal.DAILY
    assert await stores.submissions.sent_last_24_hours(OURS, later) == 2


async def test_a_clock_that_steps_back_loses_no_charge(stores: SqlStores, backend: Backend) -> None:
    limits = SendingLimits(2.0, -1.0)
    backend.clock.ms += 48 * HOUR_MS
    await stores.submissions.add(message(1), limits)
    backend.clock.ms -= 48 * HOUR_MS
    assert await stores.submissions.add(message(2), limits) is None
    assert await stores.submissions.add(message(3), limits) is Refusal.DAILY


async def test_two_processes_share_one_quota_exactly(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    limits = SendingLimits(50.0, -1.0)
    answers = await asyncio.gather(
        *(store.submissions.add(message(n), limits) for n, store in enumerate([one, other] * 50))
    )
    assert answers.count(None) == 50
    assert answers.count(Refusal.DAILY) == 50
    assert await one.submissions.sent_last_24_hours(OURS, NOW_MS) == 50
    assert await other.queue.depth() == 50


async def test_two_processes_share_one_rate_exactly(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    limits = SendingLimits(-1.0, 10.0)
    for round in range(2):
        answers = await asyncio.gather(
            *(store.submissions.add(message(100 * round + n), limits) for n, store in enumerate([one, other] * 15))
        )
        assert (answers.count(None), answers.count(Refusal.RATE)) == (10, 20)
        shared.clock.ms += 1000


async def test_no_limit_counts_and_never_refuses(shared: Backend) -> None:
    one, other = await shared.open(), await shared.open()
    answers = await asyncio.gather(
        *(store.submissions.add(message(n), UNLIMITED) for n, store in enumerate([one, other] * 20))
    )
    assert answers == [None] * 40
    assert await one.submissions.sent_last_24_hours(OURS, NOW_MS) == 40


async def test_the_quota_survives_a_restart(shared: Backend) -> None:
    first = await shared.open()
    await first.submissions.add(message(1), SendingLimits(1.0, 1.0))
    again = await shared.open()
    assert await again.submissions.sent_last_24_hours(OURS, NOW_MS) == 1
    assert await again.submissions.add(message(2), SendingLimits(1.0, 1.0)) is Refusal.DAILY
    assert await again.submissions.add(message(2), SendingLimits(-1.0, 1.0)) is Refusal.RATE


async def test_a_caller_that_goes_away_does_not_disturb_the_group(stores: SqlStores) -> None:
    tasks = [asyncio.create_task(stores.submissions.add(message(n), None)) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1::2] == [None] * 10
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_inbound_mail_is_received_and_not_queued(stores: SqlStores, backend: Backend, size: int) -> None:
    mail = message(1, "user@here.example", direction=Direction.IN, content=b"x" * size)
    await asyncio.gather(*(stores.inbox.add(one) for one in (mail, message(2, direction=Direction.IN))))
    stored = await stores.messages.get(OURS, mail.facts.message_id)
    assert stored is not None
    assert [r.state for r in stored.recipients] == [RecipientState.RECEIVED]
    assert await stores.messages.content(OURS, mail.facts.message_id) == mail.content
    assert await stores.queue.depth() == 0
    assert claimed(await stores.queue.claim("w", NOW_MS + HOUR_MS, 1000, 10)) == []
    assert set(backend.wakeups.notified) == {Topic.INBOX, Topic.EVENTS}
