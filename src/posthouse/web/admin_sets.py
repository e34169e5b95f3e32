"""/api/v1/configuration-sets: the groups that mail is sent by, and how each fares."""

from starlette.responses import Response

from posthouse.domain.configuration_sets import is_set_name
from posthouse.domain.reputation import FARTHEST_MS
from posthouse.domain.scope import Scope
from posthouse.web.admin_records import points_view, totals_view
from posthouse.web.admin_reputation import set_reputation
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.listing import page_of
from posthouse.web.problems import Problem
from posthouse.web.query import iso
from posthouse.web.set_views import ConfigurationSet, ConfigurationSetDetail, ConfigurationSetList, set_fields


async def list_sets(call: Call) -> Response:
    return json_answer(await set_page(call, call.query["limit"]))


async def set_page(call: Call, limit: int) -> ConfigurationSetList:
    found, after = await page_of(call, lambda records: records.configuration_sets, limit)
    return ConfigurationSetList(configuration_sets=[ConfigurationSet(**set_fields(*row)) for row in found], next=after)


async def show_set(call: Call) -> Response:
    return json_answer(await set_detail(call, call.one_scope(), call.request.path_params["name"]))


async def set_detail(call: Call, scope: Scope, name: str) -> ConfigurationSetDetail:
    """Raises Problem (404)."""
    stores = call.ctx.stores
    async with stores.records.reading() as records:
        kept = await records.configuration_sets.get(scope, name) if is_set_name(name) else None
    if kept is None:
        raise Problem(404, "There is no such configuration set.")
    since_ms = max(0, call.ctx.clock.now_ms() - FARTHEST_MS)
    points = await stores.statistics.points_of_set(scope, name, since_ms)
    return ConfigurationSetDetail(
        **set_fields(scope, name, kept),
        reputation=await set_reputation(call, scope, name, kept),
        since=iso(since_ms),
        points=points_view(points),
        totals=totals_view(points),
    )
