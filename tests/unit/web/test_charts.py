"""Charts as shapes: every bar within its frame, nothing lost, nothing invisible."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.reputation import HOUR_MS, Standing
from posthouse.ports.mailstore import StatisticsPoint
from posthouse.web.charts import DAY, FORTNIGHT, HEIGHT, SENT, TROUBLE, WIDTH, chart, meter, nice, share
from posthouse.web.reputation_views import Rate

NOW_MS = 1_795_425_000_000


def point(hours_ago: float, sent: int = 0, bounces: int = 0, complaints: int = 0, rejects: int = 0) -> StatisticsPoint:
    return StatisticsPoint(
        start_ms=NOW_MS - int(hours_ago * HOUR_MS),
        delivery_attempts=sent,
        bounces=bounces,
        complaints=complaints,
        rejects=rejects,
    )


def test_points_are_added_up_into_steps() -> None:
    found = chart([point(1, 10), point(1.1, 5), point(20, 7), point(30, 99)], SENT, DAY, NOW_MS)
    assert (found.total, found.top, len(found.bars)) == (22, 20, 2)
    assert found.bars[1].title.endswith("UTC: 15 sent")
    assert found.bars[1].height == HEIGHT * 15 // 20


def test_series_stand_on_each_other() -> None:
    found = chart([point(1, 1000, 6, 3, 1)], TROUBLE, FORTNIGHT, NOW_MS)
    assert [(bar.tone, bar.y, bar.height) for bar in found.bars] == [
        ("bad", 48, 72),
        ("complaint", 12, 36),
        ("plain", 0, 12),
    ]


def test_a_single_complaint_is_seen_beside_many_bounces() -> None:
    found = chart([point(1, 0, 100_000, 1)], TROUBLE, FORTNIGHT, NOW_MS)
    assert all(bar.height >= 2 for bar in found.bars)


def test_nothing_makes_an_empty_chart() -> None:
    found = chart([], SENT, DAY, NOW_MS)
    assert (found.bars, found.total, found.top) == ([], 0, 1)


counts = st.integers(0, 10**7)


@given(st.lists(st.tuples(st.floats(0, 400), counts, counts, counts, counts), max_size=30))
def test_every_bar_stays_in_its_frame(rows: list[tuple[float, int, int, int, int]]) -> None:
    for span in (DAY, FORTNIGHT):
        for series in (SENT, TROUBLE):
            for bar in chart([point(*row) for row in rows], series, span, NOW_MS).bars:
                assert 0 <= bar.x < bar.x + bar.width <= WIDTH
                assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT


def test_an_axis_ends_at_a_round_number() -> None:
    assert [nice(value) for value in (0, 1, 3, 10, 11, 21, 999, 5001)] == [1, 1, 5, 10, 20, 50, 1000, 10000]


def rated(value: float) -> Rate:
    return Rate(count=0, rate=value, review_at=0.05, pause_at=0.1, state=Standing.HEALTHY)


def test_a_meter_shows_a_rate_and_both_lines() -> None:
    found = meter(rated(0.05))
    assert (found.value, found.review, found.pause) == (133, 133, 267)
    assert meter(rated(0.9)).value == 400


def test_a_limit_is_used_up_to_a_share() -> None:
    assert [share(50, 200), share(300, 200), share(5, -1), share(5, 0), share(0, 0)] == [100, 400, 0, 400, 0]
