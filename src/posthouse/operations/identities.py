"""Identities: asking for verification, looking it up, DKIM. Source: API reference, the operations named here."""

import asyncio
import base64

from posthouse.domain.identities import (
    Dkim,
    Identity,
    asked_to_verify,
    candidates,
    domain_name,
    email_address,
    is_domain_identity,
    is_domain_name,
    key_of,
    vouched_for,
    with_dkim_asked,
    with_dkim_enabled,
)
from posthouse.domain.scope import Caller, Scope
from posthouse.domain.verification import as_of
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    DeleteIdentityRequest,
    DeleteIdentityResponse,
    GetIdentityDkimAttributesRequest,
    GetIdentityDkimAttributesResponse,
    GetIdentityVerificationAttributesRequest,
    GetIdentityVerificationAttributesResponse,
    IdentityDkimAttributes,
    IdentityVerificationAttributes,
    ListIdentitiesRequest,
    ListIdentitiesResponse,
    SetIdentityDkimEnabledRequest,
    SetIdentityDkimEnabledResponse,
    VerifyDomainDkimRequest,
    VerifyDomainDkimResponse,
    VerifyDomainIdentityRequest,
    VerifyDomainIdentityResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.paging import Pages
from posthouse.ports.records import SigningKey, Transaction
from posthouse.ports.signing_keys import new_signing_key

DKIM_TOKENS = 3
MAX_PAGE = 1000
MAX_LOOKED_UP = 100
"""Identities of one Get...Attributes call (API reference)."""


async def verify_domain_identity(
    req: VerifyDomainIdentityRequest, caller: Caller, ctx: Context
) -> VerifyDomainIdentityResponse:
    name = domain_name(req.domain)
    async with ctx.stores.records.transaction() as tx:
        identity = await _ask(tx, caller.scope, name, ctx)
    return VerifyDomainIdentityResponse(verification_token=identity.token)


async def verify_domain_dkim(req: VerifyDomainDkimRequest, caller: Caller, ctx: Context) -> VerifyDomainDkimResponse:
    if not is_domain_name(req.domain) or "." not in req.domain:
        raise InvalidParameterValue(f"Domain {req.domain} is invalid.")
    name = req.domain.lower()
    async with ctx.stores.records.reading() as reading:
        known = await reading.identities.get(caller.scope, name)
    # Keys are made before the transaction: 100 ms each, and writers wait for each other.
    fresh = [] if known is not None and known.dkim.tokens else await _new_keys(caller.scope, name, ctx)
    async with ctx.stores.records.transaction() as tx:
        identity = await tx.identities.get(caller.scope, name)
        if identity is None:
            identity = asked_to_verify(None, name, ctx.clock.now_ms(), _new_domain_token(ctx))
        if not identity.dkim.tokens:
            await tx.signing_keys.add(fresh)
        identity = with_dkim_asked(identity, tuple(key.token for key in fresh), ctx.clock.now_ms())
        if ctx.auto_verify:
            identity = vouched_for(identity)
        await tx.identities.put(caller.scope, name, identity)
    return VerifyDomainDkimResponse(dkim_tokens=identity.dkim.tokens)


async def _ask(tx: Transaction, scope: Scope, name: str, ctx: Context) -> Identity:
    known = await tx.identities.get(scope, name)
    token = _new_domain_token(ctx) if is_domain_identity(name) else ""
    identity = asked_to_verify(known, name, ctx.clock.now_ms(), token)
    if ctx.auto_verify:
        identity = vouched_for(identity)
    await tx.identities.put(scope, name, identity)
    return identity


def _new_domain_token(ctx: Context) -> str:
    """44 characters of base64, as the tokens of SES."""
    return base64.b64encode(ctx.random(32)).decode()


async def _new_keys(scope: Scope, domain: str, ctx: Context) -> list[SigningKey]:
    now_ms = ctx.clock.now_ms()
    making = (
        # A millisecond apart: keys are kept in order of creation.
        asyncio.to_thread(new_signing_key, scope, domain, "rsa-sha256", now_ms + number, ctx.random)
        for number in range(DKIM_TOKENS)
    )
    return list(await asyncio.gather(*making))


async def get_identity_verification_attributes(
    req: GetIdentityVerificationAttributesRequest, caller: Caller, ctx: Context
) -> GetIdentityVerificationAttributesResponse:
    found = await look_up(req.identities, caller.scope, ctx)
    now_ms = ctx.clock.now_ms()
    attributes = {
        asked: IdentityVerificationAttributes(
            verification_status=as_of(identity, now_ms).status,
            verification_token=identity.token if identity.is_domain and identity.token else None,
        )
        for asked in req.identities
        if (identity := found.get(key_of(asked))) is not None
    }
    return GetIdentityVerificationAttributesResponse(verification_attributes=attributes)


