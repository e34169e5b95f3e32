"""Events and notifications against SES's own, member by member."""

import json
import re
from typing import Any

import msgspec
import pytest
from tests.support.shapes import assert_same_shape
from tests.unit.publishing.examples import (
    ACCEPTED_MS,
    DANA,
    DRAFT,
    OUTGOING_IP,
    RAW,
    SOURCE_ARN,
    bounce,
    complaint,
    delivery,
    drafted,
    event,
    facts,
    payload,
    raw,
)

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import ContentKind, TemplatedDraft, Text
from posthouse.domain.suppression import Reason, reply_for
from posthouse.domain.topics import MAX_MESSAGE
from posthouse.ports.publications import StoredMail
from posthouse.publishing.original import Original, original_of, remains_of
from posthouse.publishing.payload import event_record, feedback_id, identity_notification, timestamp

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"


def record(happened: Event, original: Original | None = None) -> Any:
    line = event_record(happened, 7, original or drafted(), OUTGOING_IP)
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    return json.loads(line)


def notification(happened: Event, original: Original | None = None, headers: bool = False) -> Any:
    line = identity_notification(happened, 7, original or raw(), headers)
    assert line.endswith("}\n")
    return json.loads(line)


def masked(value: Any) -> Any:
    """Without what differs from message to message: our boundary, our feedback id."""
    text = json.dumps(value)
    text = re.sub(r"----=_Part_\d+_\d+\.\d+", "BOUNDARY", text)
    text = re.sub(r'"feedbackId": "0102[0-9a-f]{12}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-000000"', "ID", text)
    return json.loads(text.replace("ID,", '"feedbackId": "ID",'))


OPENED = event(EventType.OPEN, ACCEPTED_MS + 5_137_062, ip="198.51.100.88", user_agent=FIREFOX, prefetch=False)
CLICKED = event(
    EventType.CLICK,
    ACCEPTED_MS + 5_174_646,
    ip="198.51.100.88",
    user_agent=FIREFOX,
    link="https://shop.example/track?o=7741&c=2",
    link_tags={"position": ["footer"], "variant": ["b"]},
)
UNTAGGED = event(
    EventType.CLICK,
    ACCEPTED_MS + 5_174_646,
    ip="198.51.100.88",
    user_agent="curl/8.5.0",
    link="https://shop.example/help",
)
SUPPRESSED = bounce(
    ACCEPTED_MS + 748,
    kind={"type": "Permanent", "subtype": "OnAccountSuppressionList"},
    recipients=[
        {
            "recipient": DANA,
            "action": "failed",
            "status": "5.1.1",
            "diagnostic_code": reply_for(Reason.BOUNCE).text,
        }
    ],
    reporting_mta="amazonses.com",
    remote_ip="",
)
FAILURE = event(
    EventType.RENDERING_FAILURE,
    error_message="Attribute 'carrier' is not present in the rendering data.",
    template_name="order-shipped",
)


@pytest.mark.parametrize(
    ("name", "happened"),
    [
        ("send", event(EventType.SEND)),
        ("delivery", delivery()),
        ("bounce", bounce()),
        ("bounce-account-suppressed", SUPPRESSED),
        ("complaint", complaint()),
        ("reject", event(EventType.REJECT, reason="Bad content")),
        ("open", OPENED),
        ("click", CLICKED),
        ("click-untagged-link", UNTAGGED),
        ("rendering-failure", FAILURE),
    ],
)
def test_an_event_is_told_as_ses_tells_it(name: str, happened: Event) -> None:
    expected, told = payload(f"event-{name}"), record(happened)
    assert_same_shape(expected, told)
    assert masked(told) == masked(expected)


def test_the_send_event_of_a_templated_message_knows_what_is_known_before_rendering() -> None:
    template = TemplatedDraft(source=DRAFT.source, to=(DANA,), template="order-shipped", content="hash", data="{}")
    known = facts(operation="SendTemplatedEmail", content_kind=ContentKind.TEMPLATED)
    mail = StoredMail(known, (DANA,), msgspec.json.encode(template))
    told = record(event(EventType.SEND), original_of(mail, "arn:aws:ses:eu-west-1:111122223333:identity/shop.example"))
    assert told == payload("event-send-templated")
    # Later events have what was rendered, without what every message gets on leaving.
    sent = (
        b"DKIM-Signature: v=1; a=rsa-sha256\r\nFrom: Shop Desk <orders@shop.example>\r\nTo: dana@mail.example\r\n"
        b"Subject: Order 7741 shipped\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative;\r\n boundary="----=_Part_51_118244903.1714641330271"\r\n'
        b"Date: Thu, 2 May 2024 09:15:30 +0000\r\nMessage-ID: <x@y>\r\nX-SES-Outgoing: 1\r\nFeedback-ID: 2\r\n\r\n."
    )
    later = record(delivery(), original_of(mail, "arn:aws:ses:eu-west-1:111122223333:identity/shop.example", sent))
    expected = payload("event-delivery")
    expected["mail"]["tags"]["ses:operation"] = ["SendTemplatedEmail"]
    assert later == expected


