"""Configuration sets as the admin API answers them. See `web/views.py`."""

from typing import Any

import msgspec

from posthouse.domain import configuration_sets
from posthouse.domain.scope import Scope
from posthouse.web.query import iso
from posthouse.web.reputation_views import Reputation
from posthouse.web.views import Moment, StatisticsPoint, Totals


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """Of the metrics that a CloudWatch destination publishes."""

    name: str
    source: str
    """``messageTag``, ``emailHeader`` or ``linkTag``."""
    default: str


class EventDestination(msgspec.Struct, frozen=True, kw_only=True):
    """Where the set's events are published."""

    name: str
    enabled: bool
    kind: str
    """``SNS``, ``Firehose`` or ``CloudWatch``."""
    target: str
    """The ARN of the topic or stream; empty for CloudWatch."""
    role_arn: str
    dimensions: list[Dimension]
    event_types: list[str]


class ConfigurationSet(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration set in a list."""

    name: str
    account: str
    region: str
    created_at: Moment
    sending_enabled: bool
    reputation_metrics: bool
    tls_policy: str
    redirect_domain: str | None
    destinations: list[EventDestination]


class ConfigurationSetList(msgspec.Struct, frozen=True, kw_only=True):
    """By account, region and name."""

    configuration_sets: list[ConfigurationSet]
    next: str | None


class ConfigurationSetDetail(ConfigurationSet, frozen=True, kw_only=True):
    """One set with what became of its mail."""

    reputation: Reputation
    since: Moment
    """Where the points begin: 14 days ago."""
    points: list[StatisticsPoint]
    totals: Totals


def set_fields(scope: Scope, name: str, kept: configuration_sets.ConfigurationSet) -> dict[str, Any]:
    """All fields of a `ConfigurationSet`."""
    return {
        "name": name,
        "account": scope.account,
        "region": scope.region,
        "created_at": iso(kept.created_ms),
        "sending_enabled": kept.sending_enabled,
        "reputation_metrics": kept.reputation_metrics,
        "tls_policy": kept.tls_policy,
        "redirect_domain": kept.redirect_domain,
        "destinations": [_destination(each) for each in kept.destinations],
    }


def _destination(kept: configuration_sets.EventDestination) -> EventDestination:
    return EventDestination(
        name=kept.name,
        enabled=kept.enabled,
        kind="SNS" if kept.sns_topic else "Firehose" if kept.stream_arn else "CloudWatch",
        target=kept.sns_topic or kept.stream_arn,
        role_arn=kept.role_arn,
        dimensions=[Dimension(name=each.name, source=each.source, default=each.default) for each in kept.dimensions],
        event_types=list(kept.event_types),
    )
