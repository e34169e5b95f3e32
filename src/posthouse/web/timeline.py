"""The life of a message as steps, from what is stored and what the event log says.

Pure. The keys of an event's detail are those delivery/events.py names; each of them may be missing or something else
here, since the log keeps rows of earlier versions.
"""

from collections.abc import Callable, Sequence
from typing import Any

from posthouse.domain.events import Event, EventType, LoggedEvent
from posthouse.domain.messages import ContentKind, Direction, RecipientState, StoredMessage
from posthouse.web.query import iso
from posthouse.web.views import NamedValue, Step

GOOD, BAD, WAITING, PLAIN = "good", "bad", "waiting", "plain"


def steps(stored: StoredMessage, events: Sequence[LoggedEvent], signers: Sequence[str] = ()) -> list[Step]:
    """Oldest first, ending with what it waits for, if anything. `signers`: domains whose DKIM signature it carries."""
    told = [_TELL.get(each.event.type, _other)(each.event, signers) for each in events]
    return [_accepted(stored), *told, *_waiting(stored)]


def reply_of(event: Event) -> str:
    """What the other side said, as one line; empty where the event does not tell."""
    for key in ("smtp_response", "reason", "error_message"):
        if found := _word(event.detail, key):
            return found
    said = list(_diagnoses(event).values())
    return said[0] if said else ""


def host_of(event: Event) -> str:
    """The server that was spoken to; empty where none was."""
    return _word(event.detail, "remote_mta") or _word(event.detail, "remote_ip")


def kind_of(event: Event) -> tuple[str, str]:
    """SES's bounceType and bounceSubType; empty where the event does not tell."""
    kind = event.detail.get("kind")
    return (_word(kind, "type"), _word(kind, "subtype")) if isinstance(kind, dict) else ("", "")


def is_automatic(event: Event) -> bool:
    """A bounce that is somebody's automatic reply: the mail arrived."""
    return event.detail.get("automatic") is True


def was_captured(event: Event) -> bool:
    """Delivered though no server was reached: kept here."""
    return event.type is EventType.DELIVERY and "remote_ip" in event.detail and not host_of(event)


def _word(detail: dict[str, Any], key: str) -> str:
    found = detail.get(key)
    return found if isinstance(found, str) else ""


def _diagnoses(event: Event) -> dict[str, str]:
    """What was said about each recipient, without the type it is marked with (RFC 3464 §2.3.6)."""
    told = event.detail.get("recipients")
    rows = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    return {_word(row, "recipient"): _word(row, "diagnostic_code").removeprefix("smtp; ") for row in rows}


_KINDS = {
    ContentKind.DRAFT: "to be composed",
    ContentKind.TEMPLATED: "to be rendered",
    ContentKind.RAW: "raw",
}


def _accepted(stored: StoredMessage) -> Step:
    facts = stored.facts
    if facts.direction is Direction.IN:
        title, text = "Received", f"From {facts.helo or 'a mail server'} at {facts.source_ip or 'an unknown address'}."
    else:
        by = f" by {facts.access_key}" if facts.access_key else ""
        at = f" from {facts.source_ip}" if facts.source_ip else ""
        kind = _KINDS[facts.content_kind]
        title, text = "Accepted", f"{facts.operation}{by}{at}, {facts.size:,} bytes {kind}."
    more = (("TLS", facts.tls), ("HELO", facts.helo), ("Configuration set", facts.configuration_set))
    return Step(
        at=iso(facts.accepted_ms),
        tone=PLAIN,
        title=title,
        text=text,
        recipients=[],
        facts=_named(more),
        conversation=[],
    )


def _named(pairs: Sequence[tuple[str, str]]) -> list[NamedValue]:
    return [NamedValue(name, value) for name, value in pairs if value]


def _step(event: Event, tone: str, title: str, text: str, more: Sequence[tuple[str, str]] = ()) -> Step:
    return Step(
        at=iso(event.at_ms),
        tone=tone,
        title=title,
        text=text,
        recipients=list(event.recipients),
        facts=_named([*more, *_attempt_facts(event)]),
        conversation=_conversation(event),
    )


def _conversation(event: Event) -> list[str]:
    said = event.detail.get("conversation")
    return [line for line in said if isinstance(line, str)] if isinstance(said, list) else []


