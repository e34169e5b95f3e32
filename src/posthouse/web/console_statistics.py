"""The console's page of what an account sent, and how it stands to SES's lines."""

from enum import StrEnum

from starlette.responses import Response

from posthouse.domain.reputation import FARTHEST_MS
from posthouse.web import charts, pages
from posthouse.web.admin_records import account_of, totals_view
from posthouse.web.admin_reputation import account_reputation
from posthouse.web.call import Call
from posthouse.web.page import SCOPE, Page, picked, scoped
from posthouse.web.query import Param, choice
from posthouse.web.scopes import known_scopes


class Shown(StrEnum):
    """How far back a chart goes."""

    DAY = "24h"
    FORTNIGHT = "14d"


SPANS = {Shown.DAY: charts.DAY, Shown.FORTNIGHT: charts.FORTNIGHT}
LABELS = {Shown.DAY: "24 hours", Shown.FORTNIGHT: "14 days"}
SPAN = Param("span", choice(Shown), "How far back.", Shown.FORTNIGHT)


async def statistics(call: Call) -> Response:
    asked = scoped(call)
    scope, shown, now_ms = asked.one_scope(), call.query["span"], call.ctx.clock.now_ms()
    points = await call.ctx.stores.statistics.points(scope, max(0, now_ms - FARTHEST_MS))
    seen = [each for each in points if each.start_ms >= now_ms - SPANS[shown].length_ms]
    account = await account_of(call, scope)
    return pages.page(
        call,
        "statistics.html",
        scope=scope,
        picked=picked(scope),
        scopes=await known_scopes(call),
        account=account,
        reputation=await account_reputation(call, scope),
        totals=totals_view(seen),
        sent=charts.chart(points, charts.SENT, SPANS[shown], now_ms),
        trouble=charts.chart(points, charts.TROUBLE, SPANS[shown], now_ms),
        spans=[(LABELS[each], _url(picked(scope), each), each is shown) for each in Shown],
        share=charts.share(account.sent_last_24_hours, account.max_24_hour_send),
    )


def _url(scope: str, span: Shown) -> str:
    return pages.with_query("/console/statistics", scope=scope, span=span.value)


PAGES = (Page("GET", "/console/statistics", statistics, (SCOPE, SPAN)),)
