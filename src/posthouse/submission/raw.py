"""Raw mail into `accept`: what SendRawEmail and the SMTP door share, so that both check the same and say the same.

Source: API reference of SendRawEmail (Source, Destinations and the headers that stand in for them), SES developer
guide "Sending raw email" and "Using the Amazon SES SMTP interface"; X-SES headers: the first instance counts, an API
parameter beats its header.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.domain.addresses import MAX_ADDRESS_LENGTH, Mailbox, check_address, parse_mailbox
from posthouse.domain.mailing_lists import read_options
from posthouse.domain.messages import ContentKind
from posthouse.domain.scope import Caller
from posthouse.domain.sending import check_recipient_count, check_size
from posthouse.domain.tags import check_tags
from posthouse.mail import mailboxes, submitted
from posthouse.model.errors import InvalidParameterValue
from posthouse.submission.accept import Submission, accept
from posthouse.submission.context import SubmissionContext


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSubmission:
    """RFC 5322 bytes that somebody wants sent, with the envelope the caller gave."""

    caller: Caller
    operation: str
    content: bytes
    source: str = ""
    """SendRawEmail's Source, SMTP's MAIL FROM; empty: not given."""
    source_is_from: bool = False
    """Source stands for a From header that is not there."""
    destinations: tuple[str, ...] | None = None
    """Envelope recipients; None or empty: those of the To, Cc and Bcc headers."""
    configuration_set: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    helo: str = ""
    tls: str = ""
    source_arn: str = ""
    from_arn: str = ""
    return_path_arn: str = ""


async def submit_raw(raw: RawSubmission, ctx: SubmissionContext) -> str:
    """Checks the message as SES does and accepts it; returns the MessageId. Raises ServiceErrors."""
    check_size(len(raw.content))
    mail = submitted.read_submission(raw.content)
    tags = raw.tags or tuple(submitted.read_tags(mail.message_tags or ""))
    check_tags(tags)
    refusal = submitted.refusal(mail)
    if refusal == submitted.NO_FROM and raw.source_is_from and raw.source and not mail.from_fields:
        # Nothing is wrong with its fields, so the first is no continuation of the one that is put on top.
        mail = submitted.read_submission(submitted.with_from(mail.raw, parse_mailbox(raw.source).text))
        refusal = submitted.refusal(mail)
    if refusal is not None:
        raise InvalidParameterValue(refusal)
    mailing_list = None if mail.list_management_options is None else read_options(mail.list_management_options)
    # In this order SES was seen to tell of mistakes; of the fields behind Bcc it is not known.
    source = parse_mailbox(raw.source) if raw.source else None
    from_ = _listed(mail.from_)
    named = tuple(map(parse_mailbox, raw.destinations or ()))
    # Headers are judged also where the envelope does not come from them: on that nodemailer's `verify` relies.
    addressed = _listed((*mail.to, *mail.cc, *mail.bcc))
    sender, _ = _listed(mail.sender), _listed(mail.reply_to)
    # The null path (``Return-Path: <>``) names nobody who could be verified, or told.
    return_path = _listed([mailbox for mailbox in mail.return_path if mailbox.address])
    recipients = named or addressed
    if not recipients and not mail.has_recipient_header:
        raise InvalidParameterValue("Missing required header 'To'.")
    check_recipient_count(len(recipients))
    # SES developer guide: Source, else the Return-Path header, else From hears of bounces and complaints.
    feedback_to = source or (return_path or from_)[0]
    sources = () if source is None else (source,)
    return await accept(
        Submission(
            caller=raw.caller,
            operation=raw.operation,
            source=from_[0].text,
            from_domain=from_[0].domain,
            senders=(*from_, *sources, *sender, *return_path),
            feedback_to=feedback_to.address,
            recipients=recipients,
            content=mail.raw,
            content_kind=ContentKind.RAW,
            subject=mail.subject,
            configuration_set=raw.configuration_set or mail.configuration_set or "",
            tags=tags,
            helo=raw.helo,
            tls=raw.tls,
            mailing_list=mailing_list,
            arns=_arns(raw, mail, len(from_), len(sources), len(sender), len(return_path)),
        ),
        ctx,
    )


def _arns(raw: RawSubmission, mail: submitted.Submission, *counts: int) -> tuple[str, ...]:
    """The ARN for each of From, Source, Sender and Return-Path, of which there are `counts`; none where none is named.

    Source's alone stands for the others too (API reference of SendRawEmail).
    """
    source = raw.source_arn or mail.source_arn or ""
    from_ = raw.from_arn or mail.from_arn or source
    return_path = raw.return_path_arn or mail.return_path_arn or source
    if not (source or from_ or return_path):
        return ()
    per_kind = zip((from_, source, from_, return_path), counts, strict=True)
    return tuple([arn for arn, count in per_kind for _ in range(count)])


def _listed(found: Sequence[mailboxes.Mailbox]) -> tuple[Mailbox, ...]:
    """Addresses of a header field under the rules of the API; their display names stay as they were written."""
    return tuple([_checked(mailbox) for mailbox in found])


def _checked(mailbox: mailboxes.Mailbox) -> Mailbox:
    address = mailbox.address
    # Not `parse_mailbox`: it would read a second time, more leniently, what was no address of the list.
    check_address(address)
    shown = mailboxes.write(mailbox.display, address) if mailbox.display else address
    if len(shown) > MAX_ADDRESS_LENGTH:
        raise InvalidParameterValue(f"Address length is more than {MAX_ADDRESS_LENGTH} characters long: '{shown}'.")
    return Mailbox(shown, mailbox.display, address)
