"""CloudWatch: values of metrics with dimensions.

Source: Amazon CloudWatch API reference, PutMetricData (at most 1,000 values and 1 MB a call).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.domain.scope import Scope

MAX_DATA = 1000


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One value of one metric, in the namespace AWS/SES."""

    name: str
    """``Send``, ``Bounce``, ``Reputation.BounceRate`` ..."""
    dimensions: tuple[tuple[str, str], ...]
    value: float
    at_ms: int
    unit: str = "Count"


@dataclass(frozen=True, slots=True)
class Kept:
    """Every value was taken."""


@dataclass(frozen=True, slots=True)
class SinkFailed:
    """Not reached, not taken, not now."""

    reason: str


SinkOutcome = Kept | SinkFailed


class MetricSinks(Protocol):
    async def put(self, scope: Scope, values: Sequence[MetricValue]) -> SinkOutcome:
        """At most MAX_DATA. Never raises for what the other side does."""
        ...

    async def close(self) -> None: ...
