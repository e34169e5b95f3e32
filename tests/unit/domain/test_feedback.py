"""What reports come to: facts in, bounces and complaints out."""

import pytest

from posthouse.domain.events import Event, EventType
from posthouse.domain.feedback import (
    AutoReply,
    BouncedRecipient,
    DeliveryReport,
    LateBounce,
    LateComplaint,
    OddBounce,
    RecipientReport,
    SpamReport,
    Told,
    meaning,
    told_by,
)
from posthouse.domain.outcomes import BounceKind
from posthouse.domain.scope import Scope

DANA, ELI = "Dana@mail.example", "eli@mail.example"
BOTH = (DANA, ELI)
NOTHING = Told()
NO_EMAIL = BounceKind("Permanent", "NoEmail")


def failed(*addresses: str, status: str = "5.1.1", said: str = "", action: str = "failed") -> RecipientReport:
    return RecipientReport(addresses=addresses, action=action, status=status, diagnostic_code=said)


def bounces(report: DeliveryReport | OddBounce | AutoReply, told: Told = NOTHING) -> list[tuple[str, str, list[str]]]:
    found = meaning(report, BOTH, told).found
    assert all(isinstance(each, LateBounce) for each in found)
    return [
        (each.kind.type, each.kind.subtype, [one.recipient for one in each.recipients])
        for each in found
        if isinstance(each, LateBounce)
    ]


def test_a_failure_is_a_bounce_of_the_recipient_as_the_message_had_it() -> None:
    said = "smtp; 550 5.1.1 no such user"
    [bounce] = meaning(DeliveryReport((failed("dana@mail.example", said=said),)), BOTH, NOTHING).found
    assert bounce == LateBounce(
        kind=NO_EMAIL,
        recipients=(BouncedRecipient(recipient=DANA, action="failed", status="5.1.1", diagnostic_code=said),),
    )


def test_recipients_of_one_kind_share_a_bounce() -> None:
    report = DeliveryReport((failed(DANA), failed(ELI), failed(ELI, status="5.2.2")))
    assert bounces(report) == [("Permanent", "NoEmail", [DANA, ELI])]
    mixed = DeliveryReport((failed(DANA), failed(ELI, status="5.2.2")))
    assert bounces(mixed) == [("Permanent", "NoEmail", [DANA]), ("Transient", "MailboxFull", [ELI])]


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        ("5.1.1", "", ("Permanent", "NoEmail")),
        ("5.1.10", "smtp;550 5.1.10 RESOLVER", ("Permanent", "NoEmail")),
        ("5.0.0", "smtp; 550 5.1.1 unknown", ("Permanent", "NoEmail")),
        ("5.0.0", "smtp; 550 unknown", ("Permanent", "General")),
        ("5.0.0", "smtp; 552 too much", ("Permanent", "General")),
        ("5.2.2", "", ("Transient", "MailboxFull")),
        ("4.4.7", "", ("Transient", "General")),
        ("4.4.7", "smtp; 550 4.4.7 expired", ("Transient", "General")),
        ("5.7.1", "smtp; 450 4.7.1 greylisted", ("Permanent", "General")),
        ("", "smtp; 550 5.1.1 unknown", ("Permanent", "NoEmail")),
        ("", "550 go away", ("Permanent", "General")),
        ("", "552 full", ("Transient", "MailboxFull")),
        ("", "450 later", ("Transient", "General")),
        ("", "x-unix; 75", ("Undetermined", "Undetermined")),
        ("", "", ("Undetermined", "Undetermined")),
        ("5.3.4", "", ("Transient", "MessageTooLarge")),
        ("5.6.1", "", ("Transient", "ContentRejected")),
    ],
)
def test_status_and_answer_decide_the_kind(status: str, said: str, kind: tuple[str, str]) -> None:
    assert bounces(DeliveryReport((failed(DANA, status=status, said=said),))) == [(*kind, [DANA])]


@pytest.mark.parametrize(
    ("action", "status", "why"),
    [
        ("delayed", "4.4.1", "delay"),
        ("delivered", "2.1.5", "no failure"),
        ("relayed", "2.0.0", "no failure"),
        ("expanded", "2.0.0", "no failure"),
        ("", "4.4.1", "no failure"),
        ("strange", "2.0.0", "no failure"),
    ],
)
def test_no_other_action_is_a_bounce(action: str, status: str, why: str) -> None:
    got = meaning(DeliveryReport((failed(DANA, action=action, status=status),)), BOTH, NOTHING)
    assert got.found == ()
    assert why in got.outcome


def test_a_permanent_code_without_an_action_is_a_failure() -> None:
    assert bounces(DeliveryReport((failed(DANA, action=""),))) == [("Permanent", "NoEmail", [DANA])]
    assert bounces(DeliveryReport((failed(DANA, action="", status="", said="smtp; 550 5.1.1 x"),))) != []


def test_who_is_no_recipient_makes_no_event() -> None:
    got = meaning(DeliveryReport((failed("mallory@mail.example"),)), BOTH, NOTHING)
    assert (got.found, got.outcome) == ((), "it names no recipient of the message")
    assert bounces(OddBounce(("mallory@mail.example",))) == []
    assert bounces(DeliveryReport((failed("mallory@mail.example", ELI),))) == [("Permanent", "NoEmail", [ELI])]
    assert bounces(DeliveryReport(())) == []


