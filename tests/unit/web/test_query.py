"""Query parameters are read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.messages import Direction
from posthouse.web.problems import Problem
from posthouse.web.query import Param, choice, iso, moment, moment_ms, number, parse, text, whole_number

PARAMS = (
    Param("q", text(), ""),
    Param("limit", number(1, 1000), "", 50),
    Param("direction", choice(Direction), ""),
    Param("since", moment(), "", 0),
)


def refusal(query: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(query, PARAMS)
    assert caught.value.status == 400
    return caught.value


def test_left_out_and_empty_parameters_have_their_defaults() -> None:
    defaults = {"q": None, "limit": 50, "direction": None, "since": 0}
    assert parse(b"", PARAMS) == defaults
    assert parse(b"q=&limit=&direction=&since=", PARAMS) == defaults


def test_values_are_decoded_and_typed() -> None:
    found = parse(b"q=a+b%2Bc%C3%A9&limit=7&direction=in&since=12", PARAMS)
    assert found == {"q": "a b+cé", "limit": 7, "direction": Direction.IN, "since": 12}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        (b"limt=1", "limt"),
        (b"limit=1&limit=2", "limit"),
        (b"limit=0", "limit"),
        (b"limit=1001", "limit"),
        (b"limit=1_0", "limit"),
        (b"limit=+5", "limit"),
        (b"limit=%201", "limit"),
        ("limit=\N{ARABIC-INDIC DIGIT ONE}".encode(), "limit"),
        (b"limit=99999999999999999999999999", "limit"),
        (b"direction=OUT", "direction"),
        (b"since=yesterday", "since"),
        (b"since=2026-02-30", "since"),
        (b"since=2026-01-01T25:00:00Z", "since"),
        (b"since=2026-01-01T00:00:00%2B99:00", "since"),
        (b"q=%00", "q"),
        (b"q=a%0D%0Ab", "q"),
        (b"q=" + b"x" * 1001, "q"),
    ],
)
def test_a_malformed_parameter_is_named(query: bytes, parameter: str) -> None:
    assert refusal(query).parameter == parameter


@pytest.mark.parametrize("query", [b"q=%", b"q=%4", b"q=%zz", b"q=%ff%fe", b"\xff=1", b"q=" + b"x" * 9000])
def test_what_is_no_query_string_is_refused(query: bytes) -> None:
    refusal(query)


@pytest.mark.parametrize(
    ("written", "at_ms"),
    [
        ("0", 0),
        ("1795425000000", 1795425000000),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01.5Z", 1500),
        ("1970-01-01T00:00:00.0019999Z", 1),
        ("1970-01-01T01:00+01:00", 0),
        ("1970-01-01T01:00 01:00", 0),
        ("1969-12-31T23:00-0100", 0),
        ("0001-01-01T00:00:00+14:00", 0),
    ],
)
def test_moments_are_milliseconds_or_iso_8601(written: str, at_ms: int) -> None:
    assert moment_ms(written) == at_ms


@given(st.integers(min_value=0, max_value=2**43))
def test_a_time_we_wrote_is_read_back(at_ms: int) -> None:
    assert moment_ms(iso(at_ms)) == at_ms


@given(st.text(max_size=30))
def test_numbers_are_ascii_digits_only(given: str) -> None:
    try:
        found = whole_number(given, 0, 10**9)
    except ValueError:
        return
    assert given.isascii()
    assert int(given) == found


@given(st.binary(max_size=200))
def test_every_query_string_is_read_or_refused_as_400(query: bytes) -> None:
    statuses = set()
    try:
        parse(query, PARAMS)
    except Problem as problem:
        statuses.add(problem.status)
        problem.encode()
    assert statuses <= {400}
