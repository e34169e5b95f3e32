"""The run loops of publishing: one routes what the log says, one serves the destinations that have something due.

    await worker.run()      until `stop` is called from elsewhere in the same loop

Each destination has one sender at a time, by lease, over all processes and nodes; what is in memory is one batch for
each of them. A destination that fails is left alone for a while, longer each time, and holds up nobody else.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from posthouse.domain.publishing import (
    GIVE_UP_MS,
    Endpoint,
    EventMetrics,
    EventStream,
    EventTopic,
    FeedbackMail,
    Forward,
    IdentityTopic,
    MailedInstead,
    NotificationTopic,
    NotificationType,
    Nowhere,
    Target,
    backoff_ms,
    read_target_key,
    target_key,
)
from posthouse.observe import Metrics
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.metric_sinks import MetricSinks
from posthouse.ports.publications import Claimed, Failure, Publication, Round
from posthouse.ports.stores import Stores, StoreUnavailable
from posthouse.ports.streams import Streams
from posthouse.ports.topics import Topics
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.publishing.courtesy import Courtesy
from posthouse.publishing.endpoints import endpoint_of, remove_topic
from posthouse.publishing.facts import Facts
from posthouse.publishing.feedback import ForwardFeedback
from posthouse.publishing.original import address_of
from posthouse.publishing.originals import Originals, key_of
from posthouse.publishing.router import LOST, Router
from posthouse.publishing.settings import PublishingSettings
from posthouse.publishing.telling import Outside, Telling, Told, feedback_of

log = logging.getLogger("posthouse.publishing")

TOLD = "posthouse_publications_total"
ROUTED = "posthouse_events_routed_total"


class PublishingWorker:
    """One worker of one process. `run` once; `stop` ends it in good order."""

    def __init__(
        self,
        settings: PublishingSettings,
        *,
        owner: str,
        stores: Stores,
        wakeups: Wakeups,
        clock: Clock,
        topics: Topics,
        streams: Streams,
        metric_sinks: MetricSinks,
        forward: ForwardFeedback | None,
        jitter: Callable[[], float],
        is_known_dead: Callable[[str], bool] = lambda owner: False,
        metrics: Metrics | None = None,
        courtesy: Courtesy | None = None,
    ) -> None:
        """`owner`: whose leases these are; no two workers may share one. `is_known_dead`: true of an owner whose
        process is surely gone. `forward`: writes feedback mail; None: there is none, and nothing is routed to it.
        `jitter`: numbers from 0 to 1."""
        self._settings = settings
        self._owner = owner
        self._publications = stores.publications
        self._records = stores.records
        self._clock = clock
        self._jitter = jitter
        self._forwards = forward is not None
        self._is_known_dead = is_known_dead
        self._metrics = metrics or Metrics()
        self._metrics.describe(TOLD, "counter", "events told to destinations, by kind of destination and outcome")
        self._metrics.describe(ROUTED, "counter", "events that the router has passed")
        self._facts = Facts(stores.records)
        self._originals = Originals(stores.publications, stores.messages, self._facts)
        self._router = Router(
            stores.publications, self._facts, clock, batch=settings.route_batch, forwards=self._forwards
        )
        self._courtesy = courtesy or Courtesy(wakeups.subscribe(Topic.QUEUE))
        self._look = wakeups.subscribe(Topic.EVENTS)
        self._due = asyncio.Event()
        self._stopping = asyncio.Event()
        self._outside = Outside(topics, streams, metric_sinks, forward, settings, self._stopping)
        self._turns: dict[str, tuple[asyncio.Task[None], bool]] = {}
        self._unsure = False
        """A claim or the end of a lease failed, and may have come to pass all the same, or not."""
        """Those under way by destination, and whether it was in trouble before."""

    async def run(self) -> None:
        """Works until stopped. Returns when what was under way is written down, or the deadline for that is over."""
        try:
            await self._take_over_from_the_dead()
        except StoreUnavailable as trouble:
            log.warning("leases of the dead are left to run out: %s", trouble)
        async with asyncio.TaskGroup() as tasks:
            routing = tasks.create_task(self._route_all())
            replaying = tasks.create_task(self._replay_all())
            serving = tasks.create_task(self._serve_all(tasks))
            renewing = tasks.create_task(self._keep_leases())
            await self._stopping.wait()
            self._look.set()
            self._due.set()
            await _until(self._settings.stop_deadline_s, [routing, serving, replaying, *self._tasks()])
            renewing.cancel()
        await self._release()

    def stop(self) -> None:
        """Nothing new is begun; `run` returns soon."""
        self._stopping.set()

    # -- routing

    async def _route_all(self) -> None:
        while not self._stopping.is_set():
            self._look.clear()
            most = self._courtesy.at_once(self._settings.route_batch)
            passed = await self._route(most)
            if passed > 0:
                self._metrics.add(ROUTED, passed)
                self._due.set()
            if passed == LOST:
                # Somebody else routes: to look on at every tap would only be in the way. He may die, though.
                await self._pause(self._settings.poll_s * (0.5 + self._jitter()))
            elif passed < most:
                await self._pause(self._settings.route_pause_s)
                await self._wait(self._look)
            if self._router.written:
                # To write down who shall hear of an event costs about half of what telling it does.
                rest_s = self._courtesy.rest_s(self._router.written, self._router.lag_ms, "routing")
                await self._pause(min(self._settings.poll_s, rest_s))

    async def _route(self, most: int) -> int:
        try:
            return await self._router.step(most)
        except StoreUnavailable as error:
            log.warning("events are not routed: %s", error)
        except Exception:
            log.exception("routing events failed")
        await self._pause(self._settings.poll_s)
        return 0

    async def _replay_all(self) -> None:
        while not self._stopping.is_set():
            try:
                replays = await self._publications.replays()
                for replay in replays:
                    await self._router.step_replay(replay)
            except StoreUnavailable as error:
                log.warning("events are not replayed: %s", error)
                replays = ()
            if replays:
                self._due.set()
            else:
                await self._pause(self._settings.poll_s)

    # -- serving

    async def _serve_all(self, tasks: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            self._due.clear()
            for claimed in await self._claim():
                # One that we serve already: its lease had run out while this process stood still.
                if claimed.destination not in self._turns:
                    turn = tasks.create_task(self._turn(claimed))
                    self._turns[claimed.destination] = turn, claimed.failures > 0
            await self._wait(self._due)

    def _tasks(self) -> "list[asyncio.Task[None]]":
        return [turn for turn, _ in self._turns.values()]

    async def _claim(self) -> Sequence[Claimed]:
        places = self._settings.destinations
        room = places - len(self._turns)
        troubled = sum(was_troubled for _, was_troubled in self._turns.values())
        if room <= 0:
            return ()
        now_ms, lease_ms = self._clock.now_ms(), self._settings.lease_ms
        found: list[Claimed] = []
        try:
            if self._unsure:
                await self._publications.keep_only(self._owner, list(self._turns))
                self._unsure = False
            found += list(await self._publications.claim(self._owner, now_ms, lease_ms, room, healthy_only=True))
            left = min(room - len(found), places // 2 - troubled)
            if left > 0:
                found += await self._publications.claim(self._owner, now_ms, lease_ms, left)
        except StoreUnavailable as error:
            self._unsure = True
            log.warning("destinations are not served: %s", error)
        return found

    async def _turn(self, claimed: Claimed) -> None:
        key = claimed.destination
        try:
            try:
                await self._serve(claimed)
            except StoreUnavailable as error:
                log.warning("%s is not served: %s", key, error)
                await self._pause(self._settings.poll_s)
            except Exception:
                # It must not take the other destinations along.
                log.exception("serving %s failed", key)
                await self._publications.settle(self._round(key, [], Told(failed={0: "Internal error"}), claimed))
            await self._publications.leave(key, self._owner, self._clock.now_ms())
        except StoreUnavailable as error:
            self._unsure = True
            log.warning("the lease of %s was not ended: %s", key, error)
        finally:
            del self._turns[key]
            self._due.set()

    async def _serve(self, claimed: Claimed) -> None:
        key = claimed.destination
        target = read_target_key(key)
        clock = asyncio.get_running_loop().time
        ends = clock() + self._settings.turn_s
        while not self._stopping.is_set() and clock() < ends:
            endpoint: Endpoint = Nowhere() if target is None else await endpoint_of(target, self._facts)
            if target is None or isinstance(endpoint, Nowhere | MailedInstead):
                await self._close_down(key, endpoint)
                return
            limit = self._settings.probe if claimed.failures else self._courtesy.at_once(self._settings.batch)
            batch = await self._publications.take(key, self._clock.now_ms(), limit)
            if not batch:
                return
            told = await self._tell(target, endpoint, batch)
            if told.topic_unknown and await self._gone(key, target, endpoint, told):
                return
            ended = self._round(key, batch, told, claimed)
            await self._publications.settle(ended)
            self._count(endpoint, told)
            claimed = Claimed(key, ended.failures)
            if ended.failures:
                return
            await self._pause(self._courtesy.rest_s(len(batch), self._lag_ms(batch)))

    async def _close_down(self, key: str, endpoint: Endpoint) -> None:
        if isinstance(endpoint, MailedInstead) and self._forwards:
            forward = endpoint.forward
            await self._publications.redirect(key, target_key(forward), forward.scope, self._clock.now_ms())
            self._due.set()
        elif dropped := await self._publications.drop(key):
            log.info("%d events are not told to %s, which is gone or disabled", dropped, key)

    async def _gone(self, key: str, target: Target, endpoint: Endpoint, told: Told) -> bool:
        """What SES does where a topic for bounces or complaints is not there: it is removed, and the sender is told by
        mail. False for any other topic: that is tried again, its owner may make it anew."""
        if (
            not isinstance(target, IdentityTopic)
            or not isinstance(endpoint, NotificationTopic)
            or target.type is NotificationType.DELIVERY
        ):
            return False
        await self._publications.settle(Round(destination=key, at_ms=self._clock.now_ms(), sent=told.sent))
        mail_it = await remove_topic(target, endpoint.arn, self._records)
        if mail_it is not None:
            await self._close_down(key, MailedInstead(Forward(target.scope)) if mail_it else Nowhere())
        # Else somebody has set another one meanwhile: the next turn finds it.
        return True

    # -- telling

    async def _tell(self, target: Target, endpoint: Endpoint, batch: Sequence[Publication]) -> Told:
        # What the log no longer has cannot be told, and is done with.
        gone = [each.seq for each in batch if each.event is None]
        events = [(each.seq, each.event) for each in batch if each.event is not None]
        originals = await self._originals.of([event for _, event in events])
        tellings = [Telling(seq, event, originals[key_of(event)]) for seq, event in events]
        match endpoint:
            case EventTopic() | NotificationTopic():
                told = await self._outside.to_topic(endpoint, tellings)
            case EventStream():
                told = await self._outside.to_stream(endpoint, tellings)
            case EventMetrics():
                told = await self._outside.to_metrics(endpoint, tellings)
            case _:
                told = await self._mail(tellings)
        told.sent += gone
        return told

    async def _mail(self, tellings: Sequence[Telling]) -> Told:
        keys = {each.seq: MessageKey(each.event.scope, each.event.message_id) for each in tellings}
        mails = await self._publications.mails(set(keys.values()))
        batch = []
        for each in tellings:
            if (mail := mails.get(keys[each.seq])) is not None:
                scope = mail.facts.identity_scope
                identity = await self._facts.governing(scope, address_of(mail.facts.source))
                batch.append((each, feedback_of(each, mail, identity.name if identity is not None else "")))
        told = await self._outside.by_mail(batch)
        # Whom to tell of a message that was deleted since, nobody knows.
        told.sent += [each.seq for each in tellings if keys[each.seq] not in mails]
        return told

    def _lag_ms(self, batch: Sequence[Publication]) -> int:
        return self._clock.now_ms() - min(each.routed_ms for each in batch)

    def _round(self, key: str, batch: Sequence[Publication], told: Told, claimed: Claimed) -> Round:
        now_ms = self._clock.now_ms()
        attempts = {each.seq: each.attempts for each in batch}
        failures = claimed.failures + 1 if told.failed and not told.sent else 0

        def wait_ms(seq: int) -> int:
            # Whether it is the endpoint's turn to be better or the event's: else events that met the worst moments of
            # one that comes and goes would wait long after it is well.
            tries = max(1, failures) if told.is_down else attempts.get(seq, 0) + 1
            return backoff_ms(tries, self._jitter())

        return Round(
            destination=key,
            at_ms=now_ms,
            sent=told.sent,
            failed=[Failure(seq, now_ms + wait_ms(seq), reason) for seq, reason in told.failed.items()],
            failures=failures,
            waiting_until_ms=now_ms + backoff_ms(failures, self._jitter()) if failures else 0,
            give_up_ms=now_ms - GIVE_UP_MS,
        )

    def _count(self, endpoint: Endpoint, told: Told) -> None:
        kind = _KINDS[type(endpoint)]
        self._metrics.add(TOLD, len(told.sent), to=kind, outcome="sent")
        self._metrics.add(TOLD, len(told.failed), to=kind, outcome="failed")

    # -- leases and waiting

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_ms / 3000)
            if not self._turns:
                continue
            try:
                await self._publications.renew(self._owner, self._clock.now_ms() + self._settings.lease_ms)
            except StoreUnavailable as error:
                log.warning("leases of destinations are not renewed: %s", error)

    async def _take_over_from_the_dead(self) -> None:
        for owner in await self._publications.owners():
            if self._is_known_dead(owner):
                count = await self._publications.release(owner)
                log.warning("released %d destinations leased to %s, which is gone", count, owner)

    async def _release(self) -> None:
        try:
            await self._publications.release(self._owner)
        except StoreUnavailable as error:
            log.warning("leases of destinations were not released and run out by themselves: %s", error)

    async def _wait(self, tap: asyncio.Event) -> None:
        """Until somebody taps, or the poll."""
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await tap.wait()
        except TimeoutError:
            return

    async def _pause(self, seconds: float) -> None:
        """A wait that the end of the worker cuts short."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


_KINDS: dict[type[Endpoint], str] = {
    EventTopic: "topic",
    NotificationTopic: "identity",
    EventStream: "stream",
    EventMetrics: "metrics",
    FeedbackMail: "mail",
}


async def _until(deadline_s: float, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Waits for the tasks to end; cancels those that have not by then."""
    _, late = await asyncio.wait(tasks, timeout=deadline_s)
    for task in late:
        task.cancel()