def test_a_second_report_of_the_same_recipient_tells_nothing() -> None:
    told = Told(bounced=frozenset({DANA.lower()}))
    assert meaning(DeliveryReport((failed(DANA),)), BOTH, told).outcome == "told before"
    assert bounces(DeliveryReport((failed(DANA), failed(ELI))), told) == [("Permanent", "NoEmail", [ELI])]
    assert bounces(OddBounce((DANA,)), told) == []
    assert bounces(AutoReply(DANA), told) == []


def test_an_automatic_reply_does_not_hide_a_bounce() -> None:
    told = Told(answered=frozenset({DANA.lower()}))
    assert bounces(AutoReply(DANA), told) == []
    assert bounces(DeliveryReport((failed(DANA),)), told) == [("Permanent", "NoEmail", [DANA])]


def test_an_automatic_reply_is_a_transient_bounce_without_fields_of_a_report() -> None:
    [bounce] = meaning(AutoReply("dana@mail.example"), BOTH, NOTHING).found
    assert bounce == LateBounce(
        kind=BounceKind("Transient", "General"), recipients=(BouncedRecipient(recipient=DANA),), automatic=True
    )
    assert meaning(AutoReply("d.miller@mail.example"), BOTH, NOTHING).found == ()
    # Of a single recipient it is clear who answers, whatever the address.
    [bounce] = meaning(AutoReply("d.miller@mail.example"), (DANA,), NOTHING).found
    assert isinstance(bounce, LateBounce)
    assert bounce.recipients[0].recipient == DANA


def test_a_bounce_in_no_standard_form() -> None:
    assert bounces(OddBounce((ELI,), "5.1.1")) == [("Permanent", "NoEmail", [ELI])]
    assert bounces(OddBounce((ELI, ELI.upper()), "")) == [("Undetermined", "Undetermined", [ELI])]
    assert bounces(OddBounce((ELI,), "4.2.2")) == [("Transient", "MailboxFull", [ELI])]
    [bounce] = meaning(OddBounce((), ""), (DANA,), NOTHING).found
    assert isinstance(bounce, LateBounce)
    assert bounce.recipients == (BouncedRecipient(recipient=DANA),)
    assert meaning(OddBounce(()), BOTH, NOTHING).outcome == "it does not say which recipient bounced"


def complained(report: SpamReport, recipients: tuple[str, ...], told: Told = NOTHING) -> tuple[str, ...]:
    return tuple(
        each
        for one in meaning(report, recipients, told).found
        if isinstance(one, LateComplaint)
        for each in one.recipients
    )


OTHERS = (DANA, ELI, "fay@far.example")


def test_a_complaint_names_who_complained() -> None:
    report = SpamReport(recipients=("dana@mail.example",), user_agent="FBL/1", feedback_type="abuse", arrival_ms=5)
    [complaint] = meaning(report, OTHERS, NOTHING).found
    assert complaint == LateComplaint(recipients=(DANA,), user_agent="FBL/1", feedback_type="abuse", arrival_ms=5)


@pytest.mark.parametrize(
    ("hidden", "reporters", "whom"),
    [
        (("redacted@mail.example",), (), (DANA, ELI)),
        ((), ("mail.example",), (DANA, ELI)),
        ((), ("arf.mail.example",), (DANA, ELI)),
        ((), ("nobody.example", "fbl.far.example"), ("fay@far.example",)),
        (("x@elsewhere.example",), (), ()),
        ((), ("ail.example",), ()),
        ((), ("",), ()),
    ],
)
def test_behind_a_hidden_address_may_be_everybody_of_the_domain(
    hidden: tuple[str, ...], reporters: tuple[str, ...], whom: tuple[str, ...]
) -> None:
    assert complained(SpamReport(recipients=hidden, reporters=reporters), OTHERS) == whom


def test_the_only_recipient_complained_whatever_is_hidden() -> None:
    assert complained(SpamReport(recipients=()), (DANA,)) == (DANA,)


def test_a_second_complaint_of_the_same_recipient_tells_nothing() -> None:
    told = Told(complained=frozenset({DANA.lower()}), bounced=frozenset({ELI}))
    assert complained(SpamReport(recipients=(DANA,)), OTHERS, told) == ()
    assert complained(SpamReport(recipients=("redacted@mail.example",)), OTHERS, told) == (ELI,)


def test_what_was_told_is_read_from_the_log() -> None:
    def event(type: EventType, recipient: str, **detail: object) -> Event:
        scope = Scope("1", "r")
        return Event(scope=scope, message_id="m", type=type, at_ms=1, recipients=(recipient,), detail=detail)

    told = told_by(
        [
            event(EventType.DELIVERY, "d@x"),
            event(EventType.BOUNCE, "A@x"),
            event(EventType.BOUNCE, "b@x", automatic=True),
            event(EventType.COMPLAINT, "C@x"),
        ]
    )
    assert told == Told(frozenset({"a@x"}), frozenset({"b@x"}), frozenset({"c@x"}))
