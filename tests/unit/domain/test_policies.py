"""Policy documents and what follows from them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from posthouse.domain.identity_arns import identity_arn, parse_identity_arn
from posthouse.domain.policies import (
    Allowed,
    Denied,
    IdentityPolicies,
    Request,
    accepted_document,
    check_policy_name,
    evaluate,
)
from posthouse.domain.policy_documents import read_policy
from posthouse.domain.scope import Scope
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import InvalidPolicyException

OWNER = Scope("111122223333", "eu-west-1")
RESOURCE = identity_arn(OWNER, "shop.example")
BOB = "arn:aws:iam::444455556666:user/bob"


def statement(**changes: Any) -> dict[str, Any]:
    given = {"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "ses:SendEmail", "Resource": RESOURCE}
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def document(*statements: Any, **top: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **top})


def decide(*documents: str, action: str = "ses:SendEmail", who: str = BOB, **context: tuple[str, ...]) -> object:
    known = {f"ses:{key}": values for key, values in context.items()}
    request = Request(principal=who, action=action, resource=RESOURCE, context=known)
    return evaluate([read_policy(each, RESOURCE) for each in documents], request)


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": "444455556666"},
        {"AWS": "arn:aws:iam::444455556666:root"},
        {"AWS": ["arn:aws:iam::444455556666:user/eve", BOB]},
        {"AWS": "444455556666", "Service": "ses.amazonaws.com"},
    ],
)
def test_principals_that_mean_the_caller(principal: Any) -> None:
    assert decide(document(statement(Principal=principal))) == Allowed()


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "444455556667"},
        {"AWS": "arn:aws:iam::999955556666:root"},
        {"AWS": "arn:aws:iam::444455556666:user/bobby"},
        {"AWS": "arn:aws:iam::444455556666:role/bob"},
        {"Service": "ses.amazonaws.com"},
    ],
)
def test_principals_that_mean_somebody_else(principal: Any) -> None:
    assert decide(document(statement(Principal=principal))) == Denied(explicit=False)


@pytest.mark.parametrize(
    ("written", "asked", "fits"),
    [
        ("ses:SendEmail", "ses:SendEmail", True),
        ("SES:sendemail", "ses:SendEmail", True),
        ("ses:Send*", "ses:SendRawEmail", True),
        ("ses:*", "ses:SendBulkTemplatedEmail", True),
        ("*", "ses:SendEmail", True),
        (["ses:SendTemplatedEmail", "ses:Send???Email"], "ses:SendRawEmail", True),
        ("ses:SendEmail", "ses:SendRawEmail", False),
        ("ses:Get*", "ses:SendEmail", False),
    ],
)
def test_actions(written: Any, asked: str, fits: bool) -> None:
    assert (decide(document(statement(Action=written)), action=asked) == Allowed()) == fits


def test_nothing_is_allowed_unless_a_statement_says_so() -> None:
    assert decide() == Denied(explicit=False)


def test_policies_add_up_and_an_explicit_deny_beats_them_all() -> None:
    allow = document(statement(Action="ses:SendRawEmail"), statement())
    deny = document(statement(Effect="Deny", Condition={"StringLike": {"ses:FromAddress": "ceo@*"}}))
    assert decide(allow, deny, fromaddress=("ann@shop.example",)) == Allowed()
    assert decide(allow, deny, fromaddress=("ceo@shop.example",)) == Denied(explicit=True)
    assert decide(deny, allow, fromaddress=("ceo@shop.example",)) == Denied(explicit=True)


def test_all_conditions_of_a_statement_must_hold() -> None:
    conditions: Mapping[str, Any] = {
        "StringLike": {"ses:FromAddress": "news-*@shop.example", "ses:FeedbackAddress": "bounces@shop.example"},
        "StringEquals": {"ses:FromDisplayName": ["Shop News", "Shop"]},
    }
    policy = document(statement(Condition=conditions))
    good = {
        "fromaddress": ("news-1@shop.example",),
        "feedbackaddress": ("bounces@shop.example",),
        "fromdisplayname": ("Shop",),
    }
    assert decide(policy, **good) == Allowed()
    for key in good:
        assert decide(policy, **{**good, key: ("other",)}) == Denied(explicit=False)
        assert decide(policy, **{name: value for name, value in good.items() if name != key}) == Denied(explicit=False)


def test_what_cannot_be_decided_in_time_is_denied() -> None:
    patterns = ["*?" + "a?" * 20 + "b"] * 20
    hostile = document(statement(Condition={"StringNotLike": {"ses:Recipients": patterns}}))
    assert len(hostile) < 4096
    assert decide(hostile, recipients=("a" * 300,) * 50) == Denied(explicit=True)


def test_white_space_goes_but_not_inside_texts() -> None:
    written = json.dumps(json.loads(document(statement(Sid='a "quoted\\" b'))), indent=4)
    kept = accepted_document(written, RESOURCE)
    assert kept == json.dumps(json.loads(written), separators=(",", ":"))


def test_the_size_is_counted_without_white_space() -> None:
    empty = len(accepted_document(document(statement(Sid="")), RESOURCE))
    assert accepted_document(document(statement(Sid="x" * (4096 - empty))) + " " * 5000, RESOURCE)
    for too_long in (document(statement(Sid="x" * (4097 - empty))), document(statement()) + " " * 70_000):
        with pytest.raises(InvalidPolicyException, match="exceeds max allowed size of 4096 bytes"):
            accepted_document(too_long, RESOURCE)


def test_a_domain_of_a_resource_has_no_case() -> None:
    assert accepted_document(document(statement(Resource=RESOURCE.replace("shop", "Shop"))), RESOURCE)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "not valid JSON: Expecting value at 0"),
        ("[]", "it is no object"),
        ("[" * 4000, "nested too deeply"),
        ("{} x", "not valid JSON: Extra data"),
        ('{"Statement": NaN}', "not valid JSON: NaN"),
        ('{"Statement": [], "Statement": []}', "duplicate key"),
        ("{}", "missing required element Statement"),
        (document(), "invalid Statement: it is empty"),
        (document(statement(), Version="2013-01-01"), "invalid Version: 2013-01-01"),
        (document(statement(), Extra=1), "invalid element: Extra"),
        (document(statement(), Id=["x"]), "invalid Id"),
        (document("x"), "invalid Statement"),
        (document(statement(Effect="allow")), "invalid Effect: allow"),
        (document(statement(Effect=None)), "missing required element Effect"),
        (document(statement(Principal=None)), "missing required element Principal"),
        (document(statement(Action=None)), "missing required element Action"),
        (document(statement(Resource=None)), "missing required element Resource"),
        (document(statement(NotAction="ses:*")), "invalid element: NotAction"),
        (document(statement(Sid="a"), statement(Sid="a")), "invalid Sid: a stands twice"),
        (document(statement(Sid=5)), "invalid Sid: a value is no text"),
        (document(statement(Principal="444455556666")), "invalid Principal"),
        (document(statement(Principal={"AWS": "44445555666"})), "invalid Principal: AWS 44445555666"),
        (document(statement(Principal={"AWS": "arn:aws:iam::444455556666:user/*"})), "invalid Principal"),
        (document(statement(Principal={"AWS": "٤٤٤٤٥٥٥٥٦٦٦٦"})), "invalid Principal: AWS [?]{12}"),
        (document(statement(Principal={"AWS": []})), "invalid Principal: it is empty"),
        (document(statement(Principal={"AWS": 444455556666})), "invalid Principal"),
        (document(statement(Principal={"Federated": "x"})), "invalid Principal: Federated x"),
        (document(statement(Principal={})), "invalid Principal"),
        (document(statement(Action="sns:Publish")), "invalid Action: sns:publish"),
        (document(statement(Action="SendEmail")), "invalid Action"),
        (document(statement(Action="ses:")), "invalid Action"),
        (document(statement(Action=[])), "invalid Action: it is empty"),
        (document(statement(Resource="arn:aws:ses:eu-west-1:111122223333:identity/other.example")), "invalid Resource"),
        (document(statement(Resource=[RESOURCE, "arn:aws:ses:eu-west-1:9:identity/x"])), "invalid Resource"),
        (document(statement(Resource=RESOURCE + "${aws:x}")), "invalid Resource: policy variables"),
        (document(statement(Condition=[])), "invalid Condition: it is no object"),
        (document(statement(Condition={"StringLike": {}})), "StringLike names no key"),
        (document(statement(Condition={"StringLike": {"ses:From": "x"}})), "invalid Condition: unknown key ses:From"),
        (document(statement(Condition={"StringLike": {"ses:FromAddress": {}}})), "a value is no text"),
        (document(statement(Condition={"StringLike": {"ses:FromAddress": "\ud800"}})), "a value is no text"),
        (document(statement(Condition={"StringLike": {"ses:FromAddress": None}})), "a value is no text"),
    ],
)
def test_documents_that_are_refused(written: str, why: str) -> None:
    with pytest.raises(InvalidPolicyException, match=why):
        accepted_document(written, RESOURCE)


@pytest.mark.parametrize(
    "resource", ["*", RESOURCE, "arn:aws:ses:*:111122223333:identity/*", [RESOURCE, RESOURCE.replace("shop", "sho?")]]
)
def test_resources_that_mean_the_identity(resource: Any) -> None:
    assert accepted_document(document(statement(Resource=resource)), RESOURCE)


def test_one_statement_needs_no_list_and_the_version_may_be_missing_or_old() -> None:
    for top in ({"Statement": statement()}, {"Statement": statement(), "Version": "2008-10-17", "Id": "x"}):
        assert decide(json.dumps(top)) == Allowed()


def test_condition_values_may_be_numbers_and_truths() -> None:
    condition = {"NumericLessThan": {"aws:EpochTime": 1800000000}, "Null": {"aws:UserAgent": True}}
    assert accepted_document(document(statement(Condition=condition)), RESOURCE)


def test_the_twenty_first_policy_is_refused_and_a_twentieth_replaced() -> None:
    full = IdentityPolicies(documents={f"p{n}": "{}" for n in range(20)})
    assert full.with_policy("x.example", "p3", "new").documents["p3"] == "new"
    with pytest.raises(InvalidParameterValue) as raised:
        full.with_policy("x.example", "p20", "{}")
    assert raised.value.message == (
        "Number of policies for <x.example> exceeds max allowed number of policies per resource"
    )


@pytest.mark.parametrize("name", ["a b", "ü", "a.b", "", "a\n"])
def test_names_of_policies(name: str) -> None:
    check_policy_name("Good_name-1")
    with pytest.raises(InvalidParameterValue, match="PolicyName is invalid. Policy names must only include"):
        check_policy_name(name)


def test_an_arn_covers_its_identity_and_what_is_below() -> None:
    domain, address = parse_identity_arn(RESOURCE), parse_identity_arn(identity_arn(OWNER, "Ann@shop.example"))
    assert domain.scope == OWNER
    assert [domain.covers(name) for name in ("a@shop.example", "a@b.SHOP.example", "a@xshop.example")] == [1, 1, 0]
    assert [address.covers(name) for name in ("Ann@shop.example", "Ann+x@shop.example", "ann@shop.example")] == [
        1,
        1,
        0,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "shop.example",
        "arn:aws:ses:eu-west-1:11112222333:identity/x.example",
        "arn:aws:sns:eu-west-1:111122223333:identity/x.example",
        "arn:aws:ses:eu-west-1:111122223333:identity/",
        "arn:aws:ses:eu-west-1:111122223333:identity/x y",
        "arn:aws:ses:eu-west-1:١١١١٢٢٢٢٣٣٣٣:identity/x.example",
        RESOURCE + "\n",
    ],
)
def test_what_is_no_arn(text: str) -> None:
    with pytest.raises(InvalidParameterValue, match="Invalid identity ARN <"):
        parse_identity_arn(text)
