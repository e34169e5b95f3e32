"""The events receiving writes, one constructor each. `detail` holds plain JSON values, keys as said below.

A late bounce and a complaint are events of the message that they are about, as those of delivery/events.py are, and are
published alike; they change no recipient's state. `report_message_id` names the mail that reported it.
"""

from collections.abc import Sequence
from typing import Any

from posthouse.domain.events import Event, EventType
from posthouse.domain.feedback import LateBounce, LateComplaint
from posthouse.domain.messages import MessageFacts


def late_bounce(
    facts: MessageFacts, bounce: LateBounce, at_ms: int, *, reporting_mta: str, remote_ip: str, report_message_id: str
) -> Event:
    """A bounce that came back by mail. Detail:

    kind               {type, subtype}: SES's bounceType and bounceSubType
    recipients         list of {recipient, action, status, diagnostic_code}; {recipient} alone where the report was in
                       no standard form, or an automatic reply (SES: without a DSN)
    reporting_mta      host name that the report gives, or empty (SES prints it behind ``dns; ``)
    remote_mta         host name of the server that refused it, or empty
    remote_ip          address that the message was delivered to, or empty
    late               true
    automatic          true for an automatic reply (out of office)
    report_message_id  the mail that reported it
    """
    recipients: list[dict[str, str]] = []
    for each in bounce.recipients:
        told = {"action": each.action, "status": each.status, "diagnostic_code": each.diagnostic_code}
        recipients.append({"recipient": each.recipient, **{key: value for key, value in told.items() if value}})
    detail = {
        "kind": {"type": bounce.kind.type, "subtype": bounce.kind.subtype},
        "recipients": recipients,
        "reporting_mta": reporting_mta,
        "remote_mta": bounce.remote_mta,
        "remote_ip": remote_ip,
        "late": True,
        "automatic": bounce.automatic,
        "report_message_id": report_message_id,
    }
    return _event(facts, EventType.BOUNCE, [each.recipient for each in bounce.recipients], at_ms, detail)


def complaint(facts: MessageFacts, complaint: LateComplaint, at_ms: int, report_message_id: str) -> Event:
    """Somebody called it spam. Detail:

    recipients         list of addresses: who complained, or all who may have
    user_agent         what wrote the report, or empty
    feedback_type      ``abuse``, ``not-spam`` ..., or empty
    arrival_ms         when the message came to them; null where the report does not say
    subtype            SES's complaintSubType: empty, none
    report_message_id  the mail that reported it
    """
    detail = {
        "recipients": list(complaint.recipients),
        "user_agent": complaint.user_agent,
        "feedback_type": complaint.feedback_type,
        "arrival_ms": complaint.arrival_ms,
        "subtype": "",
        "report_message_id": report_message_id,
    }
    return _event(facts, EventType.COMPLAINT, complaint.recipients, at_ms, detail)


def report_read(facts: MessageFacts, recipients: Sequence[str], about: str, kind: str, outcome: str) -> Event:
    """A mail to a return path was read. Detail:

    about    the message that it is about
    report   what it is, in words: ``delivery report``, ``complaint``, ``automatic reply`` ...
    outcome  what came of it, or why nothing did, in words
    """
    detail = {"about": about, "report": kind, "outcome": outcome}
    return _event(facts, EventType.RECEIVED, recipients, facts.accepted_ms, detail)


def received(facts: MessageFacts, recipients: Sequence[str]) -> Event:
    """Mail for somebody here came in. No detail."""
    return _event(facts, EventType.RECEIVED, recipients, facts.accepted_ms, {})


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
