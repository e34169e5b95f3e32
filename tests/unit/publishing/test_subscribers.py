"""The engine of deliveries on a real store: in order or again, back-off, dead letters, takeover, and a good end."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from tests.support.lost_answers import LostAnswers, NoAnswers

from posthouse.domain.subscriptions import DOWN, Endpoint, TopicLinks, moment
from posthouse.observe import Metrics
from posthouse.ports.http_calls import HttpAnswer, HttpFailed, HttpOutcome, HttpRefused
from posthouse.ports.subscriptions import DeadLetter, KeptSubscription, Subscription
from posthouse.ports.topics import Notification
from posthouse.ports.wakeups import Topic
from posthouse.publishing.couriers import OUTCOMES, TOO_MANY, TOO_OLD, CourierSettings, Desk
from posthouse.publishing.courtesy import Courtesy
from posthouse.publishing.envelopes import Envelopes
from posthouse.publishing.signatures import SigningPair, TopicSigner, new_pair
from posthouse.publishing.subscribers import EngineSettings, Subscribers
from posthouse.stores.open import SqlStores, open_stores

ANN = "111111111111"
MAIL = f"arn:aws:sns:us-east-1:{ANN}:mail"
NOW_MS = 1_800_000_000_000
OK = HttpAnswer(200, b"")
Respond = Callable[[str, bytes], Awaitable[HttpOutcome]]


class SetClock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms


class Taps:
    def __init__(self) -> None:
        self.events: list[asyncio.Event] = []

    def notify(self, topic: Topic) -> None:
        if topic is Topic.SUBSCRIBERS:
            for event in self.events:
                event.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        self.events.append(asyncio.Event())
        return self.events[-1]


class World:
    """Subscribers that answer as a test says, and everything they were posted."""

    def __init__(self, stores: SqlStores, clock: SetClock, taps: Taps, pair: SigningPair) -> None:
        self.stores, self.clock, self.taps = stores, clock, taps
        self.pair = pair
        self.respond: Respond = self._well
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        self.at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.metrics = Metrics()
        self.courtesy = Courtesy(asyncio.Event())
        self._something = asyncio.Event()

    async def _well(self, url: str, body: bytes) -> HttpOutcome:
        await asyncio.sleep(0)
        return OK

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, max_answer: int = 0
    ) -> HttpOutcome:
        self.posted.append((url, dict(headers), body))
        self.at_once[url] += 1
        self.most_at_once[url] = max(self.most_at_once[url], self.at_once[url])
        try:
            return await self.respond(url, body)
        finally:
            self.at_once[url] -= 1
            self._something.set()

    async def close(self) -> None:
        """Nothing to close."""

    async def subscribe(self, name: str = "a", **changes: object) -> Subscription:
        given = {
            "account": ANN,
            "topic_arn": MAIL,
            "arn": f"{MAIL}:{name}",
            "endpoint": Endpoint(url=f"http://{name}/"),
            "raw": False,
            "confirmed": True,
            "token": name,
            "created_ms": self.clock.ms,
            **changes,
        }
        made = await self.stores.subscriptions.subscribe(Subscription(**given), create_topic=True)  # type: ignore[arg-type]
        assert made is not None
        return made

    async def publish(self, *messages: str, chain: str = "") -> None:
        for message in messages:
            note = Notification(
                message_id=message, subject="S", message=message, published_ms=self.clock.ms, chain=chain
            )
            assert await self.stores.topics.add(ANN, MAIL, note, create=False)

    def engine(
        self, owner: str = "me", is_known_dead: Callable[[str], bool] = lambda _: False, **changes: object
    ) -> Subscribers:
        settings = CourierSettings(**{"waits_s": (0.0, 10.0), "most_calls": 4, **changes})  # type: ignore[arg-type]

        async def open_signer() -> TopicSigner:
            return TopicSigner(self.pair, "1")

        envelopes = Envelopes(open_signer, TopicLinks(lambda: b"key", "http://ses.test"))
        desk = Desk(
            settings,
            self.stores.subscriptions,
            self,
            envelopes,
            self.clock,
            self.metrics,
            asyncio.Semaphore(10),
            # Nobody sends, as far as it hears: the pace of tests is not the machine's business.
            self.courtesy,
        )
        return Subscribers(EngineSettings(), desk, owner=owner, is_known_dead=is_known_dead, wakeups=self.taps)

    @asynccontextmanager
    async def working(self, **changes: object) -> AsyncIterator[Subscribers]:
        engine = self.engine(**changes)  # type: ignore[arg-type]
        task = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            engine.stop()
            async with asyncio.timeout(20):
                await task

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await is_so():
                self._something.clear()
                with_timeout = asyncio.create_task(self._something.wait())
                await asyncio.wait([with_timeout], timeout=0.02)
                with_timeout.cancel()

    async def until_posted(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.posted) >= count

        await self.until(enough)

    async def until_nothing_waits(self) -> None:
        async def none() -> bool:
            return not any(each.waiting for each in await self.subscriptions())

        await self.until(none)

    async def until_settled(self, name: str, failures: int) -> None:
        async def so() -> bool:
            kept = await self.stores.subscriptions.find(f"{MAIL}:{name}")
            return kept is not None and kept.health.failures == failures

        await self.until(so)

    async def subscriptions(self) -> list[KeptSubscription]:
        return list(await self.stores.subscriptions.page(None, None, "", 100))

    async def dead(self) -> list[DeadLetter]:
        return list(await self.stores.subscriptions.dead_letters(ANN, MAIL, None, 100))

    def later(self, seconds: float) -> None:
        self.clock.ms += int(seconds * 1000)
        self.taps.notify(Topic.SUBSCRIBERS)

    def messages(self, name: str = "a") -> list[str]:
        return [json.loads(body)["Message"] for url, _, body in self.posted if url == f"http://{name}/"]


@pytest.fixture(scope="module")
def pair() -> SigningPair:
    from datetime import UTC, datetime

    return new_pair("sns.test", datetime(2027, 1, 1, tzinfo=UTC))


@pytest.fixture
async def world(tmp_path: Path, pair: SigningPair) -> AsyncIterator[World]:
    clock, taps = SetClock(), Taps()
    stores = await open_stores("sqlite", tmp_path, clock, taps)
    yield World(stores, clock, taps, pair)
    await stores.close()


async def test_what_is_published_arrives_in_the_envelope(world: World) -> None:
    subscription = await world.subscribe()
    async with world.working():
        await world.publish("one")
        await world.until_nothing_waits()
    ((url, headers, body),) = world.posted
    assert url == "http://a/"
    assert headers["x-amz-sns-subscription-arn"] == subscription.arn
    found = json.loads(body)
    assert (found["Type"], found["MessageId"], found["TopicArn"]) == ("Notification", "one", MAIL)
    assert (found["Subject"], found["Timestamp"], found["SignatureVersion"]) == ("S", moment(NOW_MS), "1")
    assert found["SigningCertURL"].startswith("http://ses.test/SimpleNotificationService-")
    assert dict(world.metrics.samples()[0][1]) == {"outcome": "delivered"}
    assert world.metrics.samples()[0][0] == OUTCOMES


async def test_what_was_published_while_no_engine_ran_arrives(world: World) -> None:
    await world.subscribe()
    await world.publish(*map(str, range(200)))
    async with world.working():
        await world.until_nothing_waits()
    assert sorted(world.messages(), key=int) == [str(number) for number in range(200)]
    assert 1 < world.most_at_once["http://a/"] <= 4


async def test_the_raw_message_alone_is_delivered_where_that_is_asked_for(world: World) -> None:
    await world.subscribe(raw=True, endpoint=Endpoint(url="http://a/", login="ann:secret"))
    await world.publish("one")
    async with world.working():
        await world.until_posted(1)
    ((_, headers, body),) = world.posted
    assert body == b"one"
    assert headers["x-amz-sns-rawdelivery"] == "true"
    assert headers["Authorization"].startswith("Basic ")


async def test_an_unconfirmed_subscriber_is_sent_a_confirmation_once(world: World) -> None:
    pending = await world.subscribe(confirmed=False, token="f" * 64)
    async with world.working():
        await world.until_posted(1)
        await world.publish("one")
        await world.until_nothing_waits()
        assert await world.stores.subscriptions.confirm(MAIL, pending.token, 0, False) is not None
        await world.publish("two")
        await world.until_posted(2)
    first, second = (json.loads(body) for _, _, body in world.posted)
    assert first["Type"] == "SubscriptionConfirmation"
    assert first["Token"] == pending.token
    assert first["SubscribeURL"] == (
        f"http://ses.test/?Action=ConfirmSubscription&TopicArn={MAIL}&Token={pending.token}"
    )
    assert "UnsubscribeURL" not in first
    assert second["Message"] == "two"


async def test_a_failed_delivery_is_made_again_after_its_waits_and_then_a_dead_letter(world: World) -> None:
    await world.subscribe()

    async def never(url: str, body: bytes) -> HttpOutcome:
        return HttpAnswer(503, b"")

    world.respond = never
    async with world.working():
        await world.publish("one")
        await world.until_settled("a", 2)  # the first wait is none at all
        assert len(world.posted) == 2
        world.later(9.9)
        world.later(0.1)
        await world.until_nothing_waits()
    assert len(world.posted) == 3
    (letter,) = await world.dead()
    assert (letter.notification.message, letter.attempts, letter.reason) == ("one", 3, "HTTP status 503")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (HttpFailed("connection refused"), "connection refused"),
        (HttpFailed("no answer within 15 s", timed_out=True), "no answer within 15 s"),
        (HttpRefused("127.0.0.1 is not a public address"), "not called: 127.0.0.1 is not a public address"),
    ],
)
async def test_who_is_not_reached_is_tried_again_and_the_reason_is_kept(
    world: World, outcome: HttpOutcome, reason: str
) -> None:
    await world.subscribe()
    answers = [outcome, OK]

    async def first_not(url: str, body: bytes) -> HttpOutcome:
        return answers.pop(0)

    world.respond = first_not
    async with world.working():
        await world.publish("one")
        await world.until_nothing_waits()
    assert world.messages() == ["one", "one"]
    (kept,) = await world.subscriptions()
    assert (kept.health.failures, kept.health.last_failure, kept.health.last_failure_ms) == (0, reason, NOW_MS)
    assert await world.dead() == []


async def test_a_refusal_is_final_and_says_nothing_against_the_subscriber(world: World) -> None:
    await world.subscribe()

    async def refuse_one(url: str, body: bytes) -> HttpOutcome:
        return HttpAnswer(400, b"") if b"bad" in body else OK

    world.respond = refuse_one
    async with world.working():
        await world.publish("one", "bad", "two")
        await world.until_nothing_waits()
    assert sorted(world.messages()) == ["bad", "one", "two"]
    (letter,) = await world.dead()
    assert (letter.notification.message, letter.reason) == ("bad", "HTTP status 400")
    (kept,) = await world.subscriptions()
    assert kept.health.failures == 0


async def test_a_poisoned_notification_does_not_hold_up_the_others(world: World) -> None:
    await world.subscribe()

    async def fail_one(url: str, body: bytes) -> HttpOutcome:
        return HttpAnswer(500, b"") if b"bad" in body else OK

    world.respond = fail_one
    async with world.working():
        await world.publish("bad", *map(str, range(50)))
        await world.until_posted(52)
    assert len(set(world.messages())) == 51


async def test_a_dead_subscriber_is_probed_ever_more_seldom_and_then_gets_everything(world: World) -> None:
    await world.subscribe()
    answers: list[HttpOutcome] = []

    async def down(url: str, body: bytes) -> HttpOutcome:
        return answers[-1] if answers else HttpFailed("connection refused")

    world.respond = down
    async with world.working(waits_s=(1000.0,) * 3):
        await world.publish(*map(str, range(30)))
        await world.until_settled("a", DOWN)
        calls = len(world.posted)
        assert calls < 15
        for more in range(1, 5):  # one call after each pause, whatever waits
            world.later(20)
            await world.until_settled("a", DOWN + more)
            assert len(world.posted) == calls + more
        answers.append(OK)
        world.later(20)
        await world.until_settled("a", 0)
        world.later(1000)
        await world.until_nothing_waits()
    assert len(set(world.messages())) == 30
    assert await world.dead() == []


async def test_what_waits_for_a_dead_subscriber_longer_than_its_tries_would_take_is_given_up(world: World) -> None:
    await world.subscribe()

    async def down(url: str, body: bytes) -> HttpOutcome:
        return HttpFailed("connection refused")

    world.respond = down
    async with world.working(waits_s=(5.0, 5.0)):
        await world.publish(*map(str, range(30)))
        await world.until_settled("a", DOWN)
        world.later(60)
        await world.until_nothing_waits()
    letters = await world.dead()
    assert len(letters) == 30
    assert TOO_OLD in {letter.reason for letter in letters}
    assert len(world.posted) < 20


async def test_of_too_much_that_waits_the_oldest_is_given_up(world: World) -> None:
    await world.subscribe()

    async def down(url: str, body: bytes) -> HttpOutcome:
        return HttpFailed("connection refused")

    world.respond = down
    await world.publish(*map(str, range(30)))
    async with world.working(waits_s=(1000.0, 1000.0), most_waiting=10):
        await world.until_settled("a", DOWN)

        async def ten_wait() -> bool:
            return (await world.subscriptions())[0].waiting == 10

        await world.until(ten_wait)
    letters = await world.dead()
    assert [letter.notification.message for letter in letters] == [str(number) for number in range(19, -1, -1)]
    assert {letter.reason for letter in letters} == {TOO_MANY}


async def test_one_that_hangs_takes_nothing_from_the_others(world: World) -> None:
    for name in "ab":
        await world.subscribe(name)
    released = asyncio.Event()

    async def hang(url: str, body: bytes) -> HttpOutcome:
        if url == "http://a/":
            await released.wait()
        return OK

    world.respond = hang
    async with world.working():
        await world.publish(*map(str, range(100)))

        async def b_has_all() -> bool:
            return len(world.messages("b")) == 100

        await world.until(b_has_all)
        assert len(world.messages("a")) == 2
        released.set()
        await world.until_nothing_waits()
    assert len(world.messages("a")) == 100


async def test_unsubscribed_in_the_middle_is_the_end(world: World) -> None:
    subscription = await world.subscribe()

    async def unsubscribe(url: str, body: bytes) -> HttpOutcome:
        await world.stores.subscriptions.unsubscribe(subscription.arn)
        return HttpAnswer(500, b"")

    world.respond = unsubscribe
    async with world.working():
        await world.publish("one")
        await world.until_posted(1)
        assert await world.subscriptions() == []
    assert await world.dead() == []
    assert len(world.posted) == 1


async def test_at_the_end_calls_under_way_are_answered_and_all_is_released(world: World) -> None:
    await world.subscribe()
    begun, answer = asyncio.Event(), asyncio.Event()

    async def slow(url: str, body: bytes) -> HttpOutcome:
        begun.set()
        await answer.wait()
        return OK

    world.respond = slow
    await world.publish(*map(str, range(10)))
    engine = world.engine()
    running = asyncio.create_task(engine.run())
    await begun.wait()
    engine.stop()
    await asyncio.sleep(0)
    answer.set()
    async with asyncio.timeout(20):
        await running
    (kept,) = await world.subscriptions()
    assert kept.waiting == 10 - len(world.posted)
    assert await world.stores.subscriptions.owners() == []


async def test_what_a_dead_process_held_is_taken_over_at_once(world: World) -> None:
    await world.subscribe()
    await world.publish("one")
    assert await world.stores.subscriptions.claim("dead", NOW_MS, 10**9, 10) != []
    assert await world.stores.subscriptions.next_due_ms() == NOW_MS + 10**9
    async with world.working(is_known_dead=lambda owner: owner == "dead"):
        await world.until_nothing_waits()
    assert world.messages() == ["one"]


async def test_what_a_living_process_holds_is_left_to_it_until_its_lease_ends(world: World) -> None:
    await world.subscribe()
    await world.publish("one")
    assert await world.stores.subscriptions.claim("other", NOW_MS, 30_000, 10) != []
    async with world.working():
        world.later(29)
        assert await world.stores.subscriptions.owners() == ["other"]
        world.later(1)
        await world.until_nothing_waits()
    assert world.messages() == ["one"]


async def test_an_error_of_our_own_stops_nothing(world: World) -> None:
    await world.subscribe()
    answers: list[HttpOutcome | Exception] = [RuntimeError("a bug"), OK]

    async def broken(url: str, body: bytes) -> HttpOutcome:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    world.respond = broken
    async with world.working():
        await world.publish("one")
        await world.until_nothing_waits()
    assert world.messages() == ["one", "one"]


async def test_notifications_of_one_chain_arrive_in_order_however_often_calls_fail(world: World) -> None:
    random = Random(8)
    arrived: list[str] = []

    async def now_and_then(url: str, body: bytes) -> HttpOutcome:
        await asyncio.sleep(random.random() / 500)
        if random.random() < 0.5:
            return HttpAnswer(500, b"")
        arrived.append(json.loads(body)["Message"])
        return OK

    world.respond = now_and_then
    await world.subscribe()
    for number in range(50):
        for chain in "abc":
            await world.publish(f"{chain}{number:03}", chain=chain)
        await world.publish(f"-{number:03}")
    async with world.working(waits_s=(0.0, *[0.001] * 60), most_calls=8):
        while any(each.waiting for each in await world.subscriptions()):
            # Others that are due meanwhile go on; a subscriber that fails too often is left alone for a while.
            world.later(1)
            await asyncio.sleep(0.01)
    for chain in "abc":
        mine = [each for each in arrived if each[0] == chain]
        assert list(dict.fromkeys(mine)) == [f"{chain}{number:03}" for number in range(50)]
    assert len(set(arrived)) == 200
    assert not await world.dead()


class Crowded(Courtesy):
    """Wants ten at a time, and a rest after them."""

    def __init__(self) -> None:
        super().__init__(asyncio.Event())
        self.rests: list[tuple[int, int]] = []

    def at_once(self, most: int) -> int:
        return 10

    def rest_s(self, events: int, lag_ms: int, lane: str = "") -> float:
        self.rests.append((events, lag_ms))
        return 0.001


async def test_while_the_processor_is_wanted_elsewhere_subscribers_are_told_at_the_pace_that_courtesy_sets(
    world: World,
) -> None:
    world.courtesy = crowded = Crowded()
    await world.subscribe()
    await world.publish(*map(str, range(100)))
    world.clock.ms += 7_000
    async with world.working():
        await world.until_nothing_waits()
    assert len(world.messages()) == 100
    assert sum(events for events, _ in crowded.rests) == 100
    assert {lag_ms for _, lag_ms in crowded.rests} == {7_000}
    assert max(events for events, _ in crowded.rests) <= 10


async def test_a_courier_that_rests_leaves_at_once(world: World) -> None:
    class Tired(Crowded):
        def rest_s(self, events: int, lag_ms: int, lane: str = "") -> float:
            return 3600.0

    world.courtesy = Tired()
    await world.subscribe()
    await world.publish(*map(str, range(20)))
    async with world.working():
        await world.until_posted(10)
    assert len(world.posted) == 10


@pytest.mark.parametrize("trouble", [LostAnswers, NoAnswers])
@pytest.mark.parametrize("method", ["claim", "release"])
async def test_no_subscription_stays_leased_to_who_does_not_serve_it(
    world: World, trouble: type[LostAnswers], method: str
) -> None:
    await world.subscribe()
    real = world.stores.subscriptions
    world.stores.subscriptions = trouble(real, method)  # type: ignore[assignment]
    engine = world.engine()
    world.stores.subscriptions = real
    running = asyncio.create_task(engine.run())
    for number in (1, 2):
        await world.publish(str(number))
        await world.until_posted(number)
        await world.until_nothing_waits()
    engine.stop()
    await running
    assert world.messages() == ["1", "2"]
