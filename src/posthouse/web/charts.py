"""Small charts as plain shapes: what the templates draw as SVG, without a line of script. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from posthouse.domain.reputation import HOUR_MS
from posthouse.ports.mailstore import StatisticsPoint
from posthouse.web.query import iso

WIDTH, HEIGHT = 1000, 120
"""Of a chart's own units; the page stretches them."""
METER = 400
_GAP = 2


class Span(NamedTuple):
    """How much time a chart shows, in steps of one bar each."""

    length_ms: int
    step_ms: int


DAY = Span(24 * HOUR_MS, HOUR_MS // 2)
FORTNIGHT = Span(14 * 24 * HOUR_MS, 6 * HOUR_MS)


class Series(NamedTuple):
    """One column of the statistics."""

    column: str
    label: str
    tone: str


SENT = (Series("delivery_attempts", "sent", "sent"),)
TROUBLE = (
    Series("bounces", "bounced", "bad"),
    Series("complaints", "complaints", "complaint"),
    Series("rejects", "rejected", "plain"),
)


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    y: int
    width: int
    height: int
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    bars: list[Bar]
    top: int
    """What the full height stands for."""
    moments: list[str]
    """Where it begins, its middle, and its end."""
    total: int


def chart(points: Sequence[StatisticsPoint], series: Sequence[Series], span: Span, now_ms: int) -> Chart:
    """One bar for each step, the series stacked on each other. The last step is the one that `now_ms` falls into."""
    count = span.length_ms // span.step_ms
    end_ms = (now_ms // span.step_ms + 1) * span.step_ms
    start_ms = end_ms - span.length_ms
    sums = [[0] * len(series) for _ in range(count)]
    for point in points:
        if start_ms <= point.start_ms < end_ms:
            step = sums[(point.start_ms - start_ms) // span.step_ms]
            for place, each in enumerate(series):
                step[place] += getattr(point, each.column)
    top = nice(max(map(sum, sums)))
    return Chart(
        bars=[
            bar
            for place, step in enumerate(sums)
            for bar in _stack(step, series, place, count, top, start_ms + place * span.step_ms, span.step_ms)
        ],
        top=top,
        moments=[iso(at_ms) for at_ms in (start_ms, start_ms + span.length_ms // 2, end_ms)],
        total=sum(map(sum, sums)),
    )


def _stack(
    step: Sequence[int], series: Sequence[Series], place: int, count: int, top: int, at_ms: int, step_ms: int
) -> list[Bar]:
    left, right = place * WIDTH // count, (place + 1) * WIDTH // count
    when = f"{iso(at_ms)[:16].replace('T', ' ')} to {iso(at_ms + step_ms)[11:16]} UTC"
    title = f"{when}: {', '.join(f'{value:,} {each.label}' for value, each in zip(step, series, strict=True))}"
    found, floor, seen = [], HEIGHT, 0
    for value, each in zip(step, series, strict=True):
        if value:
            seen += value
            # What is there is seen, however small beside the rest.
            y = min(HEIGHT - HEIGHT * seen // top, floor - _GAP)
            found.append(Bar(left, max(0, y), right - left - _GAP, floor - max(0, y), each.tone, title))
            floor = max(0, y)
    return found


def nice(value: int) -> int:
    """The next larger number of one digit (1, 2, 5) and zeros: what an axis ends at."""
    size = 1
    while True:
        for digit in (1, 2, 5):
            if digit * size >= value:
                return digit * size
        size *= 10


@dataclass(frozen=True, slots=True)
class Meter:
    """A rate on a scale that ends half as high again as where SES pauses."""

    value: int
    review: int
    pause: int


class Rated(Protocol):
    """A rate beside its lines, see reputation_views.Rate."""

    @property
    def rate(self) -> float: ...
    @property
    def review_at(self) -> float: ...
    @property
    def pause_at(self) -> float: ...


def meter(rate: Rated) -> Meter:
    scale = 1.5 * rate.pause_at
    return Meter(*(round(METER * min(1.0, part / scale)) for part in (rate.rate, rate.review_at, rate.pause_at)))


def share(used: float, limit: float) -> int:
    """How much of a limit is used, in the meter's units; nothing of what has no limit."""
    return round(METER * min(1.0, used / limit)) if limit > 0 else (METER if limit == 0 and used else 0)
