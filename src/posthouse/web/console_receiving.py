"""The console's pages of receipt rules and filters, of what they would do with a mail, and of letting one in."""

from typing import Any

from starlette.responses import Response

from posthouse.domain.scope import Scope
from posthouse.mail.outgoing import crlf
from posthouse.receiving.accept import InboundEnvelope
from posthouse.web import forms, pages
from posthouse.web.admin_inbound import TLS, composed, try_mail
from posthouse.web.admin_receiving import LOOPBACK, MAIL, filter_page, plan_for, rule_set_detail, rule_set_page
from posthouse.web.call import Call
from posthouse.web.page import AFTER, NAME, SCOPE, SHOWN, Page, picked, scoped
from posthouse.web.problems import Problem
from posthouse.web.scopes import known_scopes
from posthouse.web.views import ComposedMail

PATIENCE_S = 10.0
"""For actions to be run before the page is shown."""


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
    return await _trial(call, scope, plan=plan)


async def _trial(call: Call, scope: Scope, **found: Any) -> Response:
    shown: dict[str, Any] = {"plan": None, "result": None, "failed": "", "given": {}, **found}
    return pages.page(
        call,
        "trial.html",
        400 if shown["failed"] else 200,
        query=call.query,
        picked=picked(scope),
        scopes=await known_scopes(call),
        **shown,
    )


async def let_in(call: Call) -> Response:
    """The mail comes in as by SMTP; the page again, with what became of it."""
    form, scope = await forms.read(call), scoped(call).one_scope()
    try:
        result = await try_mail(call, *_mail(form, call.ctx.clock.now_ms()), PATIENCE_S)
    except Problem as problem:
        if problem.status != 400:
            raise
        return await _trial(call, scope, failed=problem.detail, given=form)
    return await _trial(call, scope, result=result, given=form)


def _mail(form: dict[str, str], now_ms: int) -> tuple[InboundEnvelope, bytes]:
    """Raises Problem (400) for what makes no mail."""
    sender, recipients = form.get("from", "").strip(), tuple(dict.fromkeys(form.get("recipients", "").split()))
    envelope = InboundEnvelope(
        client_ip=form.get("client_ip", "").strip() or LOOPBACK,
        helo="localhost",
        mail_from=sender,
        recipients=recipients,
        protocol="HTTP",
        tls=TLS if "tls" in form else "",
    )
    if source := form.get("source", "").lstrip():
        return envelope, crlf(source.encode())
    parts = ComposedMail(from_=sender, to=list(recipients), subject=form.get("subject", ""), text=form.get("text", ""))
    return envelope, composed(parts, now_ms)


PAGES = (
    Page("GET", "/console/rules", rule_sets, (SCOPE, AFTER)),
    Page("GET", "/console/rule-set", rule_set, (SCOPE, NAME)),
    Page("GET", "/console/filters", filters, (SCOPE, AFTER)),
    Page("GET", "/console/trial", trial, (SCOPE, *MAIL)),
    Page("POST", "/console/trial", let_in, (SCOPE, *MAIL)),
)
