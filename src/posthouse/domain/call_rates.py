"""How often an account may call each operation of the API.

Source: developer guide, "Service quotas": all operations but SendEmail, SendRawEmail and SendTemplatedEmail, which the
sending rate governs, are throttled at one call per second, for each account in each region.
"""

from posthouse.domain.quotas import UNLIMITED, RateBucket, SendingLimits, refill

GOVERNED_BY_SENDING_RATE = frozenset({"SendEmail", "SendRawEmail", "SendTemplatedEmail"})


def is_call_limited(operation: str) -> bool:
    return operation not in GOVERNED_BY_SENDING_RATE


def admit_call(bucket: RateBucket | None, calls_per_s: float, now_ms: int) -> RateBucket | None:
    """The bucket after one call; None where the call comes too early."""
    filled = refill(bucket, SendingLimits(UNLIMITED, calls_per_s), now_ms)
    return RateBucket(filled.tokens - 1.0, filled.at_ms) if filled.tokens >= 1.0 else None
