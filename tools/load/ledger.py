"""What was promised against what came of it: the judgement of the crash runs, on plain values.

They are written in docs/performance.md: what was answered with success is never lost, every accepted recipient has
exactly one final state and the events say so, a crash repeats deliveries at most where they were in flight.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

NOTIFIED = {"Delivery", "Bounce"}
"""Of which the topics of the sender's identity hear."""
FINAL = {"Delivery", "Bounce", "Reject", "Rendering Failure", "Dropped"}
"""Types of event that end the story of a recipient."""


@dataclass(slots=True)
class Entry:
    """One message that was handed in, under a test id of its own, once."""

    id: str
    way: str
    """How it was handed in."""
    recipients: tuple[str, ...]
    """Their local part says what the next hop does with them: ok, later, bounce, or late: takes it and then reports."""
    message_id: str = ""
    """From the positive answer; empty: there was none, so nothing is promised."""
    answered_s: float = 0.0
    reported: set[str] = field(default_factory=set)
    """Recipients of whom a report was handed in and taken: they are bounced after all."""
    perhaps_reported: set[str] = field(default_factory=set)
    """The same where nobody knows whether it was taken."""

    @property
    def inbound(self) -> bool:
        return self.way.startswith("inbound")


@dataclass(frozen=True, slots=True)
class Found:
    """What there is at the end."""

    arrivals: Mapping[tuple[str, str], int]
    """How often the next hop took (test id, recipient)."""
    events: Sequence[Mapping[str, Any]]
    """The event log, as the admin API shows it."""
    messages: Sequence[Mapping[str, Any]]
    """Messages of both directions, as the admin API lists them."""
    told: AbstractSet[tuple[str, str, str]] | None = None
    """(type, message id, recipient) as a subscriber was told; None: nobody subscribed."""


@dataclass(slots=True)
class Verdict:
    lost: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    delivered: int = 0
    bounced: int = 0


def judge(entries: Iterable[Entry], found: Found) -> Verdict:
    """Holds every promise against what was found."""
    verdict = Verdict()
    finals, received = _by_recipient(found.events)
    listed = {each["message_id"]: each for each in found.messages}
    for entry in entries:
        if not entry.message_id:
            continue
        if entry.inbound:
            _judge_inbound(entry, received, listed, verdict)
        else:
            for recipient in entry.recipients:
                _judge_recipient(entry, recipient, finals[entry.message_id, recipient], found.arrivals, verdict)
            _judge_told(entry, finals, found.told, verdict)
            _judge_listing(entry, finals, listed, verdict)
    _judge_unanswered(finals, received, listed, verdict)
    verdict.lost.sort()
    return verdict


def _by_recipient(events: Iterable[Mapping[str, Any]]) -> tuple[dict[tuple[str, str], list[str]], Counter[str]]:
    """Final event types by (message id, recipient), and how often all was done about each message that came in."""
    finals: dict[tuple[str, str], list[str]] = defaultdict(list)
    received: Counter[str] = Counter()
    for event in events:
        if event["type"] == "Received" and event.get("detail", {}).get("end"):
            received[event["message_id"]] += 1
        if event["type"] in FINAL:
            for recipient in event["recipients"]:
                finals[event["message_id"], recipient].append(event["type"])
    return finals, received


def _judge_recipient(
    entry: Entry, recipient: str, finals: Sequence[str], arrivals: Mapping[tuple[str, str], int], verdict: Verdict
) -> None:
    arrived = arrivals.get((entry.id, recipient), 0)
    where = f"{entry.way} id={entry.id} {entry.message_id} <{recipient}> answered at {entry.answered_s:.3f}"
    refused = recipient.startswith("bounce")
    if not refused and not arrived:
        verdict.lost.append(f"{where}: never arrived; final events {list(finals)}")
    wanted = ["Bounce" if refused else "Delivery"] + ["Bounce"] * (recipient in entry.reported)
    allowed = [wanted, [*wanted, "Bounce"]] if recipient in entry.perhaps_reported else [wanted]
    if list(finals) not in allowed:
        verdict.contradictions.append(f"{where}: final events {list(finals)}, arrived {arrived} times")
    verdict.delivered += bool(arrived)
    verdict.bounced += refused and bool(finals)


