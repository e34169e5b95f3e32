"""What a mail to a return path is taken for."""

import pytest
from tests.support.reports import REPORTS, sample

from posthouse.domain.feedback import AutoReply, DeliveryReport, OddBounce, SpamReport
from posthouse.receiving import odd_bounces, reports

KINDS: dict[str, tuple[str, type | None]] = {
    **dict.fromkeys(REPORTS, ("delivery report", DeliveryReport)),
    "arf-bare": ("complaint", SpamReport),
    "arf-redacted": ("complaint", SpamReport),
    "arf-yahoo": ("complaint", SpamReport),
    "auto-exchange-oof": ("automatic reply", AutoReply),
    "auto-gmail-vacation": ("automatic reply", AutoReply),
    "exim-classic": ("bounce", OddBounce),
    "forwarded-dsn": ("mail", None),
    "person-out-of-office": ("mail", None),
    "qmail": ("bounce", OddBounce),
    "read-receipt": ("read receipt", None),
    "yahoo-old": ("bounce", OddBounce),
}
FROM_NULL = {name for name in REPORTS if b"Return-Path: <>" in sample(name)}


@pytest.mark.parametrize("name", REPORTS)
def test_each_kind_is_told_from_the_others(name: str) -> None:
    read = reports.read(sample(name), "" if name in FROM_NULL else "somebody@mail.example")
    kind, type_ = KINDS[name]
    assert read.kind == kind
    assert (type(read.report) if read.report else None) is type_


def test_a_complaint_knows_who_may_have_reported_it() -> None:
    read = reports.read(sample("arf-yahoo"), "")
    assert read.report == SpamReport(
        recipients=("dana@mail.example",),
        reporters=("arf.mail.example",),
        user_agent="Yahoo!-Mail-Feedback/2.0",
        feedback_type="abuse",
        arrival_ms=1_714_716_118_000,
    )


def test_hosts_stand_without_their_type() -> None:
    read = reports.read(sample("gmail"), "")
    assert read.reporting_mta == "googlemail.com"
    assert isinstance(read.report, DeliveryReport)
    assert read.report.recipients[0].remote_mta == "store.mail.example"


@pytest.mark.parametrize(("name", "status"), [("qmail", "5.1.1"), ("exim-classic", "5.1.1"), ("yahoo-old", "")])
def test_a_bounce_in_no_standard_form_says_whom_it_is_about(name: str, status: str) -> None:
    assert reports.read(sample(name), "").report == OddBounce(("dana@mail.example",), status)


def test_a_vacation_program_under_the_null_path_is_no_bounce() -> None:
    read = reports.read(sample("auto-gmail-vacation"), "")
    assert read.report == AutoReply("dana@mail.example")


def test_a_mail_system_that_says_nothing_readable_reports_a_bounce_of_nobody() -> None:
    raw = b"From: MAILER-DAEMON@mail.example\r\nSubject: failure\r\n\r\nYour mail could not be delivered.\r\n"
    assert reports.read(raw, "").report == OddBounce(())
    person = raw.replace(b"MAILER-DAEMON", b"dana")
    assert reports.read(person, "").report is None
    assert reports.read(person, "dana@mail.example").report is None


def test_an_encoded_bounce_is_read_too() -> None:
    import base64

    head, _, body = sample("qmail").partition(b"\r\n\r\n")
    more = b"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    raw = head + more + base64.encodebytes(body)
    assert reports.read(raw, "").report == OddBounce(("dana@mail.example",), "5.1.1")


def test_a_warning_that_mail_is_late_is_no_bounce() -> None:
    raw = (
        b"From: MAILER-DAEMON@mail.example\r\nSubject: Warning: message delayed 24 hours\r\n\r\n"
        b"This message was created automatically by mail delivery software.\r\n"
        b"A message that you sent has not yet been delivered to one or more of its\r\n"
        b"recipients after more than 24 hours on the queue on mail.example.\r\n\r\n"
        b"The address to which the message has not yet been delivered is:\r\n\r\n  dana@mail.example\r\n\r\n"
        b"No action is required on your part.\r\n"
    )
    assert odd_bounces.read(raw) is None
    assert reports.read(raw, "").report is None


@pytest.mark.parametrize("piece", [b" ", b"a", b"<", b"a@", b", ", b"\n", b"\r\n", b"--\r\n", b"\xff"])
def test_hostile_bounces_are_read_within_bounds(piece: bytes) -> None:
    start = b"From: MAILER-DAEMON@x\r\n\r\nThe address to which the message has not yet been delivered is:\r\n"
    odd_bounces.read(start + piece * (3_000_000 // len(piece)))