def _attempt_facts(event: Event) -> list[tuple[str, str]]:
    detail = event.detail
    diagnoses = _diagnoses(event)
    return [
        ("Server", _word(detail, "remote_mta")),
        ("Address", _word(detail, "remote_ip")),
        ("TLS", _tls(detail)),
        ("Attempt", _whole(detail, "attempt")),
        ("Took", f"{took} ms" if (took := _whole(detail, "duration_ms")) else ""),
        ("Next attempt", _moment(detail, "until_ms")),
        ("Gives up", _moment(detail, "expires_ms")),
        ("Delay type", _word(detail, "delay_type")),
        *(diagnoses.items() if len(diagnoses) > 1 else ()),
    ]


def _tls(detail: dict[str, Any]) -> str:
    version = _word(detail, "tls")
    if not version:
        return "none: in the clear" if _word(detail, "remote_ip") else ""
    trust = "certificate valid" if detail.get("tls_verified") is True else "certificate not verified"
    return ", ".join(part for part in (version, _word(detail, "tls_cipher"), trust) if part)


def _whole(detail: dict[str, Any], key: str) -> str:
    found = detail.get(key)
    return str(found) if isinstance(found, int) else ""


def _moment(detail: dict[str, Any], key: str) -> str:
    found = detail.get(key)
    # Beyond that no calendar of ours reaches.
    return iso(found)[:19].replace("T", " ") + " UTC" if isinstance(found, int) and 0 < found < 10**14 else ""


def _send(event: Event, signers: Sequence[str]) -> Step:
    if not signers:
        return _step(event, PLAIN, "Ready to leave", "")
    return _step(event, PLAIN, "Signed", f"By DKIM for {' and '.join(signers)}.")


def _delivery(event: Event, signers: Sequence[str]) -> Step:
    if was_captured(event):
        return _step(event, GOOD, "Captured", "Kept in this inbox; nothing left this machine.")
    host = host_of(event)
    return _step(event, GOOD, f"Delivered to {host}" if host else "Delivered", reply_of(event))


def _delay(event: Event, signers: Sequence[str]) -> Step:
    return _step(event, WAITING, "Deferred", reply_of(event))


def _bounce(event: Event, signers: Sequence[str]) -> Step:
    reply = reply_of(event)
    more = [("Bounce type", " / ".join(part for part in kind_of(event) if part)), *_report_facts(event)]
    if is_automatic(event):
        return _step(event, PLAIN, "Automatic reply", "Somebody's mail program answered.", more)
    if event.detail.get("late") is True:
        return _step(event, BAD, "A bounce came back", reply, more)
    # A bounce on a temporary answer is the end of retrying.
    return _step(event, BAD, "Given up" if reply.startswith("4") else "Bounced", reply, more)


def _complaint(event: Event, signers: Sequence[str]) -> Step:
    kind, agent = _word(event.detail, "feedback_type"), _word(event.detail, "user_agent")
    more = [("Feedback type", kind), ("Reported by", agent), *_report_facts(event)]
    return _step(event, BAD, "Complaint", reply_of(event), more)


def _report_facts(event: Event) -> list[tuple[str, str]]:
    """What came in by mail names that mail."""
    return [("Report", _word(event.detail, "report_message_id"))]


def _received(event: Event, signers: Sequence[str]) -> Step:
    kind, outcome = _word(event.detail, "report"), _word(event.detail, "outcome")
    if _word(event.detail, "action"):
        return _acted(event)
    if not kind:
        return _step(event, PLAIN, "Taken in", _rules(event.detail), _verdicts(event.detail))
    said = f"{outcome[:1].upper()}{outcome[1:]}." if outcome else ""
    return _step(event, PLAIN, f"Read as {kind}", said, [("About", _word(event.detail, "about"))])


_TONES = {"done": GOOD, "to be tried again": WAITING, "given up": BAD, "impossible": BAD}


def _acted(event: Event) -> Step:
    """One action of a receipt rule (keys: receiving/events)."""
    detail = event.detail
    action, result = _word(detail, "action"), _word(detail, "result")
    what = f"Notification of {action}" if detail.get("telling") is True else action
    due_ms = detail.get("due_ms")
    more = [("Rule", _word(detail, "rule")), ("Next try", iso(due_ms) if isinstance(due_ms, int) else "")]
    said = _word(detail, "text")
    return _step(event, _TONES.get(result, PLAIN), f"{what}: {result}", f"{said[:1].upper()}{said[1:]}.", more)


