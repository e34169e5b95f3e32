"""The text after DATA, as it arrives: where it ends, whether it may be taken, and its dots unstuffed.

RFC 5321 4.1.1.4 and 4.5.2. Only CRLF.CRLF ends a message. A dot alone on a line under *any* other reading of line
ends (a bare CR or LF on one of its sides) is how one mail is smuggled into another (CVE-2023-51764 and its kin): such
a message is refused whole, once its real end has come, and never repaired.
"""

import re
from typing import Literal

from posthouse.wire.smtp_reply import Reply, reply

BareNewlines = Literal["refuse", "accept"]

TOO_LONG = reply(552, "Message is too long.")
LONE_DOT = reply(550, "Bare CR or LF beside a dot: lines must end with CRLF", "5.6.11")
BARE_NEWLINE = reply(550, "Bare CR or LF in message: lines must end with CRLF", "5.6.11")
NUL_INSIDE = reply(550, "Message contains NUL characters", "5.6.0")

_END = b"\r\n.\r\n"
# One or two dots (two: what a lenient reader would unstuff to one) between line ends that are not both CRLF. The
# true end is cut off before this is asked, and [^\n] waits for the byte that tells a CR from half a CRLF.
_BESIDE_A_DOT = re.compile(rb"\r\n\.\.?(?:\n|\r[^\n])|\n(?<!\r\n)\.\.?[\r\n]|\r\.\.?[\r\n]")
_OVERLAP = 5
"""Octets a search goes back into what was searched before: the longest pattern less one."""


class Body:
    """Collects one message. Ask `take` for each piece until it says where the message ended."""

    __slots__ = ("_bare_newlines", "_dropped", "_held", "_limit", "_most_raw", "content", "refusal")

    def __init__(self, limit: int, bare_newlines: BareNewlines) -> None:
        self._limit = limit
        # A stuffed dot costs an octet that is not the message's: at worst one in four (".." CRLF).
        self._most_raw = limit + limit // 3 + 4096
        self._bare_newlines = bare_newlines
        # What came so far, behind the CRLF that ended the DATA line: it counts as the start of a first ".".
        self._held = bytearray()
        self._dropped = 0
        self.content = b""
        """The message, once complete and not refused; ends in CRLF unless empty."""
        self.refusal: Reply | None = None
        """Known before the end, this only waits for it."""

    @property
    def held(self) -> int:
        """Octets in memory now."""
        return len(self._held)

    @property
    def received(self) -> int:
        """Octets that came so far, kept or not."""
        return self._dropped + len(self._held)

    @property
    def endless(self) -> bool:
        """The client keeps on sending far beyond what could ever be taken."""
        return self._dropped > 4 * self._limit + 1_048_576

    def take(self, chunk: bytes, at: int) -> int:
        """Reads `chunk` from `at`. Returns where the message ended in it, or -1: all was read, more must come."""
        if not self._held and not chunk.startswith(b".", at):
            end = chunk.find(_END, at)
            if end >= 0:
                self._finish(chunk[at : end + 2])
                return end + len(_END)
        return self._take_piece(chunk, at)

    def refuse(self, refusal: Reply) -> None:
        """From now on nothing is kept; the refusal is given at the message's end."""
        self.refusal = self.refusal or refusal
        self._drop_all_but_a_tail()

    def _take_piece(self, chunk: bytes, at: int) -> int:
        held = self._held
        if not held:
            held += b"\r\n"
        searched = max(0, len(held) - _OVERLAP)
        held += memoryview(chunk)[at:]
        end = held.find(_END, searched)
        if end < 0:
            self._look_ahead(searched)
            return -1
        left = len(held) - end - len(_END)
        if self.refusal is None:
            with memoryview(held) as view:
                self._finish(bytes(view[2 : end + 2]))
        held.clear()
        return len(chunk) - left

    def _look_ahead(self, searched: int) -> None:
        """Refuses early what will be refused anyway, and then stops keeping it."""
        if self.refusal is None:
            if _has_lone_dot(self._held, searched, self._most_raw):
                self.refusal = LONE_DOT
            elif len(self._held) > self._most_raw:
                self.refusal = TOO_LONG
        if self.refusal is not None:
            self._drop_all_but_a_tail()

    def _drop_all_but_a_tail(self) -> None:
        surplus = len(self._held) - (len(_END) - 1)
        if surplus > 0:
            self._dropped += surplus
            del self._held[:surplus]

    def _finish(self, raw: bytes) -> None:
        # `in` and `find` are memchr-fast; most mail has no line that starts with a dot and is done after two of them.
        if raw.startswith(b".") or b"\n." in raw or b"\r." in raw:
            lines = b"\r\n" + raw
            if _has_lone_dot(lines, 0, self._most_raw):
                self.refusal = LONE_DOT
                return
            raw = lines.replace(b"\r\n.", b"\r\n")[2:]
        if len(raw) > self._limit:
            self.refusal = TOO_LONG
        elif b"\0" in raw:
            # RFC 5321 4.5.2 has no place for it, and readers that drop or stop at it disagree on where lines end.
            self.refusal = NUL_INSIDE
        elif self._bare_newlines == "refuse" and _has_bare_newline(raw):
            self.refusal = BARE_NEWLINE
        else:
            self.content = raw


def _has_lone_dot(text: bytes | bytearray, start: int, end: int) -> bool:
    if text.find(b"\n.", start, end) < 0 and text.find(b"\r.", start, end) < 0:
        return False
    return _BESIDE_A_DOT.search(text, start, end) is not None


def _has_bare_newline(text: bytes) -> bool:
    pairs = text.count(b"\r\n")
    return text.count(b"\n") != pairs or text.count(b"\r") != pairs
