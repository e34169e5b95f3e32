"""Dates of header fields, read: RFC 5322 section 3.3, and the obsolete forms of 4.3. Written: `outgoing.date_value`."""

import re
from datetime import UTC, datetime, timedelta

_DATE = re.compile(
    r"[ \t]{0,8}(?:[A-Za-z]{2,9}\.?[ \t]{0,8},?[ \t]{0,8})?"
    r"([0-9]{1,2})[ \t-]{1,8}([A-Za-z]{3})[a-z]{0,6}[ \t-]{1,8}([0-9]{2,4})[ \t]{1,8}"
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\.[0-9]{1,9})?[ \t]{0,8}(?:([+-])([0-9]{2})([0-9]{2})|([A-Za-z]{1,5}))?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# RFC 5322 section 4.3: the zones of North America; all other names say nothing and are read as UTC.
_ZONE_HOURS = {"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(value: str) -> int | None:
    """Milliseconds since 1970 of ``Thu, 2 May 2024 09:15:30 +0000``; None for what is no date."""
    found = _DATE.match(value)
    if found is None:
        return None
    try:
        return _moment(*found.groups())
    except (ValueError, OverflowError):
        return None


def _moment(
    day: str,
    month: str,
    year: str,
    hour: str,
    minute: str,
    second: str | None,
    sign: str | None,
    zone_hours: str,
    zone_minutes: str,
    zone: str | None,
) -> int:
    number = _MONTHS.index(month.lower()) + 1
    at = datetime(_whole_year(year), number, int(day), int(hour), int(minute), tzinfo=UTC)
    # A leap second, and whatever else is too much, runs over into the next minute.
    at += timedelta(seconds=int(second or 0))
    if sign:
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        at += offset if sign == "-" else -offset
    else:
        at -= timedelta(hours=_ZONE_HOURS.get((zone or "").lower(), 0))
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _whole_year(text: str) -> int:
    """RFC 5322 section 4.3: two digits from 50 up are of the last century, three count from 1900."""
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(text) == 3 else year