def _judge_told(
    entry: Entry,
    finals: Mapping[tuple[str, str], Sequence[str]],
    told: AbstractSet[tuple[str, str, str]] | None,
    verdict: Verdict,
) -> None:
    """Every event is told at least once."""
    for recipient in entry.recipients if told is not None else ():
        for kind in {*finals[entry.message_id, recipient]} & NOTIFIED:
            if told is not None and (kind, entry.message_id, recipient) not in told:
                verdict.lost.append(f"{entry.way} id={entry.id} {entry.message_id} <{recipient}>: {kind} was not told")


def _judge_listing(
    entry: Entry,
    finals: Mapping[tuple[str, str], Sequence[str]],
    listed: Mapping[str, Mapping[str, Any]],
    verdict: Verdict,
) -> None:
    """The states that the message list shows must say what the events say."""
    shown = listed.get(entry.message_id)
    if shown is None:
        verdict.lost.append(f"{entry.way} id={entry.id} {entry.message_id}: not among the messages")
        return
    states = {each["recipient"]: each["status"] for each in shown["recipients"]}
    if f"id={entry.id}" not in shown["subject"]:
        verdict.contradictions.append(f"{entry.message_id}: answered for id={entry.id}, is {shown['subject']!r}")
    for recipient in entry.recipients:
        wanted = {"Delivery": "delivered", "Bounce": "bounced"}.get(next(iter(finals[entry.message_id, recipient]), ""))
        if states.get(recipient) != wanted:
            verdict.contradictions.append(
                f"{entry.message_id} <{recipient}>: the list says {states.get(recipient)}, the events {wanted}"
            )


def _judge_inbound(
    entry: Entry, received: Mapping[str, int], listed: Mapping[str, Mapping[str, Any]], verdict: Verdict
) -> None:
    where = f"{entry.way} id={entry.id} {entry.message_id} answered at {entry.answered_s:.3f}"
    shown = listed.get(entry.message_id)
    if shown is None:
        verdict.lost.append(f"{where}: not among the messages; Received events {received.get(entry.message_id, 0)}")
    elif shown["direction"] != "in" or f"id={entry.id}" not in shown["subject"]:
        verdict.contradictions.append(f"{where}: listed as {shown['direction']} {shown['subject']!r}")
    elif sorted(each["recipient"] for each in shown["recipients"]) != sorted(entry.recipients):
        verdict.contradictions.append(f"{where}: listed for {[each['recipient'] for each in shown['recipients']]}")
    if received.get(entry.message_id, 0) > 1:
        verdict.contradictions.append(f"{where}: Received events {received.get(entry.message_id, 0)}")


def _judge_unanswered(
    finals: Mapping[tuple[str, str], Sequence[str]],
    received: Mapping[str, int],
    listed: Mapping[str, Mapping[str, Any]],
    verdict: Verdict,
) -> None:
    """What was kept without a positive answer is no promise broken, but must have one end too."""
    for message_id, shown in listed.items():
        for each in shown["recipients"]:
            told = list(finals.get((message_id, each["recipient"]), []))
            late = told == ["Delivery", "Bounce"] and each["recipient"].startswith("late")
            if shown["direction"] == "out" and len(told) != 1 and not late:
                verdict.contradictions.append(f"{message_id} <{each['recipient']}>: final events {told}")
    for message_id in sorted({key[0] for key in finals} | set(received)):
        if message_id not in listed:
            verdict.contradictions.append(f"{message_id}: has events but is not among the messages")
    verdict.contradictions[:] = sorted(set(verdict.contradictions))
