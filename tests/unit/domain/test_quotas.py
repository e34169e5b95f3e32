"""Quota and rate: recipients in a rolling day, recipients per second with a burst."""

from posthouse.domain.quotas import RateBucket, Refusal, SendingLimits, admit

DAY = SendingLimits(max_24_hour_send=10, max_send_rate=-1)
RATE = SendingLimits(max_24_hour_send=-1, max_send_rate=1)


def test_a_call_is_let_through_while_anything_of_the_quota_is_left() -> None:
    assert isinstance(admit(9, None, DAY, 50, 0), RateBucket)
    assert admit(10, None, DAY, 1, 0) is Refusal.DAILY


def test_an_overshoot_of_the_rate_must_refill_first() -> None:
    bucket = admit(0, None, RATE, 5, 0)
    assert isinstance(bucket, RateBucket)
    for second in range(1, 5):
        assert admit(0, bucket, RATE, 1, second * 1000) is Refusal.RATE
    assert isinstance(admit(0, bucket, RATE, 1, 5000), RateBucket)


def test_tokens_never_grow_beyond_one_second() -> None:
    bucket = admit(0, RateBucket(1.0, 0), RATE, 1, 3_600_000)
    assert isinstance(bucket, RateBucket)
    assert bucket.tokens == 0.0


def test_a_clock_that_steps_back_takes_nothing() -> None:
    assert isinstance(admit(0, RateBucket(1.0, 10_000), RATE, 1, 0), RateBucket)


def test_minus_one_is_unlimited() -> None:
    free = SendingLimits(-1, -1)
    assert isinstance(admit(10**9, None, free, 50, 0), RateBucket)


def test_a_quota_of_zero_lets_nothing_through() -> None:
    assert admit(0, None, SendingLimits(0, -1), 1, 0) is Refusal.DAILY
    assert isinstance(admit(0, None, SendingLimits(-1, 0), 1, 0), RateBucket)  # the first burst of one
    assert admit(0, RateBucket(0.0, 0), SendingLimits(-1, 0), 1, 10**9) is Refusal.RATE
