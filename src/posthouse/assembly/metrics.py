"""What /metrics says: the counts of all processes of this node, and what the database says."""

import asyncio
import logging
from pathlib import Path

from posthouse import observe
from posthouse.assembly.parts import Process
from posthouse.config import Config
from posthouse.operations.context import Context
from posthouse.ports.stores import StoreUnavailable

log = logging.getLogger("posthouse.assembly")


MAX_SERIES_SHOWN = 1000
"""Of the CloudWatch stand-in on /metrics; the admin API has all."""


SNAPSHOT_S = 2.0


async def metrics_text(process: Process, ctx: Context) -> str:
    observe.write_snapshot(process.metrics, metrics_directory(process.config))
    try:
        kept = await _kept_metrics(ctx)
    except StoreUnavailable as trouble:
        # What the processes counted is worth the more while the database is away.
        log.warning("metrics without those of the database: %s", trouble)
        kept = _database_up(0)
    return observe.render(
        [*observe.read_snapshots(metrics_directory(process.config)), (kept.samples(), dict(kept.kinds))]
    )


async def keep_snapshot(process: Process) -> None:
    while True:
        observe.write_snapshot(process.metrics, metrics_directory(process.config))
        await asyncio.sleep(SNAPSHOT_S)


async def _kept_metrics(ctx: Context) -> observe.Metrics:
    """What the database says: told by whoever is asked, not added up over processes."""
    metrics, totals = _database_up(1), await ctx.stores.publications.totals()
    lag_ms = 0 if totals.oldest_ms is None else max(0, ctx.clock.now_ms() - totals.oldest_ms)
    for name, text, value in (
        ("posthouse_queue_recipients", "outgoing recipients that wait", await ctx.stores.queue.depth()),
        ("posthouse_events_unrouted", "events that nobody has looked at yet", totals.unrouted),
        ("posthouse_publications_waiting", "events that a destination has not heard of", totals.waiting),
        ("posthouse_publications_dead", "events that were given up, as long as they are kept", totals.dead),
        ("posthouse_publications_lag_seconds", "how long the first of them has waited", lag_ms / 1000),
        ("posthouse_publication_destinations_failing", "destinations that took nothing last time", totals.failing),
    ):
        metrics.describe(name, "gauge", text)
        metrics.set(name, value)
    metrics.describe(
        "posthouse_cloudwatch_total", "counter", "sum of what was put to a metric of the CloudWatch stand-in"
    )
    metrics.describe("posthouse_cloudwatch_samples_total", "counter", "how many values that were")
    metrics.describe("posthouse_cloudwatch_latest", "gauge", "the youngest of them")
    for each in await ctx.stores.metric_series.page(None, None, 0, MAX_SERIES_SHOWN):
        labels = {
            "account": each.scope.account,
            "region": each.scope.region,
            "metric": each.name,
            "dimensions": ",".join(f"{name}={value}" for name, value in each.dimensions),
        }
        metrics.set("posthouse_cloudwatch_total", each.total, **labels)
        metrics.set("posthouse_cloudwatch_samples_total", each.samples, **labels)
        metrics.set("posthouse_cloudwatch_latest", each.latest, **labels)
    return metrics


def _database_up(value: int) -> observe.Metrics:
    metrics = observe.Metrics()
    metrics.describe("posthouse_database_up", "gauge", "whether the database answers")
    metrics.set("posthouse_database_up", value)
    return metrics


def metrics_directory(config: Config) -> Path:
    return config.data_path / "run" / "metrics"
