"""The identity operations that are built: happy paths, errors, paging, idempotency, isolation."""

import re

import pytest
from tests.support.context import Callers, open_ses

from posthouse.model.errors import InvalidParameterValue


async def test_asking_for_an_address_leaves_it_pending_until_it_is_proven() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress="Ann@example.com")
        asked = {"Identities__member__1": "Ann@example.com", "Identities__member__2": "ann@example.com"}
        found = await ses.call("GetIdentityVerificationAttributes", **asked)
    assert {name: a.verification_status for name, a in found.verification_attributes.items()} == {
        "Ann@example.com": "Pending"
    }
    assert found.verification_attributes["Ann@example.com"].verification_token is None


async def test_a_domain_gets_one_token_and_keeps_it() -> None:
    async with open_ses(auto_verify=False) as ses:
        first = await ses.call("VerifyDomainIdentity", Domain="Example.com")
        again = await ses.call("VerifyDomainIdentity", Domain="example.com")
        assert re.fullmatch(r"[A-Za-z0-9+/]{43}=", first.verification_token)
        assert again.verification_token == first.verification_token
        found = await ses.call("GetIdentityVerificationAttributes", Identities__member__1="EXAMPLE.com")
        assert found.verification_attributes["EXAMPLE.com"].verification_token == first.verification_token


async def test_dkim_makes_three_keys_and_registers_the_domain() -> None:
    async with open_ses(auto_verify=False) as ses:
        first = await ses.call("VerifyDomainDkim", Domain="example.com")
        again = await ses.call("VerifyDomainDkim", Domain="example.com")
        listed = await ses.call("ListIdentities")
        async with ses.ctx.stores.records.reading() as reading:
            keys = await reading.signing_keys.of(Callers.ANN.scope, "example.com")
    assert first.dkim_tokens == again.dkim_tokens == tuple(key.token for key in keys)
    assert len(keys) == 3
    assert all(re.fullmatch(r"[a-z2-7]{32}", token) for token in first.dkim_tokens)
    assert all(key.public_record.startswith("v=DKIM1; k=rsa; p=MIIBIjAN") for key in keys)
    assert listed.identities == ("example.com",)


async def test_addresses_and_subdomains_report_their_domains_dkim() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainDkim", Domain="example.com")
        names = ("example.com", "ann@example.com", "sub.example.com", "other.example.org")
        asked = {f"Identities__member__{n}": name for n, name in enumerate(names, 1)}
        found = (await ses.call("GetIdentityDkimAttributes", **asked)).dkim_attributes
    shown = {name: (a.dkim_enabled, a.dkim_verification_status, len(a.dkim_tokens)) for name, a in found.items()}
    assert shown == {
        "example.com": (True, "Success", 3),
        "ann@example.com": (True, "Success", 3),
        "sub.example.com": (True, "Success", 0),
        "other.example.org": (False, "NotStarted", 0),
    }
    assert found["ann@example.com"].dkim_tokens == found["example.com"].dkim_tokens


async def test_signing_is_switched_and_an_unknown_domain_refused() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainDkim", Domain="example.com")
        await ses.call("SetIdentityDkimEnabled", Identity="example.com", DkimEnabled="false")
        await ses.call("SetIdentityDkimEnabled", Identity="ann@example.com", DkimEnabled="true")
        found = await ses.call("GetIdentityDkimAttributes", Identities__member__1="example.com")
        assert not found.dkim_attributes["example.com"].dkim_enabled
        assert found.dkim_attributes["example.com"].dkim_verification_status == "Success"
        with pytest.raises(InvalidParameterValue) as error:
            await ses.call("SetIdentityDkimEnabled", Identity="a@other.example.org", DkimEnabled="true")
    assert error.value.message == "Domain other.example.org is not verified for DKIM signing."


async def test_an_address_signs_only_where_its_domain_is_set_up() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress="ann@example.com")
        await ses.call("SetIdentityDkimEnabled", Identity="ann@example.com", DkimEnabled="false")
        for address in ("ann@example.com", "ann+x@example.com"):
            with pytest.raises(InvalidParameterValue, match="Domain example.com is not verified for DKIM signing."):
                await ses.call("SetIdentityDkimEnabled", Identity=address, DkimEnabled="true")
        await ses.call("VerifyDomainDkim", Domain="example.com")
        for address in ("ann@example.com", "ann+x@example.com"):
            await ses.call("SetIdentityDkimEnabled", Identity=address, DkimEnabled="true")


@pytest.mark.parametrize(
    ("operation", "parameters", "answer"),
    [
        ("VerifyEmailIdentity", {"EmailAddress": "STUB"}, "Invalid email address<STUB>."),
        ("VerifyEmailIdentity", {"EmailAddress": "Ann <a@b.com>"}, "Invalid email address<Ann <a@b.com>>."),
        ("VerifyDomainIdentity", {"Domain": "no domain"}, "Invalid domain name no domain."),
        ("VerifyDomainDkim", {"Domain": "a@example.com"}, "Domain a@example.com is invalid."),
        (
            "ListIdentities",
            {"MaxItems": "0"},
            "Value 0 for parameter MaxItems is invalid. MaxItems must be between 1 and 1000.",
        ),
        (
            "ListIdentities",
            {"MaxItems": "1001"},
            "Value 1001 for parameter MaxItems is invalid. MaxItems must be between 1 and 1000.",
        ),
        ("ListIdentities", {"NextToken": "nope"}, "Invalid NextToken <nope>."),
    ],
)
async def test_bad_input_is_answered_in_the_words_of_ses(
    operation: str, parameters: dict[str, str], answer: str
) -> None:
    async with open_ses() as ses:
        with pytest.raises(InvalidParameterValue) as error:
            await ses.call(operation, **parameters)
    assert error.value.message == answer


async def test_listing_goes_page_by_page_and_by_type() -> None:
    names = [f"d{n:02}.example.com" for n in range(7)]
    async with open_ses() as ses:
        for name in names:
            await ses.call("VerifyDomainIdentity", Domain=name)
            await ses.call("VerifyEmailIdentity", EmailAddress=f"ann@{name}")
        seen: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = await ses.call("ListIdentities", IdentityType="Domain", MaxItems="3", **token)
            seen += page.identities
            if page.next_token is None:
                break
            token = {"NextToken": page.next_token}
        everything = await ses.call("ListIdentities")
    assert seen == names
    assert len(everything.identities) == 14
    assert everything.next_token is None


async def test_deleting_is_idempotent_and_takes_the_keys_along() -> None:
    async with open_ses() as ses:
        first = await ses.call("VerifyDomainDkim", Domain="example.com")
        await ses.call("DeleteIdentity", Identity="Example.COM")
        await ses.call("DeleteIdentity", Identity="example.com")
        assert (await ses.call("ListIdentities")).identities == ()
        again = await ses.call("VerifyDomainDkim", Domain="example.com")
    assert set(first.dkim_tokens).isdisjoint(again.dkim_tokens)


async def test_nobody_sees_anothers_identities() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainDkim", Domain="example.com")
        for stranger in (Callers.BOB, Callers.ANN_ELSEWHERE):
            assert (await ses.call("ListIdentities", stranger)).identities == ()
            found = await ses.call("GetIdentityVerificationAttributes", stranger, Identities__member__1="example.com")
            assert found.verification_attributes == {}
            await ses.call("DeleteIdentity", stranger, Identity="example.com")
        assert (await ses.call("ListIdentities")).identities == ("example.com",)
