"""The four operations of identity policies: happy paths, errors in their order, limits, idempotency, isolation."""

import json
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.model.errors import InvalidParameterValue, ServiceError, ValidationError
from posthouse.model.generated import InvalidPolicyException

ARN = "arn:aws:ses:us-east-1:111111111111:identity/example.com"


def policy(**changes: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "ses:SendEmail", "Resource": ARN}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **changes}]}, indent=2)


async def put(ses: Ses, name: str = "p", identity: str = "example.com", document: str | None = None) -> None:
    await ses.call("PutIdentityPolicy", Identity=identity, PolicyName=name, Policy=document or policy())


async def names(ses: Ses, identity: str = "example.com") -> tuple[str, ...]:
    found: tuple[str, ...] = (await ses.call("ListIdentityPolicies", Identity=identity)).policy_names
    return found


async def get(ses: Ses, *wanted: str, identity: str = "example.com") -> dict[str, str]:
    asked = {f"PolicyNames__member__{n}": name for n, name in enumerate(wanted, 1)}
    return dict((await ses.call("GetIdentityPolicies", Identity=identity, **asked)).policies)


async def test_a_policy_is_kept_without_white_space_and_replaced_by_the_next_of_its_name() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await put(ses, "b")
        await put(ses, "a", document=policy(Effect="Deny"))
        await put(ses, "b", document=policy(Sid="Second  one"))
        assert await names(ses) == ("a", "b")
        found = await get(ses, "b", "none", "a")
    assert list(found) == ["b", "a"]
    assert found["b"] == json.dumps(json.loads(policy(Sid="Second  one")), separators=(",", ":"))


async def test_an_identity_may_be_named_by_its_arn_and_a_domain_in_any_case() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await put(ses, "a", identity=ARN)
        await put(ses, "b", identity="Example.COM")
        assert await names(ses, ARN) == ("a", "b")
        assert await names(ses, ARN.replace("1111", "2222")) == ()
        await ses.call("DeleteIdentityPolicy", Identity=ARN, PolicyName="a")
        assert list(await get(ses, "a", "b", identity="EXAMPLE.com")) == ["b"]


async def test_deleting_is_idempotent_and_unknown_identities_have_none() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await put(ses, "a")
        for _ in range(2):
            await ses.call("DeleteIdentityPolicy", Identity="example.com", PolicyName="a")
        await ses.call("DeleteIdentityPolicy", Identity="other.example", PolicyName="a")
        assert await names(ses) == ()
        assert await names(ses, "other.example") == ()
        assert await get(ses, "a", identity="other.example") == {}


async def test_policies_go_with_their_identity() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await put(ses)
        await ses.call("DeleteIdentity", Identity="example.com")
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        assert await names(ses) == ()


async def test_policies_belong_to_one_account_and_region() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await put(ses)
        for stranger in (Callers.BOB, Callers.ANN_ELSEWHERE):
            listed = await ses.call("ListIdentityPolicies", stranger, Identity="example.com")
            found = await ses.call("GetIdentityPolicies", stranger, Identity="example.com", PolicyNames__member__1="p")
            await ses.call("DeleteIdentityPolicy", stranger, Identity="example.com", PolicyName="p")
            assert (listed.policy_names, found.policies) == ((), {})
        assert await names(ses) == ("p",)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"PolicyName": "a" * 65}, ValidationError, "Member must have length less than or equal to 64"),
        ({"PolicyName": "a b", "Policy": "{"}, InvalidParameterValue, "PolicyName is invalid. Policy names must only"),
        ({"Policy": "{", "Identity": "other.example"}, InvalidPolicyException, "Policy is not valid JSON"),
        ({"Policy": policy(Resource=ARN + ".org")}, InvalidPolicyException, "Policy contains invalid Resource"),
        ({"Policy": policy(Principal={"AWS": "nobody"})}, InvalidPolicyException, "Policy contains invalid Principal"),
        ({"Policy": policy(Sid="x" * 4096)}, InvalidPolicyException, "exceeds max allowed size of 4096 bytes"),
        (
            {"Identity": "other.example", "Policy": policy(Resource="*")},
            InvalidParameterValue,
            "Identity other.example is invalid. Must be a verified email address or domain.",
        ),
        (
            {"Identity": "ann@example.com", "Policy": policy(Resource="*")},
            InvalidParameterValue,
            "Identity ann@example.com is invalid. Must be a verified email address or domain.",
        ),
    ],
)
async def test_what_is_refused(changes: dict[str, str], error: type[ServiceError], message: str) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        with pytest.raises(error) as raised:
            await ses.call(
                "PutIdentityPolicy", **{"Identity": "example.com", "PolicyName": "p", "Policy": policy(), **changes}
            )
        assert message in raised.value.message
        assert await names(ses) == ()


async def test_a_pending_identity_takes_no_policy() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        with pytest.raises(InvalidParameterValue, match="Identity example.com is invalid"):
            await put(ses)


async def test_twenty_policies_and_no_more() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        for number in range(20):
            await put(ses, f"p{number}")
        with pytest.raises(InvalidParameterValue) as raised:
            await put(ses, "p20")
        await put(ses, "p19", document=policy(Effect="Deny"))
        assert len(await names(ses)) == 20
        with pytest.raises(InvalidParameterValue, match="at most 20 are allowed"):
            await get(ses, *(f"p{number}" for number in range(21)))
    assert raised.value.message == (
        "Number of policies for <example.com> exceeds max allowed number of policies per resource"
    )
