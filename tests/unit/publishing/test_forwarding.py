"""What a sender is mailed about a message of his, and when nobody is."""

import email
import email.policy
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any, cast

import msgspec
import pytest
from tests.support.context import UNLIMITED
from tests.support.reports import sample
from tests.unit.publishing.fakes import SCOPE, House, open_house

from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import FEEDBACK, FORWARDED, ContentKind, Direction, MessageFacts, NewMessage
from posthouse.domain.scope import Scope
from posthouse.mail import arf, dsn, verp
from posthouse.ports.mailstore import MessageFilter, MessageKey, Settlement
from posthouse.ports.publications import StoredMail
from posthouse.publishing.feedback import Feedback
from posthouse.publishing.feedback_mail import MAX_HOPS
from posthouse.publishing.forwarding import FeedbackForwarder
from posthouse.submission.context import SubmissionContext
from posthouse.submission.facts import Facts

TO = "orders@shop.example"
LEFT = (
    b"From: Shop <orders@shop.example>\r\nTo: dana@mail.example\r\nSubject: Order =?utf-8?q?7741?=\r\n"
    b"Message-ID: <m1@email.posthouse.test>\r\n\r\nThe body.\r\n"
)
REPLY = (
    b"Return-Path: <dana@mail.example>\r\nReceived: from mx.mail.example ([192.0.2.9])\r\n by mx.posthouse.test\r\n"
    b"DKIM-Signature: v=1; d=mail.example\r\nFrom: Dana <dana@mail.example>\r\nMessage-ID: <r1@mail.example>\r\n"
    b"Date: Thu, 2 May 2024 09:15:30 +0000\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n"
)
UNKNOWN_USER = {
    "recipient": "dana@mail.example",
    "action": "failed",
    "status": "5.1.1",
    "diagnostic_code": "smtp; 550 5.1.1 user unknown",
}
HARD: dict[str, Any] = {"kind": {"type": "Permanent", "subtype": "General"}, "recipients": [UNKNOWN_USER]}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as house:
        yield house


def forwarder(house: House) -> FeedbackForwarder:
    stores = house.stores
    numbers = iter(range(1, 1000))
    submission = SubmissionContext(
        stores.submissions,
        Facts(stores.records),
        house.clock,
        lambda size: next(numbers).to_bytes(size, "big"),
        AccountDefaults(sandbox=True, production_limits=UNLIMITED, sandbox_limits=UNLIMITED),
    )
    return FeedbackForwarder(stores.messages, submission, "posthouse.test")


async def forwarded(house: House) -> list[tuple[MessageFacts, bytes]]:
    page = await house.stores.messages.page(None, MessageFilter(direction=Direction.OUT), "", 100)
    found = []
    for each in page:
        facts = each.facts
        if facts.operation == FORWARDED:
            content = await house.stores.messages.content(facts.scope, facts.message_id)
            assert content is not None
            found.append((facts, content))
    return found


async def left(house: House, message_id: str, content: bytes = LEFT) -> None:
    await house.stores.queue.settle([Settlement(SCOPE, message_id, (), (), content)])


async def came_in(house: House, content: bytes, scope: Scope = SCOPE) -> str:
    facts = MessageFacts(
        scope=scope,
        message_id="in-1",
        direction=Direction.IN,
        accepted_ms=house.clock.ms,
        operation=FEEDBACK,
        source="",
        from_domain="",
        feedback_to="",
        subject="",
        size=len(content),
        content_kind=ContentKind.RAW,
    )
    await house.stores.inbox.add(NewMessage(facts, ("path@us-east-1.posthouse.test",), content))
    return facts.message_id


async def told(house: House, event: Event) -> list[tuple[MessageFacts, bytes]]:
    """What was written after the engine was told of an event."""
    async with house.working(forward=forwarder(house)):
        await house.happen(event)
        await house.until_idle()
    return [each for each in await forwarded(house) if each[0].message_id != event.message_id]


def read(raw: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default))


# -- what is written


