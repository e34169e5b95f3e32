"""Receipt rules of a rule set. Source: API reference, the operations named here; texts and order of checks as probed on
the live service: the rule by itself, the rule set and its rules, then what the actions name.
"""

from posthouse.domain.receipt_forms import read_rule, shown_rule
from posthouse.domain.receipt_rules import (
    RuleSet,
    check_rule_name,
    check_rule_set_name,
    find_rule,
    with_changed_rule,
    with_new_rule,
    with_rule_moved,
    without_rule,
)
from posthouse.domain.scope import Caller
from posthouse.model.generated import (
    CreateReceiptRuleRequest,
    CreateReceiptRuleResponse,
    DeleteReceiptRuleRequest,
    DeleteReceiptRuleResponse,
    DescribeReceiptRuleRequest,
    DescribeReceiptRuleResponse,
    SetReceiptRulePositionRequest,
    SetReceiptRulePositionResponse,
    UpdateReceiptRuleRequest,
    UpdateReceiptRuleResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.receipt_rule_sets import known_rule_set
from posthouse.operations.receipt_targets import try_targets


async def create_receipt_rule(req: CreateReceiptRuleRequest, caller: Caller, ctx: Context) -> CreateReceiptRuleResponse:
    check_rule_set_name(req.rule_set_name)
    rule = read_rule(req.rule)
    # Before anything is written for it elsewhere; and again below, for others change the rule set meanwhile.
    with_new_rule(await _known(req.rule_set_name, caller, ctx), rule, req.after)
    # Not inside the transaction: buckets and topics may be far away, and writers wait for each other.
    await try_targets(rule, caller, ctx)
    async with ctx.stores.records.transaction() as tx:
        rule_set = await known_rule_set(tx, caller.scope, req.rule_set_name)
        changed = with_new_rule(rule_set, rule, req.after)
        await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, changed)
    return CreateReceiptRuleResponse()


async def update_receipt_rule(req: UpdateReceiptRuleRequest, caller: Caller, ctx: Context) -> UpdateReceiptRuleResponse:
    check_rule_set_name(req.rule_set_name)
    rule = read_rule(req.rule)
    with_changed_rule(await _known(req.rule_set_name, caller, ctx), rule)
    await try_targets(rule, caller, ctx)
    async with ctx.stores.records.transaction() as tx:
        rule_set = await known_rule_set(tx, caller.scope, req.rule_set_name)
        await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, with_changed_rule(rule_set, rule))
    return UpdateReceiptRuleResponse()


async def delete_receipt_rule(req: DeleteReceiptRuleRequest, caller: Caller, ctx: Context) -> DeleteReceiptRuleResponse:
    """Of a rule that is not there too; but the rule set must be."""
    check_rule_set_name(req.rule_set_name)
    check_rule_name(req.rule_name)
    async with ctx.stores.records.transaction() as tx:
        rule_set = await known_rule_set(tx, caller.scope, req.rule_set_name)
        left = without_rule(rule_set, req.rule_name)
        if left != rule_set:
            await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, left)
    return DeleteReceiptRuleResponse()


async def describe_receipt_rule(
    req: DescribeReceiptRuleRequest, caller: Caller, ctx: Context
) -> DescribeReceiptRuleResponse:
    check_rule_set_name(req.rule_set_name)
    check_rule_name(req.rule_name)
    rule_set = await _known(req.rule_set_name, caller, ctx)
    return DescribeReceiptRuleResponse(rule=shown_rule(find_rule(rule_set, req.rule_name)))


async def set_receipt_rule_position(
    req: SetReceiptRulePositionRequest, caller: Caller, ctx: Context
) -> SetReceiptRulePositionResponse:
    check_rule_set_name(req.rule_set_name)
    check_rule_name(req.rule_name)
    async with ctx.stores.records.transaction() as tx:
        rule_set = await known_rule_set(tx, caller.scope, req.rule_set_name)
        moved = with_rule_moved(rule_set, req.rule_name, req.after)
        if moved != rule_set:
            await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, moved)
    return SetReceiptRulePositionResponse()


async def _known(name: str, caller: Caller, ctx: Context) -> RuleSet:
    async with ctx.stores.records.reading() as reading:
        return await known_rule_set(reading, caller.scope, name)
