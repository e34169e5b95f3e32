"""Reports as servers really send them, and our own: the standard library's parser is the witness of what we write."""

import email
import email.policy
from email.message import EmailMessage
from typing import cast

import pytest
from tests.support.reports import REPORTS, sample

from posthouse.domain.outcomes import status_in
from posthouse.mail import arf, auto_reply, dsn, headers
from posthouse.mail.arf import FeedbackReport
from posthouse.mail.dsn import DeliveryStatus, RecipientStatus
from posthouse.mail.report import MAX_HEAD, Head, Returned, address_in

HEAD = Head(from_="Mail <bounces@shop.example>", to="ann@far.example", subject="Delivery Status Notification (Failure)")
ORIGINAL = b"From: ann@far.example\r\nSubject: hi\r\nMessage-ID: <1@far.example>\r\n\r\nthe text\r\n"

# name -> reporting MTA, and of each recipient: addresses, action, status, the beginning of the diagnostic.
STATUSES: dict[str, tuple[str, list[tuple[tuple[str, ...], str, str, str]]]] = {
    "postfix-unknown-user": (
        "dns; mx.mail.example",
        [(("dana@mail.example",), "failed", "5.1.1", "smtp; 550 5.1.1 <dana@mail.example> User doesn't exist:")],
    ),
    "postfix-delayed": (
        "dns; mx.mail.example",
        [(("dana@mail.example",), "delayed", "4.4.1", "X-Postfix; connect to store.mail.example")],
    ),
    "postfix-success": (
        "dns; mx.mail.example",
        [(("dana@mail.example",), "delivered", "2.1.5", "smtp; 250 2.1.5 OK")],
    ),
    "exim-modern": ("dns; mx.mail.example", [(("dana@mail.example",), "failed", "5.0.0", "smtp; 550 5.2.2 <dana")]),
    "exchange-online": (
        "dns;VE1EUR01HT012.mail.protection.example",
        [(("Dana@mail.example",), "failed", "5.1.10", "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recip")],
    ),
    "exchange-2003": ("dns;ex1.mail.example", [(("dana@mail.example",), "failed", "5.2.3", "")]),
    "gmail": (
        "dns; googlemail.com",
        [(("dana@mail.example",), "failed", "5.1.1", "smtp; 550-5.1.1 The email account that you tried to reach")],
    ),
    "sendmail": (
        "dns; mx.mail.example",
        [
            (("dana@mail.example",), "failed", "5.1.1", "SMTP; 550 5.1.1 <dana@mail.example>... User unknown"),
            (("eli@mail.example",), "failed", "5.2.2", "SMTP; 552 5.2.2 mailbox full"),
        ],
    ),
    "one-block": (
        "smtp; gw.mail.example",
        [(("dana@mail.example",), "failed", "5.7.1", ""), (("eli@mail.example",), "failed", "4.4.7", "")],
    ),
    "encoded-status": ("dns; gw.mail.example", [(("dana@mail.example",), "failed", "5.2.2", "")]),
    "forwarded-address": (
        "dns; far.example",
        [
            (
                ("dana+2Bnews@mail.example", "dana+news@mail.example", "d.miller@far.example"),
                "failed",
                "5.1.1",
                "smtp; 550 no such user",
            )
        ],
    ),
    "utf8-addresses": ("dns; mx.mail.example", [(("dana@mail.example",), "failed", "5.1.1", "")]),
    "mimecast-no-original": (
        "dns; gateway.example",
        [(("dana@mail.example",), "failed", "5.6.1", "smtp; 554 5.6.1 Content rejected")],
    ),
}
COMPLAINTS = {
    "arf-yahoo": ("abuse", "Yahoo!-Mail-Feedback/2.0", ("dana@mail.example",), 1_714_716_118_000),
    "arf-redacted": ("abuse", "MailExample-FBL/2.1", ("redacted-3f9a@mail.example",), 1_714_716_118_000),
    "arf-bare": ("not-spam", "Thing/1", (), None),
}
AUTOMATIC = {"auto-gmail-vacation", "auto-exchange-oof", "read-receipt"}


