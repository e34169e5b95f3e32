"""How much an account may send: the 24-hour quota and the sending rate.

Source: SES developer guide, "Managing your Amazon SES sending limits": both count recipients; the quota is a rolling
24 hours; a call is let through while anything is left and may overshoot, and what it overshot must refill first; the
rate may be exceeded in short bursts but not sustained.
"""

from dataclasses import dataclass
from enum import Enum

WINDOW_MS = 24 * 60 * 60 * 1000
UNLIMITED = -1.0


@dataclass(frozen=True, slots=True)
class SendingLimits:
    """What an account may send; -1 is unlimited, as GetSendQuota prints it."""

    max_24_hour_send: float
    """Recipients in any 24 hours."""
    max_send_rate: float
    """Recipients per second."""


@dataclass(frozen=True, slots=True)
class RateBucket:
    """A token bucket holding at most one second's worth of recipients; below zero after an overshoot."""

    tokens: float
    at_ms: int


class Refusal(Enum):
    """Why a send is throttled; the value is SES's message."""

    RATE = "Maximum sending rate exceeded."
    DAILY = "Daily message quota exceeded."


def refill(bucket: RateBucket | None, limits: SendingLimits, now_ms: int) -> RateBucket:
    """The bucket as it stands at `now_ms`; a full one where there was none."""
    burst = max(1.0, limits.max_send_rate)
    if bucket is None:
        return RateBucket(burst, now_ms)
    # A clock that stepped back must not take tokens away.
    gained = max(0, now_ms - bucket.at_ms) / 1000 * limits.max_send_rate
    return RateBucket(min(burst, bucket.tokens + gained), max(now_ms, bucket.at_ms))


def admit(
    sent_last_24_hours: int, bucket: RateBucket | None, limits: SendingLimits, recipients: int, now_ms: int
) -> RateBucket | Refusal:
    """The bucket after a message to so many recipients, or why it is refused.

    The quota is looked at first: it is the answer that waiting a second does not change.
    """
    if limits.max_24_hour_send != UNLIMITED and sent_last_24_hours >= limits.max_24_hour_send:
        return Refusal.DAILY
    if limits.max_send_rate == UNLIMITED:
        return RateBucket(0.0, now_ms)
    filled = refill(bucket, limits, now_ms)
    # A whole token, not a sliver of one: the 1/s of the sandbox means one recipient each second.
    if filled.tokens < 1.0:
        return Refusal.RATE
    return RateBucket(filled.tokens - recipients, filled.at_ms)
