"""Bouncing mail that came in: what may be bounced, and what the bounce says where the caller does not.

Source: API reference of SendBounce, BouncedRecipientInfo, RecipientDsnFields, MessageDsn and ExtensionField; for the
codes the presets of the bounce action in the SES developer guide. SES's texts for these mistakes are not known: they
are ours. Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.domain.messages import MessageFacts
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import BouncedRecipientInfo, ExtensionField, MessageDsn, MessageRejected

MAX_AGE_MS = 24 * 60 * 60 * 1000
MAX_RECIPIENTS = 1000
"""As many as one mail that comes in can have."""
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_TYPED = re.compile(r"[A-Za-z][A-Za-z0-9-]*[ \t]*;[ \t]*[^ \t]")
_EXTENSION = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Preset:
    """What a BounceType stands for."""

    status: str
    diagnostic_code: str
    reason: str
    """For people."""


PRESETS = {
    "DoesNotExist": Preset("5.1.1", "smtp; 550 5.1.1 mailbox does not exist", "The mailbox does not exist."),
    "MessageTooLarge": Preset("5.3.4", "smtp; 552 5.3.4 message too large", "The message is too large."),
    "ExceededQuota": Preset("5.2.2", "smtp; 552 5.2.2 mailbox full", "The mailbox is full."),
    "ContentRejected": Preset("5.6.1", "smtp; 500 5.6.1 message content rejected", "The content was rejected."),
    "Undefined": Preset("5.0.0", "smtp; 554 5.0.0 unknown failure", "The reason is not known."),
    "TemporaryFailure": Preset("4.0.0", "smtp; 450 4.0.0 temporary failure", "The failure is a temporary one."),
}


def check_original(facts: MessageFacts | None, message_id: str, now_ms: int) -> MessageFacts:
    """The mail to be bounced. Raises MessageRejected for what did not come in here within a day, and for what has no
    sender that may be written to: a bounce is never bounced (RFC 5321 section 4.5.5)."""
    if facts is None or now_ms - facts.accepted_ms > MAX_AGE_MS:
        raise MessageRejected(f"No message with id {message_id} was received in the last 24 hours.")
    if not facts.source:
        raise MessageRejected(f"Message {message_id} has an empty envelope sender and cannot be bounced.")
    return facts


def check_recipients(infos: Sequence[BouncedRecipientInfo]) -> None:
    """Raises InvalidParameterValue for what is wrong with them by themselves."""
    if not infos:
        raise InvalidParameterValue("At least one bounced recipient must be specified.")
    if len(infos) > MAX_RECIPIENTS:
        raise InvalidParameterValue(f"Recipient count exceeds {MAX_RECIPIENTS}.")
    for info in infos:
        fields = info.recipient_dsn_fields
        if (info.bounce_type is None) == (fields is None):
            raise InvalidParameterValue(
                f"Exactly one of BounceType and RecipientDsnFields must be specified for recipient <{info.recipient}>."
            )
        if fields is not None:
            if not _STATUS.fullmatch(fields.status):
                raise InvalidParameterValue(f"Invalid status code <{fields.status}>.")
            if fields.remote_mta:
                _check_typed("RemoteMta", fields.remote_mta)
            _check_extensions(fields.extension_fields or ())


def check_message_dsn(dsn: MessageDsn) -> None:
    _check_typed("ReportingMta", dsn.reporting_mta)
    _check_extensions(dsn.extension_fields or ())


def _check_typed(parameter: str, value: str) -> None:
    """RFC 3464 section 2.1.2: ``mta-name-type; mta-name``."""
    if not _TYPED.match(value):
        raise InvalidParameterValue(f"Invalid {parameter} <{value}>: it must have the form 'mta-name-type; mta-name'.")


def _check_extensions(fields: Sequence[ExtensionField]) -> None:
    for field in fields:
        if not _EXTENSION.fullmatch(field.name):
            raise InvalidParameterValue(
                f"Invalid extension field name <{field.name}>: only alphanumeric ASCII characters and '-' are allowed."
            )
        if len(field.name) > 50:
            raise InvalidParameterValue("Extension field name cannot exceed 50 characters.")
        if len(field.value) > 2048:
            raise InvalidParameterValue("Extension field value cannot exceed 2048 characters.")
        if "\r" in field.value or "\n" in field.value:
            raise InvalidParameterValue("Extension field value must not contain newline characters.")


def original_recipient(addresses: Sequence[str], recipients: Sequence[str]) -> str:
    """The recipient of the original that one of the addresses is: the FinalRecipient or the Recipient. Raises
    InvalidParameterValue where neither was one."""
    by_folded = {recipient.lower(): recipient for recipient in recipients}
    found = next((by_folded[each.lower()] for each in addresses if each.lower() in by_folded), None)
    if found is None:
        raise InvalidParameterValue(f"<{addresses[-1]}> was not a recipient of the original message.")
    return found


def typed_diagnostic(text: str) -> str:
    """A diagnostic code with its type (RFC 3464 section 2.3.6); what has none is an SMTP reply, as the API says."""
    return text if not text or _TYPED.match(text) else f"smtp; {text}"


def explanation(reasons: Sequence[tuple[str, str]]) -> str:
    """The text for people where the caller gives none: each recipient with its reason."""
    lines = [f"<{recipient}>: {reason}" for recipient, reason in reasons]
    return "Your mail could not be delivered to the following recipients:\n\n" + "\n".join(lines) + "\n"
