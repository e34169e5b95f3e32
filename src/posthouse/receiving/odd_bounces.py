"""Bounces in no standard form: what flufl.bounce (Mailman's collection of some 20 kinds) makes of them.

It reads with the standard library and searches line by line with patterns that take the square of a line's length: so
it gets the beginning of a mail, with its lines cut short, and is run in a thread.
"""

import re
from collections.abc import Sequence

from posthouse.domain.feedback import OddBounce
from posthouse.domain.outcomes import status_in
from posthouse.mail import charsets, headers, mime, transfer

MAX_READ = 64 * 1024
"""A bounce says at its beginning whom it is about; what follows is the mail that came back."""
MAX_LINE = 500
NEAR_LINES = 6
"""So soon after the address stands the answer that its server gave."""
_LONG = re.compile(rb"([^\n]{%d})[^\n]+" % MAX_LINE)
# Decoded, a short line may become a long one again.
_ENCODING = re.compile(rb"^content-transfer-encoding:", re.IGNORECASE | re.MULTILINE)


def read(raw: bytes) -> OddBounce | None:
    """Whom a bounce is about; None where it is none, or tells of a delay. A second at most: call it in a thread."""
    import email

    from flufl.bounce import all_failures

    given = _bounded(raw)
    try:
        temporary, permanent = all_failures(email.message_from_bytes(given))
    except Exception:
        # A detector that falls over what a stranger wrote has found nothing.
        return None
    addresses = tuple(sorted({each.decode("ascii", "replace") for each in permanent}))
    if not addresses:
        return OddBounce(()) if not temporary else None
    return OddBounce(addresses, _status_near(charsets.guess(given).splitlines(), addresses))


def _bounded(raw: bytes) -> bytes:
    parts = mime.walk(raw).parts
    if len(parts) == 1 and parts[0].content_type == "text/plain":
        text = transfer.read_body(parts[0].encoding, raw[parts[0].start :][:MAX_READ])
        raw = headers.split(raw).head[:MAX_READ] + b"\n" + text
    cut = _LONG.sub(rb"\1", raw[: 2 * MAX_READ].replace(b"\r\n", b"\n"))
    return _ENCODING.sub(b"X-Encoding:", cut[:MAX_READ])


def _status_near(lines: Sequence[str], addresses: Sequence[str]) -> str:
    for number, line in enumerate(lines):
        if any(address.lower() in line.lower() for address in addresses):
            found = next(filter(None, map(status_in, lines[number : number + NEAR_LINES])), "")
            if found:
                return found
    return ""