def _rules(detail: dict[str, Any]) -> str:
    """Every rule of the set that was active, and why it applied or did not."""
    told = detail.get("rules")
    rules = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    if not rules:
        return ""
    shown = "; ".join(f"{_word(rule, 'rule')} {_word(rule, 'outcome')}" for rule in rules)
    return f"Rule set {_word(detail, 'rule_set')}: {shown}."


def _verdicts(detail: dict[str, Any]) -> list[tuple[str, str]]:
    found = detail.get("verdicts")
    if not isinstance(found, dict):
        return []
    names = [
        ("Client", "client_name"),
        ("SPF", "spf"),
        ("DKIM", "dkim"),
        ("DMARC", "dmarc"),
        ("DMARC policy", "dmarc_policy"),
    ]
    names += [("Spam", "spam"), ("Spam scanner", "spam_detail"), ("Virus", "virus"), ("Virus scanner", "virus_detail")]
    return [(shown, _word(found, name)) for shown, name in names]


def _bounce_sent(event: Event, signers: Sequence[str]) -> Step:
    more = [
        ("Bounce", _word(event.detail, "bounce_message_id")),
        ("Original", _word(event.detail, "original_message_id")),
    ]
    whom = event.detail.get("recipients")
    names = ", ".join(each for each in whom if isinstance(each, str)) if isinstance(whom, list) else ""
    return _step(event, PLAIN, "Bounced to its sender", f"For {names}." if names else "", more)


def _unsubscribed(event: Event, signers: Sequence[str]) -> Step:
    """Keys: domain/mailing_lists."""
    more = [("List", _word(event.detail, "list")), ("Topic", _word(event.detail, "topic"))]
    return _step(event, PLAIN, "Unsubscribed", "", more)


def _seen(title: str) -> "Teller":
    """An opening or a click (keys: web/tracking)."""

    def tell(event: Event, signers: Sequence[str]) -> Step:
        detail = event.detail
        more = (
            ("Link tags", _link_tags(detail.get("link_tags"))),
            ("Address", _word(detail, "ip")),
            ("User agent", _word(detail, "user_agent")),
        )
        sign = _word(detail, "prefetch_sign")
        tone, by = (PLAIN, f" by a program ({sign})") if sign else (GOOD, "")
        return _step(event, tone, title + by, _word(detail, "link"), more)

    return tell


def _link_tags(tags: Any) -> str:
    lists = [(key, value) for key, value in tags.items() if isinstance(value, list)] if isinstance(tags, dict) else []
    return ", ".join(f"{key}: {value}" for key, values in lists for value in values)


def _told(tone: str, title: str) -> "Teller":
    return lambda event, signers: _step(event, tone, title, reply_of(event))


def _other(event: Event, signers: Sequence[str]) -> Step:
    return _step(event, PLAIN, event.type.value, reply_of(event))


Teller = Callable[[Event, Sequence[str]], Step]

_TELL: dict[EventType, Teller] = {
    EventType.SEND: _send,
    EventType.DELIVERY: _delivery,
    EventType.DELIVERY_DELAY: _delay,
    EventType.BOUNCE: _bounce,
    EventType.REJECT: _told(BAD, "Rejected"),
    EventType.RENDERING_FAILURE: _told(BAD, "Could not be rendered"),
    EventType.COMPLAINT: _complaint,
    EventType.OPEN: _seen("Opened"),
    EventType.CLICK: _seen("Link followed"),
    EventType.RECEIVED: _received,
    EventType.BOUNCE_SENT: _bounce_sent,
    EventType.SUBSCRIPTION: _unsubscribed,
    EventType.DROPPED: _told(BAD, "Dropped by an operator"),
}


def _waiting(stored: StoredMessage) -> list[Step]:
    queued = [each for each in stored.recipients if each.state is RecipientState.QUEUED]
    if not queued:
        return []
    tried = max(each.attempts for each in queued)
    return [
        Step(
            at=iso(min(each.due_ms for each in queued)),
            tone=WAITING,
            title="In the queue",
            text=f"Attempt {tried + 1} is due." if tried else "The first attempt is due.",
            recipients=[each.recipient for each in queued],
            facts=[],
            conversation=[],
        )
    ]
