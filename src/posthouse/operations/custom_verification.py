"""Custom verification e-mails: their templates, and sending one.

Source: API reference, the operations named here; SES developer guide, "Using custom verification email templates";
texts and the order of SendCustomVerificationEmail's checks as observed on the live service.
"""

import asyncio

import msgspec

from posthouse.domain.accounts import in_sandbox
from posthouse.domain.addresses import Mailbox
from posthouse.domain.identities import asked_to_verify, candidates, email_address, key_of, vouched_for
from posthouse.domain.messages import ContentKind
from posthouse.domain.scope import Caller, Scope
from posthouse.domain.sending import is_verified
from posthouse.domain.verification import (
    MAX_TEMPLATES,
    Link,
    VerificationContent,
    VerificationTemplate,
    check_new_template,
    check_template,
    check_template_name,
    from_no_longer_verified,
    from_not_verified,
    is_template_name,
    no_such_template,
    recipient_address,
    with_link,
)
from posthouse.domain.verification_html import Content, read_content
from posthouse.mail.verification import custom_draft, with_images
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    CreateCustomVerificationEmailTemplateRequest,
    CreateCustomVerificationEmailTemplateResponse,
    CustomVerificationEmailTemplate,
    DeleteCustomVerificationEmailTemplateRequest,
    DeleteCustomVerificationEmailTemplateResponse,
    GetCustomVerificationEmailTemplateRequest,
    GetCustomVerificationEmailTemplateResponse,
    ListCustomVerificationEmailTemplatesRequest,
    ListCustomVerificationEmailTemplatesResponse,
    ProductionAccessNotGrantedException,
    SendCustomVerificationEmailRequest,
    SendCustomVerificationEmailResponse,
    UpdateCustomVerificationEmailTemplateRequest,
    UpdateCustomVerificationEmailTemplateResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.paging import Pages
from posthouse.ports.records import Transaction
from posthouse.submission.accept import Submission, accept

MAX_PAGE = 50

_encode = msgspec.json.Encoder().encode


async def create_custom_verification_email_template(
    req: CreateCustomVerificationEmailTemplateRequest, caller: Caller, ctx: Context
) -> CreateCustomVerificationEmailTemplateResponse:
    scope, name = caller.scope, req.template_name
    template = VerificationTemplate(
        from_address=req.from_email_address,
        subject=req.template_subject,
        success_url=req.success_redirection_url,
        failure_url=req.failure_redirection_url,
    )
    check_template_name(name)
    check_template(template)
    await _read(req.template_content)
    async with ctx.stores.records.transaction() as tx:
        known = await tx.verification_templates.get(scope, name)
        check_new_template(name, known is not None, await _count(tx, scope))
        await _check_from(tx, scope, template.from_address)
        await tx.verification_templates.put(scope, name, template)
        await tx.verification_contents.put(scope, name, VerificationContent(req.template_content))
    return CreateCustomVerificationEmailTemplateResponse()


async def _read(content: str) -> Content:
    """In a thread: ten megabytes take a while, and others wait."""
    return await asyncio.to_thread(read_content, content)


async def _count(tx: Transaction, scope: Scope) -> int:
    return len(await tx.verification_templates.page(scope, "", MAX_TEMPLATES))


async def _check_from(tx: Transaction, scope: Scope, address: str) -> None:
    try:
        covering = await tx.identities.get_many(scope, map(key_of, candidates(email_address(address))))
    except InvalidParameterValue:
        raise from_not_verified(address) from None
    if not is_verified(address, covering):
        raise from_not_verified(address)


async def update_custom_verification_email_template(
    req: UpdateCustomVerificationEmailTemplateRequest, caller: Caller, ctx: Context
) -> UpdateCustomVerificationEmailTemplateResponse:
    """Changes what is given."""
    scope, name = caller.scope, req.template_name
    if req.template_content is not None:
        await _read(req.template_content)
    async with ctx.stores.records.transaction() as tx:
        known = await tx.verification_templates.get(scope, name) if is_template_name(name) else None
        if known is None:
            raise no_such_template(name)
        changed = _changed(known, req)
        check_template(changed)
        if req.from_email_address is not None:
            await _check_from(tx, scope, changed.from_address)
        await tx.verification_templates.put(scope, name, changed)
        if req.template_content is not None:
            await tx.verification_contents.put(scope, name, VerificationContent(req.template_content))
    return UpdateCustomVerificationEmailTemplateResponse()


def _changed(known: VerificationTemplate, req: UpdateCustomVerificationEmailTemplateRequest) -> VerificationTemplate:
    given = {
        "from_address": req.from_email_address,
        "subject": req.template_subject,
        "success_url": req.success_redirection_url,
        "failure_url": req.failure_redirection_url,
    }
    return msgspec.structs.replace(known, **{name: value for name, value in given.items() if value is not None})


async def get_custom_verification_email_template(
    req: GetCustomVerificationEmailTemplateRequest, caller: Caller, ctx: Context
) -> GetCustomVerificationEmailTemplateResponse:
    template, content = await _find(req.template_name, caller.scope, ctx)
    return GetCustomVerificationEmailTemplateResponse(
        template_name=req.template_name,
        from_email_address=template.from_address,
        template_subject=template.subject,
        template_content=content.html,
        success_redirection_url=template.success_url,
        failure_redirection_url=template.failure_url,
    )


