"""One batch of events told to one endpoint: what was taken and what was not.

Of one message the next event is told only when the one before was taken; different messages go side by side.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from posthouse.domain.events import Event
from posthouse.domain.publishing import (
    EventMetrics,
    EventStream,
    EventTopic,
    NotificationTopic,
)
from posthouse.ports.metric_sinks import MAX_DATA, Kept, MetricSinks
from posthouse.ports.publications import StoredMail
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.streams import MAX_BYTES, MAX_RECORDS, Put, RoleRefused, Streams, StreamUnknown
from posthouse.ports.topics import Published, Topics, TopicUnknown
from posthouse.publishing.feedback import Feedback, ForwardFeedback
from posthouse.publishing.metric_values import metric_value
from posthouse.publishing.original import Original
from posthouse.publishing.payload import SUBJECT, event_record, feedback_id, identity_notification
from posthouse.publishing.settings import PublishingSettings

log = logging.getLogger("posthouse.publishing")

NO_TOPIC = "The topic does not exist."


@dataclass(frozen=True, slots=True)
class Telling:
    """One event to be told."""

    seq: int
    event: Event
    original: Original


@dataclass(slots=True)
class Told:
    """What came of a batch; what is in neither was not begun."""

    sent: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    """Why, by number of the event."""
    topic_unknown: bool = False
    is_down: bool = False
    """The endpoint took nothing of some call: no event is to blame for that."""


R = TypeVar("R")
Tell = Callable[[Telling], Coroutine[Any, Any, str]]
"""Tells of one event; why it was not taken, or nothing."""


class Outside:
    """The ways out, each with its deadline."""

    def __init__(
        self,
        topics: Topics,
        streams: Streams,
        metric_sinks: MetricSinks,
        forward: ForwardFeedback | None,
        settings: PublishingSettings,
        stopping: asyncio.Event,
    ) -> None:
        self._topics, self._streams, self._metric_sinks = topics, streams, metric_sinks
        self._forward = forward
        self._settings = settings
        self._stopping = stopping

    # -- topics

    async def to_topic(self, topic: EventTopic | NotificationTopic, batch: Sequence[Telling]) -> Told:
        told = Told()

        async def publish(telling: Telling) -> str:
            message, subject = self._rendered(topic, telling), _subject(topic)
            outcome = await self._topics.publish(
                topic.account, topic.arn, subject, message, chain=telling.event.message_id
            )
            match outcome:
                case Published():
                    return ""
                case TopicUnknown():
                    told.topic_unknown = True
                    return NO_TOPIC
                case _:
                    return outcome.reason or "It was not taken."

        await self._side_by_side(batch, publish, told, self._settings.publishes)
        return told

    def _rendered(self, topic: EventTopic | NotificationTopic, telling: Telling) -> str:
        if isinstance(topic, NotificationTopic):
            return identity_notification(telling.event, telling.seq, telling.original, topic.headers)
        return self._rendered_event(telling)

    def _rendered_event(self, telling: Telling) -> str:
        return event_record(telling.event, telling.seq, telling.original, self._settings.outgoing_ip)

    # -- mail

    async def by_mail(self, batch: Sequence[tuple[Telling, Feedback]]) -> Told:
        told = Told()
        feedback = {telling.seq: each for telling, each in batch}
        forward = self._forward
        if forward is None:
            # Nothing is routed here then; what was, before the configuration changed, has nowhere to go.
            told.sent += feedback
            return told

        async def write(telling: Telling) -> str:
            try:
                await forward(feedback[telling.seq])
            except StoreUnavailable as error:
                return str(error) or "It could not be kept."
            return ""

        await self._side_by_side([telling for telling, _ in batch], write, told, self._settings.probe)
        return told

    # -- streams

    async def to_stream(self, stream: EventStream, batch: Sequence[Telling]) -> Told:
        """In waves: the first event of each message, then the second ones; a record fails by itself, and what follows
        it waits."""
        told = Told()
        for wave in _waves(batch):
            behind = {each.event.message_id for each in batch if each.seq in told.failed}
            ready = [each for each in wave if each.event.message_id not in behind]
            records = _made(ready, lambda each: self._rendered_event(each).encode(), told)
            for chunk in _chunks([(each.seq, record) for each, record in records]):
                if self._stopping.is_set() or not await self._put(stream, chunk, told):
                    return told
        return told

    async def _put(self, stream: EventStream, chunk: Sequence[tuple[int, bytes]], told: Told) -> bool:
        """False where the stream took nothing of it."""
        seqs = [seq for seq, _ in chunk]
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                outcome = await self._streams.put(
                    stream.account, stream.arn, stream.role_arn, [record for _, record in chunk]
                )
        except TimeoutError:
            told.failed |= dict.fromkeys(seqs, "No answer in time.")
            told.is_down = True
            return False
        match outcome:
            case Put(failed):
                refused = set(failed)
                told.sent += [seq for position, seq in enumerate(seqs) if position not in refused]
                told.failed |= {seqs[position]: "The stream did not take the record." for position in refused}
                return len(refused) < len(seqs)
            case StreamUnknown():
                reason = "The stream does not exist."
            case RoleRefused(why):
                reason = f"The role cannot be used: {why}"
            case _:
                reason = outcome.reason
        told.failed |= dict.fromkeys(seqs, reason)
        told.is_down = True
        return False

    # -- metrics

    async def to_metrics(self, metrics: EventMetrics, batch: Sequence[Telling]) -> Told:
        told, ip = Told(), self._settings.outgoing_ip
        values = _made(batch, lambda each: metric_value(each.event, each.original, metrics.dimensions, ip), told)
        for start in range(0, len(values), MAX_DATA):
            chunk = values[start : start + MAX_DATA]
            reason = "No answer in time."
            try:
                async with asyncio.timeout(self._settings.deadline_s):
                    outcome = await self._metric_sinks.put(metrics.scope, [value for _, value in chunk])
                reason = "" if isinstance(outcome, Kept) else outcome.reason or "They were not taken."
            except TimeoutError:
                pass
            if reason:
                told.failed |= dict.fromkeys([each.seq for each, _ in chunk], reason)
                told.is_down = True
                return told
            told.sent += [each.seq for each, _ in chunk]
        return told

    # -- side by side

    async def _side_by_side(self, batch: Sequence[Telling], tell: Tell, told: Told, at_once: int) -> None:
        chains = iter(_chains(batch))

        async def take_turns() -> None:
            for chain in chains:
                for telling in chain:
                    if self._stopping.is_set():
                        return
                    if reason := await self._told(telling, tell):
                        told.failed[telling.seq] = reason
                        break
                    told.sent.append(telling.seq)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(batch))):
                group.create_task(take_turns())

    async def _told(self, telling: Telling, tell: Tell) -> str:
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                return await tell(telling)
        except TimeoutError:
            return "No answer in time."
        except Exception:
            return _cannot_tell(telling)


def _made(batch: Iterable[Telling], make: Callable[[Telling], R], told: Told) -> list[tuple[Telling, R]]:
    """What is to be told, made of each event."""
    made = []
    for telling in batch:
        try:
            made.append((telling, make(telling)))
        except Exception:
            told.failed[telling.seq] = _cannot_tell(telling)
    return made


def _cannot_tell(telling: Telling) -> str:
    """An event that we cannot tell is tried again until it is too old; it must not stop the others."""
    log.exception("telling of event %d failed", telling.seq)
    return "Internal error; see the log."


def feedback_of(telling: Telling, mail: StoredMail, identity: str) -> Feedback:
    return Feedback(telling.event, telling.seq, feedback_id(telling.event, telling.seq), mail, identity)


def _subject(topic: EventTopic | NotificationTopic) -> str | None:
    return SUBJECT if isinstance(topic, EventTopic) else None


def _chains(batch: Iterable[Telling]) -> list[list[Telling]]:
    """By message, in the order of the log."""
    chains: dict[str, list[Telling]] = {}
    for telling in batch:
        chains.setdefault(telling.event.message_id, []).append(telling)
    return list(chains.values())


def _waves(batch: Iterable[Telling]) -> list[list[Telling]]:
    """The first of each message, the second of each, and so on."""
    waves: list[list[Telling]] = []
    for chain in _chains(batch):
        for number, telling in enumerate(chain):
            if number == len(waves):
                waves.append([])
            waves[number].append(telling)
    return waves


def _chunks(records: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """As large as one call may be."""
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for seq, record in records:
        if chunk and (len(chunk) == MAX_RECORDS or size + len(record) > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((seq, record))
        size += len(record)
    if chunk:
        yield chunk
