"""What leaves, and how."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import headers, outgoing
from posthouse.mail.outgoing import Stamp

STAMP = Stamp(
    "<id@email.amazonses.com>", "Thu, 2 May 2024 09:15:30 +0000", "2024.05.02-192.0.2.1", "1.us-east-1.x:AmazonSES"
)
OURS = (
    b"Date: Thu, 2 May 2024 09:15:30 +0000\r\n"
    b"Message-ID: <id@email.amazonses.com>\r\n"
    b"X-SES-Outgoing: 2024.05.02-192.0.2.1\r\n"
    b"Feedback-ID: 1.us-east-1.x:AmazonSES\r\n"
)


def leaving(raw: bytes) -> bytes:
    message = headers.read(outgoing.crlf(raw))
    return outgoing.assemble([], outgoing.rewrite_head(message.fields, STAMP), message.body)


def test_callers_fields_and_body_stay_byte_for_byte() -> None:
    kept = b"fROM:a@b\r\nX-Odd :  \t v \r\n\t folded\r\nmime-VERSION: 1.0 (x)\r\nSubject: =?x?q?y?=\r\n\xff: \xfe\r\n"
    body = b"--x\r\n.\r\n \xff\0 trailing  \r\n\r\n\r\n"
    assert leaving(kept + b"\r\n" + body) == kept + OURS + b"\r\n" + body


@pytest.mark.parametrize(
    "name",
    [
        *("Message-ID", "MESSAGE-id", "Date", "Return-Path", "Bcc", "BCC", "bcc ", "X-SES-CONFIGURATION-SET"),
        *("X-SES-MESSAGE-TAGS", "X-SES-SOURCE-ARN", "X-SES-FROM-ARN", "X-SES-RETURN-PATH-ARN", "x-ses-tenant"),
        "X-SES-LIST-MANAGEMENT-OPTIONS",
    ],
)
def test_control_fields_never_leave(name: str) -> None:
    raw = f"From: a@b\r\n{name}: secret,\r\n secret\r\nMIME-Version: 1.0\r\n{name}: secret\r\n\r\nbody\r\n".encode()
    assert leaving(raw) == b"From: a@b\r\nMIME-Version: 1.0\r\n" + OURS + b"\r\nbody\r\n"


def test_mime_version_is_added_where_it_lacks() -> None:
    assert leaving(b"From: a@b\r\n\r\nx") == b"From: a@b\r\nMIME-Version: 1.0\r\n" + OURS + b"\r\nx"


def test_a_bcc_hidden_behind_a_bare_cr_does_not_leave() -> None:
    assert b"secret" not in leaving(b"From: a@b\r\nX: y\rBcc: secret@x\r\n\r\nbody")


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        (b"A: 1\r\n\r\nx\r\n", b"A: 1\r\n\r\nx\r\n"),
        (b"A: 1\n\nx\n", b"A: 1\r\n\r\nx\r\n"),
        (b"A: 1\r\n\nx\ry\r\r\n", b"A: 1\r\n\r\nx\r\ny\r\n\r\n"),
        (b"", b""),
        (b"\r", b"\r\n"),
        (b"\n\r", b"\r\n\r\n"),
    ],
)
def test_every_bare_cr_or_lf_becomes_crlf(raw: bytes, normal: bytes) -> None:
    assert outgoing.crlf(raw) == normal


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n"])).map(b"".join))
def test_crlf_mail_has_no_bare_line_end_and_stays_as_it_is(raw: bytes) -> None:
    normal = outgoing.crlf(raw)
    rest = normal.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert outgoing.crlf(normal) is normal


@pytest.mark.parametrize(
    ("at_ms", "value"),
    [
        (1714641330999, "Thu, 2 May 2024 09:15:30 +0000"),
        (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
        (1709164800000, "Thu, 29 Feb 2024 00:00:00 +0000"),
    ],
)
def test_a_date_is_written_as_ses_writes_it(at_ms: int, value: str) -> None:
    assert outgoing.date_value(at_ms) == value


def test_a_stamp_adds_no_field_of_its_own() -> None:
    stamp = Stamp("<a>\r\nBcc: x", "d\ne", "f\0", "g\rh")
    assert len(outgoing.rewrite_head([], stamp)) == 5
    assert all(field.raw.count(b"\n") == 1 for field in outgoing.rewrite_head([], stamp))


def test_signatures_stand_above_the_fields() -> None:
    fields = headers.fields(b"From: a@b\r\n")
    assert outgoing.assemble([b"DKIM-Signature: x\r\n"], fields, b"b") == b"DKIM-Signature: x\r\nFrom: a@b\r\n\r\nb"
