"""What a report about a message of ours means: which bounces and complaints it tells of, and for whom.

Source: RFC 3464 (actions and codes), RFC 5965, SES developer guide, "Contents of event data" (bounce and complaint
objects) and "Amazon SES bounces": a report of delay or success is no bounce; an automatic reply is a Transient/General
one without fields of a report; where a provider hides who complained, all recipients at its domain may have. Pure.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import domain_of
from posthouse.domain.outcomes import BounceKind, Notice, bounce_kind, status_in

UNDETERMINED = BounceKind("Undetermined", "Undetermined")
AUTOMATIC = BounceKind("Transient", "General")
# ``smtp; 550 5.1.1 ...``, ``550-5.1.1 ...``: what the server answered.
_SMTP_CODE = re.compile(r"(?:smtp;)?[ \t]*([245][0-9]{2})(?![0-9.])", re.IGNORECASE)


# -- what somebody reports


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientReport:
    """What a delivery status notification says of one recipient."""

    addresses: tuple[str, ...]
    """Under which we may know it, the likeliest first."""
    action: str = ""
    status: str = ""
    diagnostic_code: str = ""
    """With its type: ``smtp; 550 ...``."""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A report of RFC 3464."""

    recipients: tuple[RecipientReport, ...]


@dataclass(frozen=True, slots=True)
class OddBounce:
    """A bounce in words of its own."""

    addresses: tuple[str, ...]
    """Who bounced, as far as that could be read; none: it does not say."""
    status: str = ""
    """A status code that stood in its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpamReport:
    """A complaint of RFC 5965."""

    recipients: tuple[str, ...]
    """Who complained, if it says; the address may be hidden behind a made-up one."""
    reporters: tuple[str, ...] = ()
    """Domains of whoever reports, the likeliest first."""
    user_agent: str = ""
    feedback_type: str = ""
    arrival_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AutoReply:
    """Out of office, and the like."""

    sender: str


Report = DeliveryReport | OddBounce | SpamReport | AutoReply


# -- what it comes to


@dataclass(frozen=True, slots=True, kw_only=True)
class BouncedRecipient:
    recipient: str
    """As the message had it."""
    action: str = ""
    status: str = ""
    diagnostic_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateBounce:
    kind: BounceKind
    recipients: tuple[BouncedRecipient, ...]
    remote_mta: str = ""
    automatic: bool = False
    """Somebody's machine answered; the mail arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateComplaint:
    recipients: tuple[str, ...]
    user_agent: str
    feedback_type: str
    arrival_ms: int | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is to be told of the message; `outcome` says it, or why it is nothing, in words."""

    found: tuple[LateBounce | LateComplaint, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class Told:
    """What the event log of a message says already; recipients in lower case."""

    bounced: frozenset[str] = field(default_factory=frozenset)
    answered: frozenset[str] = field(default_factory=frozenset)
    """By a machine: no reason to leave out a bounce that comes later."""
    complained: frozenset[str] = field(default_factory=frozenset)


def told_by(events: Iterable[Event]) -> Told:
    bounced: set[str] = set()
    answered: set[str] = set()
    complained: set[str] = set()
    for event in events:
        recipients = {recipient.lower() for recipient in event.recipients}
        if event.type is EventType.COMPLAINT:
            complained |= recipients
        elif event.type is EventType.BOUNCE:
            (answered if event.detail.get("automatic") is True else bounced).update(recipients)
    return Told(frozenset(bounced), frozenset(answered), frozenset(complained))


def meaning(report: Report, recipients: Sequence[str], told: Told) -> Meaning:
    """What a report about a message to these recipients tells that was not told before."""
    match report:
        case DeliveryReport():
            return _of_delivery(report, recipients, told)
        case OddBounce():
            return _of_odd(report, recipients, told)
        case SpamReport():
            return _of_spam(report, recipients, told)
        case AutoReply():
            return _of_reply(report, recipients, told)


def _of_delivery(report: DeliveryReport, recipients: Sequence[str], told: Told) -> Meaning:
    failed = [each for each in report.recipients if _has_failed(each)]
    if not failed:
        actions = {each.action for each in report.recipients}
        return Meaning((), _NO_FAILURE["delayed" if "delayed" in actions else "delivered"])
    known = [(recipient, each) for each in failed if (recipient := _known(each.addresses, recipients))]
    if not known:
        return Meaning((), "it names no recipient of the message")
    groups: dict[tuple[BounceKind, str], dict[str, BouncedRecipient]] = {}
    seen: set[str] = set(told.bounced)
    for recipient, each in known:
        if recipient.lower() in seen:
            continue
        seen.add(recipient.lower())
        groups.setdefault((_kind(each), each.remote_mta), {})[recipient] = BouncedRecipient(
            recipient=recipient,
            action="failed",
            status=each.status or _said(each),
            diagnostic_code=each.diagnostic_code,
        )
    return _bounces(
        tuple(
            LateBounce(kind=kind, recipients=tuple(group.values()), remote_mta=remote_mta)
            for (kind, remote_mta), group in groups.items()
        )
    )


_NO_FAILURE = {
    "delayed": "the other side still tries: a delay, no bounce",
    "delivered": "it tells of no failure",
}


def _has_failed(each: RecipientReport) -> bool:
    # Where no action of RFC 3464 is given, a permanent code says it.
    if each.action in ("failed", "delayed", "delivered", "relayed", "expanded"):
        return each.action == "failed"
    return (each.status or _said(each)).startswith("5")


def _said(each: RecipientReport) -> str:
    return status_in(each.diagnostic_code)


def _kind(each: RecipientReport) -> BounceKind:
    """By the status, or by what the server's answer adds where it is a general one: many write 5.0.0 for everything."""
    said, code = _said(each), _SMTP_CODE.match(each.diagnostic_code)
    status = said if said and (not each.status or each.status.endswith(".0.0")) else each.status
    if not status and code is None:
        return UNDETERMINED
    permanent = status.startswith("5") if status else code is not None and code[1].startswith("5")
    answered = int(code[1]) if code else 0
    # The class of the status decides (RFC 3464 section 2.3.4): an expired message's last answer was a temporary one.
    number = answered if answered // 100 == (5 if permanent else 4) else 550 if permanent else 450
    return bounce_kind(Notice(number, status, ""))


