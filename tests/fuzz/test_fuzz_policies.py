"""Policy documents that nobody meant well: an InvalidPolicy or a policy, and a decision, never anything else."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.inputs import inputs

from posthouse.domain.policies import Allowed, Denied, Request, accepted_document, evaluate
from posthouse.domain.policy_documents import read_policy
from posthouse.model.generated import InvalidPolicyException

RESOURCE = "arn:aws:ses:us-east-1:111122223333:identity/shop.example"
WORDS = st.sampled_from(
    "* ? ses:* ses:SendEmail 444455556666 AWS Service Allow Deny StringLike ForAllValues:StringLike Null Bool "
    "StringNotEqualsIfExists DateLessThan IpAddress ArnLike NumericEquals ses:Recipients ses:FromAddress "
    f"aws:CurrentTime aws:SourceIp 2012-10-17 2008-10-17 2027-01-01 10.0.0.0/8 true {RESOURCE} "
    "Version Statement Effect Principal Action Resource Condition Sid Id ${{*}} *@x.example".split()
)
TEXTS = WORDS | st.text(max_size=8)
VALUES: Any = st.recursive(
    TEXTS | st.booleans() | st.none() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ONE_OR_MORE = TEXTS | st.lists(TEXTS, max_size=3)
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.just("*") | st.dictionaries(WORDS, ONE_OR_MORE, max_size=2),
        "Action": st.just("ses:*") | ONE_OR_MORE,
        "Resource": st.just("*") | ONE_OR_MORE,
    },
    optional={"Condition": st.dictionaries(WORDS, st.dictionaries(WORDS, VALUES, max_size=2), max_size=3)},
)
CONTEXT = st.dictionaries(
    st.sampled_from(["ses:recipients", "ses:fromaddress", "aws:currenttime", "aws:sourceip"]),
    st.lists(TEXTS, min_size=1, max_size=4).map(tuple),
)


def told(document: str, context: dict[str, tuple[str, ...]]) -> None:
    try:
        kept = accepted_document(document, RESOURCE)
    except InvalidPolicyException as error:
        told_why = error.message
    else:
        told_why = ""
    assert told_why.isprintable()
    if told_why:
        return
    principal = "arn:aws:iam::444455556666:user/bob"
    request = Request(principal=principal, action="ses:SendEmail", resource=RESOURCE, context=context)
    assert isinstance(evaluate([read_policy(kept)], request), Allowed | Denied)
    assert json.loads(kept) == json.loads(document)


@settings(max_examples=inputs(300), deadline=None)
@given(STATEMENTS, CONTEXT)
def test_statements(statement: dict[str, Any], context: dict[str, tuple[str, ...]]) -> None:
    told(json.dumps({"Statement": statement}), context)


@settings(max_examples=inputs(300), deadline=None)
@given(VALUES)
def test_any_json(value: Any) -> None:
    told(json.dumps(value), {})
    told(json.dumps({"Statement": value}), {})


@settings(max_examples=inputs(300), deadline=None)
@given(st.text(alphabet='{}[]":,\\u0d8*Statemn \n1e', max_size=60))
def test_any_text(text: str) -> None:
    told(text, {})
