"""Every condition operator: with a value that fits, one that does not, and none at all."""

import pytest

from posthouse.domain.policy_conditions import Effort, InvalidCondition, TooMuchWork, read_condition

KEY = "aws:x"


def holds(operator: str, written: list[str], *values: str, allows: bool = True) -> bool:
    condition = read_condition(operator, KEY, written, variables=True)
    return condition.holds({KEY: values} if values else {}, allows, Effort(100_000))


FITTING = [
    ("StringEquals", ["a", "b"], "b", "c"),
    ("StringEquals", ["a"], "a", "A"),
    ("StringEqualsIgnoreCase", ["Ab"], "aB", "c"),
    ("StringLike", ["*@d.example", "x?"], "ann@d.example", "ann@e.example"),
    ("StringLike", ["a${*}"], "a*", "ab"),
    ("IpAddress", ["203.0.113.0/24", "2001:db8::/32"], "203.0.113.9", "203.0.114.9"),
    ("IpAddress", ["203.0.113.7"], "203.0.113.7", "203.0.113.8"),
    ("IpAddress", ["203.0.113.0/24"], "::ffff:203.0.113.9", "::ffff:203.0.114.9"),
    ("IpAddress", ["2001:db8::/32"], "2001:db8::1", "2001:db9::1"),
    ("IpAddress", ["0.0.0.0/0"], "1.2.3.4", "nonsense"),
    ("ArnEquals", ["arn:aws:iam::111122223333:user/*"], "arn:aws:iam::111122223333:user/a", "arn:aws:iam::9:user/a"),
    ("ArnLike", ["arn:aws:*:*:1*3:user/x"], "arn:aws:iam::123:user/x", "arn:aws:iam:eu:1:23:user/x"),
    ("ArnLike", ["arn:aws:*:*:*:x"], "arn:aws:iam::1:x", "no arn"),
    ("Bool", ["true"], "true", "false"),
    ("NumericEquals", ["1", "2.0"], "2", "3"),
    ("NumericLessThan", ["10"], "9.5", "10"),
    ("NumericLessThanEquals", ["10"], "10.0", "10.1"),
    ("NumericGreaterThan", ["-1"], "0", "-1"),
    ("NumericGreaterThanEquals", ["10"], "10", "nonsense"),
    ("DateEquals", ["2027-01-15T08:00:00Z"], "1800000000", "1800000001"),
    ("DateEquals", ["2027-01-15T09:00:00+01:00"], "2027-01-15T08:00:00Z", "2027-01-15T09:00:00Z"),
    ("DateLessThan", ["2027-01-15"], "2027-01-14T23:59:59.999Z", "2027-01-15T00:00:00Z"),
    ("DateLessThanEquals", ["2027"], "2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z"),
    ("DateGreaterThan", ["2027-02"], "2027-02-01T00:01Z", "2027-02-01T00:00Z"),
    ("DateGreaterThanEquals", ["1800000000"], "2027-01-15T08:00:00Z", "2027-01-15T07:59:59Z"),
]
NEGATED = [
    ("StringNotEquals", ["a", "b"], "c", "b"),
    ("StringNotEqualsIgnoreCase", ["a"], "b", "A"),
    ("StringNotLike", ["*@d.example"], "a@e.example", "a@d.example"),
    ("NotIpAddress", ["203.0.113.0/24"], "203.0.114.1", "203.0.113.1"),
    ("ArnNotEquals", ["arn:aws:iam::1:x"], "arn:aws:iam::2:x", "arn:aws:iam::1:x"),
    ("ArnNotLike", ["arn:aws:iam::1:*"], "arn:aws:iam::2:x", "arn:aws:iam::1:x"),
    ("NumericNotEquals", ["1"], "2", "1"),
    ("DateNotEquals", ["2027-01-15"], "2027-01-16", "2027-01-15"),
]


@pytest.mark.parametrize(("operator", "written", "fits", "fails"), FITTING + NEGATED)
def test_an_operator_compares(operator: str, written: list[str], fits: str, fails: str) -> None:
    assert holds(operator, written, fits)
    assert not holds(operator, written, fails)


@pytest.mark.parametrize("case", FITTING)
def test_a_missing_key_fails_unless_told_otherwise(case: tuple[str, list[str], str, str]) -> None:
    operator, written, _, fails = case
    assert not holds(operator, written)
    assert not holds(f"ForAnyValue:{operator}", written)
    assert holds(f"ForAllValues:{operator}", written)
    assert holds(f"{operator}IfExists", written)
    assert not holds(f"{operator}IfExists", written, fails)


