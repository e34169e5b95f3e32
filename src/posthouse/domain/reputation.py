"""Bounce and complaint rates of an account or a configuration set, and how they stand to SES's lines.

Source: SES developer guide, "Monitoring your sender reputation": an account is reviewed from a bounce rate of 5 % and a
complaint rate of 0.1 % on, and may be paused at 10 % and 0.5 %. Which bounces and complaints count is
`domain.statistics`' business. SES rates "a representative volume" of mail instead of a fixed time, and does not say
what that is; here it is the mail of the last 24 hours, and where these hold less than 10,000 recipients, as much before
as makes 10,000, though nothing older than the 14 days of GetSendStatistics. So one bad hour of a busy sender shows
within the day, and a quiet one is not judged by a single afternoon.

One complaint among a hundred recipients says little, yet is twice what SES pauses at. So bounces are judged from 100
recipients on, where a single one is 1 %, and complaints from 1,000 on, where it is 0.1 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

HOUR_MS = 60 * 60 * 1000
LAST_MS = 24 * HOUR_MS
FARTHEST_MS = 14 * LAST_MS
VOLUME = 10_000
"""Recipients."""


class Standing(StrEnum):
    """Ordered from the best to the worst."""

    UNJUDGED = "unjudged"
    """Too little mail to say."""
    HEALTHY = "healthy"
    REVIEW = "review"
    """At or above the line from which SES reviews an account."""
    PAUSE = "pause"
    """At or above the line at which SES may pause it."""

    def reaches(self, other: "Standing") -> bool:
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = list(Standing)


@dataclass(frozen=True, slots=True)
class Lines:
    """Where SES draws them, as fractions, and from how many recipients on a rate is judged."""

    review: float
    pause: float
    from_sends: int


BOUNCES = Lines(0.05, 0.10, 100)
COMPLAINTS = Lines(0.001, 0.005, 1000)


class Point(Protocol):
    """Some minutes of statistics, see ports.mailstore.StatisticsPoint."""

    @property
    def start_ms(self) -> int: ...
    @property
    def delivery_attempts(self) -> int: ...
    @property
    def bounces(self) -> int: ...
    @property
    def complaints(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Rate:
    count: int
    value: float
    """A fraction of the recipients written to."""
    lines: Lines
    standing: Standing


@dataclass(frozen=True, slots=True)
class Reputation:
    since_ms: int
    """Of the first mail that counts."""
    sends: int
    """Recipients written to since."""
    bounce: Rate
    complaint: Rate

    @property
    def standing(self) -> Standing:
        """The worse of both."""
        return max(self.bounce.standing, self.complaint.standing, key=_ORDER.index)


def assess(points: Sequence[Point], now_ms: int, fresh_start_ms: int | None = None) -> Reputation:
    """`points` in order of time, from `since` on. Nothing before a fresh start counts, nor the quarter of an hour it
    fell into: what led to the pause before it must not lead to the next one."""
    counted = _representative([each for each in points if each.start_ms >= since(now_ms, fresh_start_ms)], now_ms)
    sends = sum(each.delivery_attempts for each in counted)
    return Reputation(
        since_ms=counted[0].start_ms if counted else now_ms,
        sends=sends,
        bounce=_rate(sum(each.bounces for each in counted), sends, BOUNCES),
        complaint=_rate(sum(each.complaints for each in counted), sends, COMPLAINTS),
    )


def since(now_ms: int, fresh_start_ms: int | None = None) -> int:
    """Points before are never asked for."""
    return max(0, now_ms - FARTHEST_MS, fresh_start_ms or 0)


def _representative(points: Sequence[Point], now_ms: int) -> Sequence[Point]:
    sends = 0
    for place in range(len(points) - 1, -1, -1):
        if sends >= VOLUME and points[place].start_ms < now_ms - LAST_MS:
            return points[place + 1 :]
        sends += points[place].delivery_attempts
    return points


def _rate(count: int, sends: int, lines: Lines) -> Rate:
    value = count / sends if sends else 0.0
    return Rate(count, value, lines, _standing(value, sends, lines))


def _standing(value: float, sends: int, lines: Lines) -> Standing:
    if sends < lines.from_sends:
        return Standing.UNJUDGED
    if value >= lines.pause:
        return Standing.PAUSE
    return Standing.REVIEW if value >= lines.review else Standing.HEALTHY


def told(reputation: Reputation, at_least: Standing) -> str:
    """Which rates stand so, as part of a sentence; empty where none does."""
    rates = (("bounce", reputation.bounce), ("complaint", reputation.complaint))
    return " and ".join(
        f"{name} rate {percent(rate.value)} of {reputation.sends} recipients"
        for name, rate in rates
        if rate.standing.reaches(at_least)
    )


def percent(value: float) -> str:
    """As SES's console prints rates."""
    return f"{100 * value:.2f} %"
