"""The console's pages of receipt rules and filters, and of what they would do with a mail."""

from starlette.responses import Response

from posthouse.web import pages
from posthouse.web.admin_receiving import MAIL, filter_page, plan_for, rule_set_detail, rule_set_page
from posthouse.web.call import Call
from posthouse.web.page import AFTER, NAME, SCOPE, SHOWN, Page, picked, scoped
from posthouse.web.scopes import known_scopes


async def rule_sets(call: Call) -> Response:
    found = await rule_set_page(scoped(call), SHOWN)
    return pages.page(
        call,
        "rule_sets.html",
        rule_sets=found.rule_sets,
        next=found.next,
        query=call.query,
        scopes=await known_scopes(call),
    )


async def rule_set(call: Call) -> Response:
    detail = await rule_set_detail(call, scoped(call).one_scope(), call.query["name"])
    return pages.page(call, "rule_set.html", rule_set=detail)


async def filters(call: Call) -> Response:
    found = await filter_page(scoped(call), SHOWN)
    return pages.page(
        call,
        "filters.html",
        filters=found.filters,
        next=found.next,
        query=call.query,
        scopes=await known_scopes(call),
    )


async def trial(call: Call) -> Response:
    """What the rules would do; asking does nothing, so the address of the page tells the whole question."""
    asked = scoped(call)
    scope = asked.one_scope()
    plan = await plan_for(asked, scope) if call.query["recipients"].strip() else None
    return pages.page(
        call, "trial.html", plan=plan, query=call.query, picked=picked(scope), scopes=await known_scopes(call)
    )


PAGES = (
    Page("GET", "/console/rules", rule_sets, (SCOPE, AFTER)),
    Page("GET", "/console/rule-set", rule_set, (SCOPE, NAME)),
    Page("GET", "/console/filters", filters, (SCOPE, AFTER)),
    Page("GET", "/console/trial", trial, (SCOPE, *MAIL)),
)
