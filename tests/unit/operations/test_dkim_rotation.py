"""Changing the key that signs: the names stay, mail under way verifies, and a new key is there before it signs."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.delivery.key_ring import KeyRing
from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.dkim_rotation import renew_next_key, sign_with_next_key

ANN = Callers.ANN.scope


async def public_records(ses: Ses) -> dict[str, str]:
    async with ses.ctx.stores.records.reading() as reading:
        return {key.token: key.public_record for key in await reading.signing_keys.of(ANN, "example.com")}


async def signer(ring: KeyRing) -> str:
    [key] = await ring.keys_for(ANN, "example.com")
    return key.selector


async def test_the_next_key_signs_and_all_stay_published() -> None:
    async with open_ses() as ses:
        tokens = (await ses.call("VerifyDomainDkim", Domain="example.com")).dkim_tokens
        keys = await public_records(ses)
        ring = KeyRing(ses.ctx.stores.records, "posthouse.test", "none")
        signers = []
        for _ in range(4):
            signers.append(await signer(ring))
            await sign_with_next_key(ANN, "Example.com", ses.ctx)
        assert signers == [*tokens, tokens[0]]
        assert await public_records(ses) == keys
        asked = await ses.call("GetIdentityDkimAttributes", Identities__member__1="example.com")
        assert asked.dkim_attributes["example.com"].dkim_tokens == tokens


async def test_a_new_key_is_made_for_the_token_whose_turn_is_next() -> None:
    async with open_ses() as ses:
        one, two, three = (await ses.call("VerifyDomainDkim", Domain="example.com")).dkim_tokens
        before = await public_records(ses)
        made = await renew_next_key(ANN, "example.com", ses.ctx)
        after = await public_records(ses)
        assert made.token == two
        assert {token for token in before if before[token] != after[token]} == {two}
        assert after[two] == made.public_record
        ring = KeyRing(ses.ctx.stores.records, "posthouse.test", "none")
        assert await signer(ring) == one
        await sign_with_next_key(ANN, "example.com", ses.ctx)
        assert await signer(ring) == two
        assert (await renew_next_key(ANN, "example.com", ses.ctx)).token == three


@pytest.mark.parametrize("deed", [sign_with_next_key, renew_next_key])
@pytest.mark.parametrize("domain", ["example.com", "other.example"])
async def test_a_domain_without_dkim_has_nothing_to_rotate(deed: Callable[..., Awaitable[Any]], domain: str) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        with pytest.raises(InvalidParameterValue) as error:
            await deed(ANN, domain, ses.ctx)
    assert error.value.message == f"Domain {domain} is not verified for DKIM signing."
