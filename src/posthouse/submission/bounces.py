"""Bounces that we send: for mail that came in here and that its recipient does not take. SendBounce, and whoever else
has such mail.

A bounce is a message like any other, but for its sender: it leaves under ``<>`` and goes to the envelope sender of the
original (RFC 3464 section 2, RFC 5321 section 6.1), so that nothing can answer it.
"""

import re
from dataclasses import dataclass

from posthouse.domain.addresses import Mailbox, parse_mailbox
from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import ContentKind, MessageFacts
from posthouse.domain.scope import Caller
from posthouse.domain.sending import check_size
from posthouse.mail import dsn, headers, report
from posthouse.mail.dsn import DeliveryStatus
from posthouse.mail.outgoing import crlf
from posthouse.mail.report import Head, Returned
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import MessageRejected
from posthouse.ports.mailstore import EventLog
from posthouse.submission.accept import Submission, accept
from posthouse.submission.context import SubmissionContext
from posthouse.submission.system_mail import Letter, send_letter

SUBJECT = "Delivery Status Notification (Failure)"
"""SES's own."""
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """What a bounce says."""

    original: MessageFacts
    """Of mail that came in; its envelope sender hears of it."""
    content: bytes
    """The original's."""
    sender: Mailbox
    """Whom the bounce is from, as readers see it."""
    text: str
    """For people."""
    status: DeliveryStatus
    """For machines."""
    sender_arn: str = ""
    """The identity that the sender is of, where the caller names it."""


async def send_own_bounce(bounce: Bounce, operation: str, ctx: SubmissionContext, log: EventLog) -> str:
    """As `send_bounce`, for a bounce of the installation itself: its sender is of the service domain, and neither quota
    nor verification of the account that the original came to holds it back."""
    to = _recipient(bounce.original)
    content = _written(bounce, to)
    letter = Letter(operation=operation, source=bounce.sender.text, to=to.address, subject=SUBJECT, content=content)
    message_id = await send_letter(letter, bounce.original.scope, ctx)
    await log.append(_told(bounce, message_id, ctx.clock.now_ms()))
    return message_id


async def send_bounce(bounce: Bounce, operation: str, caller: Caller, ctx: SubmissionContext, log: EventLog) -> str:
    """Makes the bounce durable and returns its MessageId; both mails' timelines tell of it.

    Raises what `accept` raises, and MessageRejected where the original's envelope sender is no address.
    """
    to = _recipient(bounce.original)
    content = _written(bounce, to)
    check_size(len(content))
    message_id = await accept(
        Submission(
            caller=caller,
            operation=operation,
            source=bounce.sender.text,
            from_domain=bounce.sender.domain,
            senders=(bounce.sender,),
            feedback_to="",
            recipients=(to,),
            content=content,
            content_kind=ContentKind.RAW,
            subject=SUBJECT,
            arns=(bounce.sender_arn,) if bounce.sender_arn else (),
            null_sender=True,
        ),
        ctx,
    )
    await log.append(_told(bounce, message_id, ctx.clock.now_ms()))
    return message_id


def _written(bounce: Bounce, to: Mailbox) -> bytes:
    head = Head(from_=bounce.sender.text, to=to.address, subject=SUBJECT, in_reply_to=_message_id(bounce.content))
    return dsn.write(head, bounce.text, bounce.status, Returned(crlf(bounce.content), whole=False))


def _recipient(original: MessageFacts) -> Mailbox:
    try:
        return parse_mailbox(original.source)
    except InvalidParameterValue:
        # It came by SMTP, where more is allowed than SES can write to.
        raise MessageRejected(
            f"Message {original.message_id} cannot be bounced: its envelope sender is not an address to write to."
        ) from None


def _message_id(content: bytes) -> str:
    fields = headers.fields(headers.split(content).head[: report.MAX_HEAD], report.MAX_FIELDS)
    found = _MESSAGE_ID.search(report.value_of(fields, b"message-id"))
    return found[0] if found else ""


def _told(bounce: Bounce, bounce_id: str, at_ms: int) -> list[Event]:
    """BounceSent events. Detail of the original's: `bounce_message_id` and `recipients`, who it is about; of the
    bounce's: `original_message_id` and the same."""
    original = bounce.original
    recipients = [each.final_recipient for each in bounce.status.recipients]
    names = (
        (original.message_id, "bounce_message_id", bounce_id),
        (bounce_id, "original_message_id", original.message_id),
    )
    return [
        Event(
            scope=original.scope,
            message_id=message_id,
            type=EventType.BOUNCE_SENT,
            at_ms=at_ms,
            detail={key: other, "recipients": recipients},
        )
        for message_id, key, other in names
    ]
