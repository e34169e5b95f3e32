"""Receipt rule sets through the operations."""

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.receipt_rules import MAX_RULE_SETS, RuleSet
from posthouse.domain.scope import Caller
from posthouse.model.errors import ServiceError


async def refused(ses: Ses, operation: str, caller: Caller = Callers.ANN, /, **given: str) -> tuple[str, str, object]:
    with pytest.raises(ServiceError) as error:
        await ses.call(operation, caller, **given)
    return error.value.code, error.value.message, error.value.members


async def names(ses: Ses, caller: Caller = Callers.ANN) -> list[str]:
    return [each.name for each in (await ses.call("ListReceiptRuleSets", caller)).rule_sets]


async def fill(ses: Ses, *rules: str) -> None:
    await ses.call("CreateReceiptRuleSet", RuleSetName="inbound")
    for rule in reversed(rules):
        await ses.call("CreateReceiptRule", RuleSetName="inbound", Rule__Name=rule)


async def in_order(ses: Ses, name: str = "inbound") -> list[str]:
    return [rule.name for rule in (await ses.call("DescribeReceiptRuleSet", RuleSetName=name)).rules]


async def test_a_new_rule_set_is_empty_and_not_active() -> None:
    async with open_ses() as ses:
        await ses.call("CreateReceiptRuleSet", RuleSetName="in.bound")
        got = await ses.call("DescribeReceiptRuleSet", RuleSetName="in.bound")
        assert (got.metadata.name, got.metadata.created_timestamp_ms, got.rules) == ("in.bound", ses.clock.at_ms, ())
        active = await ses.call("DescribeActiveReceiptRuleSet")
        assert (active.metadata, active.rules) == (None, None)
        told = await refused(ses, "CreateReceiptRuleSet", RuleSetName="in.bound")
        assert told == ("AlreadyExists", "Rule set already exists: in.bound", {"Name": "in.bound"})
        for caller in (Callers.BOB, Callers.ANN_ELSEWHERE):
            assert await names(ses, caller) == []
            await ses.call("CreateReceiptRuleSet", caller, RuleSetName="in.bound")


@pytest.mark.parametrize(
    "operation",
    [
        "CreateReceiptRuleSet",
        "DeleteReceiptRuleSet",
        "DescribeReceiptRuleSet",
        "SetActiveReceiptRuleSet",
        "CloneReceiptRuleSet",
        "ReorderReceiptRuleSet",
    ],
)
@pytest.mark.parametrize("name", ["-bad", "bad.", "x" * 65])
async def test_names(operation: str, name: str) -> None:
    async with open_ses() as ses:
        more = {"CloneReceiptRuleSet": {"OriginalRuleSetName": "x"}, "ReorderReceiptRuleSet": {"RuleNames": ""}}
        told = await refused(ses, operation, RuleSetName=name, **more.get(operation, {}))
        assert told == ("InvalidParameterValue", f"Not a valid ruleSetName: {name}", {})


async def test_one_is_active() -> None:
    async with open_ses() as ses:
        await fill(ses, "a", "b")
        await ses.call("CreateReceiptRuleSet", RuleSetName="spare")
        missing = ("RuleSetDoesNotExist", "Rule set does not exist: nope", {"Name": "nope"})
        assert await refused(ses, "SetActiveReceiptRuleSet", RuleSetName="nope") == missing
        await ses.call("SetActiveReceiptRuleSet", RuleSetName="spare")
        await ses.call("SetActiveReceiptRuleSet", RuleSetName="inbound")
        active = await ses.call("DescribeActiveReceiptRuleSet")
        assert (active.metadata.name, [rule.name for rule in active.rules]) == ("inbound", ["a", "b"])
        told = await refused(ses, "DeleteReceiptRuleSet", RuleSetName="inbound")
        assert told == ("CannotDelete", "Cannot delete active rule set: inbound", {"Name": "inbound"})
        await ses.call("DeleteReceiptRuleSet", RuleSetName="spare")
        await ses.call("DeleteReceiptRuleSet", RuleSetName="spare")
        assert await names(ses) == ["inbound"]
        await ses.call("SetActiveReceiptRuleSet")
        await ses.call("SetActiveReceiptRuleSet")
        assert (await ses.call("DescribeActiveReceiptRuleSet")).metadata is None
        await ses.call("DeleteReceiptRuleSet", RuleSetName="inbound")
        assert await names(ses) == []


async def test_describing_what_is_not_there() -> None:
    async with open_ses() as ses:
        missing = ("RuleSetDoesNotExist", "Rule set does not exist: nope", {"Name": "nope"})
        assert await refused(ses, "DescribeReceiptRuleSet", RuleSetName="nope") == missing
        assert await refused(ses, "ReorderReceiptRuleSet", RuleSetName="nope", RuleNames="") == missing


