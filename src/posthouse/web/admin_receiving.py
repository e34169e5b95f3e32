"""/api/v1/receipt-...: receipt rules and filters, and what they would do with a mail."""

from starlette.responses import Response

from posthouse.domain.receipt_plan import Applied, Disabled, MailFacts, NoRecipientMatched, Outcome, TlsMissing, Traced
from posthouse.domain.receipt_rules import ACTIVE, RuleSet, find_rule, is_name
from posthouse.domain.scope import Scope
from posthouse.receiving.recipients import Unwanted
from posthouse.receiving.terms import terms_of
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.listing import SCOPED, page_of
from posthouse.web.problems import Problem
from posthouse.web.query import Param, number, pattern, text
from posthouse.web.receipt_views import (
    DoorAnswer,
    ReceiptFilter,
    ReceiptFilterList,
    ReceiptPlan,
    ReceiptRuleSet,
    ReceiptRuleSetDetail,
    ReceiptRuleSetList,
    RuleTrace,
    action_view,
    rule_set_fields,
    rule_view,
)

MAX_RECIPIENTS = 50
LOOPBACK = "127.0.0.1"
MAIL = (
    Param("recipients", text(), f"Envelope recipients, up to {MAX_RECIPIENTS}, with blanks between them.", ""),
    Param("client_ip", pattern("[0-9A-Fa-f:.]{2,45}", "an IP address"), "Where it comes from.", LOOPBACK),
    Param("tls", number(0, 1), "1: over TLS.", 0),
)
PLANNING = (*MAIL, *SCOPED)
_WHY = {
    Unwanted.UNKNOWN: "No verified identity covers it, or no rule means it.",
    Unwanted.BLOCKED: "An IP address filter blocks this client.",
    Unwanted.TLS_MISSING: "A rule that means it requires TLS.",
}


async def list_rule_sets(call: Call) -> Response:
    return json_answer(await rule_set_page(call, call.query["limit"]))


async def rule_set_page(call: Call, limit: int) -> ReceiptRuleSetList:
    found, after = await page_of(call, lambda records: records.receipt_rule_sets, limit)
    active = await _active(call)
    rows = [ReceiptRuleSet(**rule_set_fields(*row, active.get(row[0]) == row[1])) for row in found]
    return ReceiptRuleSetList(rule_sets=rows, next=after)


async def _active(call: Call) -> dict[Scope, str]:
    async with call.ctx.stores.records.reading() as records:
        return {scope: found.name for scope, _, found in await records.active_rule_sets.everywhere()}


async def show_rule_set(call: Call) -> Response:
    return json_answer(await rule_set_detail(call, call.one_scope(), call.request.path_params["name"]))


async def rule_set_detail(call: Call, scope: Scope, name: str) -> ReceiptRuleSetDetail:
    """Raises Problem (404)."""
    async with call.ctx.stores.records.reading() as records:
        kept = await records.receipt_rule_sets.get(scope, name) if is_name(name) else None
        active = await records.active_rule_sets.get(scope, ACTIVE)
    if kept is None:
        raise Problem(404, "There is no such rule set.")
    fields = rule_set_fields(scope, name, kept, active is not None and active.name == name)
    return ReceiptRuleSetDetail(**fields, rules=[rule_view(each) for each in kept.rules])


async def list_filters(call: Call) -> Response:
    return json_answer(await filter_page(call, call.query["limit"]))


async def filter_page(call: Call, limit: int) -> ReceiptFilterList:
    found, after = await page_of(call, lambda records: records.receipt_filters, limit)
    rows = [
        ReceiptFilter(name=name, account=scope.account, region=scope.region, policy=kept.policy.value, cidr=kept.cidr)
        for scope, name, kept in found
    ]
    return ReceiptFilterList(filters=rows, next=after)


async def show_plan(call: Call) -> Response:
    return json_answer(await plan_for(call, call.one_scope()))


async def plan_for(call: Call, scope: Scope) -> ReceiptPlan:
    """What the account would do with a mail to the recipients that the call names. Raises Problem (400)."""
    named = list(dict.fromkeys(call.query["recipients"].split()))
    if len(named) > MAX_RECIPIENTS:
        raise Problem(400, f"At most {MAX_RECIPIENTS} recipients are tried at once.", parameter="recipients")
    terms = await terms_of(scope, named, call.ctx.stores.records, call.ctx.require_rule)
    tls, client_ip = bool(call.query["tls"]), call.query["client_ip"]
    answers = [_answer(each, terms.against(each, client_ip, tls)) for each in named]
    taken = [each.recipient for each in answers if each.accepted]
    plan = terms.plan(taken, MailFacts(tls)) if taken else None
    return ReceiptPlan(
        account=scope.account,
        region=scope.region,
        rule_set=terms.rule_set or None,
        recipients=answers,
        rules=[_traced(terms.rules, each) for each in plan.trace] if plan and terms.rules else [],
    )


def _answer(recipient: str, against: Unwanted | None) -> DoorAnswer:
    if against is None:
        return DoorAnswer(recipient=recipient, accepted=True, reply="", why="It is taken.")
    refusal = against.refusal
    return DoorAnswer(
        recipient=recipient,
        accepted=False,
        reply=f"{refusal.code} {refusal.enhanced} {refusal.text}",
        why=_WHY[against],
    )


def _traced(rules: RuleSet, traced: Traced) -> RuleTrace:
    outcome = traced.outcome
    applied = outcome.recipients if isinstance(outcome, Applied) else ()
    return RuleTrace(
        rule=traced.rule,
        applies=isinstance(outcome, Applied),
        why=_why(outcome),
        recipients=list(applied),
        actions=[action_view(each) for each in find_rule(rules, traced.rule).actions] if applied else [],
    )


def _why(outcome: Outcome) -> str:
    match outcome:
        case Applied():
            return "It means these recipients."
        case Disabled():
            return "It is switched off."
        case NoRecipientMatched():
            return "None of its recipients is one of these."
        case TlsMissing():
            return "It requires TLS."
