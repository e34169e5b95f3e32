"""Delivery status notifications (RFC 3464), both ways.

Read is what servers really send: fields in one block or in many, addresses without a type, codes with comments; what
cannot be read is left out, and nothing raises. Written is what the RFC says and nothing else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.domain.outcomes import status_in
from posthouse.mail import outgoing, report
from posthouse.mail.headers import Field
from posthouse.mail.report import Head, Returned, address_in, value_of, written

MAX_RECIPIENTS = 500
"""Ten times what SES sends one message to."""
TYPES = ("message/delivery-status", "message/global-delivery-status")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_ADDRESS_KEYS = frozenset({b"original-recipient", b"final-recipient"})
_RECIPIENT_KEYS = _ADDRESS_KEYS | {
    *(b"action", b"status", b"remote-mta", b"diagnostic-code"),
    *(b"last-attempt-date", b"final-log-id", b"will-retry-until"),
}
_MESSAGE_KEYS = frozenset(
    {b"reporting-mta", b"original-envelope-id", b"dsn-gateway", b"received-from-mta", b"arrival-date"}
)
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientStatus:
    """What a report says of one recipient (RFC 3464 section 2.3)."""

    final_recipient: str = ""
    """The address alone."""
    original_recipient: str = ""
    action: str = ""
    """``failed``, ``delayed``, ``delivered``, ``relayed``, ``expanded``, lower case; read: anything."""
    status: str = ""
    """``5.1.1``, without what stood beside it."""
    remote_mta: str = ""
    """With its type: ``dns; mx.example``."""
    diagnostic_code: str = ""
    """With its type: ``smtp; 550 5.1.1 ...``."""
    last_attempt: str = ""
    final_log_id: str = ""
    will_retry_until: str = ""
    extensions: Pairs = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Under which the sender may know the recipient, the likeliest first. The original one is xtext (RFC 3461
        section 4), which not everybody decodes and not everybody encodes."""
        original = self.original_recipient
        decoded = _XTEXT.sub(lambda found: chr(int(found[1], 16)), original)
        return tuple(dict.fromkeys(each for each in (original, decoded, self.final_recipient) if each))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """A report: what is said of the whole message (RFC 3464 section 2.2), and of each recipient."""

    reporting_mta: str = ""
    """With its type: ``dns; mx.example``."""
    original_envelope_id: str = ""
    dsn_gateway: str = ""
    received_from_mta: str = ""
    arrival_date: str = ""
    extensions: Pairs = ()
    recipients: tuple[RecipientStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """A report that somebody sent."""

    status: DeliveryStatus
    returned: list[Field]
    """Header fields of the mail that came back; none where it did not."""


def read(raw: bytes) -> Received | None:
    """The delivery status that a mail carries; None where it carries none. Linear, bounded, never raising."""
    found = report.find(raw, TYPES)
    return None if found is None else Received(_status(found.groups), found.returned)


def _status(groups: Sequence[Sequence[Field]]) -> DeliveryStatus:
    message, recipients = _sorted(groups)
    return DeliveryStatus(
        reporting_mta=value_of(message, b"reporting-mta"),
        original_envelope_id=value_of(message, b"original-envelope-id"),
        dsn_gateway=value_of(message, b"dsn-gateway"),
        received_from_mta=value_of(message, b"received-from-mta"),
        arrival_date=value_of(message, b"arrival-date"),
        extensions=_extensions(message),
        recipients=tuple([_recipient(fields) for fields in recipients[:MAX_RECIPIENTS]]),
    )


def _sorted(groups: Sequence[Sequence[Field]]) -> tuple[list[Field], list[list[Field]]]:
    """The fields of the message, and of each recipient; by what they are, since not all servers put empty lines where
    they belong."""
    message: list[Field] = []
    recipients: list[list[Field]] = []
    for group in groups:
        keys = {field.key for field in group}
        if not keys & _RECIPIENT_KEYS:
            (recipients[-1] if recipients and not keys & _MESSAGE_KEYS else message).extend(group)
            continue
        if recipients and not keys & {field.key for field in recipients[-1]} & _RECIPIENT_KEYS:
            current = recipients[-1]  # an empty line inside of it
        else:
            recipients.append(current := [])
        for field in group:
            if field.key in _MESSAGE_KEYS:
                message.append(field)
                continue
            if field.key in _ADDRESS_KEYS and any(each.key == field.key for each in current):
                recipients.append(current := [])  # no empty line before it
            current.append(field)
    return message, recipients


def _recipient(fields: Sequence[Field]) -> RecipientStatus:
    return RecipientStatus(
        final_recipient=address_in(value_of(fields, b"final-recipient")),
        original_recipient=address_in(value_of(fields, b"original-recipient")),
        action=value_of(fields, b"action").split("(")[0].strip().lower(),
        status=status_in(value_of(fields, b"status")),
        remote_mta=value_of(fields, b"remote-mta"),
        diagnostic_code=value_of(fields, b"diagnostic-code"),
        last_attempt=value_of(fields, b"last-attempt-date"),
        final_log_id=value_of(fields, b"final-log-id"),
        will_retry_until=value_of(fields, b"will-retry-until"),
        extensions=_extensions(fields),
    )


def _extensions(fields: Sequence[Field]) -> Pairs:
    return tuple(
        [
            (each.name, each.text[: report.MAX_VALUE].strip())
            for each in fields
            if each.key not in _RECIPIENT_KEYS | _MESSAGE_KEYS
        ]
    )


def write(head: Head, text: str, status: DeliveryStatus, returned: Returned) -> bytes:
    """The whole message; values may be any text, names of extensions were found to be such."""
    blocks = [_message_fields(status), *[_recipient_fields(each) for each in status.recipients]]
    return report.write(head, "delivery-status", text, TYPES[0], b"\r\n".join(blocks), returned)


def _message_fields(status: DeliveryStatus) -> bytes:
    return b"".join(
        [
            written("Original-Envelope-Id", status.original_envelope_id),
            written("Reporting-MTA", status.reporting_mta),
            written("DSN-Gateway", status.dsn_gateway),
            written("Received-From-MTA", status.received_from_mta),
            written("Arrival-Date", status.arrival_date),
            *[written(name, value) for name, value in status.extensions],
        ]
    )


def _recipient_fields(recipient: RecipientStatus) -> bytes:
    original, final = recipient.original_recipient, recipient.final_recipient
    return b"".join(
        [
            written("Original-Recipient", f"rfc822; {original}" if original else ""),
            written("Final-Recipient", f"rfc822; {final}"),
            written("Action", recipient.action),
            written("Status", recipient.status),
            written("Remote-MTA", recipient.remote_mta),
            written("Diagnostic-Code", recipient.diagnostic_code),
            written("Last-Attempt-Date", recipient.last_attempt),
            written("Final-Log-ID", recipient.final_log_id),
            written("Will-Retry-Until", recipient.will_retry_until),
            *[written(name, value) for name, value in recipient.extensions],
        ]
    )


def date(at_ms: int | None) -> str:
    """A date for these fields; empty where there is none."""
    return "" if at_ms is None else outgoing.date_value(at_ms)
