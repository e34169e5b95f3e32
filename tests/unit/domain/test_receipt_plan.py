"""Patterns and plans, held against what the guide says in so many words."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.receipt_patterns import MAX_RECIPIENTS, accepted_patterns, patterns_of
from posthouse.domain.receipt_plan import (
    Applied,
    Disabled,
    MailFacts,
    NoRecipientMatched,
    Plan,
    RuleIndex,
    TlsMissing,
    accepts,
    plan,
)
from posthouse.domain.receipt_rules import AddHeader, ReceiptRule, RuleSet, Stop
from posthouse.model.errors import InvalidParameterValue, ServiceError

VERIFIED = {"example.com", "ann@post.example"}
CLEAR, OVER_TLS = MailFacts(tls=False), MailFacts(tls=True)


def rule(name: str, *recipients: str, enabled: bool = True, **more: object) -> ReceiptRule:
    actions = (AddHeader(name="X-Rule", value=name), Stop())
    return ReceiptRule(name=name, enabled=enabled, recipients=recipients, actions=actions, **more)  # type: ignore[arg-type]


def index(*rules: ReceiptRule) -> RuleIndex:
    return RuleIndex(RuleSet(created_ms=1, rules=rules))


def planned(rules: Sequence[ReceiptRule], *recipients: str, facts: MailFacts = CLEAR) -> Plan:
    return plan(index(*rules), recipients, VERIFIED, facts)


# -- patterns


@pytest.mark.parametrize(
    ("pattern", "address", "means"),
    [
        ("user@example.com", "user@example.com", True),
        ("user@example.com", "USER@Example.COM", True),
        ("user@example.com", "user+news@example.com", True),
        ("user@example.com", "user+a+b@example.com", True),
        ("user@example.com", "users@example.com", False),
        ("user@example.com", "user@sub.example.com", False),
        ("user+news@example.com", "user+news@example.com", True),
        ("user+news@example.com", "user@example.com", False),
        ("user+news@example.com", "user+other@example.com", False),
        ("example.com", "anybody@example.com", True),
        ("example.com", "anybody@sub.example.com", False),
        ("example.com", "anybody@notexample.com", False),
        (".example.com", "anybody@sub.example.com", True),
        (".example.com", "anybody@deep.sub.example.com", True),
        (".example.com", "anybody@example.com", False),
        (".example.com", "anybody@notexample.com", False),
        ("sub.example.com", "anybody@sub.example.com", True),
    ],
)
def test_what_a_pattern_means(pattern: str, address: str, means: bool) -> None:
    assert (pattern in patterns_of(address)) == means


def test_patterns_are_kept_lower_sorted_and_once() -> None:
    given = ("z@EXAMPLE.COM", "A@Example.com", "a@example.com", "EXAMPLE.COM", ".EXAMPLE.COM", ".example.com")
    assert accepted_patterns(given) == (".example.com", "a@example.com", "example.com", "z@example.com")
    assert accepted_patterns(None) is None
    assert accepted_patterns(()) == ()


@pytest.mark.parametrize(
    "pattern",
    [
        *("", ".", "@", "com", ".com", "example..com", "..example.com", "example.com.", "-a.example", "a-.example"),
        *(
            "not valid",
            "exa mple.com",
            "@example.com",
            "a@",
            "a@b",
            "a@.example.com",
            "a@@example.com",
            "*@example.com\n",
        ),
        *("user@example.com\r\n", "jürg@example.com", "münchen.example", "a\0@example.com", "*.example.com"),
        *(f"{'x' * 64}.example", f"{'a' * 310}@example.com", "example_.com", "a@[192.0.2.1]"),
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(InvalidParameterValue) as error:
        accepted_patterns(("good.example", pattern))
    assert error.value.message == f"Invalid recipient: {pattern}"


def test_more_than_the_guide_says_and_not_without_end() -> None:
    assert len(accepted_patterns(tuple(f"u{n}@x.example" for n in range(101))) or ()) == 101
    with pytest.raises(ServiceError, match="LimitExceeded: Too many recipients"):
        accepted_patterns(tuple(f"u{n}@x.example" for n in range(MAX_RECIPIENTS + 1)))


# -- plans


def test_all_rules_that_match_apply_in_order_each_with_its_recipients() -> None:
    rules = (rule("all"), rule("user", "user@example.com"), rule("sub", ".example.com"), rule("other", "other.example"))
    made = planned(rules, "user@example.com", "x@sub.example.com", "USER@example.com")
    assert [(traced.rule, traced.outcome) for traced in made.trace] == [
        ("all", Applied(("user@example.com", "x@sub.example.com", "USER@example.com"))),
        ("user", Applied(("user@example.com", "USER@example.com"))),
        ("sub", Applied(("x@sub.example.com",))),
        ("other", NoRecipientMatched()),
    ]
    in_order = [(step.rule.name, step.position, type(step.action)) for step in made.steps]
    assert in_order == [(name, *each) for name in ("all", "user", "sub") for each in ((0, AddHeader), (1, Stop))]
    assert made.steps[2].recipients == ("user@example.com", "USER@example.com")
    assert (made.unmatched, made.unverified, made.refused) == ((), (), ())


def test_a_disabled_rule_does_nothing() -> None:
    made = planned((rule("off", enabled=False), rule("on", "user@example.com")), "user@example.com", "x@example.com")
    assert made.trace[0].outcome == Disabled()
    assert {step.rule.name for step in made.steps} == {"on"}
    assert made.unmatched == ("x@example.com",)


def test_no_rule_is_asked_about_what_is_not_the_accounts() -> None:
    made = planned((rule("all"), rule("named", "x@stranger.example")), "x@stranger.example", "ann+l@post.example")
    assert made.unverified == ("x@stranger.example",)
    assert [traced.outcome for traced in made.trace] == [Applied(("ann+l@post.example",)), NoRecipientMatched()]


def test_a_rule_that_wants_tls() -> None:
    rules = (rule("any"), rule("secret", "user@example.com", tls_required=True))
    in_the_clear = planned(rules, "user@example.com", "x@example.com")
    assert in_the_clear.trace[1].outcome == TlsMissing(("user@example.com",))
    assert in_the_clear.refused == ("user@example.com",)
    assert {step.rule.name for step in in_the_clear.steps} == {"any"}
    encrypted = planned(rules, "user@example.com", "x@example.com", facts=OVER_TLS)
    assert encrypted.refused == ()
    assert {step.rule.name for step in encrypted.steps} == {"any", "secret"}


def test_scanning_is_asked_for_by_a_rule_that_applies() -> None:
    rules = (rule("plain", "x@example.com"), rule("scanned", "user@example.com", scan=True))
    assert planned(rules, "user@example.com").scan
    assert not planned(rules, "x@example.com").scan


def test_an_empty_rule_set_takes_nothing() -> None:
    made = planned((), "user@example.com")
    assert made == Plan((), (), ("user@example.com",), (), (), False)


def test_what_is_answered_at_rcpt() -> None:
    rules = index(rule("off", "x@example.com", enabled=False), rule("secret", "user@example.com", tls_required=True))
    assert accepts(rules, "x@example.com", True) == NoRecipientMatched()
    assert accepts(rules, "user@example.com", False) == TlsMissing(("user@example.com",))
    assert accepts(rules, "user@example.com", True) == Applied(("user@example.com",))


# -- any rules, any recipients

LOCALS = st.sampled_from(["u", "u+l", "v", "U"])
DOMAINS = st.sampled_from(["example.com", "sub.example.com", "a.sub.example.com", "other.example", "Example.com"])
ADDRESSES = st.builds("{}@{}".format, LOCALS, DOMAINS)
PATTERNS = st.one_of(ADDRESSES, DOMAINS, DOMAINS.map(".{}".format))
RULES = st.lists(
    st.builds(
        lambda patterns, enabled, tls: (accepted_patterns(tuple(patterns)), enabled, tls),
        st.lists(PATTERNS, max_size=3),
        st.booleans(),
        st.booleans(),
    ),
    max_size=5,
)


def means(pattern: str, address: str) -> bool:
    """The guide, word for word."""
    local, _, domain = address.lower().partition("@")
    if pattern.startswith("."):
        return domain.endswith(pattern)
    if "@" not in pattern:
        return domain == pattern
    return pattern in (f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}")


@given(RULES, st.lists(ADDRESSES, max_size=4), st.booleans())
def test_a_plan_says_what_asking_each_rule_would(
    kept: list[tuple[tuple[str, ...], bool, bool]], recipients: list[str], tls: bool
) -> None:
    rules = tuple(
        rule(f"r{place}", *patterns, enabled=enabled, tls_required=wants)
        for place, (patterns, enabled, wants) in enumerate(kept)
    )
    ours = [each for each in dict.fromkeys(recipients) if each.lower().endswith("example.com")]
    made = planned(rules, *recipients, facts=MailFacts(tls))
    assert [traced.rule for traced in made.trace] == [each.name for each in rules]
    for each, traced in zip(rules, made.trace, strict=True):
        found = tuple(a for a in ours if not each.recipients or any(means(p, a) for p in each.recipients))
        if not each.enabled:
            assert traced.outcome == Disabled()
        elif not found:
            assert traced.outcome == NoRecipientMatched()
        else:
            assert traced.outcome == (TlsMissing(found) if each.tls_required and not tls else Applied(found))
    applied = [(t.rule, t.outcome.recipients) for t in made.trace if isinstance(t.outcome, Applied)]
    assert [(s.rule.name, s.recipients) for s in made.steps] == [each for each in applied for _ in range(2)]
    for each in ours:
        told = accepts(index(*rules), each, tls)
        assert isinstance(told, NoRecipientMatched) == (each in made.unmatched)
        assert isinstance(told, TlsMissing) == (each in made.refused)
    assert made == planned(rules, *recipients, facts=MailFacts(tls))


def test_a_full_rule_set_and_a_long_envelope_are_planned_at_once() -> None:
    # Asking each pattern of each rule about each recipient would take 200,000,000 comparisons.
    patterns = tuple(f"u{n}@example.com" for n in range(MAX_RECIPIENTS))
    rules = index(*(rule(f"r{place}", *patterns) for place in range(200)))
    made = plan(rules, [f"u{n}@{'x.' * 100}example.com" for n in range(1000)], {"example.com"}, CLEAR)
    assert len(made.unmatched) == 1000
    assert len(plan(rules, ["u1@example.com"], {"example.com"}, CLEAR).steps) == 400