def test_an_auto_tag_tells_smtp_by_its_name() -> None:
    told = record(event(EventType.SEND), raw(operation="SMTP"))
    assert told["mail"]["tags"]["ses:operation"] == ["SendSmtpEmail"]
    assert "ses:outgoing-ip" not in told["mail"]["tags"]


@pytest.mark.parametrize(
    ("name", "happened", "headers"),
    [
        ("bounce-with-dsn", bounce(to=(DANA,)), True),
        ("bounce-without-dsn", bounce(to=("dana@mail.example", "eli@mail.example")), False),
        ("complaint-with-report", complaint(), True),
        ("complaint-without-report", complaint(user_agent="", feedback_type="", arrival_ms=0), False),
        (
            "complaint-account-suppressed",
            complaint(subtype="OnAccountSuppressionList", user_agent="", feedback_type="", arrival_ms=0),
            False,
        ),
        ("delivery", delivery(), True),
    ],
)
def test_an_identity_is_told_in_the_older_form(name: str, happened: Event, headers: bool) -> None:
    expected = payload(f"identity-notification-{name}")
    recipients = tuple(expected["mail"]["destination"])
    if name == "bounce-without-dsn":
        undetermined = {"type": "Undetermined", "subtype": "Undetermined"}
        bare = [{"recipient": recipient} for recipient in recipients]
        happened = bounce(1_714_641_481_000, recipients, kind=undetermined, recipients=bare, reporting_mta="")
    told = notification(happened, raw(recipients=recipients), headers)
    assert_same_shape(expected, told)
    told, expected = masked(told), masked(expected)
    if name == "bounce-with-dsn":
        told["bounce"]["bouncedRecipients"] = expected["bounce"]["bouncedRecipients"]
    assert told == expected


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("bounce-out-of-office", {"kind": {"type": "Transient", "subtype": "General"}}),
        ("bounce-suppressed", {"kind": {"type": "Permanent", "subtype": "Suppressed"}}),
        ("bounce-transient-expired", {"kind": {"type": "Transient", "subtype": "General"}}),
    ],
)
def test_other_bounces_of_an_identity(name: str, detail: dict[str, Any]) -> None:
    expected = payload(f"identity-notification-{name}")
    recipients = tuple(expected["mail"]["destination"])
    listed = [
        {
            "recipient": each["emailAddress"],
            "action": each.get("action", ""),
            "status": each.get("status", ""),
            "diagnostic_code": each.get("diagnosticCode", ""),
        }
        for each in expected["bounce"]["bouncedRecipients"]
    ]
    mta = expected["bounce"].get("reportingMTA", "").removeprefix("dns; ")
    happened = bounce(
        1_714_641_334_000,
        recipients,
        **detail,
        recipients=listed,
        reporting_mta=mta,
        remote_ip="",
    )
    told = notification(happened, raw(recipients=recipients))
    assert_same_shape(expected, told)
    assert told["bounce"]["bouncedRecipients"] == expected["bounce"]["bouncedRecipients"]


def test_an_automatic_reply_names_no_server() -> None:
    kind, dana = {"type": "Transient", "subtype": "General"}, [{"recipient": DANA}]
    happened = bounce(kind=kind, recipients=dana, reporting_mta="", automatic=True)
    assert_same_shape(payload("identity-notification-bounce-out-of-office"), notification(happened))


def test_a_rendering_failure_names_the_identity() -> None:
    # Nothing of it was ever rendered, which is how the Send of a templated message is told.
    template = TemplatedDraft(source=DRAFT.source, to=(DANA,), template="order-shipped", content="hash", data="{}")
    known = facts(operation="SendTemplatedEmail", content_kind=ContentKind.TEMPLATED, tags=())
    original = original_of(StoredMail(known, (DANA,), msgspec.json.encode(template)), SOURCE_ARN)
    assert record(FAILURE, original) == payload("event-rendering-failure")


def test_who_is_no_longer_concerned_is_not_told_of() -> None:
    # A store leaves recipients out of an event whose end was written before; the detail still has them.
    happened = msgspec.structs.replace(bounce(to=("a@x.example", "b@x.example")), recipients=("b@x.example",))
    assert [each["emailAddress"] for each in record(happened)["bounce"]["bouncedRecipients"]] == ["b@x.example"]


def test_control_headers_are_shown_where_ses_shows_them() -> None:
    def names(happened: Event, original: Original) -> list[str]:
        return [each["name"] for each in record(happened, original)["mail"]["headers"]]

    control = "X-SES-CONFIGURATION-SET"
    assert control in names(event(EventType.SEND), raw())
    assert control not in names(delivery(), raw())
    assert names(OPENED, raw())[:2] == [control, "X-SES-MESSAGE-TAGS"]
    assert names(OPENED, raw()).count(control) == 1
    assert names(OPENED, raw(tags=()))[:2] == [control, "From"]


