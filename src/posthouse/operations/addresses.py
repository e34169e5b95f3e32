"""E-mail addresses as identities: verified by a link that is mailed to them.

Source: API reference of VerifyEmailIdentity and of the deprecated VerifyEmailAddress, ListVerifiedEmailAddresses and
DeleteVerifiedEmailAddress, which see addresses only.
"""

from dataclasses import dataclass

from posthouse.domain.identities import Identity, asked_to_verify, email_address, vouched_for
from posthouse.domain.scope import Caller
from posthouse.domain.verification import DeadLink, Link, Links, VerificationTemplate, followed, with_link
from posthouse.mail.verification import verification_draft
from posthouse.model.generated import (
    DeleteIdentityRequest,
    DeleteVerifiedEmailAddressRequest,
    DeleteVerifiedEmailAddressResponse,
    ListVerifiedEmailAddressesRequest,
    ListVerifiedEmailAddressesResponse,
    VerifyEmailAddressRequest,
    VerifyEmailAddressResponse,
    VerifyEmailIdentityRequest,
    VerifyEmailIdentityResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.identities import delete_identity
from posthouse.ports.records import RecordStore
from posthouse.submission.system_mail import send_system_mail

VERIFICATION_MAIL = "VerificationMail"
"""What readers of the message see as its operation."""
_PAGE = 1000


async def verify_email_identity(
    req: VerifyEmailIdentityRequest, caller: Caller, ctx: Context
) -> VerifyEmailIdentityResponse:
    await _ask(email_address(req.email_address), caller, ctx)
    return VerifyEmailIdentityResponse()


async def verify_email_address(
    req: VerifyEmailAddressRequest, caller: Caller, ctx: Context
) -> VerifyEmailAddressResponse:
    await _ask(email_address(req.email_address), caller, ctx)
    return VerifyEmailAddressResponse()


async def _ask(address: str, caller: Caller, ctx: Context) -> None:
    """Registers the address and mails it a new link; with `auto_verify` it is verified and nothing is mailed."""
    async with ctx.stores.records.transaction() as tx:
        known = await tx.identities.get(caller.scope, address)
        identity = asked_to_verify(known, address, ctx.clock.now_ms())
        identity = vouched_for(identity) if ctx.auto_verify else with_link(identity, ctx.clock.now_ms())
        await tx.identities.put(caller.scope, address, identity)
    if not ctx.auto_verify:
        # After the commit: a link that somebody holds leads somewhere.
        url = ctx.links.url(Link(*caller.scope, address, identity.link_ms))
        draft = verification_draft(address, caller.scope, url, ctx.service_domain)
        await send_system_mail(draft, VERIFICATION_MAIL, caller, ctx.submission)


async def list_verified_email_addresses(
    req: ListVerifiedEmailAddressesRequest, caller: Caller, ctx: Context
) -> ListVerifiedEmailAddressesResponse:
    """All of them: this operation has no pages."""
    addresses: list[str] = []
    after: str | None = ""
    async with ctx.stores.records.reading() as reading:
        while after is not None:
            page = await reading.identities.page(caller.scope, after, _PAGE)
            addresses += [name for name, identity in page if _is_verified_address(identity)]
            after = page[-1][0] if len(page) == _PAGE else None
    return ListVerifiedEmailAddressesResponse(verified_email_addresses=tuple(addresses))


def _is_verified_address(identity: Identity) -> bool:
    return identity.verified and not identity.is_domain


async def delete_verified_email_address(
    req: DeleteVerifiedEmailAddressRequest, caller: Caller, ctx: Context
) -> DeleteVerifiedEmailAddressResponse:
    # A domain is no address: it is refused here, and stays.
    await delete_identity(DeleteIdentityRequest(identity=email_address(req.email_address)), caller, ctx)
    return DeleteVerifiedEmailAddressResponse()


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a link that somebody followed."""

    link: Link
    dead: DeadLink | None
    """Why it proved nothing; None: the address is verified now."""
    redirect: str
    """Where the custom verification e-mail sends people; empty: to a page of ours."""


async def follow_link(token: str, links: Links, records: RecordStore, now_ms: int) -> Followed | None:
    """Verifies the address where the link is good, which uses it up. None for what is no link of ours."""
    link = links.read(token)
    if link is None:
        return None
    async with records.transaction() as tx:
        found = followed(await tx.identities.get(link.scope, link.address), link, now_ms)
        if isinstance(found, Identity):
            await tx.identities.put(link.scope, link.address, found)
        template = await tx.verification_templates.get(link.scope, link.template) if link.template else None
    dead = found if isinstance(found, DeadLink) else None
    return Followed(link, dead, _redirect(template, dead))


def _redirect(template: VerificationTemplate | None, dead: DeadLink | None) -> str:
    if template is None:
        return ""
    return template.failure_url if dead else template.success_url
