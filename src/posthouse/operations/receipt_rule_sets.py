"""Receipt rule sets: made, copied, put in order, and the one that is active.

Source: API reference, the operations named here; texts as probed on the live service.
"""

import msgspec

from posthouse.domain.receipt_forms import shown_rule
from posthouse.domain.receipt_rules import (
    ACTIVE,
    ActiveRuleSet,
    RuleSet,
    check_new_rule_set,
    check_not_active,
    check_rule_set_name,
    no_such_rule_set,
    reordered,
)
from posthouse.domain.scope import Caller, Scope
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    CloneReceiptRuleSetRequest,
    CloneReceiptRuleSetResponse,
    CreateReceiptRuleSetRequest,
    CreateReceiptRuleSetResponse,
    DeleteReceiptRuleSetRequest,
    DeleteReceiptRuleSetResponse,
    DescribeActiveReceiptRuleSetRequest,
    DescribeActiveReceiptRuleSetResponse,
    DescribeReceiptRuleSetRequest,
    DescribeReceiptRuleSetResponse,
    ListReceiptRuleSetsRequest,
    ListReceiptRuleSetsResponse,
    ReceiptRuleSetMetadata,
    ReorderReceiptRuleSetRequest,
    ReorderReceiptRuleSetResponse,
    SetActiveReceiptRuleSetRequest,
    SetActiveReceiptRuleSetResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.paging import Pages
from posthouse.ports.records import Transaction

MAX_PAGE = 100


async def create_receipt_rule_set(
    req: CreateReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> CreateReceiptRuleSetResponse:
    check_rule_set_name(req.rule_set_name)
    async with ctx.stores.records.transaction() as tx:
        await _check_new(tx, caller.scope, req.rule_set_name)
        await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, RuleSet(created_ms=ctx.clock.now_ms()))
    return CreateReceiptRuleSetResponse()


async def clone_receipt_rule_set(
    req: CloneReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> CloneReceiptRuleSetResponse:
    """A copy of its own, and not active even where the original is."""
    check_rule_set_name(req.rule_set_name)
    check_rule_set_name(req.original_rule_set_name)
    async with ctx.stores.records.transaction() as tx:
        # An existing target is told before a missing source (probed).
        await _check_new(tx, caller.scope, req.rule_set_name)
        original = await known_rule_set(tx, caller.scope, req.original_rule_set_name)
        copy = msgspec.structs.replace(original, created_ms=ctx.clock.now_ms())
        await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, copy)
    return CloneReceiptRuleSetResponse()


async def _check_new(tx: Transaction, scope: Scope, name: str) -> None:
    exists = await tx.receipt_rule_sets.get(scope, name) is not None
    check_new_rule_set(name, exists, await tx.receipt_rule_sets.count(scope))


async def delete_receipt_rule_set(
    req: DeleteReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> DeleteReceiptRuleSetResponse:
    check_rule_set_name(req.rule_set_name)
    async with ctx.stores.records.transaction() as tx:
        check_not_active(req.rule_set_name, await tx.active_rule_sets.get(caller.scope, ACTIVE))
        await tx.receipt_rule_sets.delete(caller.scope, req.rule_set_name)
    return DeleteReceiptRuleSetResponse()


async def describe_receipt_rule_set(
    req: DescribeReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> DescribeReceiptRuleSetResponse:
    check_rule_set_name(req.rule_set_name)
    async with ctx.stores.records.reading() as reading:
        rule_set = await known_rule_set(reading, caller.scope, req.rule_set_name)
    metadata = _metadata(req.rule_set_name, rule_set)
    return DescribeReceiptRuleSetResponse(metadata=metadata, rules=tuple(map(shown_rule, rule_set.rules)))


async def known_rule_set(records: Transaction, scope: Scope, name: str) -> RuleSet:
    """Raises RuleSetDoesNotExistException where there is none of that name."""
    rule_set = await records.receipt_rule_sets.get(scope, name)
    if rule_set is None:
        raise no_such_rule_set(name)
    return rule_set


async def describe_active_receipt_rule_set(
    req: DescribeActiveReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> DescribeActiveReceiptRuleSetResponse:
    async with ctx.stores.records.reading() as reading:
        active = await reading.active_rule_sets.get(caller.scope, ACTIVE)
        if active is None:
            # Nothing at all, not even empty members (probed).
            return DescribeActiveReceiptRuleSetResponse()
        rule_set = await known_rule_set(reading, caller.scope, active.name)
    rules = tuple(map(shown_rule, rule_set.rules))
    return DescribeActiveReceiptRuleSetResponse(metadata=_metadata(active.name, rule_set), rules=rules)


def _metadata(name: str, rule_set: RuleSet) -> ReceiptRuleSetMetadata:
    return ReceiptRuleSetMetadata(name=name, created_timestamp_ms=rule_set.created_ms)


async def list_receipt_rule_sets(
    req: ListReceiptRuleSetsRequest, caller: Caller, ctx: Context
) -> ListReceiptRuleSetsResponse:
    pages = Pages("receipt-rule-sets", caller.scope)
    after = pages.name_before(req.next_token)
    if after is None:
        raise InvalidParameterValue(f"Invalid token: {req.next_token}")
    async with ctx.stores.records.reading() as reading:
        found = await reading.receipt_rule_sets.page(caller.scope, after, MAX_PAGE + 1)
    return ListReceiptRuleSetsResponse(
        rule_sets=tuple(_metadata(name, rule_set) for name, rule_set in found[:MAX_PAGE]),
        next_token=pages.token_after(found[MAX_PAGE - 1][0]) if len(found) > MAX_PAGE else None,
    )


async def reorder_receipt_rule_set(
    req: ReorderReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> ReorderReceiptRuleSetResponse:
    check_rule_set_name(req.rule_set_name)
    async with ctx.stores.records.transaction() as tx:
        rule_set = await known_rule_set(tx, caller.scope, req.rule_set_name)
        await tx.receipt_rule_sets.put(caller.scope, req.rule_set_name, reordered(rule_set, req.rule_names))
    return ReorderReceiptRuleSetResponse()


async def set_active_receipt_rule_set(
    req: SetActiveReceiptRuleSetRequest, caller: Caller, ctx: Context
) -> SetActiveReceiptRuleSetResponse:
    """Without a name none is active any more."""
    name = req.rule_set_name
    if name is not None:
        check_rule_set_name(name)
    async with ctx.stores.records.transaction() as tx:
        if name is None:
            await tx.active_rule_sets.delete(caller.scope, ACTIVE)
        else:
            await known_rule_set(tx, caller.scope, name)
            await tx.active_rule_sets.put(caller.scope, ACTIVE, ActiveRuleSet(name=name))
    return SetActiveReceiptRuleSetResponse()
