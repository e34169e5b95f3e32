"""The console's page of the suppression list."""

from starlette.responses import Response

from posthouse.domain.suppression import Reason
from posthouse.web import forms, pages
from posthouse.web.admin_suppression import suppress, suppressed_page, unsuppress
from posthouse.web.call import Call
from posthouse.web.page import AFTER, SCOPE, SHOWN, Page, back, picked, scoped
from posthouse.web.problems import Problem
from posthouse.web.query import Param, choice, read_one, text
from posthouse.web.scopes import known_scopes

_Q = Param("q", text(), "A part of the address.", "")
_ADDRESS = Param("address", text(), "The address.", "")
_REASON = Param("reason", choice(Reason), "Why it is put there.", Reason.BOUNCE)


async def suppression(call: Call) -> Response:
    return await _list(call, "")


async def _list(call: Call, failed: str, tried: str = "") -> Response:
    asked, query = scoped(call), call.query
    scope = asked.one_scope()
    found = await suppressed_page(asked, query["after"], SHOWN, query["q"])
    here = pages.with_query("/console/suppression", scope=picked(scope), q=query["q"])
    return pages.page(
        call,
        "suppression.html",
        400 if failed else 200,
        entries=found.suppression,
        older=pages.with_query("/console/suppression", scope=picked(scope), q=query["q"], after=found.next)
        if found.next
        else None,
        query=query,
        here=here,
        picked=picked(scope),
        scopes=await known_scopes(call),
        reasons=list(Reason),
        failed=failed,
        tried=tried,
    )


async def add(call: Call) -> Response:
    """The list again; with what was wrong, where the address is none."""
    form = await forms.read(call)
    address = form.get("address", "").strip()
    try:
        given = read_one(_ADDRESS, address), read_one(_REASON, form.get("reason", Reason.BOUNCE))
        await suppress(scoped(call), *given)
    except Problem as problem:
        if problem.status != 400:
            raise
        return await _list(call, problem.detail, address)
    return back(pages.with_query("/console/suppression", scope=call.query["scope"]))


async def remove(call: Call) -> Response:
    form = await forms.read(call)
    await unsuppress(scoped(call), form.get("address", ""))
    return back(pages.with_query("/console/suppression", scope=call.query["scope"], q=call.query["q"]))


PAGES = (
    Page("GET", "/console/suppression", suppression, (SCOPE, _Q, AFTER)),
    Page("POST", "/console/suppression/add", add, (SCOPE, _Q, AFTER)),
    Page("POST", "/console/suppression/remove", remove, (SCOPE, _Q)),
)
