"""Why did this not arrive? One sentence from what is stored. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from posthouse.domain.events import Event, EventType, LoggedEvent
from posthouse.domain.messages import FEEDBACK, Direction, RecipientState, RecipientStatus, StoredMessage
from posthouse.web.timeline import host_of, is_automatic, kind_of, reply_of, was_captured

# The recipient that is told of where several fared differently: trouble first.
_TROUBLE = (
    RecipientState.BOUNCED,
    RecipientState.REJECTED,
    RecipientState.EXPIRED,
    RecipientState.DROPPED,
    RecipientState.QUEUED,
    RecipientState.DELIVERED,
    RecipientState.RECEIVED,
)
_SUBTYPES = {
    "NoEmail": "the address does not exist there",
    "Suppressed": "the address is on the suppression list",
    "UnsubscribedRecipient": "the recipient has unsubscribed from the list",
    "MailboxFull": "the mailbox is full",
    "MessageTooLarge": "the message is too large for it",
    "ContentRejected": "the content was refused",
    "AttachmentRejected": "an attachment was refused",
}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def sentence(stored: StoredMessage, events: Sequence[LoggedEvent], now_ms: int) -> str:
    """What became of the message, or what it waits for."""
    if not stored.recipients:
        return "It has no recipients."
    if stored.facts.direction is Direction.IN:
        return _inbound(stored, events)
    worst = min(stored.recipients, key=lambda each: _TROUBLE.index(each.state))
    alike = [each for each in stored.recipients if each.state is worst.state]
    told = _of_state(worst, alike, events, now_ms)
    return told if len(alike) == len(stored.recipients) else f"{_count(stored)}. {told}"


def _inbound(stored: StoredMessage, events: Sequence[LoggedEvent]) -> str:
    whom = _names(stored.recipients)
    helo = stored.facts.helo or stored.facts.source_ip or "another server"
    if stored.facts.operation == FEEDBACK:
        read = next((each.event for each in events if each.event.type is EventType.RECEIVED), None)
        outcome = read.detail.get("outcome") if read is not None else None
        said = f": {outcome}" if isinstance(outcome, str) and outcome else ""
        return f"It came in from {helo} about a message that was sent from here{said}."
    return f"It came in from {helo} for {whom} and is safe here{_worst_action(events)}."


def _worst_action(events: Sequence[LoggedEvent]) -> str:
    """What its receipt rules could not do (keys: receiving/events)."""
    tries = [each.event.detail for each in events if "action" in each.event.detail]
    for detail in tries:
        if detail.get("result") in ("given up", "impossible"):
            return f"; {_action(detail)} was not done: {detail.get('text', '')}"
    if tries and tries[-1].get("result") == "to be tried again":
        return f"; {_action(tries[-1])} will be tried again: {tries[-1].get('text', '')}"
    return ""


def _action(detail: dict[str, Any]) -> str:
    what = "the notification of" if detail.get("telling") is True else "the action"
    return f"{what} {detail.get('action')} of rule {detail.get('rule')}"


def _count(stored: StoredMessage) -> str:
    states = Counter(each.state for each in stored.recipients)
    parts = [f"{states[state]} {state.value}" for state in reversed(_TROUBLE) if state in states]
    return f"Of {len(stored.recipients)} recipients, " + ", ".join(parts)


def _names(recipients: Sequence[RecipientStatus]) -> str:
    first = recipients[0].recipient
    return first if len(recipients) == 1 else f"{first} and {len(recipients) - 1} more"


def _of_state(
    worst: RecipientStatus, alike: Sequence[RecipientStatus], events: Sequence[LoggedEvent], now_ms: int
) -> str:
    names = _names(alike)
    match worst.state:
        case RecipientState.DELIVERED:
            return _delivered(alike, events)
        case RecipientState.QUEUED:
            return _queued(worst, names, now_ms)
        case RecipientState.BOUNCED:
            return _bounced(worst, names, events)
        case RecipientState.EXPIRED:
            tries = _times(worst.attempts)
            return f"Given up for {names} after {tries}{_said(worst.reply, ': the last answer was')}."
        case RecipientState.REJECTED:
            return f"It was rejected before leaving{_said(worst.reply, ':')}."
        case RecipientState.DROPPED:
            return f"An operator took it out of the queue for {names}{_said(worst.reply, '; the last answer was')}."
        case RecipientState.RECEIVED:
            return f"It was received for {names}."


def _last(kind: EventType, recipient: str, events: Sequence[LoggedEvent]) -> LoggedEvent | None:
    return next((e for e in reversed(events) if e.event.type is kind and recipient in e.event.recipients), None)


def _delivered(alike: Sequence[RecipientStatus], events: Sequence[LoggedEvent]) -> str:
    """Delivered is not always the end of it: what came back by mail is told first."""
    for kind, tell in ((EventType.BOUNCE, _came_back), (EventType.COMPLAINT, _complained)):
        for status in alike:
            found = _last(kind, status.recipient, events)
            if found is not None and not is_automatic(found.event):
                others = f" Delivered for {len(alike) - 1} more." if len(alike) > 1 else ""
                return f"Delivered for {status.recipient}{_to(status, events)}, but {tell(found.event)}.{others}"
    answering = [each.recipient for each in alike if _last(EventType.BOUNCE, each.recipient, events) is not None]
    answered = f" An automatic reply of {', '.join(answering)} came back." if answering else ""
    return _taken(alike[0], _names(alike), events) + answered


def _came_back(event: Event) -> str:
    return f"a bounce came back later{_said(reply_of(event), ':')}{_dash(_SUBTYPES.get(kind_of(event)[1], ''))}"


def _complained(event: Event) -> str:
    who = "its recipient" if len(event.recipients) == 1 else f"one of {', '.join(event.recipients)}"
    return f"{who} complained about it"


def _to(status: RecipientStatus, events: Sequence[LoggedEvent]) -> str:
    found = _last(EventType.DELIVERY, status.recipient, events)
    host = host_of(found.event) if found is not None else ""
    return f" to {host}" if host else ""


def _dash(meaning: str) -> str:
    return f" – {meaning}" if meaning else ""


def _taken(status: RecipientStatus, names: str, events: Sequence[LoggedEvent]) -> str:
    found = _last(EventType.DELIVERY, status.recipient, events)
    if found is not None and was_captured(found.event):
        return f"Captured for {names}: it is kept here and nothing left this machine."
    host = host_of(found.event) if found is not None else ""
    said = _said(status.reply, ", which answered") if host else _said(status.reply, ":")
    return f"Delivered for {names}{f' to {host}' if host else ''}{said}."


def _queued(status: RecipientStatus, names: str, now_ms: int) -> str:
    when = f"in {_span(status.due_ms - now_ms)}" if status.due_ms > now_ms else "now"
    if not status.attempts:
        return f"It waits for its first attempt to {names}, due {when}."
    tries = _times(status.attempts)
    return f"Not delivered to {names} yet after {tries}{_said(status.reply, ': the last answer was')}; next try {when}."


def _bounced(status: RecipientStatus, names: str, events: Sequence[LoggedEvent]) -> str:
    found = _last(EventType.BOUNCE, status.recipient, events)
    if found is None:
        return f"It bounced for {names}{_said(status.reply, ': the answer was')}."
    meaning = _SUBTYPES.get(kind_of(found.event)[1], "")
    host = host_of(found.event)
    said = _said(status.reply or reply_of(found.event), f": {host} answered" if host else ": the answer was")
    return f"It bounced for {names}{said}{_dash(meaning)}."


def _said(reply: str, lead: str) -> str:
    return f"{lead} “{reply.strip().rstrip('.')}”" if reply.strip() else ""


def _times(attempts: int) -> str:
    return "one attempt" if attempts == 1 else f"{attempts} attempts"


def _span(ms: int) -> str:
    """A duration in its largest fitting unit."""
    seconds = max(1, round(ms / 1000))
    size, unit = next(each for each in _UNITS if seconds >= each[0])
    number = round(seconds / size)
    return f"{number} {unit}" + ("" if number == 1 else "s")
