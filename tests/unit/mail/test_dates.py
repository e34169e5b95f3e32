"""Dates as they stand in mail; the standard library's reader is the witness."""

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail import dates
from posthouse.mail.outgoing import date_value


@pytest.mark.parametrize(
    "value",
    [
        "Thu, 2 May 2024 09:15:30 +0000",
        "Thu,  2 May 2024 11:15:33 +0200 (CEST)",
        "2 May 2024 09:15:33 -0000",
        "Thu, 02 May 2024 02:15:33 -0700 (PDT)",
        "02 May 2024 09:15:32 GMT",
        "Thu, 2 May 2024 09:15 +0000",
        "2 May 24 09:15:32 UT",
        "Fri, 3 May 1996 08:00:00 EDT",
        "Thu, 2-May-2024 09:15:30 +0000",
    ],
)
def test_a_date_is_read(value: str) -> None:
    assert dates.read(value) == int(parsedate_to_datetime(value).timestamp() * 1000)


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "32 May 2024 09:15:30", "2 Foo 2024 09:15:30", "2 May 2024 25:15:30", "2 May 2024", "٢ May 2024"],
)
def test_what_is_no_date_is_none(value: str) -> None:
    assert dates.read(value) is None


def test_a_leap_second_and_the_ends_of_the_calendar() -> None:
    assert dates.read("31 Dec 2016 23:59:60 +0000") == dates.read("1 Jan 2017 00:00:00 +0000")
    assert dates.read("1 Jan 0001 00:00:00 +9999") is None
    assert dates.read("31 Dec 9999 23:59:60 -2359") is None


@given(st.integers(0, 4_000_000_000))
def test_what_we_write_is_read_back(at_s: int) -> None:
    assert dates.read(date_value(at_s * 1000)) == at_s * 1000


@given(st.text(max_size=200))
def test_nothing_raises(value: str) -> None:
    dates.read(value)
