"""The embedded stand-in for CloudWatch: series kept in the stores, shown on /metrics and in the console."""

import logging
from collections.abc import Sequence

from posthouse.domain.scope import Scope
from posthouse.ports.metric_series import MetricSeriesStore
from posthouse.ports.metric_sinks import Kept, MetricValue, SinkFailed, SinkOutcome
from posthouse.ports.stores import StoreUnavailable

log = logging.getLogger("posthouse.cloudwatch")


class LocalMetrics:
    """ports.metric_sinks.MetricSinks without AWS."""

    def __init__(self, store: MetricSeriesStore) -> None:
        self._store = store

    async def put(self, scope: Scope, values: Sequence[MetricValue]) -> SinkOutcome:
        try:
            left_out = await self._store.add(scope, values)
        except StoreUnavailable as trouble:
            return SinkFailed(str(trouble))
        if left_out:
            # Taken all the same: trying again would find no more room.
            log.warning("%s has too many metric series: %d values are not kept", scope.account, left_out)
        return Kept()

    async def close(self) -> None:
        """Nothing is held open: the store is closed by who opened it."""
