"""Address lists of header fields: RFC 5322 section 3.4, groups included, as senders really write them.

Only the list is read here. Whether an address is acceptable is for the domain to say: an element that fits no form
comes out whole as the ``address``, so that the check there meets it and refuses.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from posthouse.mail.charsets import Unencodable
from posthouse.mail.encoded_words import LINE, clean, decode_words, fold, words

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ANGLE = re.compile(r'<((?:"(?:[^"\\]|\\.)*+"|[^">])*+)>', re.DOTALL)
_PLAIN = re.compile(r'[^"(<,:;\[]+')
_LITERAL = re.compile(r"\[[^\]]*\]?")
_TOKENS = {'"': _QUOTED, "<": _ANGLE, "[": _LITERAL}
_COMMENT_EDGE = re.compile(r"[()\\]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# ASCII without anything that an address list gives a meaning to: ``Name <address>`` or ``address``.
_SIMPLE = re.compile(r"[!#-'*+\-./-9=?A-Z^-~ ]*<[!#-'*+\-./-9=?-Z^-~]+>|[!#-'*+\-./-9=?-Z^-~]+")
# Not all that Python strips by itself: what is no blank in RFC 5322 (NEL, U+2028 ...) may not vanish.
_WHITE = " \t\r\n"
_BLANKS = re.compile(r"[ \t\r\n]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


class Mailbox(NamedTuple):
    """One address of a list."""

    display: str
    """The display name, unquoted and decoded; empty when there is none."""
    address: str
    """What stands between the angle brackets, or alone; the whole element when it fits no form."""


class _Element:
    """What has been read of one list element."""

    __slots__ = ("angle", "comment", "junk", "phrase", "start", "tokens")

    def __init__(self, start: int) -> None:
        self.start = start
        self.tokens: list[str] = []
        self.phrase: list[str] = []
        self.comment = ""
        self.angle: str | None = None
        self.junk = False

    def names_a_group(self) -> bool:
        """Whether a colon here ends a group's name, not an address that would vanish with it."""
        return not self.junk and self.angle is None and not any("@" in token for token in self.tokens)

    def mailbox(self, source: str, end: int) -> Mailbox | None:
        """The mailbox this element is, if it is one; ``end`` is where it ends in ``source``."""
        if self.junk:
            return Mailbox("", source[self.start : end].strip(_WHITE))
        if self.angle is not None:
            phrase = _BLANKS.sub(" ", "".join(self.phrase)).strip(_WHITE)
            return Mailbox(decode_words(phrase or self.comment), self.angle.strip(_WHITE))
        address = "".join(self.tokens).strip(_WHITE)
        return Mailbox(decode_words(self.comment), address) if address else None


def parse(value: str) -> list[Mailbox]:
    """The mailboxes of an unfolded address-list value, in order; group names fall away, their members stay.

    Encoded words are decoded after splitting: a comma inside one separates nothing. Linear; never raises.
    """
    found: list[Mailbox] = []
    element = _Element(0)
    at = 0
    while at < len(value):
        char = value[at]
        if char == ":" and not element.names_a_group():
            element.junk = True
            at += 1
        elif char in ",;:":
            mailbox = element.mailbox(value, at) if char != ":" else None
            if mailbox:
                found.append(mailbox)
            at += 1
            element = _Element(at)
        else:
            at = _take(value, at, char, element)
    last = element.mailbox(value, len(value))
    return [*found, last] if last else found


def _take(value: str, at: int, char: str, element: _Element) -> int:
    """Read one token into ``element`` and say where it ends. What is never closed makes junk of all that follows."""
    if char == "(":
        return _comment(value, at, element)
    token = _TOKENS.get(char, _PLAIN).match(value, at)
    if token is None:
        element.junk = True
        return len(value)
    if element.angle is not None and token[0].strip(_WHITE):
        element.junk = True
    if char == "<":
        element.angle = token[1]
    else:
        element.tokens.append(token[0])
        element.phrase.append(_ESCAPED.sub(r"\1", token[1]) if char == '"' else token[0])
    return token.end()


def _comment(value: str, at: int, element: _Element) -> int:
    depth, start = 1, at + 1
    at = start
    while depth and (edge := _COMMENT_EDGE.search(value, at)):
        depth += {"(": 1, ")": -1, "\\": 0}[edge[0]]
        at = edge.end() + (edge[0] == "\\")
    if depth:
        element.junk = True
        return len(value)
    element.comment = element.comment or _ESCAPED.sub(r"\1", value[start : at - 1]).strip()
    return at


def write(display: str, address: str, charset: str = "UTF-8") -> str:
    """A mailbox for a header: ``Name <address>``, the name quoted or encoded as it needs.

    Raises charsets.Unencodable, also for an address beyond ASCII (no SMTPUTF8 at SES).
    """
    address = clean(address)
    if not address.isascii():
        raise Unencodable("us-ascii")
    name = clean(display).strip()
    if not name:
        return address
    if not name.isascii() or "=?" in name:
        name = " ".join(words(name, charset))
    elif not _ATOMS.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address}>"


def as_given(mailbox: str) -> str:
    """An address string of an API caller for a header: kept as given where it is one mailbox there too.

    Callers write ``Doe, John <j@d>`` and names beyond ASCII, and SES takes both; in a header the first would be two
    addresses. Such names are quoted or encoded. Raises charsets.Unencodable for an address beyond ASCII.
    """
    mailbox = clean(mailbox).strip()
    if _SIMPLE.fullmatch(mailbox):
        return mailbox
    display, address = _last_angle(mailbox)
    if mailbox.isascii() and [found.address for found in parse(mailbox)] == [address]:
        return mailbox
    return write(decode_words(display), address)


def _last_angle(mailbox: str) -> tuple[str, str]:
    if not mailbox.endswith(">"):
        return "", mailbox
    display, _, address = mailbox[:-1].rpartition("<")
    display = display.strip()
    if len(display) >= 2 and display[0] == display[-1] == '"':
        display = _ESCAPED.sub(r"\1", display[1:-1])
    return display, address.strip()


def join(mailboxes: Sequence[str], column: int) -> str:
    """An address-list field body from written mailboxes, folded between them, and within one that fills a line."""
    body = ", ".join(mailboxes)
    if column + len(body) <= LINE:
        return body
    lines: list[str] = []
    line = ""
    for mailbox in mailboxes:
        if line and column + len(line) + len(mailbox) + 2 > LINE:
            lines.append(line + ",")
            line, column = " " + mailbox, 0
        else:
            line = f"{line}, {mailbox}" if line else mailbox
        if column + len(line) > LINE:
            line = fold(line, column) or line
    return "\r\n".join([*lines, line])
