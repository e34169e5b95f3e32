"""SendBounce. Source: API reference of SendBounce and its structures; RFC 3464 for what the bounce says."""

from collections.abc import Sequence

from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.bounces import (
    PRESETS,
    check_message_dsn,
    check_original,
    check_recipients,
    explanation,
    original_recipient,
    typed_diagnostic,
)
from posthouse.domain.messages import FEEDBACK, Direction, MessageFacts, StoredMessage
from posthouse.domain.scope import Caller
from posthouse.mail import dsn
from posthouse.mail.dsn import DeliveryStatus, RecipientStatus
from posthouse.model.generated import (
    BouncedRecipientInfo,
    ExtensionField,
    MessageDsn,
    MessageRejected,
    SendBounceRequest,
    SendBounceResponse,
)
from posthouse.operations.context import Context
from posthouse.submission.bounces import Bounce
from posthouse.submission.bounces import send_bounce as submit_bounce


async def send_bounce(req: SendBounceRequest, caller: Caller, ctx: Context) -> SendBounceResponse:
    sender = parse_mailbox(req.bounce_sender)
    infos = req.bounced_recipient_info_list
    check_recipients(infos)
    for address in (each for info in infos for each in _addresses(info)):
        parse_mailbox(address)
    if req.message_dsn is not None:
        check_message_dsn(req.message_dsn)
    stored = await ctx.stores.messages.get(caller.scope, req.original_message_id)
    original = check_original(_incoming(stored), req.original_message_id, ctx.clock.now_ms())
    recipients = tuple([each.recipient for each in stored.recipients]) if stored else ()
    told = tuple([_recipient(info, recipients) for info in infos])
    content = await ctx.stores.messages.content(caller.scope, original.message_id)
    if content is None:
        raise MessageRejected(f"Message {original.message_id} is gone and cannot be bounced.")
    bounce = Bounce(
        original=original,
        content=content,
        sender=sender,
        text=req.explanation or explanation(_reasons(infos, told)),
        status=_status(req.message_dsn, told, original, ctx.service_domain),
        sender_arn=req.bounce_sender_arn or "",
    )
    message_id = await submit_bounce(bounce, "SendBounce", caller, ctx.submission, ctx.stores.events)
    return SendBounceResponse(message_id=message_id)


def _incoming(stored: StoredMessage | None) -> MessageFacts | None:
    """Mail that came in for somebody; a report about a message of ours is none."""
    if stored is None or stored.facts.direction is not Direction.IN or stored.facts.operation == FEEDBACK:
        return None
    return stored.facts


def _addresses(info: BouncedRecipientInfo) -> list[str]:
    fields = info.recipient_dsn_fields
    final = fields.final_recipient if fields is not None else None
    return [final, info.recipient] if final else [info.recipient]


def _recipient(info: BouncedRecipientInfo, recipients: Sequence[str]) -> RecipientStatus:
    addresses = [parse_mailbox(each).address for each in _addresses(info)]
    original = original_recipient(addresses, recipients)
    fields = info.recipient_dsn_fields
    if fields is None:
        preset = PRESETS[info.bounce_type or "Undefined"]
        return RecipientStatus(
            original_recipient=original,
            final_recipient=addresses[0],
            action="failed",
            status=preset.status,
            diagnostic_code=preset.diagnostic_code,
        )
    return RecipientStatus(
        original_recipient=original,
        final_recipient=addresses[0],
        action=fields.action,
        status=fields.status,
        remote_mta=fields.remote_mta or "",
        diagnostic_code=typed_diagnostic(fields.diagnostic_code or ""),
        last_attempt=dsn.date(fields.last_attempt_date_ms),
        extensions=_extensions(fields.extension_fields),
    )


def _reasons(infos: Sequence[BouncedRecipientInfo], told: Sequence[RecipientStatus]) -> list[tuple[str, str]]:
    return [
        (
            each.final_recipient,
            PRESETS[info.bounce_type].reason if info.bounce_type else each.diagnostic_code or each.status,
        )
        for info, each in zip(infos, told, strict=True)
    ]


def _status(
    given: MessageDsn | None, recipients: tuple[RecipientStatus, ...], original: MessageFacts, service_domain: str
) -> DeliveryStatus:
    if given is None:
        # Where SES says inbound-smtp.REGION.amazonaws.com; RFC 3464 section 2.2.5 for the date.
        return DeliveryStatus(
            reporting_mta=f"dns; inbound-smtp.{original.scope.region}.{service_domain}",
            arrival_date=dsn.date(original.accepted_ms),
            recipients=recipients,
        )
    return DeliveryStatus(
        reporting_mta=given.reporting_mta,
        arrival_date=dsn.date(original.accepted_ms if given.arrival_date_ms is None else given.arrival_date_ms),
        extensions=_extensions(given.extension_fields),
        recipients=recipients,
    )


def _extensions(fields: Sequence[ExtensionField] | None) -> tuple[tuple[str, str], ...]:
    return tuple([(field.name, field.value) for field in fields or ()])
