"""Reports are strangers' mail: whatever comes, reading ends, in time that grows with the length, and never raises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.inputs import inputs
from tests.support.reports import REPORTS, sample

from posthouse.mail import arf, auto_reply, dsn, headers
from posthouse.mail.report import address_in

SAMPLES = [sample(name) for name in REPORTS]


def read_all(raw: bytes) -> None:
    received, complaint = dsn.read(raw), arf.read(raw)
    auto_reply.is_automatic(headers.fields(headers.split(raw).head))
    if received is not None:
        assert len(received.status.recipients) <= dsn.MAX_RECIPIENTS
        for each in received.status.recipients:
            assert all("@" in address and len(address) <= 511 for address in each.addresses)
    if complaint is not None:
        assert complaint.report.arrival_ms is None or complaint.report.arrival_date


@settings(max_examples=inputs(100), deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes(raw: bytes) -> None:
    read_all(raw)
    read_all(b"Content-Type: message/delivery-status\r\n\r\n" + raw)
    read_all(b"Content-Type: message/feedback-report\r\n\r\n" + raw)


@settings(max_examples=inputs(100), deadline=None)
@given(st.data())
def test_real_reports_with_something_changed(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(SAMPLES))
    at = data.draw(st.integers(0, len(raw)))
    gone = data.draw(st.integers(0, 200))
    put = data.draw(
        st.one_of(st.binary(max_size=40), st.sampled_from([b"\r\n\r\n", b"\r\n", b";", b"\0", b"\xff", b":"]))
    )
    read_all(raw[:at] + put + raw[at + gone :])


@settings(max_examples=inputs(100), deadline=None)
@given(st.lists(st.sampled_from(SAMPLES), min_size=2, max_size=4))
def test_reports_in_a_row(several: list[bytes]) -> None:
    read_all(b"".join(several))


@settings(max_examples=inputs(100), deadline=None)
@given(st.text(max_size=300))
def test_any_address(value: str) -> None:
    found = address_in(value)
    assert found == "" or "@" in found


@pytest.mark.parametrize(
    "piece",
    [
        b"\r\n",
        b" \r\n",
        b"a: b\r\n\r\n",
        b"Final-Recipient: rfc822; a@b\r\n",
        b"Original-Recipient: rfc822; " + b"+2B" * 100 + b"@b\r\n\r\n",
        b"Status: " + b"5." * 200 + b"\r\n",
        b"Diagnostic-Code: =?utf-8?q?x?= =?utf-8?b?eA==?=\r\n ",
        b"Final-Recipient: ((((((((((\r\n",
        b"X: " + b"<" * 100 + b"\r\n\r\n",
    ],
)
def test_hostile_repetition_ends(piece: bytes) -> None:
    # Read in squares of its length it would take minutes.
    head = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
    raw = head + piece * (2_000_000 // len(piece))
    read_all(raw)
    read_all(raw.replace(b"delivery-status", b"feedback-report"))
