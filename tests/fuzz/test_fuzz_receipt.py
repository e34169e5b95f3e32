"""Receipt rules that nobody meant well: a refusal of SES, or a rule that comes back as it was taken."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.inputs import inputs

from posthouse.domain.receipt_filters import Policy, address, decide, network
from posthouse.domain.receipt_forms import read_rule, shown_rule
from posthouse.domain.receipt_patterns import patterns_of
from posthouse.domain.receipt_rules import ReceiptRule
from posthouse.model import generated as api
from posthouse.model.errors import ServiceError
from posthouse.wire import query

ARN = "arn:aws:{}:us-east-1:111111111111:{}"
GOOD = {
    "HeaderName": "X-Head",
    "SmtpReplyCode": "550",
    "StatusCode": "5.1.1",
    "Scope": "RuleSet",
    "InvocationType": "Event",
    "Encoding": "Base64",
    "TopicArn": ARN.format("sns", "t"),
    "FunctionArn": ARN.format("lambda", "function:f"),
    "KmsKeyArn": ARN.format("kms", "key/k"),
    "IamRoleArn": "arn:aws:iam::111111111111:role/r",
    "IAMRoleARN": "arn:aws:iam::111111111111:role/r",
    "InstanceARN": ARN.format("connect", "instance/0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f"),
}
PATTERNS = st.sampled_from(["shop.example", ".Shop.example", "a@shop.example", "a+b@shop.example", "@", ".", "a b"])
TEXTS = st.text(max_size=12) | PATTERNS
Form = dict[str, str]


@st.composite
def actions(draw: Any, number: int) -> Form:
    """One action of any kind, each of its members good, bad or not there."""
    member = draw(st.sampled_from(api.ReceiptAction.MEMBERS))
    prefix = f"Rule.Actions.member.{number}.{member.name}."
    form = {}
    for inner in member.shape.MEMBERS:
        good = st.just(GOOD.get(inner.name, "mail"))
        if inner.required or draw(st.booleans()):
            form[prefix + inner.name] = draw(good | good | good | TEXTS)
    return form


RULES = st.builds(
    lambda name, more, recipients, *done: {
        "RuleSetName": "s",
        "Rule.Name": name,
        **more,
        **{f"Rule.Recipients.member.{number}": each for number, each in enumerate(recipients, 1)},
        **{key: value for action in done for key, value in action.items()},
    },
    st.just("keep") | TEXTS,
    st.dictionaries(st.sampled_from(["Rule.Enabled", "Rule.ScanEnabled", "After"]), st.sampled_from(["true", "a", ""])),
    st.lists(PATTERNS | TEXTS, max_size=3),
    st.just({}) | actions(1),
    st.just({}) | actions(2),
)


@settings(max_examples=inputs(500), deadline=None)
@given(RULES)
def test_any_rule(form: Form) -> None:
    try:
        rule = read_rule(query.parse(form, api.CreateReceiptRuleRequest).rule)
    except ServiceError as refusal:
        told = refusal
    else:
        _check(rule)
        return
    assert told.http_status == 400


def _check(rule: ReceiptRule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(rule), type=ReceiptRule) == rule
    shown = shown_rule(rule)
    assert read_rule(shown) == rule
    operation: Any = api.OPERATIONS["DescribeReceiptRule"]
    assert query.render(api.DescribeReceiptRuleResponse(rule=shown), operation, "id")


@settings(max_examples=inputs(500), deadline=None)
@given(st.text(alphabet="0123456789abcdef.:/[]%-_ \n１", max_size=24), st.text(max_size=20))
def test_any_block_and_any_client(cidr: str, client: str) -> None:
    block = network(cidr)
    address(cidr)
    if block is not None:
        assert decide([(block, Policy.ALLOW)], block.network_address) is Policy.ALLOW
        decide([(block, Policy.ALLOW)], address(client))


@settings(max_examples=inputs(300), deadline=None)
@given(st.text(max_size=60))
def test_any_recipient(recipient: str) -> None:
    patterns = patterns_of(recipient)
    assert len(patterns) <= recipient.count(".") + 4
    assert all(pattern == pattern.lower() for pattern in patterns)
