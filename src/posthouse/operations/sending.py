"""Sending: SendEmail and SendRawEmail. Source: API reference of both; order of checks as observed on the live service:
tags, then addresses, then configuration set, then account and verification, then quota."""

import asyncio

import msgspec

from posthouse.domain.messages import ContentKind, Draft, Text
from posthouse.domain.scope import Caller
from posthouse.domain.sending import MAX_MESSAGE_BYTES, check_drafted, check_recipient_count, check_size
from posthouse.domain.tags import check_tags
from posthouse.mail import charsets
from posthouse.mail.compose import compose
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    Content,
    SendEmailRequest,
    SendEmailResponse,
    SendRawEmailRequest,
    SendRawEmailResponse,
)
from posthouse.operations.addressing import Lists, envelope_of, lists_of, tags_of
from posthouse.operations.context import Context
from posthouse.submission.accept import Submission, accept
from posthouse.submission.raw import RawSubmission, submit_raw

_encode = msgspec.json.Encoder().encode


async def send_email(req: SendEmailRequest, caller: Caller, ctx: Context) -> SendEmailResponse:
    tags = tags_of(req.tags)
    check_tags(tags)
    lists = lists_of(req.destination)
    arns = req.source_arn, req.return_path_arn
    sender, recipients = envelope_of(req.source, lists, req.return_path, req.reply_to_addresses, arns)
    check_recipient_count(len(recipients))
    draft = _draft(req, lists)
    check_drafted(draft)
    _check_charsets(draft)
    content = _encode(draft)
    await _check_size(draft, len(content))
    message_id = await accept(
        Submission(
            caller=caller,
            operation="SendEmail",
            source=req.source,
            from_domain=sender.source.domain,
            senders=sender.senders,
            feedback_to=sender.feedback_to,
            recipients=recipients,
            content=content,
            content_kind=ContentKind.DRAFT,
            subject=draft.subject.data,
            configuration_set=req.configuration_set_name or "",
            tags=tags,
            arns=sender.arns,
        ),
        ctx.submission,
    )
    return SendEmailResponse(message_id=message_id)


def _draft(req: SendEmailRequest, lists: Lists) -> Draft:
    body = req.message.body
    return Draft(
        source=req.source,
        to=lists.to,
        cc=lists.cc,
        bcc=lists.bcc,
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


async def _check_size(draft: Draft, kept: int) -> None:
    """The limit is on the message as composed and encoded (SES reference 10.2). What is kept tells whether it can
    matter: the worst is ISO-2022-JP, eight octets for a character of three, and base64 of it."""
    if kept > MAX_MESSAGE_BYTES // 4:
        check_size(len(await asyncio.to_thread(compose, draft, "")))


async def send_raw_email(req: SendRawEmailRequest, caller: Caller, ctx: Context) -> SendRawEmailResponse:
    submission = RawSubmission(
        caller=caller,
        operation="SendRawEmail",
        content=req.raw_message.data,
        source=req.source or "",
        # API reference: who gives no Source "must specify a 'From' address in the raw text".
        source_is_from=True,
        destinations=req.destinations,
        configuration_set=req.configuration_set_name or "",
        tags=tags_of(req.tags),
        source_arn=req.source_arn or "",
        from_arn=req.from_arn or "",
        return_path_arn=req.return_path_arn or "",
    )
    return SendRawEmailResponse(message_id=await submit_raw(submission, ctx.submission))
