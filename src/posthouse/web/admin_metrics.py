"""/api/v1/metrics: the series of the embedded stand-in for CloudWatch."""

from starlette.responses import Response

from posthouse.ports.metric_series import MetricSeries
from posthouse.web import views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.query import ACCOUNT, REGION, Param, iso, number

LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", number(0, 10**15), "`next` of the page before.", 0),
    ACCOUNT,
    REGION,
)


async def list_metrics(call: Call) -> Response:
    return json_answer(await metric_page(call, call.query["after"], call.query["limit"]))


async def metric_page(call: Call, after: int, limit: int) -> views.MetricList:
    """Raises Problem (403) for somebody else's."""
    scope = call.scope()
    account = None if scope is None else scope.account
    found = await call.ctx.stores.metric_series.page(account, call.query.get("region"), after, limit + 1)
    return views.MetricList(
        metrics=[metric_view(each) for each in found[:limit]],
        next=found[limit - 1].number if len(found) > limit else None,
    )


def metric_view(series: MetricSeries) -> views.Metric:
    return views.Metric(
        account=series.scope.account,
        region=series.scope.region,
        name=series.name,
        dimensions=dict(series.dimensions),
        unit=series.unit,
        samples=series.samples,
        sum=series.total,
        latest=series.latest,
        latest_at=iso(series.latest_ms),
    )
