"""Bounce and complaint rates as the admin API answers them. See `web/views.py`."""

import msgspec

from posthouse.domain import reputation
from posthouse.domain.reputation import Standing
from posthouse.domain.scope import Scope
from posthouse.web.query import iso
from posthouse.web.views import Moment


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Bounces or complaints among the recipients written to."""

    count: int
    rate: float
    """A fraction, as are the lines."""
    review_at: float
    """From here on SES reviews an account."""
    pause_at: float
    """From here on SES may pause it."""
    state: Standing


class Reputation(msgspec.Struct, frozen=True, kw_only=True):
    """How an account in a region, or a configuration set, stands to SES's lines."""

    account: str
    region: str
    configuration_set: str | None
    """Null: the whole account."""
    sending: bool
    """False while it is paused."""
    state: Standing
    """The worse of the two rates'."""
    sends: int
    """Recipients written to in the mail that counts."""
    since: Moment
    """When the mail that counts begins."""
    fresh_start: Moment | None
    """Nothing before counts: it was paused, and resumed then."""
    bounces: Rate
    complaints: Rate


class ReputationList(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts and regions, each followed by its configuration sets with reputation metrics."""

    reputation: list[Reputation]


def reputation_view(
    scope: Scope, name: str | None, found: reputation.Reputation, *, sending: bool, fresh_start_ms: int | None
) -> Reputation:
    return Reputation(
        account=scope.account,
        region=scope.region,
        configuration_set=name,
        sending=sending,
        state=found.standing,
        sends=found.sends,
        since=iso(found.since_ms),
        fresh_start=None if fresh_start_ms is None else iso(fresh_start_ms),
        bounces=_rate(found.bounce),
        complaints=_rate(found.complaint),
    )


def _rate(rate: reputation.Rate) -> Rate:
    lines = rate.lines
    return Rate(count=rate.count, rate=rate.value, review_at=lines.review, pause_at=lines.pause, state=rate.standing)
