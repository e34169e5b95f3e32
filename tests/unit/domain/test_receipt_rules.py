"""Rule sets as values: order, names, limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.receipt_rules import (
    MAX_PATTERNS,
    MAX_RULE_SETS,
    MAX_RULES,
    S3,
    ActiveRuleSet,
    ReceiptRule,
    RuleSet,
    check_new_rule_set,
    check_not_active,
    check_rule_name,
    check_rule_set_name,
    is_name,
    reordered,
    with_changed_rule,
    with_new_rule,
    with_rule_moved,
    without_rule,
)
from posthouse.model.errors import InvalidParameterValue, ServiceError


def rule_set(*names: str) -> RuleSet:
    return RuleSet(created_ms=1, rules=tuple(ReceiptRule(name=name) for name in names))


def names(of: RuleSet) -> list[str]:
    return [rule.name for rule in of.rules]


ABC = rule_set("a", "b", "c")


@pytest.mark.parametrize("name", ["a", "A1", "a.b", "a-b_c.9", "x" * 64])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", ".a", "a.", "_a", "a b", "a\n", "ä", "x" * 65, "a\0"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        check_rule_set_name(name)
    assert error.value.message == f"Not a valid ruleSetName: {name}"
    with pytest.raises(InvalidParameterValue) as error:
        check_rule_name(name)
    assert error.value.message == f"Not a valid ruleName: {name}"


@pytest.mark.parametrize(("after", "expected"), [(None, "nabc"), ("a", "anbc"), ("b", "abnc"), ("c", "abcn")])
def test_a_new_rule_goes_to_the_front_or_behind_the_one_named(after: str | None, expected: str) -> None:
    assert names(with_new_rule(ABC, ReceiptRule(name="n"), after)) == list(expected)


@pytest.mark.parametrize(
    ("rule", "after", "code", "message", "name"),
    [
        ("b", "x", "AlreadyExists", "Rule already exists: b", "b"),
        ("n", "x", "RuleDoesNotExist", "Rule does not exist: x", "x"),
    ],
)
def test_a_rule_that_cannot_be_added(rule: str, after: str, code: str, message: str, name: str) -> None:
    with pytest.raises(ServiceError) as error:
        with_new_rule(ABC, ReceiptRule(name=rule), after)
    assert (error.value.code, error.value.message, error.value.members) == (code, message, {"Name": name})


def test_a_rule_set_is_full_at_some_time() -> None:
    nearly = rule_set(*(f"r{number}" for number in range(MAX_RULES - 1)))
    full = with_new_rule(nearly, ReceiptRule(name="last"), None)
    with pytest.raises(ServiceError, match="LimitExceeded: Too many rules"):
        with_new_rule(full, ReceiptRule(name="more"), None)
    # What is there already is told first.
    with pytest.raises(ServiceError, match="AlreadyExists"):
        with_new_rule(full, ReceiptRule(name="last"), None)


def test_the_recipients_of_all_rules_together_have_a_limit() -> None:
    wide = tuple(f"u{number}@x.example" for number in range(1000))
    rules = tuple(ReceiptRule(name=f"r{number}", recipients=wide) for number in range(MAX_PATTERNS // 1000))
    full = RuleSet(created_ms=1, rules=rules)
    assert len(with_new_rule(full, ReceiptRule(name="all"), None).rules) == len(rules) + 1
    with pytest.raises(ServiceError, match="LimitExceeded: Too many recipients"):
        with_new_rule(full, ReceiptRule(name="n", recipients=("a@x.example",)), None)
    with pytest.raises(ServiceError, match="LimitExceeded: Too many recipients"):
        with_changed_rule(full, ReceiptRule(name="r0", recipients=(*wide, "more@x.example")))


def test_a_changed_rule_stays_where_it_stands() -> None:
    changed = with_changed_rule(ABC, ReceiptRule(name="b", enabled=True))
    assert names(changed) == ["a", "b", "c"]
    assert changed.rules[1].enabled
    with pytest.raises(ServiceError, match="Rule does not exist: x"):
        with_changed_rule(ABC, ReceiptRule(name="x"))


def test_deleting() -> None:
    assert names(without_rule(ABC, "b")) == ["a", "c"]
    assert without_rule(ABC, "x") == ABC


@pytest.mark.parametrize(
    ("rule", "after", "expected"),
    [
        ("c", None, "cab"),
        ("a", None, "abc"),
        ("a", "c", "bca"),
        ("c", "a", "acb"),
        ("b", "a", "abc"),
        ("b", "b", "abc"),
    ],
)
def test_moving(rule: str, after: str | None, expected: str) -> None:
    assert names(with_rule_moved(ABC, rule, after)) == list(expected)


@pytest.mark.parametrize(("rule", "after", "missing"), [("x", None, "x"), ("x", "x", "x"), ("a", "y", "y")])
def test_moving_what_is_not_there(rule: str, after: str | None, missing: str) -> None:
    with pytest.raises(ServiceError, match=f"Rule does not exist: {missing}"):
        with_rule_moved(ABC, rule, after)


@given(st.permutations(["a", "b", "c"]))
def test_reordering(order: list[str]) -> None:
    assert names(reordered(ABC, order)) == order


@pytest.mark.parametrize(
    ("order", "code", "message"),
    [
        ("xx", "InvalidParameterValue", "Multiple positions found for rule: x"),
        ("abba", "InvalidParameterValue", "Multiple positions found for rule: b"),
        ("bx", "InvalidParameterValue", "Positions for rules not found: a, c"),
        ("", "InvalidParameterValue", "Positions for rules not found: a, b, c"),
        ("cxbya", "RuleDoesNotExist", "Rule does not exist: x"),
    ],
)
def test_what_is_wrong_with_an_order_is_told_in_this_order(order: str, code: str, message: str) -> None:
    with pytest.raises(ServiceError) as error:
        reordered(ABC, tuple(order))
    assert (error.value.code, error.value.message) == (code, message)


def test_a_new_rule_set() -> None:
    check_new_rule_set("a", False, MAX_RULE_SETS - 1)
    with pytest.raises(ServiceError, match="AlreadyExists: Rule set already exists: a"):
        check_new_rule_set("a", True, MAX_RULE_SETS)
    with pytest.raises(ServiceError, match="LimitExceeded: Too many rule sets"):
        check_new_rule_set("a", False, MAX_RULE_SETS)


def test_the_active_rule_set_stays() -> None:
    check_not_active("a", None)
    check_not_active("a", ActiveRuleSet(name="b"))
    with pytest.raises(ServiceError, match="CannotDelete: Cannot delete active rule set: a"):
        check_not_active("a", ActiveRuleSet(name="a"))


@pytest.mark.parametrize(("prefix", "key"), [("", "id"), ("mail", "mail/id"), ("mail/", "mail/id"), ("a/b", "a/b/id")])
def test_a_prefix_is_a_folder(prefix: str, key: str) -> None:
    assert S3(bucket="b", prefix=prefix).key("id") == key
