"""Changing the key that signs for a domain: what SES does by itself, and here an operator asks for.

Source: SES developer guide, "Easy DKIM": three names are published so that keys can be changed behind them. The names
stay; which one signs moves on, and a key that does not sign can be made anew behind its name.
"""

import asyncio

import msgspec

from posthouse.domain.identities import Identity, key_of, next_signer, with_next_signer
from posthouse.domain.scope import Scope
from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.context import Context
from posthouse.ports.records import SigningKey, Transaction
from posthouse.ports.signing_keys import new_signing_key


async def sign_with_next_key(scope: Scope, domain: str, ctx: Context) -> Identity:
    """The next token's key signs from now on. Raises InvalidParameterValue where Easy DKIM was never asked for."""
    async with ctx.stores.records.transaction() as tx:
        identity = with_next_signer(await _signed(tx, scope, domain))
        await tx.identities.put(scope, identity.name, identity)
    return identity


async def renew_next_key(scope: Scope, domain: str, ctx: Context) -> SigningKey:
    """A new key pair behind the token whose turn is next, so that resolvers can learn it before it signs.

    Raises InvalidParameterValue where Easy DKIM was never asked for.
    """
    # Made before the transaction: 100 ms, and writers wait for each other.
    fresh = await asyncio.to_thread(
        new_signing_key, scope, key_of(domain), "rsa-sha256", ctx.clock.now_ms(), ctx.random
    )
    async with ctx.stores.records.transaction() as tx:
        identity = await _signed(tx, scope, domain)
        key = msgspec.structs.replace(fresh, token=next_signer(identity.dkim))
        await tx.signing_keys.replace(key)
    return key


async def _signed(tx: Transaction, scope: Scope, domain: str) -> Identity:
    identity = await tx.identities.get(scope, key_of(domain))
    if identity is None or not identity.dkim.tokens:
        raise InvalidParameterValue(f"Domain {domain} is not verified for DKIM signing.")
    return identity
