"""What leaves: SES's own headers on every message, the caller's control headers gone, all else byte for byte.

Follows the SES developer guide, "Header fields": Message-ID and Date are always replaced, Bcc and the X-SES-* control
headers never leave; nor does Resent-Bcc, which is no less blind (RFC 5322 section 3.6.6).

Raw mail is never parsed and written again; only whole fields come and go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from posthouse.mail.encoded_words import clean
from posthouse.mail.headers import Field

REMOVED = frozenset(
    {
        *(b"message-id", b"date", b"return-path", b"bcc", b"resent-bcc"),
        *(b"x-ses-configuration-set", b"x-ses-message-tags", b"x-ses-list-management-options", b"x-ses-tenant"),
        *(b"x-ses-source-arn", b"x-ses-from-arn", b"x-ses-return-path-arn"),
    }
)
"""Names, in lower case, of the caller's fields that never leave."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIME_VERSION = Field(b"mime-version", b"MIME-Version: 1.0\r\n")


@dataclass(frozen=True, slots=True)
class Stamp:
    """The values of the headers SES puts on a message, ASCII."""

    message_id: str
    """With angle brackets: ``<...@email.amazonses.com>``."""
    date: str
    """See ``date_value``."""
    outgoing: str
    """X-SES-Outgoing: ``2024.05.02-54.240.8.1``."""
    feedback_id: str


def date_value(at_ms: int) -> str:
    """A Date header's value as SES writes it, in UTC: ``Thu, 2 May 2024 09:15:30 +0000`` (RFC 5322 section 3.3)."""
    return _date_at(at_ms // 1000)


@lru_cache(maxsize=8)
def _date_at(at_s: int) -> str:
    # Kept for the second that is now: thousands of messages ask for it.
    at = _EPOCH + timedelta(seconds=at_s)
    return f"{_DAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at:%Y %H:%M:%S} +0000"


def crlf(raw: bytes) -> bytes:
    """``raw`` with every bare CR or LF made CRLF (RFC 5321 section 2.3.8); the same object when there is none.

    What reads a message must read this form: in it nobody can disagree about where a line ends.
    """
    without = raw.replace(b"\r\n", b"")
    if b"\n" not in without and b"\r" not in without:
        return raw
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def rewrite_head(fields: Iterable[Field], stamp: Stamp) -> list[Field]:
    """The header section that leaves: the caller's fields in order, without ``REMOVED``, then ours in SES's order."""
    kept = [field for field in fields if field.key not in REMOVED]
    if not any(field.key == b"mime-version" for field in kept):
        kept.append(_MIME_VERSION)
    kept += [
        _written(b"Date", stamp.date),
        _written(b"Message-ID", stamp.message_id),
        _written(b"X-SES-Outgoing", stamp.outgoing),
        _written(b"Feedback-ID", stamp.feedback_id),
    ]
    return kept


def _written(name: bytes, value: str) -> Field:
    return Field(name.lower(), b"%b: %b\r\n" % (name, clean(value).encode("ascii")))


def assemble(signatures: Sequence[bytes], fields: Iterable[Field], body: bytes) -> bytes:
    """The message for the wire: signatures on top (RFC 6376 section 5.6), header section, empty line, body."""
    return b"".join([*signatures, *[field.raw for field in fields], b"\r\n", body])