async def get_identity_dkim_attributes(
    req: GetIdentityDkimAttributesRequest, caller: Caller, ctx: Context
) -> GetIdentityDkimAttributesResponse:
    wanted = {name for asked in req.identities for name in candidates(asked)}
    found = await look_up(req.identities, caller.scope, ctx, wanted)
    attributes = {}
    for asked in req.identities:
        # An address or subdomain reports the DKIM of the nearest domain that has one (probed on the live service), an
        # address with that domain's tokens (API reference); the list is there even where it is empty.
        near = (found[name] for name in map(key_of, candidates(asked)) if name in found)
        dkim = next((identity.dkim for identity in near if identity.dkim.tokens), None)
        own = found.get(key_of(asked))
        dkim = dkim or (own.dkim if own else Dkim(enabled=False))
        attributes[asked] = IdentityDkimAttributes(
            dkim_enabled=dkim.enabled,
            dkim_verification_status=dkim.status,
            dkim_tokens=dkim.tokens if not is_domain_identity(asked) or (own and own.dkim.tokens) else (),
        )
    return GetIdentityDkimAttributesResponse(dkim_attributes=attributes)


async def look_up(
    asked: tuple[str, ...], scope: Scope, ctx: Context, names: set[str] | None = None
) -> dict[str, Identity]:
    """The identities among those asked for (or among `names`), by the name they are kept under."""
    if len(asked) > MAX_LOOKED_UP:
        raise InvalidParameterValue(f"Too many identities specified; at most {MAX_LOOKED_UP} are allowed.")
    async with ctx.stores.records.reading() as reading:
        return await reading.identities.get_many(scope, map(key_of, asked if names is None else names))


async def set_identity_dkim_enabled(
    req: SetIdentityDkimEnabledRequest, caller: Caller, ctx: Context
) -> SetIdentityDkimEnabledResponse:
    name = key_of(req.identity)
    async with ctx.stores.records.transaction() as tx:
        identity = await tx.identities.get(caller.scope, name)
        if identity is None or (req.dkim_enabled and not identity.is_domain):
            # API reference: an address may be switched on only where its domain is set up. Users quote the same words.
            domains = () if is_domain_identity(name) else filter(is_domain_identity, candidates(name))
            if not await tx.identities.get_many(caller.scope, domains):
                domain = req.identity.rpartition("@")[2]
                raise InvalidParameterValue(f"Domain {domain} is not verified for DKIM signing.")
        if identity is None:
            # An address that is no identity itself follows its domain: accepted, nothing changes (probed).
            return SetIdentityDkimEnabledResponse()
        await tx.identities.put(caller.scope, name, with_dkim_enabled(identity, req.dkim_enabled))
    return SetIdentityDkimEnabledResponse()


async def list_identities(req: ListIdentitiesRequest, caller: Caller, ctx: Context) -> ListIdentitiesResponse:
    limit = MAX_PAGE if req.max_items is None else req.max_items
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidParameterValue(
            f"Value {limit} for parameter MaxItems is invalid. MaxItems must be between 1 and {MAX_PAGE}."
        )
    pages = Pages("identities", caller.scope)
    after = pages.name_before(req.next_token)
    if after is None:
        raise InvalidParameterValue(f"Invalid NextToken <{req.next_token}>.")
    names: list[str] = []
    async with ctx.stores.records.reading() as reading:
        while len(names) <= limit:
            page = await reading.identities.page(caller.scope, after, MAX_PAGE)
            names += [name for name, identity in page if _is_of_type(identity, req.identity_type)]
            if len(page) < MAX_PAGE:
                break
            after = page[-1][0]
    more = pages.token_after(names[limit - 1]) if len(names) > limit else None
    return ListIdentitiesResponse(identities=tuple(names[:limit]), next_token=more)


def _is_of_type(identity: Identity, wanted: str | None) -> bool:
    return wanted is None or (wanted == "Domain") == identity.is_domain


async def delete_identity(req: DeleteIdentityRequest, caller: Caller, ctx: Context) -> DeleteIdentityResponse:
    name = key_of(req.identity)
    async with ctx.stores.records.transaction() as tx:
        await tx.identities.delete(caller.scope, name)
        await tx.identity_policies.delete(caller.scope, name)
        await tx.signing_keys.delete(caller.scope, name)
    return DeleteIdentityResponse()


async def verify_on_operators_word(scope: Scope, name: str, ctx: Context) -> Identity:
    """Makes an identity verified at once, with DKIM for a domain: what `posthouse identity verify` does."""
    caller = Caller(scope, "operator", "")
    if is_domain_identity(name):
        await verify_domain_dkim(VerifyDomainDkimRequest(domain=name), caller, ctx)
    name = domain_name(name) if is_domain_identity(name) else email_address(name)
    async with ctx.stores.records.transaction() as tx:
        known = await tx.identities.get(scope, name)
        token = _new_domain_token(ctx) if is_domain_identity(name) else ""
        identity = vouched_for(asked_to_verify(known, name, ctx.clock.now_ms(), token))
        await tx.identities.put(scope, name, identity)
    return identity
