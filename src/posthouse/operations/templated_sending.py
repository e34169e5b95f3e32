"""Sending by templates: SendTemplatedEmail and SendBulkTemplatedEmail.

Source: API reference of both; developer guide, "Using templates to send personalized email". What is accepted is
rendered behind the queue: a template that its data does not fill is a Rendering Failure event, not an error here. Order
of the checks of a bulk call as observed: Source and ReturnPath fail the whole call before the template is looked up;
what is wrong with one destination is that destination's status.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from posthouse.domain.addresses import Mailbox, parse_mailbox
from posthouse.domain.messages import ContentKind, TemplatedDraft
from posthouse.domain.quotas import Refusal
from posthouse.domain.scope import Caller
from posthouse.domain.sending import check_recipient_count
from posthouse.domain.tags import check_tags
from posthouse.domain.templates import TemplateContent, no_such_template, render_subject
from posthouse.model.errors import InvalidParameterValue, ServiceError, Throttling
from posthouse.model.generated import (
    BulkEmailDestination,
    BulkEmailDestinationStatus,
    MailFromDomainNotVerifiedException,
    MessageRejected,
    SendBulkTemplatedEmailRequest,
    SendBulkTemplatedEmailResponse,
    SendTemplatedEmailRequest,
    SendTemplatedEmailResponse,
)
from posthouse.operations.addressing import Lists, Sender, envelope_of, lists_of, mailboxes, sender_of, tags_of
from posthouse.operations.context import Context
from posthouse.ports.stores import StoreUnavailable
from posthouse.submission.accept import Submission, accept, check_sender

MAX_DESTINATIONS = 50
UNAVAILABLE = "TransientFailure"
_encode = msgspec.json.Encoder().encode

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """The template of a call as it is now."""

    name: str
    key: str
    content: TemplateContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What all destinations of a call share."""

    caller: Caller
    operation: str
    source: str
    sender: Sender
    reply_to: tuple[str, ...]
    configuration_set: str
    template: Template


async def send_templated_email(
    req: SendTemplatedEmailRequest, caller: Caller, ctx: Context
) -> SendTemplatedEmailResponse:
    tags = tags_of(req.tags)
    check_tags(tags)
    lists = lists_of(req.destination)
    arns = req.source_arn, req.return_path_arn
    sender, recipients = envelope_of(req.source, lists, req.return_path, req.reply_to_addresses, arns)
    letter = Letter(
        caller=caller,
        operation="SendTemplatedEmail",
        source=req.source,
        sender=sender,
        reply_to=req.reply_to_addresses or (),
        configuration_set=req.configuration_set_name or "",
        template=await _template(req.template, req.template_arn, caller, ctx),
    )
    return SendTemplatedEmailResponse(message_id=await _send(letter, lists, recipients, tags, req.template_data, ctx))


async def send_bulk_templated_email(
    req: SendBulkTemplatedEmailRequest, caller: Caller, ctx: Context
) -> SendBulkTemplatedEmailResponse:
    check_tags(tags_of(req.default_tags))
    sender = _bulk_sender(req)
    if len(req.destinations) > MAX_DESTINATIONS:
        raise InvalidParameterValue(f"Destination count exceeds {MAX_DESTINATIONS}.")
    if not req.destinations:
        raise InvalidParameterValue("There are no destinations specified.")
    letter = Letter(
        caller=caller,
        operation="SendBulkTemplatedEmail",
        source=req.source,
        sender=sender,
        reply_to=req.reply_to_addresses or (),
        configuration_set=req.configuration_set_name or "",
        template=await _template(req.template, req.template_arn, caller, ctx),
    )
    await check_sender(
        caller.scope, letter.configuration_set, sender.senders if not sender.arns else (), ctx.submission
    )
    # All at once: they are stored by one transaction, in their order.
    sent = await asyncio.gather(*(_send_one(letter, req, each, ctx) for each in req.destinations))
    if all(each.status == UNAVAILABLE for each in sent):
        raise StoreUnavailable(sent[0].error or "")
    return SendBulkTemplatedEmailResponse(status=tuple(sent))


