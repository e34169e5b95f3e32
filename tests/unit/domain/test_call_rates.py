"""How often an operation may be called."""

from posthouse.domain.call_rates import admit_call, is_call_limited
from posthouse.domain.quotas import RateBucket
from posthouse.model.generated import OPERATIONS

NOW_MS = 1_800_000_000_000


def test_all_but_three_operations_are_limited() -> None:
    assert {name for name in OPERATIONS if not is_call_limited(name)} == {
        "SendEmail",
        "SendRawEmail",
        "SendTemplatedEmail",
    }


def test_one_call_a_second_is_one_call_each_second() -> None:
    bucket = admit_call(None, 1, NOW_MS)
    assert bucket == RateBucket(0.0, NOW_MS)
    assert admit_call(bucket, 1, NOW_MS) is None
    assert admit_call(bucket, 1, NOW_MS + 999) is None
    assert admit_call(bucket, 1, NOW_MS + 1000) == RateBucket(0.0, NOW_MS + 1000)


def test_what_was_not_called_is_not_saved_up_beyond_a_second() -> None:
    bucket = admit_call(RateBucket(0.0, NOW_MS - 3_600_000), 3, NOW_MS)
    assert bucket == RateBucket(2.0, NOW_MS)


def test_less_than_one_call_a_second_still_lets_one_through() -> None:
    bucket = admit_call(None, 0.5, NOW_MS)
    assert bucket == RateBucket(0.0, NOW_MS)
    assert admit_call(bucket, 0.5, NOW_MS + 1999) is None
    assert admit_call(bucket, 0.5, NOW_MS + 2000) is not None


def test_a_clock_that_steps_back_takes_and_gives_nothing() -> None:
    assert admit_call(RateBucket(1.0, NOW_MS), 1, NOW_MS - 5000) == RateBucket(0.0, NOW_MS)
    assert admit_call(RateBucket(0.0, NOW_MS), 1, NOW_MS - 5000) is None