@pytest.mark.parametrize("case", NEGATED)
def test_a_missing_key_is_unlike_anything(case: tuple[str, list[str], str, str]) -> None:
    operator, written, _, _ = case
    assert holds(operator, written)
    assert not holds(f"ForAnyValue:{operator}", written)


def test_null_asks_whether_a_key_is_there() -> None:
    assert holds("Null", ["true"])
    assert not holds("Null", ["true"], "x")
    assert holds("Null", ["false"], "x")
    assert not holds("Null", ["False"])


def test_quantifiers_count_the_values_of_the_request() -> None:
    assert holds("ForAllValues:StringLike", ["*@a", "*@b"], "1@a", "2@b")
    assert not holds("ForAllValues:StringLike", ["*@a"], "1@a", "2@b")
    assert holds("ForAnyValue:StringLike", ["*@a"], "1@a", "2@b")
    assert holds("ForAnyValue:StringNotLike", ["*@a"], "1@a", "2@b")
    assert not holds("ForAllValues:StringNotLike", ["*@a"], "1@a", "2@b")


def test_without_a_quantifier_neither_side_gets_more_than_was_written() -> None:
    assert not holds("StringLike", ["*@a"], "1@a", "2@b", allows=True)
    assert holds("StringLike", ["*@a"], "1@a", "2@b", allows=False)


def test_keys_have_no_case() -> None:
    assert read_condition("StringEquals", "SES:FromAddress", ["a@b"], False).holds(
        {"ses:fromaddress": ("a@b",)}, True, Effort(10)
    )


@pytest.mark.parametrize(
    ("operator", "key", "written", "why"),
    [
        ("StringIs", KEY, ["a"], "unknown operator StringIs"),
        ("ForSomeValues:StringLike", KEY, ["a"], "unknown operator"),
        ("ForAllValues:", KEY, ["a"], "unknown operator"),
        ("NullIfExists", KEY, ["true"], "unknown operator"),
        ("ForAllValues:Null", KEY, ["true"], "unknown operator"),
        ("Null", KEY, ["maybe"], "neither true nor false"),
        ("Null", KEY, ["true", "false"], "Null takes true or false"),
        ("StringEquals", "ses:FormAddress", ["a"], "unknown key ses:FormAddress"),
        ("StringEquals", "FromAddress", ["a"], "unknown key"),
        ("StringEquals", KEY, [], "no value"),
        ("StringLike", KEY, ["${aws:username}"], "policy variables are not supported"),
        ("IpAddress", KEY, ["203.0.113.0/33"], "no IP address or range"),
        ("IpAddress", KEY, ["203.0.113"], "no IP address or range"),
        ("IpAddress", KEY, ["fe80::1%eth0"], "no IP address or range"),
        ("Bool", KEY, ["yes"], "neither true nor false"),
        ("NumericEquals", KEY, ["1e5"], "no number"),
        ("NumericEquals", KEY, ["1_0"], "no number"),
        ("NumericEquals", KEY, ["١"], "no number"),
        ("DateEquals", KEY, ["2027-13-01"], "no date"),
        ("DateEquals", KEY, ["2027-02-29T00:00:00Z"], "no date"),
        ("DateEquals", KEY, ["2027-02-01T00:00:00"], "no number"),
        ("DateEquals", KEY, ["2027-02-01T00:00:00+24:00"], "no date"),
        ("DateEquals", KEY, ["0000-01-01"], "no date"),
        ("ArnLike", KEY, ["arn:aws:iam"], "is no ARN"),
        ("ArnLike", KEY, ["arn:aws:iam::1:user/${aws:username}"], "policy variables"),
    ],
)
def test_what_says_nothing_is_refused(operator: str, key: str, written: list[str], why: str) -> None:
    with pytest.raises(InvalidCondition, match=why):
        read_condition(operator, key, written, variables=True)


def test_variables_are_plain_text_in_the_old_version() -> None:
    condition = read_condition("StringEquals", KEY, ["${aws:username}"], variables=False)
    assert condition.holds({KEY: ("${aws:username}",)}, True, Effort(10))


def test_work_is_bounded() -> None:
    condition = read_condition("ForAllValues:StringLike", KEY, ["*?a*"] * 500 + ["*"], variables=True)
    with pytest.raises(TooMuchWork):
        condition.holds({KEY: ("b" * 300,) * 50}, True, Effort(300_000))
    with pytest.raises(TooMuchWork):
        holds("StringLike", ["*"], "x" * 1001)
