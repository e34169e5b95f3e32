"""What a sender is mailed about a message of his: a delivery status notification, a complaint, or somebody's automatic
reply as it came.

Source: SES developer guide, "Receiving Amazon SES notifications through email"; addresses, subject and the first lines
of the texts as programs that read such mail look for them (a bounced address stands on the line below the sentence, a
complaint is known by its sender); RFC 3464, RFC 5965, RFC 3834. Functions of what is stored.
"""

from dataclasses import dataclass, replace
from typing import Any

from posthouse.domain.events import Event
from posthouse.domain.messages import FORWARDED, MessageFacts
from posthouse.mail import arf, dsn, headers, report
from posthouse.mail.arf import FeedbackReport
from posthouse.mail.dsn import DeliveryStatus, RecipientStatus
from posthouse.mail.headers import Field
from posthouse.mail.outgoing import crlf
from posthouse.mail.report import Head, Returned
from posthouse.publishing.payload import recipients_of
from posthouse.submission.system_mail import Letter

BOUNCE_SUBJECT = "Delivery Status Notification (Failure)"
_SENTENCE = "An error occurred while trying to deliver the mail to the following recipients:"
ABOUT = "X-Posthouse-Message-ID"
"""Names the message that feedback is about, as the API answered when it was sent."""
AGENT = "Posthouse"
MAX_WHOLE = 10 * 1024 * 1024
"""Bytes of a message that go along with a complaint about it; of a larger one (a mail may grow on leaving) the header
section does."""
MAX_HOPS = 100
"""Received fields of a mail that is handed on: RFC 5321 section 6.3 wants loops found by a count of at least that."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The message that is told about."""

    facts: MessageFacts
    left: bytes
    """What left, or the header section as far as it is known; empty where nothing is."""


def daemon_of(facts: MessageFacts, service_domain: str) -> str:
    """``MAILER-DAEMON@amazonses.com`` of us-east-1, ``MAILER-DAEMON@REGION.amazonses.com`` of others, in our domain."""
    region = facts.scope.region
    return f"MAILER-DAEMON@{service_domain}" if region == "us-east-1" else f"MAILER-DAEMON@{region}.{service_domain}"


def complaints_of(facts: MessageFacts, service_domain: str) -> str:
    region = facts.scope.region
    host = f"email-abuse.{service_domain}"
    return f"complaints@{host}" if region == "us-east-1" else f"complaints@{region}.{host}"


# -- bounces


def bounce_letter(event: Event, about: Subject, to: str, service_domain: str) -> Letter:
    source = daemon_of(about.facts, service_domain)
    head = _head(about, source, to, BOUNCE_SUBJECT)
    told = recipients_of(event)
    returned = Returned(crlf(about.left), whole=False)
    content = dsn.write(head, _bounce_text(told), _status(event, told, about.facts), returned)
    return Letter(operation=FORWARDED, source=source, to=to, subject=BOUNCE_SUBJECT, content=content)


def _bounce_text(told: list[dict[str, str]]) -> str:
    lines = [_SENTENCE, *[each["recipient"] for each in told], ""]
    lines += [f"{each['recipient']}: {each['diagnostic_code']}" for each in told if each.get("diagnostic_code")]
    return "\n".join(lines) + "\n"


def _status(event: Event, told: list[dict[str, str]], facts: MessageFacts) -> DeliveryStatus:
    detail = event.detail
    return DeliveryStatus(
        reporting_mta=_dns(detail.get("reporting_mta", "")),
        arrival_date=dsn.date(facts.accepted_ms),
        recipients=tuple([_recipient(each, detail, event.at_ms) for each in told]),
    )


def _recipient(given: dict[str, str], detail: dict[str, Any], at_ms: int) -> RecipientStatus:
    kind = detail.get("kind") or {}
    return RecipientStatus(
        final_recipient=given["recipient"],
        action=given.get("action") or "failed",
        # Required by RFC 3464 section 2.3.4; a report in no standard form gave none.
        status=given.get("status") or ("4.0.0" if kind.get("type") == "Transient" else "5.0.0"),
        remote_mta=_dns(detail.get("remote_mta", "")),
        diagnostic_code=_typed(given.get("diagnostic_code", "")),
        last_attempt=dsn.date(at_ms),
    )


