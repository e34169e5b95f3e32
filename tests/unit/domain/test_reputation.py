"""Rates over a representative volume, and how they stand to SES's lines."""

from dataclasses import dataclass

import pytest

from posthouse.domain.accounts import Account
from posthouse.domain.reputation import (
    BOUNCES,
    COMPLAINTS,
    FARTHEST_MS,
    HOUR_MS,
    VOLUME,
    Standing,
    assess,
    since,
    told,
)

NOW_MS = 1_800_000_000_000


@dataclass
class Point:
    start_ms: int
    delivery_attempts: int = 0
    bounces: int = 0
    complaints: int = 0


def ago(hours: float, sends: int, bounces: int = 0, complaints: int = 0) -> Point:
    return Point(NOW_MS - int(hours * HOUR_MS), sends, bounces, complaints)


@pytest.mark.parametrize(
    ("sends", "bounces", "standing"),
    [
        (99, 99, Standing.UNJUDGED),
        (100, 4, Standing.HEALTHY),
        (100, 5, Standing.REVIEW),
        (1000, 99, Standing.REVIEW),
        (100, 10, Standing.PAUSE),
    ],
)
def test_a_bounce_rate_is_judged_from_a_hundred_recipients_on(sends: int, bounces: int, standing: Standing) -> None:
    found = assess([ago(1, sends, bounces)], NOW_MS)
    assert (found.bounce.standing, found.bounce.value) == (standing, bounces / sends)


@pytest.mark.parametrize(
    ("sends", "complaints", "standing"),
    [
        (999, 999, Standing.UNJUDGED),
        (1000, 0, Standing.HEALTHY),
        (1000, 1, Standing.REVIEW),
        (1000, 4, Standing.REVIEW),
        (1000, 5, Standing.PAUSE),
    ],
)
def test_a_complaint_rate_is_judged_from_a_thousand_recipients_on(
    sends: int, complaints: int, standing: Standing
) -> None:
    assert assess([ago(1, sends, complaints=complaints)], NOW_MS).complaint.standing is standing


def test_the_worse_of_both_rates_is_how_a_sender_stands() -> None:
    assert assess([ago(1, 1000, 60, 0)], NOW_MS).standing is Standing.REVIEW
    assert assess([ago(1, 1000, 0, 5)], NOW_MS).standing is Standing.PAUSE
    # Bounces can be judged when complaints cannot yet.
    assert assess([ago(1, 100, 0, 5)], NOW_MS).standing is Standing.HEALTHY
    assert assess([], NOW_MS).standing is Standing.UNJUDGED


def test_a_busy_sender_is_rated_by_his_last_day() -> None:
    found = assess([ago(30, VOLUME, 5000), ago(20, VOLUME, 1), ago(1, VOLUME, 1)], NOW_MS)
    assert (found.sends, found.bounce.count, found.since_ms) == (2 * VOLUME, 2, NOW_MS - 20 * HOUR_MS)


def test_a_quiet_sender_is_rated_by_as_much_as_is_representative() -> None:
    points = [ago(250, VOLUME, 9), ago(200, VOLUME - 10, 7), ago(100, 5, 2), ago(1, 5, 1)]
    found = assess(points, NOW_MS)
    assert (found.sends, found.bounce.count) == (VOLUME, 10)


def test_nothing_older_than_two_weeks_counts() -> None:
    assert since(NOW_MS) == NOW_MS - FARTHEST_MS
    assert assess([ago(15 * 24, 500, 500), ago(1, 100)], NOW_MS).bounce.count == 0


def test_nothing_before_a_fresh_start_counts() -> None:
    fresh_ms = NOW_MS - HOUR_MS
    found = assess([ago(1.1, 500, 500), ago(1, 100, 3)], NOW_MS, fresh_ms)
    assert (found.sends, found.bounce.count, since(NOW_MS, fresh_ms)) == (100, 3, fresh_ms)


def test_what_is_wrong_is_told_in_words() -> None:
    found = assess([ago(1, 1000, 123, 1)], NOW_MS)
    assert told(found, Standing.PAUSE) == "bounce rate 12.30 % of 1000 recipients"
    assert told(found, Standing.REVIEW) == (
        "bounce rate 12.30 % of 1000 recipients and complaint rate 0.10 % of 1000 recipients"
    )
    assert told(assess([], NOW_MS), Standing.REVIEW) == ""


def test_the_lines_are_those_of_the_developer_guide() -> None:
    assert (BOUNCES.review, BOUNCES.pause, COMPLAINTS.review, COMPLAINTS.pause) == (0.05, 0.10, 0.001, 0.005)


def test_an_account_that_is_resumed_starts_afresh() -> None:
    paused = Account().with_paused(True, 5, "bounce rate 12.30 % of 1000 recipients")
    assert (paused.paused, paused.paused_why) == (True, "bounce rate 12.30 % of 1000 recipients")
    # Paused by hand as well, it stays paused for what it was paused for.
    assert paused.with_paused(True, 6) == paused
    resumed = paused.with_paused(False, 7)
    assert (resumed.paused, resumed.paused_why, resumed.fresh_start_ms) == (False, "", 7)
    assert resumed.with_paused(False, 8) == resumed
