"""The events delivery writes, one constructor each. `detail` holds plain JSON values, keys as said below.

publishing/ turns these rows into SES's JSON (SES developer guide, "Contents of event data"); the console shows them as
the timeline of a message.

Keys that every attempt's event has (`attempt_detail`):
  attempt        number of the attempt, from 1
  duration_ms    from its start to its end
  remote_mta     host name of the server, or empty where none was reached
  remote_ip      its address, likewise
  reporting_mta  our host name (SES prints it as it is for deliveries, and behind ``dns; `` for bounces)
  tls            protocol version (``TLSv1.3``), empty in the clear
  tls_cipher     name of the cipher suite, likewise
  tls_verified   true where the certificate is valid for `remote_mta`
  conversation   list of lines: ``C: `` what we said, ``S: `` what they said, ``* `` what happened
"""

from collections.abc import Sequence
from typing import Any, Protocol

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import MessageFacts
from posthouse.domain.outcomes import BounceKind, Reply, delay_type, diagnostic_code, status_of


class AttemptReport(Protocol):
    """What is known of an attempt when it is over."""

    host: str
    ip: str
    tls: str
    tls_cipher: str
    tls_verified: bool
    conversation: list[str]
    started_ms: int
    ended_ms: int


def attempt_detail(report: AttemptReport, number: int, hostname: str) -> dict[str, Any]:
    return {
        "attempt": number,
        "duration_ms": report.ended_ms - report.started_ms,
        "remote_mta": report.host,
        "remote_ip": report.ip,
        "reporting_mta": hostname,
        "tls": report.tls,
        "tls_cipher": report.tls_cipher,
        "tls_verified": report.tls_verified,
        "conversation": report.conversation,
    }


def send(facts: MessageFacts, recipients: Sequence[str], at_ms: int) -> Event:
    """The message is ready to leave. No detail: SES's ``send`` object is empty."""
    return _event(facts, EventType.SEND, recipients, at_ms, {})


def reject(facts: MessageFacts, recipients: Sequence[str], at_ms: int) -> Event:
    """There is malware in the message: it is sent to nobody. Detail:

    reason         ``Bad content``, the only one of SES
    """
    return _event(facts, EventType.REJECT, recipients, at_ms, {"reason": "Bad content"})


def delivery(
    facts: MessageFacts, recipients: Sequence[str], at_ms: int, response: str, attempt: dict[str, Any]
) -> Event:
    """The server took the message. Detail:

    recipients     list of addresses
    processing_ms  from acceptance by us to acceptance by them
    smtp_response  their final reply, one line: ``250 2.0.0 Ok: queued as ...``
    """
    detail = {
        "recipients": list(recipients),
        "processing_ms": at_ms - facts.accepted_ms,
        "smtp_response": response,
        **attempt,
    }
    return _event(facts, EventType.DELIVERY, recipients, at_ms, detail)


def bounce(
    facts: MessageFacts,
    replies: Sequence[tuple[str, Reply]],
    at_ms: int,
    kind: BounceKind,
    attempt: dict[str, Any],
) -> Event:
    """Delivery has ended without success. Detail:

    kind           {type, subtype}: SES's bounceType and bounceSubType
    recipients     list of {recipient, action: failed, status: 5.1.1, diagnostic_code: ``smtp; 550 5.1.1 ...``}
    """
    detail = {
        "kind": {"type": kind.type, "subtype": kind.subtype},
        "recipients": [{"recipient": r, "action": "failed", **_diagnosis(reply)} for r, reply in replies],
        **attempt,
    }
    return _event(facts, EventType.BOUNCE, [recipient for recipient, _ in replies], at_ms, detail)


def rendering_failure(facts: MessageFacts, recipients: Sequence[str], at_ms: int, template: str, error: str) -> Event:
    """The template and its data make no mail: nothing is sent. Detail:

    template_name  of the template
    error_message  why, in SES's words
    """
    detail = {"template_name": template, "error_message": error}
    return _event(facts, EventType.RENDERING_FAILURE, recipients, at_ms, detail)


def suppressed_complaint(
    facts: MessageFacts, recipients: Sequence[str], at_ms: int, subtype: str, attempt: dict[str, Any]
) -> Event:
    """Not sent to addresses that have complained before. Detail:

    subtype        SES's complaintSubType
    recipients     list of addresses
    """
    detail = {"subtype": subtype, "recipients": list(recipients), **attempt}
    return _event(facts, EventType.COMPLAINT, recipients, at_ms, detail)


def delivery_delay(
    facts: MessageFacts,
    replies: Sequence[tuple[str, Reply]],
    at_ms: int,
    until_ms: int,
    expires_ms: int,
    attempt: dict[str, Any],
) -> Event:
    """An attempt failed for now. Detail:

    delay_type     SES's delayType, of the first recipient's reply
    until_ms       when the first of them is tried again
    expires_ms     when trying ends
    recipients     list of {recipient, status: 4.2.0, diagnostic_code: ``smtp; 450 4.2.0 ...``}
    """
    detail = {
        "delay_type": delay_type(replies[0][1]),
        "until_ms": until_ms,
        "expires_ms": expires_ms,
        "recipients": [{"recipient": recipient, **_diagnosis(reply)} for recipient, reply in replies],
        **attempt,
    }
    return _event(facts, EventType.DELIVERY_DELAY, [recipient for recipient, _ in replies], at_ms, detail)


def _diagnosis(reply: Reply) -> dict[str, str]:
    return {"status": status_of(reply), "diagnostic_code": diagnostic_code(reply)}


def _event(
    facts: MessageFacts, type: EventType, recipients: Sequence[str], at_ms: int, detail: dict[str, Any]
) -> Event:
    return Event(
        scope=facts.scope,
        message_id=facts.message_id,
        type=type,
        at_ms=at_ms,
        recipients=tuple(recipients),
        detail=detail,
        configuration_set=facts.configuration_set,
    )
