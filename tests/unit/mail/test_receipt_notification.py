"""Notifications of mail that came in: member for member what recorded ones have, and mail that is unlike any."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.messages import ContentKind, Direction, MessageFacts
from posthouse.domain.receipt_rules import S3, Action, Bounce, Lambda, Sns, Stop, WorkMail
from posthouse.domain.scope import Scope
from posthouse.domain.verdicts import Authentication, DkimResult, DmarcResult, SpfResult, Verdict, Verdicts
from posthouse.mail.receipt_notification import MAX_HEADERS, function_event, mail_told, notification, receipt_told

PAYLOADS = Path(__file__).parent / "payloads"
ID = "k4t1q0b7m9vd2h5s8gj3c6n0rpe1fou7a2lbi8o1"
AT_MS = 1714641600512
ARN = "arn:aws:{}:eu-west-1:111122223333:{}"
TOPIC = ARN.format("sns", "mail-in")
FUNCTION = ARN.format("lambda", "function:triage")
HELP = "help@in.shop.example"


def verdicts(spf: str = "pass", dkim: str = "pass", dmarc: str = "pass", policy: str = "", **more: Any) -> Verdicts:
    signatures = (DkimResult(result=dkim),) if dkim else ()
    authentication = Authentication(
        client_ip="198.51.100.140",
        helo="mx.partner.example",
        spf=SpfResult(result=spf),
        dkim=signatures,
        dmarc=DmarcResult(result=dmarc, policy=policy),
    )
    return Verdicts(authentication=authentication, **{"spam": Verdict.PASS, "virus": Verdict.PASS, **more})


FAILING = verdicts("fail", "", "fail", "reject", spam=Verdict.FAIL, virus=Verdict.DISABLED)
CASES: dict[str, tuple[Action, Verdicts]] = {
    "received-s3": (S3(bucket="shop-inbound-mail", prefix="help", topic=TOPIC), verdicts()),
    "received-failing-verdicts": (S3(bucket="shop-inbound-mail", topic=TOPIC), FAILING),
    "received-sns-utf8": (Sns(topic=TOPIC), verdicts()),
    "received-sns-base64": (Sns(topic=TOPIC, encoding="Base64"), verdicts()),
    "received-bounce": (
        Bounce(
            reply_code="550",
            status_code="5.1.1",
            message="Mailbox does not exist",
            sender="postmaster@shop.example",
            topic=TOPIC,
        ),
        verdicts(),
    ),
    "received-lambda": (Lambda(function=FUNCTION, topic=TOPIC), verdicts()),
    "received-stop": (Stop(topic=TOPIC), verdicts()),
    "received-workmail": (
        WorkMail(organization=ARN.format("workmail", "organization/m-0a1b2c3d4e5f60718293a4b5c6d7e8f9"), topic=TOPIC),
        verdicts(),
    ),
}


def facts(source: str = "amy@partner.example") -> MessageFacts:
    return MessageFacts(
        scope=Scope("111122223333", "eu-west-1"),
        message_id=ID,
        direction=Direction.IN,
        accepted_ms=AT_MS,
        operation="Inbound",
        source=source,
        from_domain="partner.example",
        feedback_to=source,
        subject="",
        size=0,
        content_kind=ContentKind.RAW,
    )


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found


def as_mail(told: dict[str, Any]) -> bytes:
    """A mail with the header fields of a payload."""
    fields = "".join(f"{field['name']}: {field['value']}\r\n" for field in told["headers"])
    return f"{fields}\r\nPlease send it again.\r\n".encode()


@pytest.mark.parametrize("name", CASES)
def test_a_notification_is_the_recorded_one(name: str) -> None:
    action, found = CASES[name]
    expected = recorded(name)
    mail = mail_told(facts(), as_mail(expected["mail"]))
    processed = expected["receipt"]["processingTimeMillis"]
    receipt = receipt_told(facts(), [HELP], found, action, AT_MS + processed)
    content = expected.get("content")
    made = notification(mail, receipt, content)
    assert json.loads(made) == expected
    assert list(json.loads(made)["receipt"]) == list(expected["receipt"])
    assert list(json.loads(made)["mail"]) == list(expected["mail"])


def test_the_content_of_recorded_notifications_is_the_whole_mail() -> None:
    utf8, encoded = recorded("received-sns-utf8")["content"], recorded("received-sns-base64")["content"]
    assert base64.b64decode(encoded).decode() == utf8


def test_the_event_of_a_function_is_the_recorded_one() -> None:
    expected = recorded("lambda-event")
    told = expected["Records"][0]["ses"]
    action = Lambda(function=FUNCTION, invocation="RequestResponse")
    processed = told["receipt"]["processingTimeMillis"]
    receipt = receipt_told(facts(), [HELP], verdicts(), action, AT_MS + processed)
    assert json.loads(function_event(mail_told(facts(), as_mail(told["mail"])), receipt)) == expected


def test_headers_are_cut_where_they_are_too_many_and_the_common_ones_are_still_there() -> None:
    long = b"".join(b"X-Filler-%d: %s\r\n" % (n, b"x" * 900) for n in range(20))
    content = long + b"From: =?utf-8?q?J=C3=BCrgen?= <j@b.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"
    told = mail_told(facts(), content)
    assert told["headersTruncated"] is True
    assert len(told["headers"]) == 11
    assert sum(len(each["name"]) + len(each["value"]) for each in told["headers"]) <= MAX_HEADERS
    assert told["commonHeaders"]["from"] == ["Jürgen <j@b.example>"]
    assert told["commonHeaders"]["subject"] == "Grüße"
    assert mail_told(facts(), content[len(long) :])["headersTruncated"] is False


def test_a_field_that_is_too_long_by_itself_is_not_told_in_part() -> None:
    told = mail_told(facts(), b"A: 1\r\nLong: " + b"x" * MAX_HEADERS + b"\r\nB: 2\r\n\r\n")
    assert (told["headers"], told["headersTruncated"]) == ([{"name": "A", "value": "1"}], True)


def test_addresses_of_all_lists_are_the_destination() -> None:
    content = (
        b"To: Help <help@in.shop.example>,\r\n  team: a@b.example, c@d.example;\r\nCc: e@f.example\r\n"
        b"Bcc: g@h.example\r\nReply-To: r@s.example\r\nSender: x@y.example\r\nTo: second@in.shop.example\r\n\r\n"
    )
    told = mail_told(facts(""), content)
    assert told["destination"] == [
        HELP, "a@b.example", "c@d.example", "second@in.shop.example", "e@f.example"
    ]  # fmt: skip
    common = told["commonHeaders"]
    assert (common["returnPath"], common["bcc"], common["replyTo"], common["sender"]) == (
        "", ["g@h.example"], ["r@s.example"], "x@y.example"
    )  # fmt: skip
    assert told["source"] == ""


@given(st.binary(max_size=3000))
def test_any_mail_can_be_told(content: bytes) -> None:
    told = mail_told(facts(), content)
    receipt = receipt_told(facts(), [HELP], verdicts(), Stop(topic=TOPIC), 0)
    assert json.loads(notification(told, receipt))["mail"]["messageId"] == ID
    assert json.loads(function_event(told, receipt))["Records"][0]["ses"]["receipt"]["processingTimeMillis"] == 0


def test_a_monstrous_header_section_makes_a_notification_that_can_be_sent() -> None:
    many = b"To: " + b", ".join(b"a%d@b.example" % n for n in range(40_000)) + b"\r\n"
    content = many + b"Subject: " + b"x" * 500_000 + b"\r\n\r\n"
    made = notification(mail_told(facts(), content), receipt_told(facts(), [HELP], verdicts(), Stop(), 0))
    assert len(made) < 256 * 1024
