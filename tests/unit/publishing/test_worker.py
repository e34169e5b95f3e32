"""The engine: at least once, in order for each message, and nobody suffers for a destination that is down."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.lost_answers import LostAnswers, NoAnswers
from tests.unit.publishing.fakes import (
    ALL,
    ARN,
    FAST,
    SCOPE,
    House,
    flaky,
    open_house,
    replaced,
    stream,
    topic,
    unknown,
)

from posthouse.domain.configuration_sets import Dimension, EventDestination
from posthouse.domain.events import EventType
from posthouse.domain.publishing import GIVE_UP_MS
from posthouse.domain.scope import Scope
from posthouse.observe import Metrics
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.topics import PublishFailed, PublishOutcome, TopicUnknown
from posthouse.publishing.courtesy import Courtesy
from posthouse.publishing.feedback import Feedback
from posthouse.publishing.payload import SUBJECT, feedback_id

KEY = "set:123456789012:us-east-1:s:"
FORWARD = "forward:123456789012:us-east-1"
BOUNCES = "identity:123456789012:us-east-1:shop.example:Bounce"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as house:
        yield house


async def test_an_event_reaches_every_destination_that_asked_for_it(house: House) -> None:
    await house.add_identity()
    await house.add_set(
        "s",
        topic("one", "send", "open"),
        topic("two", "open"),
        stream("three"),
        EventDestination(
            name="four",
            enabled=True,
            event_types=ALL,
            dimensions=(Dimension(name="ses:from-domain", source="messageTag", default="x"),),
        ),
    )
    sent = await house.send(1)
    async with house.working():
        await house.happen(house.event(sent, EventType.SEND), house.event(sent, EventType.OPEN, ip="192.0.2.1"))
        await house.happen(house.event(sent, EventType.DELIVERY_DELAY), house.event(sent, EventType.OPEN, ""))
        await house.until_idle()
    assert house.world.told(ARN + "one") == [("Send", sent), ("Open", sent)]
    assert house.world.told(ARN + "two") == [("Open", sent)]
    assert [each["eventType"] for each in house.world.records] == ["Send", "Open"]
    assert [(each.name, each.dimensions) for each in house.world.values] == [
        ("Send", (("ses:from-domain", "shop.example"),)),
        ("Open", (("ses:from-domain", "shop.example"),)),
    ]
    assert {subject for _, subject, _ in house.world.published} == {SUBJECT}
    told = next(event for _, _, event in house.world.published if event["eventType"] == "Send")
    assert told["mail"]["sourceArn"] == "arn:aws:ses:us-east-1:123456789012:identity/shop.example"
    assert told["mail"]["destination"] == ["dana@mail.example"]
    assert (await house.status(KEY + "one")).last_success_ms == house.clock.ms


async def test_an_identity_hears_of_its_bounces_by_topic_and_by_mail(house: House) -> None:
    await house.add_identity(bounce_topic=ARN + "b", delivery_topic=ARN + "d", headers_in_bounce=True)
    sent = await house.send(1, "")
    bounce = house.event(sent, EventType.BOUNCE, "", kind={"type": "Permanent", "subtype": "General"})
    async with house.working():
        await house.happen(bounce, house.event(sent, EventType.DELIVERY, ""), house.event(sent, EventType.SEND, ""))
        await house.until_idle()
    assert sorted(arn for arn, _, _ in house.world.published) == [ARN + "b", ARN + "d"]
    notices = {event["notificationType"]: (subject, event) for _, subject, event in house.world.published}
    assert notices["Bounce"][0] is None
    assert notices["Bounce"][1]["mail"]["commonHeaders"]["subject"] == "Hello"
    assert "headers" not in notices["Delivery"][1]["mail"]
    (forwarded,) = house.world.forwarded
    assert (forwarded.event, forwarded.identity) == (bounce, "shop.example")
    assert forwarded.mail.facts.feedback_to == "orders@shop.example"
    assert forwarded.feedback_id == feedback_id(bounce, forwarded.seq) == notices["Bounce"][1]["bounce"]["feedbackId"]


async def test_whose_identity_it_is_hears_of_a_delegates_bounces(house: House) -> None:
    owner = Scope("210987654321", "us-east-1")
    await house.add_identity(scope=owner, bounce_topic=ARN + "owner", complaint_topic=ARN + "c", forwarding=False)
    sent = await house.send(1, "", source_arn="arn:aws:ses:us-east-1:210987654321:identity/shop.example")
    async with house.working():
        await house.happen(house.event(sent, EventType.BOUNCE, ""))
        await house.until_idle()
    assert house.world.told(ARN + "owner") == [("Bounce", sent)]
    assert house.world.published[0][2]["mail"]["sendingAccountId"] == SCOPE.account
    assert house.world.forwarded == []


async def test_mail_of_the_installation_itself_makes_no_feedback(house: House) -> None:
    for number, changes in enumerate(({"operation": "Feedback"}, {"operation": "SendBounce"}, {"feedback_to": ""})):
        sent = await house.send(number, "", **changes)
        await house.happen(house.event(sent, EventType.BOUNCE, ""))
    async with house.working():
        await house.until_idle()
    assert house.world.forwarded == []


async def test_without_a_writer_of_feedback_nothing_waits_for_him(house: House) -> None:
    sent = await house.send(1, "")
    await house.happen(house.event(sent, EventType.BOUNCE, ""))
    async with house.working(forward=None):
        await house.until_idle()
    assert await house.stores.publications.destinations(None, "", 9) == []


async def test_feedback_that_could_not_be_kept_is_written_again(house: House) -> None:
    failures = [StoreUnavailable("full"), StoreUnavailable("full")]

    async def forward(feedback: Feedback) -> None:
        if failures:
            raise failures.pop()
        await house.world.forward(feedback)

    sent = await house.send(1, "")
    gone = house.event("0100018f3c2a7b10-0-gone", EventType.BOUNCE, "")
    async with house.working(forward=forward):
        await house.happen(house.event(sent, EventType.BOUNCE, ""), gone)
        async with house.time_passing():
            await house.until_idle()
    # Of the message that is gone nobody can be told.
    assert len(house.world.forwarded) == 1


# -- order and failures


async def test_events_of_a_message_come_in_order_however_often_they_fail(house: House) -> None:
    await house.add_set("s", topic("one"))
    house.world.answer = flaky(5, 0.5)
    sent = [await house.send(number) for number in range(20)]
    types = [EventType.SEND, EventType.DELIVERY, EventType.OPEN, EventType.CLICK]
    async with house.working():
        for type in types:
            await house.happen(*(house.event(each, type) for each in sent))
        async with house.time_passing():
            await house.until_idle()
    told: dict[str, list[str]] = defaultdict(list)
    for type_told, message_id in house.world.told(ARN + "one"):
        told[message_id].append(type_told)
    assert dict(told) == {each: [type.value for type in types] for each in sent}


async def test_a_dead_destination_hurts_nobody_else(house: House) -> None:
    await house.add_set("s", topic("dead"), topic("live"), topic("slow"))
    dead: PublishOutcome = PublishFailed("refused")
    house.world.answer = lambda arn, event: dead if arn == ARN + "dead" else None
    house.world.slow = lambda arn: arn == ARN + "slow"
    sent = [await house.send(number) for number in range(50)]
    settings = replaced(FAST, deadline_s=0.2)
    async with house.working(settings):
        await house.happen(*(house.event(each, EventType.OPEN) for each in sent))
        await house.until(lambda: len(house.world.told(ARN + "live")) == 50)
        await house.until_waiting(100)
        async with asyncio.timeout(10):
            while (await house.status(KEY + "slow")).failures == 0 or (await house.status(KEY + "slow")).leased:
                await asyncio.sleep(0.01)
        status = await house.status(KEY + "dead")
        assert (status.failures, status.last_error, status.waiting) == (1, "refused", 50)
        assert status.waiting_until_ms == house.clock.ms + 1000
        assert (await house.status(KEY + "slow")).last_error == "No answer in time."
        # It is left alone until its time has come, and then asked with a few.
        tried = house.world.tried[ARN + "dead"]
        house.clock.ms += 999
        await house.happen(house.event(sent[0], EventType.CLICK))
        await house.until(lambda: len(house.world.told(ARN + "live")) == 51)
        assert house.world.tried[ARN + "dead"] == tried
        house.clock.ms += 1
        await house.until(lambda: house.world.tried[ARN + "dead"] > tried)
        async with asyncio.timeout(10):
            while (status := await house.status(KEY + "dead")).failures < 2:
                await asyncio.sleep(0.005)
        assert house.world.tried[ARN + "dead"] <= tried + FAST.probe
        assert status.waiting_until_ms == house.clock.ms + 2000
        # It comes back to life, and hears of everything.
        house.world.answer = lambda arn, event: None
        house.world.slow = lambda arn: False
        async with house.time_passing():
            await house.until_idle()
    assert len(house.world.told(ARN + "dead")) == len(house.world.told(ARN + "slow")) == 51


async def test_one_message_that_is_never_taken_does_not_stop_the_others(house: House) -> None:
    await house.add_set("s", topic("one"))
    sent = [await house.send(number) for number in range(30)]
    bad = sent[3]
    house.world.answer = lambda arn, event: PublishFailed("bad") if event["mail"]["messageId"] == bad else None
    async with house.working():
        await house.happen(*(house.event(each, EventType.SEND) for each in sent))
        await house.happen(house.event(bad, EventType.OPEN))
        await house.until_waiting(2)
        assert len(house.world.told(ARN + "one")) == 29
        assert house.world.tried[ARN + "one"] == 30
        assert (await house.status(KEY + "one")).failures == 0
        # Four days later it is given up, and the event behind it has its turn.
        house.clock.ms += GIVE_UP_MS + 1
        async with asyncio.timeout(10):
            while (await house.stores.publications.totals()).dead < 2:
                await asyncio.sleep(0.01)
        dead = await house.stores.publications.dead(KEY + "one", 0, 9)
        assert [(each.message.message_id, each.error) for each in dead] == [(bad, "bad"), (bad, "bad")]
        house.world.answer = lambda arn, event: None
        assert await house.stores.publications.revive(KEY + "one", house.clock.ms) == 2
        async with house.time_passing():
            await house.until_idle()
    assert house.world.told(ARN + "one")[-2:] == [("Send", bad), ("Open", bad)]


async def test_a_half_failing_destination_loses_nothing_of_many(house: House) -> None:
    await house.add_set("s", topic("one", "open"))
    house.world.answer = flaky(1, 0.5)
    sent = await house.send(1)
    messages = [sent, *(f"0100018f3c2a7b10-{number:08x}-x" for number in range(19_999))]
    metrics = Metrics()
    async with house.working(metrics=metrics):
        for start in range(0, 20_000, 500):
            await house.happen(*(house.event(each, EventType.OPEN) for each in messages[start : start + 500]))
        async with house.time_passing(300_000):
            await house.until_idle(60)
    told = [message_id for _, message_id in house.world.told(ARN + "one")]
    assert len(told) == 20_000
    assert set(told) == set(messages)
    counted = {labels: value for name, labels, value in metrics.samples() if name == "posthouse_publications_total"}
    assert counted[("outcome", "sent"), ("to", "topic")] == 20_000
    assert counted[("outcome", "failed"), ("to", "topic")] > 5000


async def test_a_topic_publishes_many_messages_at_one_time(house: House) -> None:
    await house.add_set("s", topic("one"))
    messages = [f"0100018f3c2a7b10-{number:08x}-x" for number in range(300)]
    await house.happen(*(house.event(each, EventType.OPEN) for each in messages))
    async with house.working(replaced(FAST, publishes=20)):
        await house.until_idle()
    assert house.world.most == 20


# -- topics that are gone, destinations that are


@pytest.mark.parametrize("forwarding", [True, False])
async def test_a_bounce_topic_that_is_gone_is_removed_and_the_sender_told_by_mail(
    house: House, forwarding: bool
) -> None:
    await house.add_identity(bounce_topic=ARN + "gone", complaint_topic=ARN + "c", forwarding=forwarding)
    house.world.answer = unknown(ARN + "gone")
    sent = [await house.send(number, "") for number in range(3)]
    async with house.working():
        await house.happen(*(house.event(each, EventType.BOUNCE, "") for each in sent))
        await house.until_idle()
    settings = (await house.identity()).notifications
    assert (settings.bounce_topic, settings.complaint_topic, settings.forwarding) == ("", ARN + "c", True)
    # Once each, also where they had been mailed in the first place.
    assert sorted(each.event.message_id for each in house.world.forwarded) == sorted(sent)
    assert await house.stores.publications.status(BOUNCES) is None


async def test_a_delivery_topic_that_is_gone_stays_and_is_tried_again(house: House) -> None:
    await house.add_identity(delivery_topic=ARN + "gone")
    house.world.answer = unknown(ARN + "gone")
    sent = await house.send(1, "")
    async with house.working():
        await house.happen(house.event(sent, EventType.DELIVERY, ""))
        await house.until_waiting(1)
        async with asyncio.timeout(10):
            while not (await house.status(BOUNCES.replace("Bounce", "Delivery"))).failures:
                await asyncio.sleep(0.005)
        house.world.answer = lambda arn, event: None
        async with house.time_passing():
            await house.until_idle()
    assert (await house.identity()).notifications.delivery_topic == ARN + "gone"
    assert house.world.told(ARN + "gone") == [("Delivery", sent)]


async def test_what_waits_for_a_topic_that_was_unset_is_told_by_mail(house: House) -> None:
    await house.add_identity(bounce_topic=ARN + "b", complaint_topic=ARN + "c", forwarding=False)
    house.world.answer = lambda arn, event: PublishFailed("down")
    sent = await house.send(1, "")
    async with house.working():
        await house.happen(house.event(sent, EventType.BOUNCE, ""))
        await house.until_waiting(1)
        await house.add_identity()
        async with house.time_passing():
            await house.until_idle()
    assert [each.event.message_id for each in house.world.forwarded] == [sent]


async def test_what_waits_for_a_destination_that_is_gone_is_dropped(house: House) -> None:
    await house.add_set("s", topic("one"), topic("two"))
    house.world.answer = lambda arn, event: PublishFailed("down")
    sent = await house.send(1)
    async with house.working():
        await house.happen(house.event(sent, EventType.OPEN))
        await house.until_waiting(2)
        off = EventDestination(name="two", enabled=False, event_types=ALL, sns_topic=ARN + "two")
        await house.add_set("s", off)
        async with house.time_passing():
            await house.until_idle()
    assert await house.stores.publications.destinations(None, "", 9) == []
    assert house.world.published == []


async def test_a_changed_topic_gets_what_waited_for_the_old_one(house: House) -> None:
    await house.add_set("s", topic("one"))
    house.world.answer = lambda arn, event: PublishFailed("down") if arn == ARN + "one" else None
    sent = await house.send(1)
    async with house.working():
        await house.happen(house.event(sent, EventType.OPEN))
        await house.until_waiting(1)
        await house.add_set("s", topic("one", arn=ARN + "new"))
        async with house.time_passing():
            await house.until_idle()
    assert house.world.told(ARN + "new") == [("Open", sent)]


# -- streams and metrics


async def test_records_that_a_stream_refused_are_put_again_and_later_ones_wait(house: House) -> None:
    await house.add_set("s", stream("one"))
    sent = [await house.send(number) for number in range(10)]
    refusing = [True]
    bad = sent[4]
    house.world.refused_records = lambda record: refusing[0] and record["mail"]["messageId"] == bad
    async with house.working():
        await house.happen(
            *(house.event(each, EventType.SEND) for each in sent), *(house.event(each, EventType.OPEN) for each in sent)
        )
        await house.until_waiting(2)
        assert len(house.world.records) == 18
        refusing[0] = False
        async with house.time_passing():
            await house.until_idle()
    mine = [each["eventType"] for each in house.world.records if each["mail"]["messageId"] == bad]
    assert mine == ["Send", "Open"]


async def test_a_stream_gets_many_records_in_one_call_but_not_too_many(house: House) -> None:
    await house.add_set("s", stream("one"))
    messages = [f"0100018f3c2a7b10-{number:08x}-x" for number in range(1200)]
    await house.happen(*(house.event(each, EventType.OPEN) for each in messages))
    async with house.working():
        await house.until_idle()
    assert sum(house.world.puts) == 1200
    assert 100 < max(house.world.puts) <= 500


async def test_a_stream_that_is_down_is_tried_again(house: House) -> None:
    await house.add_set("s", stream("one"))
    house.world.stream_reason = "no such luck"
    sent = await house.send(1)
    async with house.working():
        await house.happen(house.event(sent, EventType.SEND), house.event(sent, EventType.OPEN))
        async with asyncio.timeout(10):
            while not (await house.stores.publications.totals()).failing:
                await asyncio.sleep(0.005)
        assert (await house.status(KEY + "one")).last_error == "no such luck"
        house.world.stream_reason = ""
        async with house.time_passing():
            await house.until_idle()
    assert [each["eventType"] for each in house.world.records] == ["Send", "Open"]


async def test_what_met_the_bad_moments_of_a_stream_does_not_wait_long_after_them(house: House) -> None:
    await house.add_set("s", stream("one"))
    unlucky, other = await house.send(1), await house.send(2)
    tries: list[str] = []

    def refuse(record: Any) -> bool:
        tries.append(record["mail"]["messageId"])
        return bool(tries[-1] == unlucky)

    def told() -> set[str]:
        return {each["mail"]["messageId"] for each in house.world.records}

    house.world.refused_records = refuse
    async with house.working():
        await house.happen(house.event(unlucky, EventType.SEND))
        async with house.time_passing():
            await house.until(lambda: len(tries) >= 6)
        await house.happen(house.event(other, EventType.SEND))
        await house.until_waiting(2)
        house.clock.ms += GIVE_UP_MS // 10
        await house.until(lambda: other in told())
        await house.until_waiting(1)
        # The stream itself fails now, once.
        house.world.stream_reason = "no such luck"
        house.clock.ms += GIVE_UP_MS // 10
        async with asyncio.timeout(10):
            while (await house.status(KEY + "one")).last_error != "no such luck":
                await asyncio.sleep(0.005)
        house.world.stream_reason, house.world.refused_records = "", lambda record: False
        house.clock.ms += 1_100
        await house.until(lambda: unlucky in told(), timeout_s=5)


async def test_metrics_that_were_not_taken_are_put_again(house: House) -> None:
    dims = (Dimension(name="a", source="messageTag", default="x"),)
    await house.add_set("s", EventDestination(name="one", enabled=True, event_types=ALL, dimensions=dims))
    house.world.sink_reason = "throttled"
    messages = [f"0100018f3c2a7b10-{number:08x}-x" for number in range(600)]
    async with house.working():
        await house.happen(*(house.event(each, EventType.OPEN) for each in messages))
        async with asyncio.timeout(10):
            while not (await house.stores.publications.totals()).failing:
                await asyncio.sleep(0.005)
        house.world.sink_reason = ""
        async with house.time_passing():
            await house.until_idle()
    assert len(house.world.values) == 600


# -- crashes, several workers, replays


async def test_a_worker_that_is_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    """Killed at random points of its work, again and again, with its leases still standing."""
    chance = random.Random(11)
    async with open_house(tmp_path) as house:
        await house.add_set("s", topic("one"), stream("two"))
        await house.add_identity(bounce_topic=ARN + "b")
        sent = [await house.send(number) for number in range(60)]
        killed = 0
        for type in (EventType.SEND, EventType.BOUNCE, EventType.OPEN):
            await house.happen(*(house.event(each, type) for each in sent))
            for _ in range(12):
                worker = asyncio.create_task(house.worker(replaced(FAST, publishes=4)).run())
                told = len(house.world.published) + chance.randrange(12)
                with contextlib.suppress(TimeoutError):
                    await house.until(lambda told=told: len(house.world.published) >= told, 0.05)
                for _ in range(chance.randrange(6)):
                    await asyncio.sleep(0)
                worker.cancel()
                await asyncio.wait([worker])
                killed += 1
                house.clock.ms += FAST.lease_ms + 1
        async with house.working():
            await house.until_idle()
        assert killed == 36
        wanted = {(type, each) for each in sent for type in ("Send", "Bounce", "Open")}
        assert set(house.world.told(ARN + "one")) == wanted
        assert len(house.world.told(ARN + "one")) > len(wanted), "nobody was killed in the middle"
        assert {(each["eventType"], each["mail"]["messageId"]) for each in house.world.records} == wanted
        assert {each for _, each in house.world.told(ARN + "b")} == set(sent)
        assert {each.event.message_id for each in house.world.forwarded} == set(sent)
        # Each for itself first in order, whatever was told twice.
        first: dict[str, list[str]] = defaultdict(list)
        for type_told, message_id in house.world.told(ARN + "one"):
            if type_told not in first[message_id]:
                first[message_id].append(type_told)
        assert set(map(tuple, first.values())) == {("Send", "Bounce", "Open")}


async def test_two_workers_share_the_work_and_tell_nothing_twice(house: House) -> None:
    await house.add_set("s", *(topic(f"t{number}") for number in range(10)))
    sent = [await house.send(number) for number in range(30)]
    async with house.working(), house.working():
        for each in sent:
            await house.happen(house.event(each, EventType.SEND))
            await house.happen(house.event(each, EventType.OPEN))
        await house.until_idle()
    told = [(arn, event["eventType"], event["mail"]["messageId"]) for arn, _, event in house.world.published]
    assert len(told) == len(set(told)) == 600


async def test_leases_of_the_dead_are_taken_over_at_once(house: House) -> None:
    await house.add_set("s", topic("one"))
    sent = await house.send(1)
    await house.happen(house.event(sent, EventType.SEND))
    house.world.slow = lambda arn: True
    worker = house.worker()
    running = asyncio.create_task(worker.run())
    await house.until(lambda: house.world.publishing == 1 or house.world.tried[ARN + "one"] == 1, 5)
    running.cancel()
    await asyncio.wait([running])
    assert await house.stores.publications.owners() == ["worker 1"]
    house.world.slow = lambda arn: False
    async with house.working(is_known_dead=lambda owner: owner == "worker 1"):
        await house.until_idle()
    assert house.world.told(ARN + "one") == [("Send", sent)]


async def test_an_orderly_end_leaves_no_lease_and_writes_down_what_was_told(house: House) -> None:
    await house.add_set("s", topic("one"))
    sent = [await house.send(number) for number in range(100)]
    await house.happen(*(house.event(each, EventType.SEND) for each in sent))
    async with house.working(replaced(FAST, publishes=3)):
        await house.until(lambda: len(house.world.published) >= 5)
    told = len(house.world.published)
    assert (await house.stores.publications.totals()).waiting == 100 - told
    assert await house.stores.publications.owners() == []


async def test_a_destination_hears_again_of_what_it_is_asked_to(house: House) -> None:
    await house.add_set("s", topic("one", "open"), topic("two"))
    sent = await house.send(1)
    async with house.working(replaced(FAST, route_batch=2)):
        await house.happen(*(house.event(sent, type) for type in (EventType.OPEN, EventType.SEND, EventType.OPEN)))
        await house.happen(*(house.event(sent, type) for type in (EventType.CLICK, EventType.OPEN)))
        await house.until_idle()
        assert len(house.world.told(ARN + "one")) == 3
        await house.stores.publications.replay(KEY + "one", SCOPE, 2)
        await house.until(lambda: len(house.world.told(ARN + "one")) == 5)
        await house.until_idle()
    assert len(house.world.told(ARN + "two")) == 5


async def test_an_event_that_cannot_be_told_does_not_stop_the_others(house: House) -> None:
    dims = (Dimension(name="a", source="linkTag", default="x"),)
    metrics = EventDestination(name="three", enabled=True, event_types=ALL, dimensions=dims)
    await house.add_set("s", topic("one"), stream("two"), metrics)
    good, bad = await house.send(1), await house.send(2)
    async with house.working():
        await house.happen(
            house.event(bad, EventType.BOUNCE, recipients=7, link_tags=7),
            house.event(bad, EventType.OPEN),
            house.event(good, EventType.OPEN),
        )
        await house.until_waiting(5)
    assert house.world.told(ARN + "one") == [("Open", good)]
    assert [each["mail"]["messageId"] for each in house.world.records] == [good]
    assert [each.name for each in house.world.values] == ["Open", "Open"]
    for name in ("one", "two", "three"):
        assert (await house.status(KEY + name)).last_error == "Internal error; see the log."


async def test_a_message_that_cannot_be_read_is_told_as_far_as_its_event_goes(house: House) -> None:
    await house.add_set("s", topic("one"))
    sent = await house.send(1, source_arn="no arn at all")
    async with house.working():
        await house.happen(house.event(sent, EventType.OPEN), house.event(sent, EventType.BOUNCE))
        await house.until_idle()
    # Whose bounce it is cannot be said, so nobody hears of that.
    assert house.world.told(ARN + "one") == [("Open", sent)]
    assert house.world.published[0][2]["mail"]["destination"] == ["dana@mail.example"]


async def test_a_topic_that_was_replaced_while_it_was_found_gone_is_not_removed(house: House) -> None:
    await house.add_identity(bounce_topic=ARN + "gone", complaint_topic=ARN + "c", forwarding=False)
    sent = await house.send(1, "")

    def replaces(arn: str, event: Any) -> PublishOutcome | None:
        if arn != ARN + "gone":
            return None
        replacing.append(asyncio.create_task(house.add_identity(bounce_topic=ARN + "new", complaint_topic=ARN + "c")))
        return TopicUnknown()

    replacing: list[asyncio.Task[None]] = []
    house.world.answer = replaces
    async with house.working():
        await house.happen(house.event(sent, EventType.BOUNCE, ""))
        await house.until_idle()
    assert house.world.told(ARN + "new") == [("Bounce", sent)]
    assert (await house.identity()).notifications.bounce_topic == ARN + "new"
    assert house.world.forwarded == []


async def test_trouble_with_the_database_passes(house: House) -> None:
    await house.add_set("s", topic("one"))
    real, failures = house.stores.publications, {"take": 2, "claim": 2, "page": 2, "settle": 1, "leave": 1}

    class Troubled:
        def __getattr__(self, name: str) -> Any:
            method = getattr(real, name)
            if name not in failures:
                return method

            async def sometimes(*args: Any, **more: Any) -> Any:
                if failures[name]:
                    failures[name] -= 1
                    raise StoreUnavailable("disk full")
                return await method(*args, **more)

            return sometimes

    house.stores.publications = Troubled()  # type: ignore[assignment]
    worker = house.worker()
    house.stores.publications = real
    sent = await house.send(1)
    running = asyncio.create_task(worker.run())
    await house.happen(house.event(sent, EventType.SEND))
    async with asyncio.timeout(20):
        while ("Send", sent) not in house.world.told(ARN + "one") or any(failures.values()):
            house.clock.ms += 20_000
            await asyncio.sleep(0.01)
        await house.until_idle()
    worker.stop()
    await running


async def test_routing_rests_too_while_the_processor_is_wanted_elsewhere(house: House) -> None:
    class Crowded(Courtesy):
        """Wants ten at a time, and a rest after them."""

        def __init__(self) -> None:
            super().__init__(asyncio.Event())
            self.rests: list[tuple[str, int, int]] = []

        def at_once(self, most: int) -> int:
            return 10

        def rest_s(self, events: int, lag_ms: int, lane: str = "") -> float:
            self.rests.append((lane, events, lag_ms))
            return 0.001

    await house.add_set("s", topic("one"))
    crowded, messages = Crowded(), [f"0100018f3c2a7b10-{number:08x}-x" for number in range(35)]
    await house.happen(*(house.event(each, EventType.OPEN) for each in messages))
    house.clock.ms += 3_000
    async with house.working(courtesy=crowded):
        await house.until_idle()
    routing = [(events, lag_ms) for lane, events, lag_ms in crowded.rests if lane == "routing"]
    assert routing == [(10, 3_000), (10, 3_000), (10, 3_000), (5, 3_000)]
    assert sum(events for lane, events, _ in crowded.rests if lane == "") == 35


@pytest.mark.parametrize("trouble", [LostAnswers, NoAnswers])
@pytest.mark.parametrize("method", ["claim", "leave"])
async def test_no_destination_stays_leased_to_who_does_not_serve_it(
    house: House, trouble: type[LostAnswers], method: str
) -> None:
    await house.add_set("s", topic("one"))
    real = house.stores.publications
    house.stores.publications = trouble(real, method)  # type: ignore[assignment]
    worker = house.worker()
    house.stores.publications = real
    running = asyncio.create_task(worker.run())
    for number in (1, 2):
        sent = await house.send(number)
        await house.happen(house.event(sent, EventType.SEND))
        async with asyncio.timeout(20):
            while ("Send", sent) not in house.world.told(ARN + "one"):
                await asyncio.sleep(0.01)
    worker.stop()
    await running