def _dns(host: str) -> str:
    name = host.rpartition(";")[2].strip()
    return f"dns; {name}" if name else ""


def _typed(diagnostic: str) -> str:
    """RFC 3464 section 2.3.6 wants a type before the text; where no server spoke, it is a private one."""
    if not diagnostic or diagnostic.partition(";")[0].strip().lower() == "smtp":
        return diagnostic
    return f"x-posthouse; {diagnostic}"


# -- complaints


def complaint_letter(event: Event, about: Subject, to: str, service_domain: str, reported: bytes | None) -> Letter:
    """`reported`: the report that it came by; None: it came by none, or that is gone. Who complained is told as far as
    the provider told it: many hide it, and SES passes on what they give."""
    facts = about.facts
    source = complaints_of(facts, service_domain)
    subject = _subject_of(about)
    complaint = (_reported(reported) if reported is not None else None) or _known(event, facts, service_domain)
    returned = Returned(crlf(about.left), whole=len(about.left) <= MAX_WHOLE)
    text = (
        f"This is an email abuse report for an email message from {service_domain} on {dsn.date(facts.accepted_ms)}\n"
    )
    content = arf.write(_head(about, source, to, subject), text, complaint, returned)
    return Letter(operation=FORWARDED, source=source, to=to, subject=subject, content=content)


def _reported(raw: bytes) -> FeedbackReport | None:
    found = arf.read(raw)
    if found is None:
        return None
    told = found.report
    # RFC 5965 section 3.1 requires them, and not every provider knows.
    return replace(
        told,
        feedback_type=told.feedback_type or "abuse",
        user_agent=told.user_agent or AGENT,
        version=told.version or "1",
    )


def _known(event: Event, facts: MessageFacts, service_domain: str) -> FeedbackReport:
    detail = event.detail
    return FeedbackReport(
        feedback_type=detail.get("feedback_type") or "abuse",
        user_agent=detail.get("user_agent") or AGENT,
        original_recipients=tuple([each["recipient"] for each in recipients_of(event)]),
        arrival_date=dsn.date(detail.get("arrival_ms") or facts.accepted_ms),
        reported_domains=(service_domain,),
    )


def _subject_of(about: Subject) -> str:
    """RFC 5965 section 2: that of the message complained about, for people who look through their mail."""
    found = next((each.text for each in _fields(about.left) if each.key == b"subject"), about.facts.subject)
    return found or "Complaint"


# -- automatic replies


def reply_letter(kept: bytes, about: Subject, to: str, service_domain: str) -> Letter | None:
    """The reply as it came in, `kept` by the inbox: its header section untouched, so that its own signatures hold
    (RFC 6376). None for mail that has gone in circles."""
    head, body, _ = headers.split(crlf(kept))
    fields = headers.fields(head)
    if sum(field.key == b"received" for field in fields) > MAX_HOPS:
        return None
    # RFC 5321 section 4.4: whoever delivers it at last says what it came under, and that is the null path now.
    handed_on = [field.raw for field in fields if field.key != b"return-path"]
    content = b"".join([headers.field(ABOUT, about.facts.message_id).raw, *handed_on, b"\r\n", body])
    subject = next((field.text for field in fields if field.key == b"subject"), "")
    source = daemon_of(about.facts, service_domain)
    return Letter(operation=FORWARDED, source=source, to=to, subject=subject, content=content, as_is=True)


# -- what they share


def _head(about: Subject, source: str, to: str, subject: str) -> Head:
    message_id = next((each.value for each in _fields(about.left) if each.key == b"message-id"), "")
    return Head(
        from_=source,
        to=to,
        subject=subject,
        in_reply_to=message_id,
        auto_submitted="auto-generated",
        more=((ABOUT, about.facts.message_id),),
    )


def _fields(raw: bytes) -> list[Field]:
    return headers.fields(headers.split(raw).head[: report.MAX_HEAD], report.MAX_FIELDS)
