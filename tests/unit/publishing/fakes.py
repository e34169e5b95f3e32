"""Publishing on real stores in memory, telling an outside world that remembers and fails as it is told to."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from posthouse.domain.configuration_sets import ConfigurationSet, EventDestination
from posthouse.domain.events import Event, EventType
from posthouse.domain.identities import Identity, Notifications, Status
from posthouse.domain.messages import ContentKind, Direction, MessageFacts, NewMessage
from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import Kept, MetricValue, SinkFailed, SinkOutcome
from posthouse.ports.publications import DestinationStatus
from posthouse.ports.streams import Put, PutOutcome, StreamFailed
from posthouse.ports.topics import Published, PublishFailed, PublishOutcome, TopicUnknown
from posthouse.ports.wakeups import Topic
from posthouse.publishing.courtesy import Courtesy
from posthouse.publishing.feedback import Feedback, ForwardFeedback
from posthouse.publishing.settings import PublishingSettings
from posthouse.publishing.worker import PublishingWorker
from posthouse.stores.open import SqlStores, open_stores

SCOPE = Scope("123456789012", "us-east-1")
ARN = "arn:aws:sns:us-east-1:123456789012:"
ALL = ("send", "reject", "bounce", "complaint", "delivery", "open", "click", "renderingFailure")
FAST = PublishingSettings(outgoing_ip="192.0.2.17", route_pause_s=0.0, poll_s=0.02, stop_deadline_s=5.0)


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.ms


class Wakeups:
    def __init__(self) -> None:
        self.events: defaultdict[Topic, list[asyncio.Event]] = defaultdict(list)

    def notify(self, topic: Topic) -> None:
        for event in self.events[topic]:
            event.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        self.events[topic].append(asyncio.Event())
        return self.events[topic][-1]


class World:
    """SNS, Firehose, CloudWatch and a writer of feedback mail in one."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str | None, Any]] = []
        self.records: list[Any] = []
        self.puts: list[int] = []
        self.values: list[MetricValue] = []
        self.forwarded: list[Feedback] = []
        self.changed = asyncio.Event()
        self.publishing = 0
        self.most = 0
        self.answer: Callable[[str, Any], PublishOutcome | None] = lambda arn, event: None
        """What a topic answers; None: it takes it."""
        self.slow: Callable[[str], bool] = lambda arn: False
        self.refused_records: Callable[[Any], bool] = lambda record: False
        self.stream_reason = ""
        self.sink_reason = ""
        self.tried: Counter[str] = Counter()

    async def publish(
        self, account: str, arn: str, subject: str | None, message: str, *, chain: str = ""
    ) -> PublishOutcome:
        event = json.loads(message)
        self.tried[arn] += 1
        self.publishing += 1
        self.changed.set()
        self.most = max(self.most, self.publishing)
        try:
            if self.slow(arn):
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            if (outcome := self.answer(arn, event)) is not None:
                return outcome
            self.published.append((arn, subject, event))
            return Published("id")
        finally:
            self.publishing -= 1
            self.changed.set()

    async def check(self, account: str, stream_arn: str, role_arn: str) -> PutOutcome:
        return Put()

    async def put(self, first: Any, *more: Any) -> Any:
        """Of both ports."""
        await asyncio.sleep(0)
        self.changed.set()
        return self._values(first, *more) if isinstance(first, Scope) else self._records(*more)

    def _records(self, stream_arn: str, role_arn: str, records: Sequence[bytes]) -> PutOutcome:
        if self.stream_reason:
            return StreamFailed(self.stream_reason)
        read = [json.loads(record) for record in records]
        self.puts.append(len(read))
        failed = [number for number, record in enumerate(read) if self.refused_records(record)]
        self.records += [record for number, record in enumerate(read) if number not in failed]
        return Put(tuple(failed))

    def _values(self, scope: Scope, values: Sequence[MetricValue]) -> SinkOutcome:
        if self.sink_reason:
            return SinkFailed(self.sink_reason)
        self.puts.append(len(values))
        self.values += values
        return Kept()

    async def close(self) -> None:
        """Nothing is open."""

    async def forward(self, feedback: Feedback) -> None:
        self.forwarded.append(feedback)
        self.changed.set()

    def told(self, arn: str) -> list[tuple[str, str]]:
        """Type and message of what a topic took, in order."""
        return [
            (event.get("eventType") or event["notificationType"], event["mail"]["messageId"])
            for at, _, event in self.published
            if at == arn
        ]


