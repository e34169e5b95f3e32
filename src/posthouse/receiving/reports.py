"""What a mail to a return path is: a report in a standard form, a bounce in its own words, a machine's answer, or none.

Reads bytes and nothing else; slow for large mail and for bounces in no standard form: call it in a thread.
"""

from collections.abc import Sequence
from typing import NamedTuple

from posthouse.domain.feedback import AutoReply, DeliveryReport, RecipientReport, Report, SpamReport
from posthouse.domain.messages import domain_of
from posthouse.mail import arf, auto_reply, dsn, headers, mailboxes, report
from posthouse.mail.headers import Field
from posthouse.receiving import odd_bounces

RECEIPTS = ("message/disposition-notification",)
"""RFC 8098: somebody has, or has not, read it."""
_DAEMONS = frozenset({"mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon"})


class ReadReport(NamedTuple):
    """A mail as a report."""

    kind: str
    """In words, for the timeline of the mail."""
    report: Report | None
    reporting_mta: str = ""
    """Host name, without its type."""


def read(raw: bytes, mail_from: str) -> ReadReport:
    """What the mail reports. `mail_from`: its envelope sender, empty for the null path."""
    fields = headers.fields(headers.split(raw).head[: report.MAX_HEAD], report.MAX_FIELDS)
    delivery = dsn.read(raw)
    if delivery is not None and delivery.status.recipients:
        return ReadReport("delivery report", _delivery(delivery), _host(delivery.status.reporting_mta))
    complaint = arf.read(raw)
    if complaint is not None:
        return ReadReport("complaint", _spam(complaint, _sender(fields)))
    if report.find(raw, RECEIPTS) is not None:
        return ReadReport("read receipt", None)
    signed = _is_signed_by_a_daemon(fields)
    if signed or (not mail_from and not auto_reply.is_automatic(fields)):
        odd = odd_bounces.read(raw)
        # Without addresses, only who calls itself a mail system is believed to report at all.
        if odd is not None and (odd.addresses or signed):
            return ReadReport("bounce", odd)
        return ReadReport("mail of a mail system" if signed else "mail", None)
    if auto_reply.is_automatic(fields):
        return ReadReport("automatic reply", AutoReply(_sender(fields) or mail_from))
    return ReadReport("mail", None)


def _delivery(received: dsn.Received) -> DeliveryReport:
    return DeliveryReport(
        tuple(
            [
                RecipientReport(
                    addresses=each.addresses,
                    action=each.action,
                    status=each.status,
                    diagnostic_code=each.diagnostic_code,
                    remote_mta=_host(each.remote_mta),
                )
                for each in received.status.recipients
            ]
        )
    )


def _spam(received: arf.Received, sender: str) -> SpamReport:
    told = received.report
    reporters = (_host(told.reporting_mta), domain_of(sender))
    return SpamReport(
        recipients=told.original_recipients,
        reporters=tuple([each for each in reporters if each]),
        user_agent=told.user_agent,
        feedback_type=told.feedback_type,
        arrival_ms=told.arrival_ms,
    )


def _host(value: str) -> str:
    """``dns; mx.example (203.0.113.9)`` -> ``mx.example``."""
    name = value.partition(";")[2] or value
    return name.partition("(")[0].strip(" \t.").lower()


def _sender(fields: Sequence[Field]) -> str:
    """The address of the From field."""
    value = next((each.value for each in fields if each.key == b"from"), "")
    return next((each.address for each in mailboxes.parse(value[: report.MAX_VALUE])), "")


def _is_signed_by_a_daemon(fields: Sequence[Field]) -> bool:
    # X-Failed-Recipients: Exim and Gmail, on bounces alone.
    return _sender(fields).rpartition("@")[0].lower() in _DAEMONS or any(
        each.key == b"x-failed-recipients" for each in fields
    )
