"""Series of the embedded stand-in for CloudWatch: what was put to each metric, added up."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import MetricValue


class MetricSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One metric with its dimensions."""

    number: int
    scope: Scope
    name: str
    dimensions: tuple[tuple[str, str], ...]
    """By name."""
    unit: str
    samples: int
    total: float
    latest: float
    latest_ms: int


class MetricSeriesStore(Protocol):
    async def add(self, scope: Scope, values: Sequence[MetricValue]) -> int:
        """Adds values to their series; how many found no place, for a scope has at most ten thousand series (users'
        tags are dimensions, and each new value of one is a series)."""
        ...

    async def page(self, account: str | None, region: str | None, after: int, limit: int) -> Sequence[MetricSeries]:
        """In the order they came to be; `after`: the number of the last one seen."""
        ...