@pytest.mark.parametrize("name", REPORTS)
def test_delivery_status_is_read_where_there_is_one(name: str) -> None:
    received = dsn.read(sample(name))
    if name not in STATUSES:
        assert received is None
        return
    assert received is not None
    reporting_mta, recipients = STATUSES[name]
    assert received.status.reporting_mta == reporting_mta
    told = received.status.recipients
    assert [(each.addresses, each.action, each.status) for each in told] == [each[:3] for each in recipients]
    for each, (*_, diagnostic) in zip(told, recipients, strict=True):
        assert each.diagnostic_code.startswith(diagnostic)
        assert bool(each.diagnostic_code) == bool(diagnostic)


@pytest.mark.parametrize("name", REPORTS)
def test_a_complaint_is_read_where_there_is_one(name: str) -> None:
    received = arf.read(sample(name))
    if name not in COMPLAINTS:
        assert received is None
        return
    assert received is not None
    report = received.report
    assert (report.feedback_type, report.user_agent, report.original_recipients, report.arrival_ms) == COMPLAINTS[name]


@pytest.mark.parametrize("name", [name for name in REPORTS if name.startswith(("auto", "person", "read"))])
def test_machines_are_told_from_people(name: str) -> None:
    fields = headers.fields(headers.split(sample(name)).head)
    assert auto_reply.is_automatic(fields) == (name in AUTOMATIC)


def test_everything_else_of_a_report_is_kept() -> None:
    received = dsn.read(sample("postfix-unknown-user"))
    assert received is not None
    status = received.status
    assert status.arrival_date == "Thu,  2 May 2024 11:15:32 +0200 (CEST)"
    assert status.extensions == (
        ("X-Postfix-Queue-ID", "8F1D53F2C0"),
        ("X-Postfix-Sender", "rfc822; 0100018f3c2a7b10-abcdefghij@us-east-1.posthouse.test"),
    )
    assert status.recipients[0].remote_mta == "dns; store.mail.example"
    assert [field.name for field in received.returned] == ["From", "To", "Subject", "Message-ID", "Date"]
    gmail, old = dsn.read(sample("gmail")), dsn.read(sample("exchange-2003"))
    assert gmail is not None
    assert old is not None
    assert gmail.status.recipients[0].last_attempt == "Thu, 02 May 2024 02:15:33 -0700 (PDT)"
    assert old.status.recipients[0].extensions == (("X-Display-Name", "Dana"),)
    delayed = dsn.read(sample("postfix-delayed"))
    assert delayed is not None
    assert delayed.status.recipients[0].will_retry_until == "Tue,  7 May 2024 11:15:32 +0200 (CEST)"
    assert [field.name for field in delayed.returned][:2] == ["From", "To"]


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; a@b.example", "a@b.example"),
        ("RFC822;a@b.example", "a@b.example"),
        ("a@b.example", "a@b.example"),
        ("<a@b.example>", "a@b.example"),
        ("rfc822; <a@b.example>", "a@b.example"),
        ('rfc822; "Ann, A." <a@b.example> (gone)', "a@b.example"),
        ("a@b.example (unknown)", "a@b.example"),
        ("rfc822; a@b.example;", "a@b.example"),
        ("X400; /C=DE/A=X/S=MILLER", ""),
        ("local; ann", ""),
        ("", ""),
        (";", ""),
        ("rfc822; " + "a" * 1000 + "@b.example", ""),
    ],
)
def test_addresses_are_found_as_they_are_really_written(value: str, address: str) -> None:
    assert address_in(value) == address


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("5.1.1", "5.1.1"),
        ("550 5.7.1 (policy)", "5.7.1"),
        ("4.4.7 (delivery time expired)", "4.4.7"),
        ("sorry (#5.1.1)", "5.1.1"),
        ("2.0.0", "2.0.0"),
        ("3.1.1", ""),
        ("192.0.2.5.1.1.9", ""),
        ("at 15.1.1", ""),
        ("5.1", ""),
        ("٥.1.1", ""),
    ],
)
def test_a_status_code_is_found_wherever_it_stands(text: str, status: str) -> None:
    assert status_in(text) == status