async def _find(
    name: str, scope: Scope, ctx: Context, sending: bool = False
) -> tuple[VerificationTemplate, VerificationContent]:
    if not is_template_name(name):
        raise no_such_template(name, sending=sending)
    async with ctx.stores.records.reading() as reading:
        template = await reading.verification_templates.get(scope, name)
        content = await reading.verification_contents.get(scope, name)
    if template is None or content is None:
        raise no_such_template(name, sending=sending)
    return template, content


async def list_custom_verification_email_templates(
    req: ListCustomVerificationEmailTemplatesRequest, caller: Caller, ctx: Context
) -> ListCustomVerificationEmailTemplatesResponse:
    asked = MAX_PAGE if req.max_results is None else req.max_results
    # What is out of range is served as if nothing had been asked for (API reference, and probed).
    limit = asked if 1 <= asked <= MAX_PAGE else MAX_PAGE
    pages = Pages("custom-verification-email-templates", caller.scope)
    after = pages.name_before(req.next_token)
    if after is None:
        raise InvalidParameterValue(f"Invalid nextToken <{req.next_token}>.")
    async with ctx.stores.records.reading() as reading:
        found = await reading.verification_templates.page(caller.scope, after, limit + 1)
    return ListCustomVerificationEmailTemplatesResponse(
        custom_verification_email_templates=tuple(
            CustomVerificationEmailTemplate(
                template_name=name,
                from_email_address=template.from_address,
                template_subject=template.subject,
                success_redirection_url=template.success_url,
                failure_redirection_url=template.failure_url,
            )
            for name, template in found[:limit]
        ),
        next_token=pages.token_after(found[limit - 1][0]) if len(found) > limit else None,
    )


async def delete_custom_verification_email_template(
    req: DeleteCustomVerificationEmailTemplateRequest, caller: Caller, ctx: Context
) -> DeleteCustomVerificationEmailTemplateResponse:
    # The page lists no error for a missing one; the live service answers with one.
    scope, name = caller.scope, req.template_name
    async with ctx.stores.records.transaction() as tx:
        if not is_template_name(name) or not await tx.verification_templates.delete(scope, name):
            raise no_such_template(name)
        await tx.verification_contents.delete(scope, name)
    return DeleteCustomVerificationEmailTemplateResponse()


async def send_custom_verification_email(
    req: SendCustomVerificationEmailRequest, caller: Caller, ctx: Context
) -> SendCustomVerificationEmailResponse:
    """The account's own mail: its identity signs it, and it is charged to its quota."""
    scope, address = caller.scope, recipient_address(req.email_address)
    template, content = await _find(req.template_name, scope, ctx, sending=True)
    await _check_may_send(template, scope, ctx)
    async with ctx.stores.records.reading() as reading:
        known = await reading.identities.get(scope, address)
    issued_ms = with_link(asked_to_verify(known, address, ctx.clock.now_ms()), ctx.clock.now_ms()).link_ms
    link = Link(*scope, address, issued_ms, req.template_name)
    # Sent first: a call that is refused for its quota leaves an older link alive.
    message_id = await accept(await _submission(req, link, template, content, caller, ctx), ctx.submission)
    await _register(link, ctx)
    return SendCustomVerificationEmailResponse(message_id=message_id)


async def _check_may_send(template: VerificationTemplate, scope: Scope, ctx: Context) -> None:
    """Raises ProductionAccessNotGranted in the sandbox, FromEmailAddressNotVerified where it no longer is."""
    facts, source = ctx.submission.facts, template.from_address
    if in_sandbox(await facts.account(scope), ctx.defaults):
        raise ProductionAccessNotGrantedException("Production access not granted.")
    if await facts.unverified(scope, (Mailbox(source, "", source),)):
        raise from_no_longer_verified(source, scope.region)


async def _submission(
    req: SendCustomVerificationEmailRequest,
    link: Link,
    template: VerificationTemplate,
    content: VerificationContent,
    caller: Caller,
    ctx: Context,
) -> Submission:
    source = Mailbox(template.from_address, "", template.from_address)
    kind, body = await asyncio.to_thread(_composed, link, template, content, ctx)
    return Submission(
        caller=caller,
        operation="SendCustomVerificationEmail",
        source=source.text,
        from_domain=source.domain,
        senders=(source,),
        feedback_to=source.address,
        recipients=(Mailbox(link.address, "", link.address),),
        content=body,
        content_kind=kind,
        subject=template.subject,
        configuration_set=req.configuration_set_name or "",
    )


def _composed(
    link: Link, template: VerificationTemplate, content: VerificationContent, ctx: Context
) -> tuple[ContentKind, bytes]:
    read = read_content(content.html)
    url = ctx.links.url(link)
    draft = custom_draft(
        template.from_address, link.address, template.subject, content.html, read, url, ctx.service_domain
    )
    if read.images:
        return ContentKind.RAW, with_images(draft, read, ctx.random(16).hex())
    return ContentKind.DRAFT, _encode(draft)


async def _register(link: Link, ctx: Context) -> None:
    """The address is Pending from now on, unless it is verified already, and this is its link."""
    async with ctx.stores.records.transaction() as tx:
        known = await tx.identities.get(link.scope, link.address)
        identity = asked_to_verify(known, link.address, ctx.clock.now_ms())
        identity = msgspec.structs.replace(identity, link_ms=link.issued_ms)
        await tx.identities.put(link.scope, link.address, vouched_for(identity) if ctx.auto_verify else identity)
