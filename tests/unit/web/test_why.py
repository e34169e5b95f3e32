"""One sentence and a timeline for what became of a message."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.web.conftest import HOME, NOW_MS

from posthouse.delivery import events as told
from posthouse.delivery.attempt import Attempt
from posthouse.domain.events import Event, EventType, LoggedEvent
from posthouse.domain.feedback import BouncedRecipient, LateBounce, LateComplaint
from posthouse.domain.messages import (
    FEEDBACK,
    ContentKind,
    Direction,
    MessageFacts,
    RecipientState,
    RecipientStatus,
    StoredMessage,
)
from posthouse.domain.outcomes import BounceKind, Notice
from posthouse.receiving import events as feedback
from posthouse.web.timeline import steps
from posthouse.web.why import sentence

FACTS = MessageFacts(
    scope=HOME,
    message_id="m-1",
    direction=Direction.OUT,
    accepted_ms=NOW_MS,
    operation="SendEmail",
    source="a@shop.example",
    from_domain="shop.example",
    feedback_to="a@shop.example",
    subject="Hello",
    size=1234,
    content_kind=ContentKind.DRAFT,
    access_key="posthouse",
    source_ip="127.0.0.1",
)
MX = told.attempt_detail(
    Attempt(
        started_ms=NOW_MS,
        ended_ms=NOW_MS + 120,
        host="mx.far.example",
        ip="203.0.113.9",
        tls="TLSv1.3",
        tls_cipher="TLS_AES_256_GCM_SHA384",
        conversation=["S: 220 hello", "C: EHLO us"],
    ),
    1,
    "us.example",
)
NOWHERE = told.attempt_detail(Attempt(started_ms=NOW_MS, ended_ms=NOW_MS), 1, "us.example")
OK = Notice(250, "2.0.0", "Ok: queued as 4F3D1")
UNKNOWN = Notice(550, "5.1.1", "No such user")
LATER = Notice(451, "4.7.1", "Greylisted")


def status(state: RecipientState, recipient: str = "dana@far.example", **changes: Any) -> RecipientStatus:
    given: dict[str, Any] = {"attempts": 1, "due_ms": NOW_MS, "reply": "", "updated_ms": NOW_MS}
    return RecipientStatus(recipient=recipient, state=state, **{**given, **changes})


def stored(*recipients: RecipientStatus, **changes: Any) -> StoredMessage:
    facts = MessageFacts(**{**{name: getattr(FACTS, name) for name in FACTS.__struct_fields__}, **changes})
    return StoredMessage(facts=facts, recipients=recipients)


def why(*recipients: RecipientStatus, events: tuple[Event, ...] = (), **changes: Any) -> str:
    return sentence(stored(*recipients, **changes), logged(*events), NOW_MS)


def logged(*events: Event) -> list[LoggedEvent]:
    return [LoggedEvent(seq=seq, event=event) for seq, event in enumerate(events, 1)]


def test_a_bounce_says_who_answered_what_and_what_it_means() -> None:
    kind = BounceKind("Permanent", "NoEmail")
    event = told.bounce(FACTS, [("dana@far.example", UNKNOWN)], NOW_MS, kind, MX)
    said = why(status(RecipientState.BOUNCED, reply="550 5.1.1 No such user"), events=(event,))
    assert said == (
        "It bounced for dana@far.example: mx.far.example answered “550 5.1.1 No such user”"
        " – the address does not exist there."
    )


def test_a_delivery_says_to_whom() -> None:
    event = told.delivery(FACTS, ["dana@far.example"], NOW_MS, OK, MX)
    said = why(status(RecipientState.DELIVERED, reply="250 2.0.0 Ok: queued as 4F3D1"), events=(event,))
    assert said == "Delivered for dana@far.example to mx.far.example, which answered “250 2.0.0 Ok: queued as 4F3D1”."


DELIVERED = told.delivery(FACTS, ["dana@far.example"], NOW_MS, "250 2.0.0 Ok", MX)


def came_back(kind: BounceKind, *recipients: BouncedRecipient, automatic: bool = False) -> Event:
    bounce = LateBounce(kind=kind, recipients=recipients, automatic=automatic)
    return feedback.late_bounce(
        FACTS, bounce, NOW_MS + 5, reporting_mta="mx.far.example", remote_ip="203.0.113.9", report_message_id="in-1"
    )


def complained(*recipients: str) -> Event:
    found = LateComplaint(recipients=recipients, user_agent="FBL/1", feedback_type="abuse", arrival_ms=None)
    return feedback.complaint(FACTS, found, NOW_MS + 5, "in-1")


DANA_GONE = BouncedRecipient(
    recipient="dana@far.example", action="failed", status="5.1.1", diagnostic_code="smtp; 550 5.1.1 No such user"
)


def test_a_bounce_that_came_back_after_delivery_is_told() -> None:
    event = came_back(BounceKind("Permanent", "NoEmail"), DANA_GONE)
    said = why(status(RecipientState.DELIVERED, reply="250 2.0.0 Ok"), events=(DELIVERED, event))
    assert said == (
        "Delivered for dana@far.example to mx.far.example, but a bounce came back later: “550 5.1.1 No such user”"
        " – the address does not exist there."
    )
    among = why(
        status(RecipientState.DELIVERED, "a@x.example"), status(RecipientState.DELIVERED), events=(DELIVERED, event)
    )
    assert among == f"{said} Delivered for 1 more."
    bare = came_back(BounceKind("Undetermined", "Undetermined"), BouncedRecipient(recipient="dana@far.example"))
    assert why(status(RecipientState.DELIVERED), events=(bare,)) == (
        "Delivered for dana@far.example, but a bounce came back later."
    )


def test_a_complaint_is_told_and_whose_it_may_be() -> None:
    said = why(status(RecipientState.DELIVERED), events=(DELIVERED, complained("dana@far.example")))
    assert said == "Delivered for dana@far.example to mx.far.example, but its recipient complained about it."
    hidden = why(status(RecipientState.DELIVERED), events=(complained("dana@far.example", "eli@far.example"),))
    assert hidden == (
        "Delivered for dana@far.example, but one of dana@far.example, eli@far.example complained about it."
    )


def test_an_automatic_reply_is_no_trouble() -> None:
    reply = came_back(
        BounceKind("Transient", "General"), BouncedRecipient(recipient="dana@far.example"), automatic=True
    )
    said = why(status(RecipientState.DELIVERED), events=(DELIVERED, reply))
    assert said == "Delivered for dana@far.example to mx.far.example. An automatic reply of dana@far.example came back."
    step = steps(stored(status(RecipientState.DELIVERED)), logged(DELIVERED, reply))[-1]
    assert (step.title, step.tone) == ("Automatic reply", "plain")


def test_a_report_says_what_came_of_it() -> None:
    facts: dict[str, Any] = {"direction": Direction.IN, "operation": FEEDBACK, "helo": "mx.far.example"}
    read = feedback.report_read(FACTS, ["path@us.example"], "m-1", "delivery report", "a bounce of dana@far.example")
    assert why(status(RecipientState.RECEIVED), events=(read,), **facts) == (
        "It came in from mx.far.example about a message that was sent from here: a bounce of dana@far.example."
    )
    assert why(status(RecipientState.RECEIVED), **facts) == (
        "It came in from mx.far.example about a message that was sent from here."
    )
    step = steps(stored(status(RecipientState.RECEIVED), **facts), logged(read))[-1]
    assert (step.title, step.text) == ("Read as delivery report", "A bounce of dana@far.example.")
    assert [(fact.name, fact.value) for fact in step.facts] == [("About", "m-1")]


def test_the_timeline_names_the_report_and_both_mails_of_a_bounce() -> None:
    late, complaint = came_back(BounceKind("Permanent", "NoEmail"), DANA_GONE), complained("dana@far.example")
    sent = Event(
        scope=HOME,
        message_id="m-1",
        type=EventType.BOUNCE_SENT,
        at_ms=NOW_MS,
        detail={"bounce_message_id": "m-2", "recipients": ["desk@shop.example"]},
    )
    found = steps(stored(status(RecipientState.DELIVERED)), logged(late, complaint, sent))[1:]
    assert [(step.title, step.text, step.tone) for step in found] == [
        ("A bounce came back", "550 5.1.1 No such user", "bad"),
        ("Complaint", "", "bad"),
        ("Bounced to its sender", "For desk@shop.example.", "plain"),
    ]
    facts = [{fact.name: fact.value for fact in step.facts} for step in found]
    assert facts[0]["Report"] == "in-1"
    assert facts[0]["Bounce type"] == "Permanent / NoEmail"
    assert facts[1] == {"Feedback type": "abuse", "Reported by": "FBL/1", "Report": "in-1"}
    assert facts[2] == {"Bounce": "m-2"}


def test_captured_mail_is_said_to_have_gone_nowhere() -> None:
    event = told.delivery(FACTS, ["dana@far.example"], NOW_MS, Notice(250, "2.0.0", "Ok: kept"), NOWHERE)
    said = why(status(RecipientState.DELIVERED, reply="250 2.0.0 Ok: kept"), events=(event,))
    assert said == "Captured for dana@far.example: it is kept here and nothing left this machine."


def test_what_waits_says_since_how_many_tries_and_until_when() -> None:
    first = why(status(RecipientState.QUEUED, attempts=0))
    assert first == "It waits for its first attempt to dana@far.example, due now."
    later = status(RecipientState.QUEUED, attempts=3, due_ms=NOW_MS + 300_000, reply="451 4.7.1 Greylisted")
    assert why(later) == (
        "Not delivered to dana@far.example yet after 3 attempts: the last answer was “451 4.7.1 Greylisted”;"
        " next try in 5 minutes."
    )


def test_recipients_that_differ_are_counted_and_trouble_is_told() -> None:
    said = why(
        status(RecipientState.DELIVERED, "a@x.example"),
        status(RecipientState.EXPIRED, "b@x.example", attempts=9, reply="451 4.4.1 No answer"),
        status(RecipientState.EXPIRED, "c@x.example", attempts=9, reply="451 4.4.1 No answer"),
    )
    assert said == (
        "Of 3 recipients, 1 delivered, 2 expired. Given up for b@x.example and 1 more after 9 attempts:"
        " the last answer was “451 4.4.1 No answer”."
    )


def test_other_ends_are_told_too() -> None:
    rejected = why(status(RecipientState.REJECTED, reply="Virus found"))
    assert rejected == "It was rejected before leaving: “Virus found”."
    dropped = why(status(RecipientState.DROPPED))
    assert dropped == "An operator took it out of the queue for dana@far.example."
    inbound = why(status(RecipientState.RECEIVED), direction=Direction.IN, helo="mx.far.example")
    assert inbound == "It came in from mx.far.example for dana@far.example and is safe here."
    assert why() == "It has no recipients."


def test_the_timeline_tells_accepted_signed_attempts_and_what_waits() -> None:
    message = stored(
        status(RecipientState.DELIVERED, "a@x.example"),
        status(RecipientState.QUEUED, "b@x.example", due_ms=NOW_MS + 1000),
    )
    events = logged(
        told.send(FACTS, ["a@x.example", "b@x.example"], NOW_MS),
        told.delivery(FACTS, ["a@x.example"], NOW_MS, OK, MX),
        told.delivery_delay(FACTS, [("b@x.example", LATER)], NOW_MS, NOW_MS + 1000, NOW_MS + 9000, MX),
    )
    found = steps(message, events, ["shop.example"])
    assert [(step.title, step.tone) for step in found] == [
        ("Accepted", "plain"),
        ("Signed", "plain"),
        ("Delivered to mx.far.example", "good"),
        ("Deferred", "waiting"),
        ("In the queue", "waiting"),
    ]
    assert found[0].text == "SendEmail by posthouse from 127.0.0.1, 1,234 bytes to be composed."
    assert found[1].text == "By DKIM for shop.example."
    assert found[3].text == "451 4.7.1 Greylisted"
    facts = {fact.name: fact.value for fact in found[3].facts}
    assert facts["TLS"] == "TLSv1.3, TLS_AES_256_GCM_SHA384, certificate not verified"
    assert facts["Address"] == "203.0.113.9"
    assert facts["Next attempt"] == "2026-11-23 09:10:01 UTC"
    assert found[3].conversation == ["S: 220 hello", "C: EHLO us"]
    assert found[4].text == "Attempt 2 is due."


def test_a_bounce_after_retrying_is_called_giving_up() -> None:
    kind = BounceKind("Transient", "General")
    events = logged(told.bounce(FACTS, [("a@x.example", LATER)], NOW_MS, kind, MX))
    step = steps(stored(status(RecipientState.EXPIRED, "a@x.example")), events)[-1]
    assert (step.title, step.text, step.tone) == ("Given up", "451 4.7.1 Greylisted", "bad")
    assert step.facts[0].value == "Transient / General"


def test_recipients_with_different_answers_are_each_told() -> None:
    replies = [("a@x.example", UNKNOWN), ("b@x.example", Notice(550, "5.1.1", "Moved"))]
    events = logged(told.bounce(FACTS, replies, NOW_MS, BounceKind("Permanent", "NoEmail"), MX))
    facts = {fact.name: fact.value for fact in steps(stored(), events)[-1].facts}
    assert (facts["a@x.example"], facts["b@x.example"]) == ("550 5.1.1 No such user", "550 5.1.1 Moved")


def test_openings_and_clicks_say_by_what_and_to_where() -> None:
    seen = {"ip": "198.51.100.88", "user_agent": "Firefox", "prefetch": False}
    clicked = {**seen, "link": "https://shop.example/", "link_tags": {"a": ["b", "c"]}}
    scanned = {**seen, "prefetch": True, "prefetch_sign": "scanner"}
    found = steps(
        stored(status(RecipientState.DELIVERED)),
        logged(
            *(_tracked(EventType.CLICK, clicked), _tracked(EventType.OPEN, seen), _tracked(EventType.OPEN, scanned))
        ),
    )[1:]
    assert [(step.title, step.tone, step.text) for step in found] == [
        ("Link followed", "good", "https://shop.example/"),
        ("Opened", "good", ""),
        ("Opened by a program (scanner)", "plain", ""),
    ]
    facts = {fact.name: fact.value for fact in found[0].facts}
    assert facts == {"Link tags": "a: b, a: c", "Address": "198.51.100.88", "User agent": "Firefox"}


def _tracked(type: EventType, detail: dict[str, Any]) -> Event:
    return Event(scope=HOME, message_id="m-1", type=type, at_ms=NOW_MS, detail=detail)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "link_tags",
        "prefetch_sign",
        "late",
        "automatic",
        "report",
        "outcome",
        "user_agent",
        "about",
        "kind",
        "recipients",
        "smtp_response",
        "tls",
        "conversation",
        "until_ms",
        "attempt",
        "remote_ip",
        "duration_ms",
    ]
)


@given(st.dictionaries(KEYS, JSON), st.sampled_from(EventType), st.sampled_from(RecipientState))
def test_details_of_any_form_are_told(detail: dict[str, Any], type: EventType, state: RecipientState) -> None:
    event = Event(scope=HOME, message_id="m-1", type=type, at_ms=NOW_MS, recipients=("a@x.example",), detail=detail)
    message = stored(status(state, "a@x.example"))
    assert sentence(message, logged(event), NOW_MS).endswith(".")
    assert len(steps(message, logged(event))) >= 2