def test_many_headers_are_cut_off() -> None:
    long = RAW.replace(b"\r\n\r\n", b"\r\n" + b"".join(b"X-N%d: %s\r\n" % (n, b"x" * 990) for n in range(30)) + b"\r\n")
    mail = record(delivery(), raw(long))["mail"]
    assert mail["headersTruncated"] is True
    assert 9 < len(mail["headers"]) < 20
    assert mail["commonHeaders"]["subject"] == "Order 7741 shipped"
    assert notification(delivery(), raw(long), headers=True)["mail"]["headersTruncated"] is True


def test_what_a_topic_would_not_take_is_told_in_short() -> None:
    """50 recipients, and a report with a thousand control characters about each."""
    to = tuple(f"user{number}@mail.example" for number in range(50))
    hostile = [
        {"recipient": each, "action": "failed", "status": "5.1.1", "diagnostic_code": "\x01" * 1000} for each in to
    ]
    happened = bounce(to=to, recipients=hostile)
    told = record(happened, raw(recipients=to))
    assert len(json.dumps(told)) < MAX_MESSAGE
    assert [each["emailAddress"] for each in told["bounce"]["bouncedRecipients"]] == list(to)
    assert (told["mail"]["headersTruncated"], told["mail"]["headers"]) == (True, [])
    assert told["mail"]["messageId"] == happened.message_id
    assert_same_shape(payload("event-bounce")["bounce"], told["bounce"])
    short = identity_notification(happened, 7, raw(recipients=to), True)
    assert len(short.encode()) <= MAX_MESSAGE
    assert len(identity_notification(happened, 7, raw(recipients=to), False).encode()) <= MAX_MESSAGE


def test_common_headers_are_decoded_and_lists_of_mailboxes() -> None:
    content = (
        b'From: =?UTF-8?Q?J=C3=BCrgen?= <j@shop.example>\r\nTo: "Doe, John" <john@x.example>,\r\n a@x.example\r\n'
        b"Cc: c@x.example\r\nReply-To: r@x.example\r\nSender: s@shop.example\r\nReturn-Path: <rp@shop.example>\r\n"
        b"Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"
    )
    mail = record(delivery(), raw(content))["mail"]
    assert mail["commonHeaders"] == {
        "from": ["Jürgen <j@shop.example>"],
        "to": ["Doe, John <john@x.example>", "a@x.example"],
        "cc": ["c@x.example"],
        "replyTo": ["r@x.example"],
        "sender": "s@shop.example",
        "returnPath": "<rp@shop.example>",
        "subject": "Grüße",
        "messageId": mail["messageId"],
    }
    assert mail["headers"][0] == {"name": "From", "value": "=?UTF-8?Q?J=C3=BCrgen?= <j@shop.example>"}
    assert mail["headers"][1]["value"] == '"Doe, John" <john@x.example>,  a@x.example'


def test_headers_that_no_one_should_have_written_are_told_all_the_same() -> None:
    mail = record(event(EventType.SEND), raw(b"From: a\xff\xfe@x\r\nno colon\r\n: none\r\nX:\0\r\n\r\n"))["mail"]
    assert [each["name"] for each in mail["headers"]] == ["From", "X"]


def test_a_single_part_draft_shows_its_encoding() -> None:
    for part in ("text", "html"):
        draft = msgspec.structs.replace(DRAFT, **{"text": None, "html": None, part: Text("Grüße")})
        headers = {
            each["name"]: each["value"] for each in record(event(EventType.SEND), drafted(draft))["mail"]["headers"]
        }
        kind = "plain" if part == "text" else "html"
        assert headers["Content-Type"] == f"text/{kind}; charset=UTF-8"
        assert headers["Content-Transfer-Encoding"] in ("quoted-printable", "base64")


def test_a_draft_that_cannot_be_composed_is_told_without_headers() -> None:
    draft = msgspec.structs.replace(DRAFT, source="é@shop.example")
    assert record(event(EventType.REJECT), drafted(draft))["mail"]["headers"] == []


def test_of_a_message_that_was_deleted_the_event_is_told() -> None:
    told = record(bounce(), remains_of(bounce()))
    assert told["bounce"]["bouncedRecipients"][0]["emailAddress"] == DANA
    assert told["mail"]["messageId"] == bounce().message_id
    assert told["mail"]["destination"] == [DANA]
    assert told["mail"]["tags"] == {"ses:configuration-set": ["transactional"]}
    # Its id says when it was taken.
    assert told["mail"]["timestamp"] == timestamp(int(bounce().message_id[4:16], 16))


def test_a_feedback_id_is_the_same_each_time_and_another_for_each_event() -> None:
    assert feedback_id(bounce(), 7) == feedback_id(bounce(), 7)
    assert feedback_id(bounce(), 7) != feedback_id(bounce(), 8)
    assert re.fullmatch(r"0102[0-9a-f]{12}-[0-9a-f-]{36}-000000", feedback_id(bounce(), 7))


def test_times_have_milliseconds() -> None:
    assert timestamp(ACCEPTED_MS) == "2024-05-02T09:15:30.256Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(5) == "1970-01-01T00:00:00.005Z"
