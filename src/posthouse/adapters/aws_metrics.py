"""CloudWatch itself, or what speaks its protocol: values by PutMetricData, in the region they belong to."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from posthouse.adapters.aws_session import Answered, AwsService, Denied
from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import Kept, MetricValue, SinkFailed, SinkOutcome

log = logging.getLogger("posthouse.cloudwatch")


class AwsMetrics:
    """ports.metric_sinks.MetricSinks by the real protocol."""

    def __init__(self, cloudwatch: AwsService, namespace: str) -> None:
        self._cloudwatch, self._namespace = cloudwatch, namespace

    async def put(self, scope: Scope, values: Sequence[MetricValue]) -> SinkOutcome:
        data = [_datum(value) for value in values]
        reply = await self._cloudwatch.ask(
            scope.region, "put_metric_data", {"Namespace": self._namespace, "MetricData": data}
        )
        if isinstance(reply, Answered):
            return Kept()
        reason = f"{reply.code}: {reply.text}" if isinstance(reply, Denied) else reply.reason
        log.warning("CloudWatch took no values in %s: %s", scope.region, reason)
        return SinkFailed(reason)

    async def close(self) -> None:
        await self._cloudwatch.close()


def _datum(value: MetricValue) -> dict[str, Any]:
    unit = {"Unit": value.unit} if value.unit else {}
    return {
        "MetricName": value.name,
        "Dimensions": [{"Name": name, "Value": of} for name, of in value.dimensions],
        "Timestamp": datetime.fromtimestamp(value.at_ms / 1000, UTC),
        "Value": value.value,
        **unit,
    }
