"""Custom MAIL FROM domains. Source: API reference, the operations named here; texts observed on the live service."""

from posthouse.domain.identities import Identity, MailFrom, key_of
from posthouse.domain.mail_from import USE_DEFAULT, custom_domain, taken_on_trust, with_mail_from
from posthouse.domain.scope import Caller
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    GetIdentityMailFromDomainAttributesRequest,
    GetIdentityMailFromDomainAttributesResponse,
    IdentityMailFromDomainAttributes,
    SetIdentityMailFromDomainRequest,
    SetIdentityMailFromDomainResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.identities import look_up


async def set_identity_mail_from_domain(
    req: SetIdentityMailFromDomainRequest, caller: Caller, ctx: Context
) -> SetIdentityMailFromDomainResponse:
    name = key_of(req.identity)
    async with ctx.stores.records.transaction() as tx:
        identity = await tx.identities.get(caller.scope, name)
        if identity is None:
            # As users quote it, with the brackets.
            raise InvalidParameterValue(f"Identity <{req.identity}> does not exist.")
        changed = _changed(identity, req, ctx)
        await tx.identities.put(caller.scope, name, changed)
    return SetIdentityMailFromDomainResponse()


def _changed(identity: Identity, req: SetIdentityMailFromDomainRequest, ctx: Context) -> Identity:
    domain = custom_domain(req.mail_from_domain, identity) if req.mail_from_domain else ""
    changed = with_mail_from(identity, domain, req.behavior_on_mx_failure or USE_DEFAULT, ctx.clock.now_ms())
    return taken_on_trust(changed) if ctx.auto_verify else changed


async def get_identity_mail_from_domain_attributes(
    req: GetIdentityMailFromDomainAttributesRequest, caller: Caller, ctx: Context
) -> GetIdentityMailFromDomainAttributesResponse:
    found = await look_up(req.identities, caller.scope, ctx)
    attributes = {
        asked: _shown(identity.mail_from)
        for asked in req.identities
        if (identity := found.get(key_of(asked))) is not None
    }
    return GetIdentityMailFromDomainAttributesResponse(mail_from_domain_attributes=attributes)


def _shown(setting: MailFrom) -> IdentityMailFromDomainAttributes:
    if not setting.domain:
        # Recorded: an identity without one has an entry with the default behaviour and nothing else, whatever the
        # model says is required.
        return IdentityMailFromDomainAttributes(
            mail_from_domain=None,  # type: ignore[arg-type]
            mail_from_domain_status=None,  # type: ignore[arg-type]
            behavior_on_mx_failure=USE_DEFAULT,
        )
    return IdentityMailFromDomainAttributes(
        mail_from_domain=setting.domain,
        mail_from_domain_status=setting.status,
        behavior_on_mx_failure=setting.behavior,
    )