class House:
    """Stores with what tests put into them, and workers on them."""

    def __init__(self, stores: SqlStores, clock: Clock, wakeups: Wakeups) -> None:
        self.stores, self.clock, self.wakeups = stores, clock, wakeups
        self.world = World()
        self.workers = 0

    def worker(self, settings: PublishingSettings = FAST, **changes: Any) -> PublishingWorker:
        self.workers += 1
        forward: ForwardFeedback | None = self.world.forward
        given: dict[str, Any] = {
            "owner": f"worker {self.workers}",
            "stores": self.stores,
            "wakeups": self.wakeups,
            "clock": self.clock,
            "topics": self.world,
            "streams": self.world,
            "metric_sinks": self.world,
            "forward": forward,
            "jitter": lambda: 0.0,
            # Nobody sends, as far as it hears: the pace of tests is not the machine's business.
            "courtesy": Courtesy(asyncio.Event()),
        }
        return PublishingWorker(settings, **{**given, **changes})

    @asynccontextmanager
    async def working(self, settings: PublishingSettings = FAST, **changes: Any) -> AsyncIterator[PublishingWorker]:
        worker = self.worker(settings, **changes)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            async with asyncio.timeout(10):
                await running

    async def until(self, true: Callable[[], bool], timeout_s: float = 20) -> None:
        """Waits until the world has changed so that this is true."""
        async with asyncio.timeout(timeout_s):
            while not true():
                self.world.changed.clear()
                await self.world.changed.wait()

    async def until_idle(self, timeout_s: float = 20) -> None:
        """Until everything is routed and nothing waits."""
        async with asyncio.timeout(timeout_s):
            while (totals := await self.stores.publications.totals()).waiting or totals.unrouted:
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def time_passing(self, step_ms: int = 60_000) -> AsyncIterator[None]:
        """The clock goes on and on, so that whatever was put off comes."""

        async def go_on() -> None:
            while True:
                self.clock.ms += step_ms
                await asyncio.sleep(0.005)

        going = asyncio.create_task(go_on())
        try:
            yield
        finally:
            going.cancel()

    async def until_waiting(self, count: int, timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while (totals := await self.stores.publications.totals()).waiting != count or totals.unrouted:
                await asyncio.sleep(0.005)

    async def status(self, key: str) -> DestinationStatus:
        status = await self.stores.publications.status(key)
        assert status is not None
        return status

    async def add_set(self, name: str, *destinations: EventDestination, scope: Scope = SCOPE) -> None:
        async with self.stores.records.transaction() as tx:
            await tx.configuration_sets.put(scope, name, ConfigurationSet(created_ms=0, destinations=destinations))

    async def add_identity(self, name: str = "shop.example", scope: Scope = SCOPE, **settings: Any) -> None:
        identity = Identity(name=name, status=Status.SUCCESS, requested_ms=0, notifications=Notifications(**settings))
        async with self.stores.records.transaction() as tx:
            await tx.identities.put(scope, name, identity)

    async def identity(self, name: str = "shop.example") -> Identity:
        async with self.stores.records.reading() as reading:
            found = await reading.identities.get(SCOPE, name)
        assert found is not None
        return found

    async def send(self, number: int, configuration_set: str = "s", **changes: Any) -> str:
        """A message; its id."""
        given: dict[str, Any] = {
            "scope": SCOPE,
            "message_id": f"0100{self.clock.ms:012x}-{number:08x}-0000-4000-8000-000000000000-000000",
            "direction": Direction.OUT,
            "accepted_ms": self.clock.ms,
            "operation": "SendRawEmail",
            "source": "Shop <orders@shop.example>",
            "from_domain": "shop.example",
            "feedback_to": "orders@shop.example",
            "subject": "Hello",
            "size": 10,
            "content_kind": ContentKind.RAW,
            "configuration_set": configuration_set,
        }
        facts = MessageFacts(**{**given, **changes})
        content = b"From: orders@shop.example\r\nSubject: Hello\r\n\r\nHello\r\n"
        await self.stores.submissions.add(NewMessage(facts, ("dana@mail.example",), content), None)
        return facts.message_id

    def event(self, message_id: str, type: EventType, configuration_set: str = "s", **detail: Any) -> Event:
        return Event(
            scope=SCOPE,
            message_id=message_id,
            type=type,
            at_ms=self.clock.ms,
            recipients=("dana@mail.example",),
            detail=detail,
            configuration_set=configuration_set,
        )

    async def happen(self, *events: Event) -> None:
        await self.stores.events.append(events)


def topic(name: str, *types: str, arn: str = "") -> EventDestination:
    return EventDestination(name=name, enabled=True, event_types=types or ALL, sns_topic=arn or ARN + name)


def stream(name: str, *types: str) -> EventDestination:
    return EventDestination(name=name, enabled=True, event_types=types or ALL, stream_arn="arn:stream", role_arn="r")


def replaced(settings: PublishingSettings, **changes: Any) -> PublishingSettings:
    from dataclasses import replace

    return replace(settings, **changes)


def flaky(seed: int, share: float) -> Callable[[str, Any], PublishOutcome | None]:
    """A topic that fails for a share of what it is given."""
    chance = random.Random(seed)
    return lambda arn, event: PublishFailed("not now") if chance.random() < share else None


def unknown(arn: str) -> Callable[[str, Any], PublishOutcome | None]:
    return lambda at, event: TopicUnknown() if at == arn else None


@asynccontextmanager
async def open_house(directory: Path | None = None) -> AsyncIterator[House]:
    """In memory, or in a directory that outlives it."""
    clock, wakeups = Clock(), Wakeups()
    where = ("memory", Path()) if directory is None else ("sqlite", directory)
    stores = await open_stores(*where, clock, wakeups)
    try:
        yield House(stores, clock, wakeups)
    finally:
        await stores.close()
