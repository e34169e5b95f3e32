"""An SMTP reply as a value: rendered by our servers, parsed by our clients (RFC 5321 4.2, RFC 2034, RFC 3463)."""

import re
from dataclasses import dataclass

MAX_LINE = 4096
"""Octets of one reply line we read; RFC 5321 4.5.3.1.5 allows 512, and real servers exceed it with long URLs."""
MAX_LINES = 256
"""Lines of one reply: a bound for our memory, not a rule of the protocol."""

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


class MalformedReply(ValueError):
    """The peer sent something that is no SMTP reply; the connection is not worth keeping."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server says to one command."""

    code: int
    """Three digits, 200 to 599."""
    enhanced: str
    """The enhanced status code, ``x.y.z``, or an empty string where there is none."""
    lines: tuple[str, ...]
    """The text, line by line, without codes and line ends; at least one line (which may be empty)."""

    @property
    def ok(self) -> bool:
        """2yz: the server did, or took over, what was asked."""
        return 200 <= self.code < 300

    @property
    def temporary(self) -> bool:
        """4yz: the same command may do better later."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5yz: the same command will not do better later."""
        return 500 <= self.code < 600

    @property
    def text(self) -> str:
        """All lines as one, joined by blanks."""
        return " ".join(self.lines)

    def __str__(self) -> str:
        """The reply as a log or an event prints it: ``550 5.1.1 mailbox unavailable``."""
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)

    def render(self) -> bytes:
        """The reply on the wire; the enhanced code stands on every line (RFC 2034 section 4)."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        if len(self.lines) == 1:
            return f"{self.code} {prefix}{self.lines[0]}\r\n".encode("ascii", "replace")
        last = len(self.lines) - 1
        return "".join(
            f"{self.code}{' ' if i == last else '-'}{prefix}{line}\r\n" for i, line in enumerate(self.lines)
        ).encode("ascii", "replace")


def reply(code: int, text: str, enhanced: str = "") -> Reply:
    """A reply of one line; control characters in the text become ``?`` so that it stays one line."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    return Reply(code, enhanced, (text,))


def take_reply(buffer: bytes | bytearray, start: int = 0) -> tuple[Reply, int] | None:
    """The first whole reply in `buffer` from `start`, and where it ends; None while more bytes are needed.

    A line may end in a bare LF: old servers do so, and no harm follows on the client's side. Raises MalformedReply
    on anything that is no reply, on codes that differ between the lines of one reply, and past the limits.
    """
    code, rest = b"", []
    at = start
    while True:
        end = buffer.find(b"\n", at, at + MAX_LINE + 1)
        if end < 0:
            if len(buffer) - at > MAX_LINE:
                raise MalformedReply("reply line too long")
            return None
        line = _LINE.fullmatch(bytes(buffer[at:end]).removesuffix(b"\r"))
        if line is None or (code and line[1] != code):
            raise MalformedReply("not an SMTP reply")
        code, at = line[1], end + 1
        rest.append(line[3] or b"")
        if line[2] != b"-":
            return _reply_of(code, rest), at
        if len(rest) >= MAX_LINES:
            raise MalformedReply("reply has too many lines")


def _reply_of(code: bytes, rest: list[bytes]) -> Reply:
    lines = [_readable(line) for line in rest]
    first = _ENHANCED.match(lines[0])
    # RFC 2034 section 4: the class repeats the first digit of the basic code; where it does not, it is only text.
    if first is None or first[1][0] != chr(code[0]):
        return Reply(int(code), "", tuple(lines))
    # A server may leave the enhanced code out of later lines, or of the last; only a repetition is taken off.
    enhanced = first[1]
    return Reply(int(code), enhanced, tuple(_without(enhanced, line) for line in lines))


def _without(enhanced: str, line: str) -> str:
    if line == enhanced:
        return ""
    return line.removeprefix(enhanced + " ")


def _readable(line: bytes) -> str:
    """Text for logs, events and bounces: what is not printable must not reach a terminal or a header."""
    text = line.decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
