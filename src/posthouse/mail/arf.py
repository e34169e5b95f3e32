"""Complaints in the abuse reporting format (RFC 5965), both ways. Reading is for strangers' mail and never raises."""

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.mail import dates, report
from posthouse.mail.headers import Field
from posthouse.mail.report import Head, Returned, address_in, value_of, written

TYPES = ("message/feedback-report",)
MAX_VALUES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackReport:
    """The fields of RFC 5965 section 3 that tell something."""

    feedback_type: str = "abuse"
    """``abuse``, ``fraud``, ``virus``, ``not-spam``, ``other``, ...; lower case."""
    user_agent: str = ""
    version: str = "1"
    original_mail_from: str = ""
    original_recipients: tuple[str, ...] = ()
    """Addresses; where the provider hides who complained there are none, or made-up ones."""
    arrival_date: str = ""
    """When the mail came to them: Arrival-Date, or Received-Date of older reports."""
    reporting_mta: str = ""
    source_ip: str = ""
    reported_domains: tuple[str, ...] = ()
    reported_uris: tuple[str, ...] = ()
    incidents: str = ""

    @property
    def arrival_ms(self) -> int | None:
        return dates.read(self.arrival_date)


@dataclass(frozen=True, slots=True)
class Received:
    """A complaint that somebody sent."""

    report: FeedbackReport
    returned: list[Field]
    """Header fields of the mail complained about; none where it did not come along."""


def read(raw: bytes) -> Received | None:
    """The feedback report that a mail carries; None where it carries none. Linear, bounded."""
    found = report.find(raw, TYPES)
    if found is None:
        return None
    fields = [field for group in found.groups for field in group]
    return Received(
        FeedbackReport(
            feedback_type=value_of(fields, b"feedback-type").lower(),
            user_agent=value_of(fields, b"user-agent"),
            version=value_of(fields, b"version"),
            original_mail_from=address_in(value_of(fields, b"original-mail-from")),
            original_recipients=tuple(
                [address for value in _all(fields, b"original-rcpt-to") if (address := address_in(value))]
            ),
            arrival_date=value_of(fields, b"arrival-date", b"received-date"),
            reporting_mta=value_of(fields, b"reporting-mta"),
            source_ip=value_of(fields, b"source-ip"),
            reported_domains=tuple([value.lower() for value in _all(fields, b"reported-domain")]),
            reported_uris=tuple(_all(fields, b"reported-uri")),
            incidents=value_of(fields, b"incidents"),
        ),
        found.returned,
    )


def _all(fields: Sequence[Field], key: bytes) -> list[str]:
    found = [field.text[: report.MAX_VALUE].strip() for field in fields if field.key == key]
    return [value for value in found if value][:MAX_VALUES]


def write(head: Head, text: str, complaint: FeedbackReport, returned: Returned) -> bytes:
    """The whole message."""
    fields = [
        written("Feedback-Type", complaint.feedback_type),
        written("User-Agent", complaint.user_agent),
        written("Version", complaint.version),
        written("Original-Mail-From", f"<{complaint.original_mail_from}>" if complaint.original_mail_from else ""),
        *[written("Original-Rcpt-To", f"<{each}>") for each in complaint.original_recipients],
        written("Arrival-Date", complaint.arrival_date),
        written("Reporting-MTA", complaint.reporting_mta),
        written("Source-IP", complaint.source_ip),
        *[written("Reported-Domain", each) for each in complaint.reported_domains],
        *[written("Reported-URI", each) for each in complaint.reported_uris],
        written("Incidents", complaint.incidents),
    ]
    return report.write(head, "feedback-report", text, TYPES[0], b"".join(fields), returned)
