"""Sending: SendEmail and SendRawEmail. Source: API reference of both; order of checks as observed on the live service:
tags, then addresses, then configuration set, then account and verification, then quota."""

import msgspec

from posthouse.domain.addresses import Mailbox, parse_mailbox
from posthouse.domain.messages import ContentKind, Draft, Text
from posthouse.domain.scope import Caller
from posthouse.domain.sending import check_drafted, check_recipient_count, check_size
from posthouse.domain.tags import check_tags
from posthouse.mail import charsets
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    Content,
    MessageTag,
    SendEmailRequest,
    SendEmailResponse,
    SendRawEmailRequest,
    SendRawEmailResponse,
)
from posthouse.operations.context import Context
from posthouse.submission.accept import Submission, accept
from posthouse.submission.raw import RawSubmission, submit_raw

_encode = msgspec.json.Encoder().encode


async def send_email(req: SendEmailRequest, caller: Caller, ctx: Context) -> SendEmailResponse:
    tags = _tags(req.tags)
    check_tags(tags)
    source = parse_mailbox(req.source)
    to, cc, bcc = (_mailboxes(part) for part in _addressed(req))
    return_path = parse_mailbox(req.return_path) if req.return_path else None
    _mailboxes(req.reply_to_addresses)
    check_recipient_count(len(to) + len(cc) + len(bcc))
    draft = _draft(req)
    check_drafted(draft)
    _check_charsets(draft)
    content = _encode(draft)
    check_size(len(content))
    message_id = await accept(
        Submission(
            caller=caller,
            operation="SendEmail",
            source=req.source,
            from_domain=source.domain,
            senders=(source,) if return_path is None else (source, return_path),
            feedback_to=(return_path or source).address,
            recipients=to + cc + bcc,
            content=content,
            content_kind=ContentKind.DRAFT,
            subject=draft.subject.data,
            configuration_set=req.configuration_set_name or "",
            tags=tags,
            arns=_arns(req.source_arn, req.return_path_arn if return_path else None, count=2 if return_path else 1),
        ),
        ctx.submission,
    )
    return SendEmailResponse(message_id=message_id)


def _arns(source_arn: str | None, return_path_arn: str | None, count: int) -> tuple[str, ...]:
    """For Source and ReturnPath, as far as there is one; nothing where neither is named."""
    return (source_arn or "", return_path_arn or "")[:count] if source_arn or return_path_arn else ()


def _tags(tags: tuple[MessageTag, ...] | None) -> tuple[tuple[str, str], ...]:
    return tuple((tag.name, tag.value) for tag in tags or ())


def _addressed(req: SendEmailRequest) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    to = req.destination
    return to.to_addresses or (), to.cc_addresses or (), to.bcc_addresses or ()


def _mailboxes(texts: tuple[str, ...] | None) -> tuple[Mailbox, ...]:
    return tuple([parse_mailbox(text) for text in texts or ()])


def _draft(req: SendEmailRequest) -> Draft:
    to, cc, bcc = _addressed(req)
    body = req.message.body
    return Draft(
        source=req.source,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=req.reply_to_addresses or (),
        subject=_text(req.message.subject) or Text(""),
        text=_text(body.text),
        html=_text(body.html),
    )


def _text(content: Content | None) -> Text | None:
    return None if content is None else Text(content.data, content.charset or "")


def _check_charsets(draft: Draft) -> None:
    """What cannot be written in the charset asked for is told now, not found out behind the queue."""
    for part in (draft.subject, draft.text, draft.html):
        if part is not None and part.charset and part.charset.lower() != "utf-8":
            try:
                charsets.encode(part.data, part.charset)
            except charsets.Unencodable as error:
                raise InvalidParameterValue(f"Invalid charset: {error}.") from None


async def send_raw_email(req: SendRawEmailRequest, caller: Caller, ctx: Context) -> SendRawEmailResponse:
    submission = RawSubmission(
        caller=caller,
        operation="SendRawEmail",
        content=req.raw_message.data,
        source=req.source or "",
        destinations=req.destinations,
        configuration_set=req.configuration_set_name or "",
        tags=_tags(req.tags),
        source_arn=req.source_arn or "",
        from_arn=req.from_arn or "",
        return_path_arn=req.return_path_arn or "",
    )
    return SendRawEmailResponse(message_id=await submit_raw(submission, ctx.submission))
