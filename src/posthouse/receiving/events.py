"""The events receiving writes, one constructor each. `detail` holds plain JSON values, keys as said below.

A late bounce and a complaint are events of the message that they are about, as those of delivery/events.py are, and are
published alike; they change no recipient's state. `report_message_id` names the mail that reported it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from posthouse.domain.events import Event, EventType
from posthouse.domain.feedback import LateBounce, LateComplaint
from posthouse.domain.messages import MessageFacts
from posthouse.domain.receipt_progress import Progress
from posthouse.domain.receipt_rules import Action, kind_of
from posthouse.domain.verdicts import Verdicts


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


DONE, AGAIN, EXPIRED, FAILED = "done", "to be tried again", "given up", "impossible"
"""Results of an action."""
MAX_TEXT = 1000
"""Characters of what is said of a try: functions and mail stores choose some of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One action, tried once."""

    rule: str
    action: Action
    telling: bool
    """It was its topic that was to hear of it; the action itself had been done."""
    result: str
    """One of the above."""
    text: str
    due_ms: int | None
    last: bool
    """Nothing more is done about the mail."""


def rules_applied(
    facts: MessageFacts, recipients: Sequence[str], progress: Progress, verdicts: Verdicts, *, last: bool
) -> Event:
    """Mail for somebody here came in, and its rules are known. Detail:

    rule_set  name of the rule set that was active
    rules     list of {rule, outcome, recipients}: every rule of the set in its order, ``applies`` or why not
    verdicts  {spam, virus, spf, dkim, dmarc, dmarc_policy, spam_detail, virus_detail, client_name}; spam and virus as
              rules that want the mail scanned see them
    end       true: no action follows
    """
    told = {name: getattr(verdicts, name).value for name in ("spam", "virus", "spf", "dkim", "dmarc")}
    more = {
        "dmarc_policy": verdicts.dmarc_policy,
        "spam_detail": verdicts.spam_detail,
        "virus_detail": verdicts.virus_detail,
        "client_name": verdicts.client_name,
    }
    detail = {
        "rule_set": progress.rule_set,
        "rules": [msgspec.to_builtins(each) for each in progress.told],
        "verdicts": told | {name: text for name, text in more.items() if text},
        **_end(last),
    }
    return _event(facts, EventType.RECEIVED, recipients, facts.accepted_ms, detail)


def action_run(facts: MessageFacts, recipients: Sequence[str], run: Run, at_ms: int) -> Event:
    """One action of a rule was tried. Detail:

    rule     its rule
    action   ``S3``, ``Lambda`` ...
    telling  true: its topic was told that it was done
    result   one of the words above
    text     what was done, or why not
    due_ms   when it is tried again
    end      true: no action follows
    """
    detail: dict[str, Any] = {"rule": run.rule, "action": kind_of(run.action), "result": run.result}
    detail |= {"text": run.text[:MAX_TEXT]} if run.text else {}
    detail |= {"telling": True} if run.telling else {}
    detail |= {"due_ms": run.due_ms} if run.due_ms is not None else {}
    return _event(facts, EventType.RECEIVED, recipients, at_ms, detail | _end(run.last))


def _end(last: bool) -> dict[str, bool]:
    return {"end": True} if last else {}


def received(facts: MessageFacts, recipients: Sequence[str]) -> Event:
    """Mail for somebody here came in, and no rule set was active. Detail: `end` is true."""
    return _event(facts, EventType.RECEIVED, recipients, facts.accepted_ms, _end(True))


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
