"""The console's pages of configuration sets and templates."""

import msgspec
from starlette.responses import Response

from posthouse.domain.publishing import SetDestination, target_key
from posthouse.domain.scope import Scope
from posthouse.publishing.facts import Facts
from posthouse.web import charts, forms, pages
from posthouse.web.admin_destinations import destination_view
from posthouse.web.admin_sets import set_detail, set_page
from posthouse.web.admin_templates import preview_of, template_detail, template_page
from posthouse.web.call import Call
from posthouse.web.console_statistics import LABELS, SPAN, SPANS, Shown
from posthouse.web.page import AFTER, NAME, SCOPE, SHOWN, Page, picked, scoped
from posthouse.web.problems import Problem
from posthouse.web.scopes import known_scopes
from posthouse.web.template_views import Preview, TemplateDetail
from posthouse.web.views import Destination

_TRIED = 256 * 1024
"""Characters of a rendered part that a page shows."""


async def sets(call: Call) -> Response:
    found = await set_page(scoped(call), SHOWN)
    return pages.page(
        call,
        "sets.html",
        sets=found.configuration_sets,
        next=found.next,
        query=call.query,
        scopes=await known_scopes(call),
    )


async def one_set(call: Call) -> Response:
    scope, name, shown = scoped(call).one_scope(), call.query["name"], call.query["span"]
    detail = await set_detail(call, scope, name)
    now_ms = call.ctx.clock.now_ms()
    points = await call.ctx.stores.statistics.points_of_set(scope, name, now_ms - SPANS[shown].length_ms)
    where = {"scope": picked(scope), "name": name}
    return pages.page(
        call,
        "set.html",
        set=detail,
        told=await _told(call, scope, name, [each.name for each in detail.destinations]),
        sent=charts.chart(points, charts.SENT, SPANS[shown], now_ms),
        trouble=charts.chart(points, charts.TROUBLE, SPANS[shown], now_ms),
        spans=[
            (LABELS[each], pages.with_query("/console/set", **where, span=each.value), each is shown) for each in Shown
        ],
    )


async def _told(call: Call, scope: Scope, set_name: str, names: list[str]) -> dict[str, Destination]:
    """How far behind each of the set's destinations is; those that were never told anything are left out."""
    publications, facts = call.ctx.stores.publications, Facts(call.ctx.stores.records)
    found = {}
    for name in names:
        target = SetDestination(scope, set_name, name)
        status = await publications.status(target_key(target))
        if status is not None:
            found[name] = await destination_view(status, facts, call.ctx.clock.now_ms(), target)
    return found


async def templates(call: Call) -> Response:
    found = await template_page(scoped(call), SHOWN)
    return pages.page(
        call,
        "templates.html",
        templates=found.templates,
        next=found.next,
        query=call.query,
        scopes=await known_scopes(call),
    )


async def one_template(call: Call) -> Response:
    return _template_page(call, await _named(call), "{}", None)


async def try_template(call: Call) -> Response:
    """The page again, with what the template makes of the data."""
    form = await forms.read(call)
    template, data = await _named(call), form.get("data", "")
    return _template_page(call, template, data, await preview_of(template, data))


async def template_frame(call: Call) -> Response:
    """The HTML part rendered, for the sandboxed frame. Raises Problem (400) where there is nothing to show."""
    form = await forms.read(call)
    made = await preview_of(await _named(call), form.get("data", ""))
    if made.html is None:
        raise Problem(400, made.error or "This template has no HTML part.")
    return pages.frame(made.html, remote_images=False)


async def _named(call: Call) -> TemplateDetail:
    return await template_detail(call, scoped(call).one_scope(), call.query["name"])


def _template_page(call: Call, template: TemplateDetail, data: str, made: Preview | None) -> Response:
    where = {"scope": call.query["scope"], "name": template.name}
    return pages.page(
        call,
        "template.html",
        kept=template,
        data=data,
        made=made and msgspec.structs.replace(made, text=made.text and made.text[:_TRIED]),
        try_url=pages.with_query("/console/template", **where),
        frame_url=pages.with_query("/console/template/html", **where),
    )


PAGES = (
    Page("GET", "/console/sets", sets, (SCOPE, AFTER)),
    Page("GET", "/console/set", one_set, (SCOPE, NAME, SPAN)),
    Page("GET", "/console/templates", templates, (SCOPE, AFTER)),
    Page("GET", "/console/template", one_template, (SCOPE, NAME)),
    Page("POST", "/console/template", try_template, (SCOPE, NAME)),
    Page("POST", "/console/template/html", template_frame, (SCOPE, NAME)),
)