def _of_odd(report: OddBounce, recipients: Sequence[str], told: Told) -> Meaning:
    if report.addresses:
        known = [recipient for each in report.addresses if (recipient := _known((each,), recipients))]
        if not known:
            return Meaning((), "it names no recipient of the message")
    elif len(recipients) == 1:
        known = list(recipients)
    else:
        return Meaning((), "it does not say which recipient bounced")
    kind = UNDETERMINED
    if report.status:
        kind = bounce_kind(Notice(550 if report.status.startswith("5") else 450, report.status, ""))
    fresh = _fresh(known, told.bounced)
    bounced = tuple([BouncedRecipient(recipient=recipient) for recipient in fresh])
    return _bounces((LateBounce(kind=kind, recipients=bounced),) if bounced else ())


def _bounces(found: tuple[LateBounce, ...]) -> Meaning:
    if not found:
        return Meaning((), "told before")
    return Meaning(found, f"a bounce of {', '.join(each.recipient for bounce in found for each in bounce.recipients)}")


def _of_spam(report: SpamReport, recipients: Sequence[str], told: Told) -> Meaning:
    known = [recipient for each in report.recipients if (recipient := _known((each,), recipients))]
    if not known:
        known = _behind(report, recipients)
    if not known:
        return Meaning((), "it names no recipient of the message, nor a domain of one")
    fresh = _fresh(known, told.complained)
    if not fresh:
        return Meaning((), "told before")
    complaint = LateComplaint(
        recipients=tuple(fresh),
        user_agent=report.user_agent,
        feedback_type=report.feedback_type,
        arrival_ms=report.arrival_ms,
    )
    return Meaning((complaint,), f"a complaint of {', '.join(fresh)}")


def _behind(report: SpamReport, recipients: Sequence[str]) -> list[str]:
    """All who may have complained: those at the domain of the hidden address, else at that of the reporter; the only
    recipient in any case."""
    if len(recipients) == 1:
        return list(recipients)
    hidden = [domain_of(each) for each in report.recipients]
    for domain in (*hidden, *report.reporters):
        found = [each for each in recipients if domain and _belongs(domain, domain_of(each))]
        if found:
            return found
    return []


def _belongs(reporter: str, domain: str) -> bool:
    """``arf.mail.example`` reports for ``mail.example``."""
    return reporter == domain or reporter.endswith(f".{domain}")


def _of_reply(report: AutoReply, recipients: Sequence[str], told: Told) -> Meaning:
    known = _known((report.sender,), recipients)
    if known is None and len(recipients) == 1:
        known = recipients[0]  # it answers for an alias
    if known is None:
        return Meaning((), "an automatic reply of nobody who is a recipient")
    if not _fresh([known], told.bounced | told.answered):
        return Meaning((), "told before")
    bounced = BouncedRecipient(recipient=known)
    return Meaning(
        (LateBounce(kind=AUTOMATIC, recipients=(bounced,), automatic=True),), f"an automatic reply of {known}"
    )


def _known(addresses: Sequence[str], recipients: Sequence[str]) -> str | None:
    """The recipient as the message had it. Compared without regard to case: servers fold addresses on their way."""
    by_folded = {recipient.lower(): recipient for recipient in reversed(recipients)}
    return next((by_folded[each.lower()] for each in addresses if each.lower() in by_folded), None)


def _fresh(recipients: Sequence[str], told: frozenset[str]) -> list[str]:
    return [each for each in dict.fromkeys(recipients) if each.lower() not in told]
