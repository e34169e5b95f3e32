"""CloudWatch without AWS: for now, a sink that takes everything and keeps nothing."""

from collections.abc import Sequence

from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import Kept, MetricValue, SinkOutcome


class LocalMetricSinks:
    """ports.metric_sinks.MetricSinks."""

    async def put(self, scope: Scope, values: Sequence[MetricValue]) -> SinkOutcome:
        return Kept()

    async def close(self) -> None:
        """Nothing is held open."""