def _bulk_sender(req: SendBulkTemplatedEmailRequest) -> Sender:
    """Observed: an address that is none, or too long, is answered otherwise here than by the other sends."""
    source = _bulk_mailbox(req.source)
    back = _bulk_mailbox(req.return_path) if req.return_path else None
    return sender_of(source, back, (req.source_arn, req.return_path_arn))


def _bulk_mailbox(text: str) -> Mailbox:
    try:
        return parse_mailbox(text)
    except InvalidParameterValue:
        raise InvalidParameterValue(f"Invalid email address<{text}>.") from None


async def _template(name: str, arn: str | None, caller: Caller, ctx: Context) -> Template:
    """Raises TemplateDoesNotExist, also for another account's: nothing shares templates between accounts."""
    scope = caller.scope
    if arn and arn != f"arn:aws:ses:{scope.region}:{scope.account}:template/{name}":
        raise no_such_template(name)
    facts = ctx.submission.facts
    template = await facts.template(scope, name)
    content = None if template is None else await facts.contents.get(scope, template.content)
    if template is None or content is None:
        raise no_such_template(name)
    return Template(name, template.content, content)


async def _send(
    letter: Letter, lists: Lists, recipients: tuple[Mailbox, ...], tags: Tags, data: str, ctx: Context
) -> str:
    """Accepts one message; its MessageId. Raises ServiceErrors."""
    check_recipient_count(len(recipients))
    draft = TemplatedDraft(
        source=letter.source,
        to=lists.to,
        cc=lists.cc,
        bcc=lists.bcc,
        reply_to=letter.reply_to,
        template=letter.template.name,
        content=letter.template.key,
        data=data,
    )
    return await accept(
        Submission(
            caller=letter.caller,
            operation=letter.operation,
            source=letter.source,
            from_domain=letter.sender.source.domain,
            senders=letter.sender.senders,
            feedback_to=letter.sender.feedback_to,
            recipients=recipients,
            content=_encode(draft),
            content_kind=ContentKind.TEMPLATED,
            subject=render_subject(letter.template.content, data),
            configuration_set=letter.configuration_set,
            tags=tags,
            arns=letter.sender.arns,
        ),
        ctx.submission,
    )


async def _send_one(
    letter: Letter, req: SendBulkTemplatedEmailRequest, destination: BulkEmailDestination, ctx: Context
) -> BulkEmailDestinationStatus:
    try:
        tags = _merged(tags_of(req.default_tags), tags_of(destination.replacement_tags))
        check_tags(tags)
        lists = lists_of(destination.destination)
        recipients = mailboxes((*lists.all, *letter.reply_to))[: len(lists.all)]
        data = _data(req.default_template_data, destination.replacement_template_data)
        message_id = await _send(letter, lists, recipients, tags, data, ctx)
    except ServiceError as error:
        return BulkEmailDestinationStatus(status=_status(error), error=error.message)
    except StoreUnavailable as error:
        # Others of the call may have been stored: this one was not, and may be sent again.
        return BulkEmailDestinationStatus(status=UNAVAILABLE, error=str(error))
    return BulkEmailDestinationStatus(status="Success", message_id=message_id)


def _merged(default: Tags, replacing: Tags) -> Tags:
    return tuple({**dict(default), **dict(replacing)}.items()) if replacing else default


def _data(default: str, replacing: str | None) -> str:
    """The default stands in for replacement data that is not given or empty, as a whole (developer guide)."""
    return default if replacing is None or replacing.strip(" \t\r\n") in ("", "{}") else replacing


_STATUSES: Sequence[tuple[type[ServiceError], str]] = (
    (InvalidParameterValue, "InvalidParameterValue"),
    (MessageRejected, "MessageRejected"),
    (MailFromDomainNotVerifiedException, "MailFromDomainNotVerified"),
)


def _status(error: ServiceError) -> str:
    if isinstance(error, Throttling):
        return "AccountDailyQuotaExceeded" if error.message == Refusal.DAILY.value else "AccountThrottled"
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), "Failed")
