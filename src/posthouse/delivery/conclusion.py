"""From the answers of an attempt to its settlement: facts in, states and events out. Pure but for `jitter`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from posthouse.delivery import events
from posthouse.delivery.parcel import Job, Parcel
from posthouse.delivery.prepared import Refused
from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.events import Event
from posthouse.domain.messages import RecipientState
from posthouse.domain.outcomes import (
    Bounced,
    BounceKind,
    Deferred,
    Delivered,
    NotSent,
    Reply,
    judge,
    reply_line,
)
from posthouse.domain.simulator import count_simulated
from posthouse.ports.mailstore import ClaimedRecipient, RecipientResult, Settlement


class Conclusions:
    """Judges attempts by one retry plan and writes them down."""

    def __init__(self, settings: DeliverySettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._retry = settings.retry
        self._simulators = settings.routing.simulators
        self._jitter = jitter

    def conclude(self, job: Job, replies: Mapping[str, Reply], report: events.AttemptReport, now_ms: int) -> Settlement:
        """What follows from `replies`, one for each recipient of the job."""
        results: list[RecipientResult] = []
        groups = _Groups(job.parcel, self._settings, report, now_ms)
        for recipient in job.recipients:
            results.append(self._judged(recipient, replies[recipient.recipient], groups, now_ms))
        return self._settlement(job.parcel, tuple(results), groups.events(self._retry.max_age_ms), now_ms)

    def refused(self, parcel: Parcel, recipients: Iterable[ClaimedRecipient], refused: Refused) -> Settlement:
        """Nobody gets this message."""
        facts = parcel.facts
        results = tuple(RecipientResult(r.recipient, RecipientState.REJECTED, refused.reason) for r in recipients)
        return Settlement(facts.scope, facts.message_id, results, self._marked([refused.event], parcel))

    def _judged(self, recipient: ClaimedRecipient, reply: Reply, groups: "_Groups", now_ms: int) -> RecipientResult:
        number = recipient.attempts + 1
        jitter = self._jitter() if 300 <= reply.code < 500 else 0.0
        outcome = judge(reply, number, recipient.queued_ms, now_ms, self._retry, jitter)
        line = reply_line(outcome.reply)
        match outcome:
            case Delivered():
                groups.delivered.setdefault((line, number), []).append(recipient.recipient)
                return RecipientResult(recipient.recipient, RecipientState.DELIVERED, line)
            case Deferred(until_ms):
                groups.deferred.setdefault(number, []).append((recipient, outcome))
                return RecipientResult(recipient.recipient, RecipientState.QUEUED, line, until_ms)
            case Bounced(kind, _, expired):
                groups.bounced.setdefault((kind, _is_complaint(outcome.reply), number), []).append(
                    (recipient.recipient, outcome.reply)
                )
                state = RecipientState.EXPIRED if expired else RecipientState.BOUNCED
                return RecipientResult(recipient.recipient, state, line)

    def _settlement(
        self, parcel: Parcel, results: tuple[RecipientResult, ...], told: list[Event], now_ms: int
    ) -> Settlement:
        facts, prepared = parcel.facts, parcel.prepared
        if prepared is None or not prepared.new or parcel.told:
            return Settlement(facts.scope, facts.message_id, results, self._marked(told, parcel))
        # With the first settlement of the message, whichever recipients it is about: later ones follow it.
        parcel.told = True
        first = events.send(facts, [r.recipient for r in parcel.recipients], now_ms)
        return Settlement(
            facts.scope, facts.message_id, results, self._marked([first, *told], parcel), prepared.content or None
        )

    def _marked(self, told: list[Event], parcel: Parcel) -> tuple[Event, ...]:
        """The events, each with what keeps it out of statistics: how many of its recipients the mailbox simulator
        answers for, and whether the mail is the installation's own. Mostly it is neither."""
        system = parcel.facts.system
        if not system and not count_simulated([each.recipient for each in parcel.recipients], self._simulators):
            return tuple(told)
        counts = [count_simulated(event.recipients, self._simulators) for event in told]
        return tuple(
            msgspec.structs.replace(event, simulated=count, uncounted=system) if count or system else event
            for event, count in zip(told, counts, strict=True)
        )


def _is_complaint(reply: Reply) -> bool:
    return isinstance(reply, NotSent) and reply.complaint


class _Groups:
    """Recipients of one attempt that share an event."""

    def __init__(self, parcel: Parcel, settings: DeliverySettings, report: events.AttemptReport, now_ms: int) -> None:
        self._facts = parcel.facts
        self._settings = settings
        self._report = report
        self._now_ms = now_ms
        self.delivered: dict[tuple[str, int], list[str]] = {}
        self.deferred: dict[int, list[tuple[ClaimedRecipient, Deferred]]] = {}
        self.bounced: dict[tuple[BounceKind, bool, int], list[tuple[str, Reply]]] = {}
        """By kind, whether it is told as a complaint, and attempt."""

    def _attempt(self, number: int, hostname: str = "") -> dict[str, Any]:
        return events.attempt_detail(self._report, number, hostname or self._settings.hostname)

    def events(self, max_age_ms: int) -> list[Event]:
        facts, now_ms = self._facts, self._now_ms
        told = [
            events.delivery(facts, recipients, now_ms, line, self._attempt(number))
            for (line, number), recipients in self.delivered.items()
        ]
        for (kind, _, number), replies in self.bounced.items():
            told.append(self._bounce(kind, replies, number))
        for number, deferred in self.deferred.items():
            told.append(
                events.delivery_delay(
                    facts,
                    [(recipient.recipient, outcome.reply) for recipient, outcome in deferred],
                    now_ms,
                    min(outcome.until_ms for _, outcome in deferred),
                    min(recipient.queued_ms for recipient, _ in deferred) + max_age_ms,
                    self._attempt(number),
                )
            )
        return told

    def _bounce(self, kind: BounceKind, replies: Sequence[tuple[str, Reply]], number: int) -> Event:
        first = replies[0][1]
        if not isinstance(first, NotSent):
            return events.bounce(self._facts, replies, self._now_ms, kind, self._attempt(number))
        # Nobody was asked: SES then names its own domain as the reporting server.
        attempt = self._attempt(number, self._settings.service_domain)
        if first.complaint:
            recipients = [recipient for recipient, _ in replies]
            return events.suppressed_complaint(self._facts, recipients, self._now_ms, kind.subtype, attempt)
        return events.bounce(self._facts, replies, self._now_ms, kind, attempt)
