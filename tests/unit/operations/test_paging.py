"""Page tokens: each belongs to one list, account and region."""

import base64

import pytest
from tests.support.context import Callers, open_ses

from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.paging import Pages

ANN = Pages("identities", Callers.ANN.scope)


def coded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize("name", ["", "a.example", "é:1", "2:identities:111111111111:us-east-1:"])
def test_a_token_stands_for_its_name(name: str) -> None:
    assert ANN.name_before(ANN.token_after(name)) == name


def test_without_a_token_a_list_begins_at_its_start() -> None:
    assert ANN.name_before(None) == ANN.name_before("") == ""


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        coded("a"),
        coded("1:a"),
        Pages("configuration-sets", Callers.ANN.scope).token_after("a"),
        Pages("identities", Callers.ANN_ELSEWHERE.scope).token_after("a"),
        Pages("identities", Callers.BOB.scope).token_after("a"),
        ANN.token_after("a\0"),
        ANN.token_after("a") + "=",
        ANN.token_after("a") + "\n",
        base64.b64encode(b"\xff").decode(),
    ],
)
def test_any_other_is_nobodys(token: str) -> None:
    assert ANN.name_before(token) is None


async def test_a_token_of_another_list_region_or_account_is_refused_in_the_same_words_as_a_forged_one() -> None:
    async with open_ses() as ses:
        for name in ("a.example", "b.example"):
            await ses.call("VerifyDomainIdentity", Domain=name)
        token = (await ses.call("ListIdentities", MaxItems="1")).next_token
        assert (await ses.call("ListIdentities", NextToken=token)).identities == ("b.example",)
        for operation, caller, text in (
            ("ListIdentities", Callers.BOB, f"Invalid NextToken <{token}>."),
            ("ListIdentities", Callers.ANN_ELSEWHERE, f"Invalid NextToken <{token}>."),
            ("ListTemplates", Callers.ANN, f"Invalid PageToken <{token}>."),
            ("ListCustomVerificationEmailTemplates", Callers.ANN, f"Invalid nextToken <{token}>."),
            ("ListConfigurationSets", Callers.ANN, ""),
            ("ListReceiptRuleSets", Callers.ANN, f"Invalid token: {token}"),
        ):
            with pytest.raises(InvalidParameterValue) as refused:
                await ses.call(operation, caller, NextToken=token)
            assert refused.value.message == text