async def test_a_bounce_is_a_report_that_programs_read(house: House) -> None:
    sent = await house.send(1, "")
    await left(house, sent)
    detail = {**HARD, "reporting_mta": "mx.posthouse.test", "remote_mta": "mx.mail.example"}
    [(facts, content)] = await told(house, house.event(sent, EventType.BOUNCE, "", **detail))
    assert (facts.source, facts.from_domain) == ("MAILER-DAEMON@posthouse.test", "posthouse.test")
    assert (facts.system, facts.null_sender, facts.feedback_to, facts.as_is) == (True, True, "", False)
    mail = read(content)
    assert (mail["From"], mail["To"]) == ("MAILER-DAEMON@posthouse.test", TO)
    assert mail["Subject"] == facts.subject == "Delivery Status Notification (Failure)"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["References"] == mail["In-Reply-To"] == "<m1@email.posthouse.test>"
    assert mail["X-Posthouse-Message-ID"] == sent
    assert mail.get_content_type() == "multipart/report"
    assert mail["Content-Type"].params["report-type"] == "delivery-status"
    text, status, returned = mail.iter_parts()
    assert cast(EmailMessage, text).get_content().splitlines()[:3] == [
        "An error occurred while trying to deliver the mail to the following recipients:",
        "dana@mail.example",
        "",
    ]
    assert [part.get_content_type() for part in (status, returned)] == [
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert b"The body." not in content
    report = dsn.read(content)
    assert report is not None
    [recipient] = report.status.recipients
    assert report.status.reporting_mta == "dns; mx.posthouse.test"
    assert (recipient.final_recipient, recipient.action, recipient.status) == ("dana@mail.example", "failed", "5.1.1")
    assert (recipient.remote_mta, recipient.diagnostic_code) == (
        "dns; mx.mail.example",
        "smtp; 550 5.1.1 user unknown",
    )
    assert [field.text for field in report.returned if field.key == b"subject"] == ["Order 7741"]
    [stored] = (await house.stores.messages.page(SCOPE, MessageFilter(recipient=TO), "", 9),)
    assert [each.recipient for each in stored[0].recipients] == [TO]


async def test_a_bounce_that_says_little_is_still_a_report(house: House) -> None:
    sent = await house.send(1, "")
    detail = {
        "kind": {"type": "Transient", "subtype": "General"},
        "recipients": [{"recipient": "dana@mail.example"}, {"recipient": "eli@mail.example"}],
    }
    event = house.event(sent, EventType.BOUNCE, "", **detail)
    [(_, content)] = await told(house, event)
    report = dsn.read(content)
    assert report is not None
    # A store may have left out a recipient whose end was known before.
    [recipient] = report.status.recipients
    assert (recipient.action, recipient.status) == ("failed", "4.0.0")
    # Nothing has left yet: what was handed in stands for it.
    assert [field.key for field in report.returned] == [b"from", b"subject"]


async def test_where_no_server_spoke_the_reason_has_a_type_of_its_own(house: House) -> None:
    sent = await house.send(1, "")
    suppressed = {**UNKNOWN_USER, "diagnostic_code": "Amazon SES has suppressed sending to this address"}
    event = house.event(sent, EventType.BOUNCE, "", **{**HARD, "recipients": [suppressed]})
    [(_, content)] = await told(house, event)
    report = dsn.read(content)
    assert report is not None
    code = report.status.recipients[0].diagnostic_code
    assert code == "x-posthouse; Amazon SES has suppressed sending to this address"


async def test_blind_copies_and_control_headers_are_returned_to_nobody(house: House) -> None:
    content = (
        b"From: orders@shop.example\r\nBcc: secret@mail.example\r\nX-SES-CONFIGURATION-SET: s\r\nSubject: Hi\r\n\r\nx"
    )
    facts = {"scope": SCOPE, "message_id": f"0100{house.clock.ms:012x}-0000000a-0000-4000-8000-000000000000-000000"}
    made = await house.send(1, "")
    stored = await house.stores.messages.get(SCOPE, made)
    assert stored is not None
    facts_of = msgspec.structs.replace(stored.facts, **facts)
    mail = StoredMail(facts_of, ("dana@mail.example",), content)
    event = house.event(facts_of.message_id, EventType.BOUNCE, "", **HARD)
    await forwarder(house)(Feedback(event, 1, "id", mail, "shop.example"))
    [(_, written)] = await forwarded(house)
    assert b"secret@" not in written
    assert b"X-SES" not in written
    assert b"Subject: Hi" in written


async def test_a_complaint_says_of_its_recipient_what_the_provider_said(house: House) -> None:
    sent = await house.send(1, "")
    await left(house, sent)
    for name, recipients in (("arf-yahoo", ("dana@mail.example",)), ("arf-redacted", ())):
        report_id = await came_in(house, sample(name))
        event = house.event(
            sent, EventType.COMPLAINT, "", recipients=["dana@mail.example"], report_message_id=report_id
        )
        [(facts, content)] = await told(house, event)
        reported, theirs = arf.read(content), arf.read(sample(name))
        assert reported is not None
        assert theirs is not None
        assert reported.report.original_recipients == theirs.report.original_recipients
        assert not recipients or reported.report.original_recipients == recipients
        assert reported.report.user_agent == theirs.report.user_agent
        mail = read(content)
        assert (mail["From"], mail["To"], mail["Subject"]) == (
            "complaints@email-abuse.posthouse.test",
            TO,
            "Order 7741",
        )
        assert mail["Content-Type"].params["report-type"] == "feedback-report"
        assert b"The body." in content, "the whole message goes along"
        assert facts.subject == "Order 7741"
        await house.stores.messages.delete(SCOPE, facts.message_id)
        await house.stores.messages.delete(SCOPE, report_id)


async def test_a_complaint_that_came_by_no_report_names_who_is_on_the_list(house: House) -> None:
    sent = await house.send(1, "")
    detail = {"subtype": "OnAccountSuppressionList", "recipients": ["dana@mail.example"]}
    [(_, content)] = await told(house, house.event(sent, EventType.COMPLAINT, "", **detail))
    reported = arf.read(content)
    assert reported is not None
    assert reported.report.feedback_type == "abuse"
    assert reported.report.original_recipients == ("dana@mail.example",)


async def test_an_automatic_reply_is_handed_on_as_it_came(house: House) -> None:
    sent = await house.send(1, "")
    report_id = await came_in(house, REPLY)
    event = house.event(sent, EventType.BOUNCE, "", automatic=True, report_message_id=report_id)
    [(facts, content)] = await told(house, event)
    assert (facts.subject, facts.as_is, facts.null_sender) == ("Out of office", True, True)
    assert facts.from_domain == "posthouse.test", "no key of the account signs somebody else's mail"
    ours, rest = content.split(b"\r\n", 1)
    assert ours == b"X-Posthouse-Message-ID: " + sent.encode()
    assert rest == REPLY.split(b"\r\n", 1)[1], "all but the Return-Path of our door"


async def test_a_reply_that_is_gone_or_goes_in_circles_is_not_handed_on(house: House) -> None:
    sent = await house.send(1, "")
    gone = house.event(sent, EventType.BOUNCE, "", automatic=True, report_message_id="in-0")
    assert await told(house, gone) == []
    hops = b"Received: from a by b\r\n" * MAX_HOPS
    report_id = await came_in(house, hops + REPLY)
    round_and_round = house.event(sent, EventType.BOUNCE, "", automatic=True, report_message_id=report_id)
    assert await told(house, round_and_round) == []


async def test_other_regions_have_senders_of_their_own(house: House) -> None:
    made = await house.send(1, "", scope=Scope(SCOPE.account, "eu-west-1"))
    event = Event(
        scope=Scope(SCOPE.account, "eu-west-1"),
        message_id=made,
        type=EventType.BOUNCE,
        at_ms=house.clock.ms,
        recipients=("dana@mail.example",),
        detail=HARD,
    )
    [(facts, _)] = await told(house, event)
    assert facts.source == "MAILER-DAEMON@eu-west-1.posthouse.test"
    assert facts.scope.region == "eu-west-1"


async def test_who_sent_by_anothers_leave_is_told_in_his_own_account(house: House) -> None:
    owner = Scope("210987654321", "us-east-1")
    await house.add_identity(scope=owner)
    arn = "arn:aws:ses:us-east-1:210987654321:identity/shop.example"
    sent = await house.send(1, "", source_arn=arn, feedback_to="back@delegate.example")
    [(facts, content)] = await told(house, house.event(sent, EventType.BOUNCE, "", **HARD))
    assert facts.scope == SCOPE
    assert read(content)["To"] == "back@delegate.example"


# -- whom nobody writes to


@pytest.mark.parametrize(
    "changes",
    [
        {"null_sender": True},
        {"system": True},
        {"operation": FORWARDED, "system": True, "null_sender": True, "feedback_to": ""},
        {"operation": "SendBounce", "null_sender": True, "feedback_to": ""},
        {"feedback_to": ""},
        {"feedback_to": f"{verp.sign('01001803f3c2a7b0-0000000a-0000-4000-8000-000000000000-000000', b'k')}@x.example"},
    ],
)
async def test_some_mail_is_told_of_to_nobody(house: House, changes: dict[str, Any]) -> None:
    sent = await house.send(1, "", **changes)
    assert await told(house, house.event(sent, EventType.BOUNCE, "", **HARD)) == []
    # Nor where a topic that is gone would have it mailed instead.
    key = MessageKey(SCOPE, sent)
    mail = (await house.stores.publications.mails({key}))[key]
    await forwarder(house)(Feedback(house.event(sent, EventType.BOUNCE, "", **HARD), 1, "id", mail, ""))
    assert [facts for facts, _ in await forwarded(house) if facts.message_id != sent] == []


async def test_topics_of_an_account_hear_nothing_of_the_installations_own_mail(house: House) -> None:
    await house.add_identity("posthouse.test", bounce_topic="arn:aws:sns:us-east-1:123456789012:b")
    source = "MAILER-DAEMON@posthouse.test"
    sent = await house.send(1, "", system=True, null_sender=True, source=source, operation=FORWARDED)
    assert await told(house, house.event(sent, EventType.BOUNCE, "", **HARD)) == []
    assert house.world.published == []


async def test_each_bounce_of_many_is_told_once(house: House) -> None:
    sent = [await house.send(number, "") for number in range(200)]
    async with house.working(forward=forwarder(house)):
        await house.happen(*(house.event(each, EventType.BOUNCE, "", **HARD) for each in sent))
        await house.until_idle()
    page = await house.stores.messages.page(SCOPE, MessageFilter(recipient=TO), "", 1000)
    assert len(page) == 200