async def test_a_copy_is_equal_new_and_not_active() -> None:
    async with open_ses() as ses:
        await fill(ses, "a", "b")
        await ses.call("SetActiveReceiptRuleSet", RuleSetName="inbound")
        made_ms = ses.clock.at_ms
        ses.clock.at_ms += 5000
        await ses.call("CloneReceiptRuleSet", RuleSetName="copy", OriginalRuleSetName="inbound")
        original = await ses.call("DescribeReceiptRuleSet", RuleSetName="inbound")
        copy = await ses.call("DescribeReceiptRuleSet", RuleSetName="copy")
        assert copy.rules == original.rules
        assert (original.metadata.created_timestamp_ms, copy.metadata.created_timestamp_ms) == (made_ms, made_ms + 5000)
        assert (await ses.call("DescribeActiveReceiptRuleSet")).metadata.name == "inbound"
        await ses.call("DeleteReceiptRule", RuleSetName="copy", RuleName="a")
        assert (await in_order(ses), await in_order(ses, "copy")) == (["a", "b"], ["b"])


async def test_copies_that_cannot_be_made() -> None:
    async with open_ses() as ses:
        await fill(ses)
        told = await refused(ses, "CloneReceiptRuleSet", RuleSetName="inbound", OriginalRuleSetName="nope")
        assert told == ("AlreadyExists", "Rule set already exists: inbound", {"Name": "inbound"})
        told = await refused(ses, "CloneReceiptRuleSet", RuleSetName="copy", OriginalRuleSetName="nope")
        assert told == ("RuleSetDoesNotExist", "Rule set does not exist: nope", {"Name": "nope"})
        told = await refused(ses, "CloneReceiptRuleSet", RuleSetName="copy", OriginalRuleSetName="bad-")
        assert told == ("InvalidParameterValue", "Not a valid ruleSetName: bad-", {})
        code, message, _ = await refused(ses, "CloneReceiptRuleSet", RuleSetName="a b", OriginalRuleSetName="c d")
        assert code == "ValidationError"
        assert message.index("'originalRuleSetName'") < message.index("'ruleSetName'")
        assert await names(ses) == ["inbound"]


async def test_forty_rule_sets() -> None:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            for number in range(MAX_RULE_SETS - 1):
                await tx.receipt_rule_sets.put(Callers.ANN.scope, f"s{number}", RuleSet(created_ms=1))
        await ses.call("CreateReceiptRuleSet", RuleSetName="last")
        full = ("LimitExceeded", "Too many rule sets", {})
        assert await refused(ses, "CreateReceiptRuleSet", RuleSetName="more") == full
        assert await refused(ses, "CloneReceiptRuleSet", RuleSetName="more", OriginalRuleSetName="last") == full


async def test_pages_of_a_hundred() -> None:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            for number in range(101):
                await tx.receipt_rule_sets.put(Callers.ANN.scope, f"s{number:03}", RuleSet(created_ms=number))
        first = await ses.call("ListReceiptRuleSets")
        assert [each.name for each in first.rule_sets] == [f"s{number:03}" for number in range(100)]
        assert first.rule_sets[7].created_timestamp_ms == 7
        rest = await ses.call("ListReceiptRuleSets", NextToken=first.next_token)
        assert ([each.name for each in rest.rule_sets], rest.next_token) == (["s100"], None)
        told = await refused(ses, "ListReceiptRuleSets", NextToken="junk")
        assert told == ("InvalidParameterValue", "Invalid token: junk", {})


async def test_reordering() -> None:
    async with open_ses() as ses:
        await fill(ses, "a", "b", "c")

        def form(*order: str) -> dict[str, str]:
            return {"RuleSetName": "inbound"} | {f"RuleNames__member__{n}": name for n, name in enumerate(order, 1)}

        await ses.call("ReorderReceiptRuleSet", **form("c", "a", "b"))
        assert await in_order(ses) == ["c", "a", "b"]
        told = await refused(ses, "ReorderReceiptRuleSet", **form("c"))
        assert told == ("InvalidParameterValue", "Positions for rules not found: a, b", {})
        told = await refused(ses, "ReorderReceiptRuleSet", **form("a", "b", "c", "x" * 65))
        assert told == ("RuleDoesNotExist", f"Rule does not exist: {'x' * 65}", {"Name": "x" * 65})
        code, message, _ = await refused(ses, "ReorderReceiptRuleSet", **form("a", "no way", "x" * 101))
        assert (code, message) == (
            "ValidationError",
            "1 validation error detected: Value at 'ruleNames' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must have length less than or equal to 100, Member must have length greater than or "
            "equal to 1, Member must satisfy regular expression pattern: ^[a-zA-Z0-9_.-]+$]",
        )
        assert await in_order(ses) == ["c", "a", "b"]