# -- what we write


def _parsed(raw: bytes) -> EmailMessage:
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default))


def _everything() -> DeliveryStatus:
    return DeliveryStatus(
        reporting_mta="dns; mx.shop.example",
        original_envelope_id="QQ314159",
        dsn_gateway="dns; gw.shop.example",
        received_from_mta="dns; far.example",
        arrival_date=dsn.date(1_714_641_330_000),
        extensions=(("X-Queue", "4F3D1"),),
        recipients=(
            RecipientStatus(
                original_recipient="bob@shop.example",
                final_recipient="bob@shop.example",
                action="failed",
                status="5.1.1",
                remote_mta="dns; store.shop.example",
                diagnostic_code="smtp; 550 5.1.1 " + "no such user, " * 20 + "sorry",
                last_attempt=dsn.date(1_714_641_333_000),
                final_log_id="log-1",
                will_retry_until=dsn.date(1_714_700_000_000),
                extensions=(("X-Reason", "moved\r\nAction: delivered"),),
            ),
            RecipientStatus(final_recipient="eve@shop.example", action="failed", status="4.0.0"),
        ),
    )


def test_a_written_report_is_understood_by_others_and_by_us() -> None:
    raw = dsn.write(HEAD, "It failed.\nSorry \N{EM DASH} really.", _everything(), Returned(ORIGINAL, whole=False))
    mail = _parsed(raw)
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (HEAD.from_, HEAD.to, "auto-replied")
    assert [part.get_content_type() for part in mail.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    text, status, returned = mail.iter_parts()
    assert cast(EmailMessage, text).get_content() == "It failed.\r\nSorry \N{EM DASH} really."
    message, bob, eve = status.get_payload()  # type: ignore[misc]
    assert message["Reporting-MTA"] == "dns; mx.shop.example"  # type: ignore[index, call-overload]
    assert message["Arrival-Date"] == "Thu, 2 May 2024 09:15:30 +0000"  # type: ignore[index, call-overload]
    assert message["X-Queue"] == "4F3D1"  # type: ignore[index, call-overload]
    assert bob["Final-Recipient"] == "rfc822; bob@shop.example"  # type: ignore[index, call-overload]
    # No value makes a field of its own.
    assert bob.get_all("Action") == ["failed"]  # type: ignore[union-attr]
    assert bob["X-Reason"] == "moved Action: delivered"  # type: ignore[index, call-overload]
    assert (eve["Status"], eve["Diagnostic-Code"]) == ("4.0.0", None)  # type: ignore[index, call-overload]
    assert returned.get_payload() == "From: ann@far.example\r\nSubject: hi\r\nMessage-ID: <1@far.example>\r\n"
    received = dsn.read(raw)
    assert received is not None
    told = _everything()
    assert received.status.recipients[0].diagnostic_code == told.recipients[0].diagnostic_code
    assert received.status.recipients[1] == told.recipients[1]
    assert received.status.extensions == told.extensions
    assert [field.text for field in received.returned] == ["ann@far.example", "hi", "<1@far.example>"]


def test_a_mail_that_is_returned_whole_is_untouched() -> None:
    content = ORIGINAL + "caf\N{LATIN SMALL LETTER E WITH ACUTE}\r\n".encode()
    mail = _parsed(dsn.write(HEAD, "x", _everything(), Returned(content, whole=True)))
    assert mail["Content-Transfer-Encoding"] == "8bit"
    returned = list(mail.iter_parts())[2]
    assert returned.get_content_type() == "message/rfc822"
    inner = cast(EmailMessage, returned.get_payload(0))
    assert inner["Subject"] == "hi"
    assert cast(bytes, inner.get_payload(decode=True)).endswith("caf\N{LATIN SMALL LETTER E WITH ACUTE}\r\n".encode())


def test_broken_and_endless_headers_are_returned_in_seven_bits_and_within_bounds() -> None:
    lines = b"".join(b"X-%05d: \xe4\xff\0 %b\r\n" % (n, b"y" * 1500) for n in range(100))
    raw = dsn.write(HEAD, "x", _everything(), Returned(b"Subject: hi\r\n" + lines + b"\r\nbody", whole=False))
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    returned = list(_parsed(raw).iter_parts())[2]
    kept = cast(bytes, returned.get_payload(decode=True))
    assert kept.startswith(b"Subject: hi\r\nX-00000: \xe4\xff\0 y")
    assert len(kept) <= MAX_HEAD
    assert kept.endswith(b"y\r\n")


def test_no_content_closes_the_report_early() -> None:
    plain = dsn.write(HEAD, "x", _everything(), Returned(ORIGINAL, whole=True))
    boundary = _parsed(plain).get_boundary()
    assert boundary is not None
    hostile = ORIGINAL + f"--{boundary}--\r\n".encode()
    for _ in range(3):
        raw = dsn.write(HEAD, "x", _everything(), Returned(hostile, whole=True))
        boundary = _parsed(raw).get_boundary()
        assert f"--{boundary}".encode() not in hostile
        hostile += f"--{boundary}--\r\n".encode()
        assert len(list(_parsed(raw).iter_parts())) == 3


def test_a_written_complaint_is_understood_by_others_and_by_us() -> None:
    told = FeedbackReport(
        feedback_type="abuse",
        user_agent="Posthouse/1",
        original_mail_from="x@bounce.example",
        original_recipients=("dana@mail.example", "eli@mail.example"),
        arrival_date=dsn.date(1_714_641_330_000),
        reporting_mta="dns; mx.example",
        source_ip="192.0.2.1",
        reported_domains=("shop.example",),
        reported_uris=("https://shop.example/",),
        incidents="2",
    )
    raw = arf.write(HEAD, "A complaint.", told, Returned(ORIGINAL, whole=True))
    mail = _parsed(raw)
    assert mail.get_param("report-type") == "feedback-report"
    assert [part.get_content_type() for part in mail.iter_parts()] == [
        "text/plain",
        "message/feedback-report",
        "message/rfc822",
    ]
    received = arf.read(raw)
    assert received is not None
    assert received.report == told
    assert [field.text for field in received.returned][1] == "hi"


def test_a_written_answer_says_that_a_machine_wrote_it() -> None:
    raw = auto_reply.write(
        Head(from_="ooto@sim.example", to="a@shop.example", subject="Out of office", in_reply_to="<1@shop.example>"),
        "I am away.\nReally.",
    )
    mail = _parsed(raw)
    assert (mail["In-Reply-To"], mail["References"], mail["Auto-Submitted"]) == (
        "<1@shop.example>",
        "<1@shop.example>",
        "auto-replied",
    )
    assert mail.get_content() == "I am away.\r\nReally.\r\n"
    assert auto_reply.is_automatic(headers.read(raw).fields)


@pytest.mark.parametrize(
    ("field", "automatic"),
    [
        (b"Auto-Submitted: auto-replied", True),
        (b"Auto-Submitted: auto-generated (failure)", True),
        (b"Auto-Submitted: No", False),
        (b"Auto-Submitted: no; comment", False),
        (b"Auto-Submitted:", False),
        (b"Precedence: bulk", True),
        (b"Precedence: auto_reply", True),
        (b"Precedence: first-class", False),
        (b"Precedence: list", False),
        (b"X-Autoreply: yes", True),
        (b"X-Autorespond: ", False),
        (b"X-Auto-Response-Suppress: All", True),
        (b"Subject: Out of Office AutoReply: automatic reply", False),
        (b"X-Mailer: vacation", False),
    ],
)
def test_each_mark_of_an_automatic_mail(field: bytes, automatic: bool) -> None:
    assert auto_reply.is_automatic(headers.fields(b"From: a@b.example\r\n" + field + b"\r\n")) is automatic


def test_many_recipients_are_bounded() -> None:
    block = b"Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n\n"
    head = b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
    received = dsn.read(head + block * 100_000)
    assert received is not None
    assert 100 <= len(received.status.recipients) <= dsn.MAX_RECIPIENTS
