"""Addresses as SES reads them in API parameters: a mailbox, strictly, with SES's words for what is wrong.

Source: JavaMail's strict check, with whose texts SES answers: it reads an address once, from the left, and tells the
first thing that is wrong (observed and probed on the live service); API reference: 7-bit addresses only, domains in
Punycode. Lists of addresses in header fields are mail/mailboxes.py's.
"""

import re
from dataclasses import dataclass

from posthouse.model.errors import InvalidParameterValue

MAX_ADDRESS_LENGTH = 320
"""Characters of the whole text, display name included, as SES counts them."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*@[A-Za-z0-9](?:[A-Za-z0-9-]*)(?:\.[A-Za-z0-9-]+)*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOCAL_ILLEGAL = frozenset('()<>,;:\\"[]')
_DOMAIN_LEGAL = re.compile(r"[A-Za-z0-9.-]")
_LITERAL = re.compile(r"\[[0-9A-Fa-f:.IPv]+\]\Z")
_PHRASE_SPECIALS = re.compile(r'[()<>@,;:\\".\[\]]|[^\t -~]')


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One parsed address."""

    text: str
    """As the caller wrote it: what SES echoes in its errors."""
    display: str
    """The name before the angle brackets, unquoted but not decoded; may be empty."""
    address: str
    """local@domain, as written."""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2].lower()


def parse_mailbox(text: str) -> Mailbox:
    """Reads ``local@domain`` or ``Name <local@domain>``; raises InvalidParameterValue with SES's text."""
    mailbox = read_mailbox(text)
    check_length(mailbox)
    return mailbox


def read_mailbox(text: str) -> Mailbox:
    """As `parse_mailbox`, of any length: a call is told of what is no address before it is told of a long one."""
    if _PLAIN.match(text):
        return Mailbox(text, "", text)
    if not text.strip(" \t"):
        # As users quote it, with its blank.
        raise InvalidParameterValue(f"Invalid email address {text}.")
    if _CONTROL.search(text.replace("\t", " ")):
        # SES names the place; a CR, LF or NUL anywhere must never reach a header or an envelope.
        raise InvalidParameterValue(_where_control(text))
    pieces = [_read_one(piece) for piece in _pieces(text)]
    if len(pieces) != 1:
        # JavaMail's words for a text of several addresses.
        raise InvalidParameterValue("Illegal address")
    return Mailbox(text, *pieces[0])


def check_length(mailbox: Mailbox) -> None:
    """Raises InvalidParameterValue beyond 320 characters, of ``name <address>`` where there is a name (probed)."""
    shown = mailbox.address
    if mailbox.display:
        quote = '"' if _PHRASE_SPECIALS.search(mailbox.display) else ""
        shown = f"{quote}{mailbox.display}{quote} <{shown}>"
    if len(shown) > MAX_ADDRESS_LENGTH:
        raise InvalidParameterValue(f"Address length is more than {MAX_ADDRESS_LENGTH} characters long: '{shown}'.")


def _where_control(text: str) -> str:
    local, at, domain = text.rpartition("@")
    place = "Domain" if at and _CONTROL.search(domain) and not _CONTROL.search(local) else "Local address"
    return f"{place} contains control or whitespace"


def _pieces(text: str) -> list[str]:
    """What stands between commas, but for those in quotes, comments and angle brackets."""
    pieces, begin, depth = [], 0, 0
    quoted = escaped = angled = False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = quoted or depth > 0
        elif char == '"' and not depth:
            quoted = not quoted
        elif quoted:
            continue
        elif char in "()":
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char in "<>":
            angled = char == "<"
        elif char == "," and not angled and not depth:
            pieces.append(text[begin:position])
            begin = position + 1
    pieces.append(text[begin:])
    return pieces


def _read_one(text: str) -> tuple[str, str]:
    """Display name and address."""
    display, address = _split_display(text)
    check_address(address)
    return display, address


def _split_display(text: str) -> tuple[str, str]:
    stripped = text.strip(" \t")
    if not stripped.endswith(">"):
        return "", stripped
    start = _angle_after_display(stripped)
    display = stripped[:start].strip(" \t")
    if len(display) >= 2 and display.startswith('"') and display.endswith('"'):
        display = re.sub(r"\\(.)", r"\1", display[1:-1])
    elif '"' in display or "<" in display or ">" in display:
        raise InvalidParameterValue("Illegal address")
    return display, stripped[start + 1 : -1]


def _angle_after_display(text: str) -> int:
    """Where the ``<`` stands that opens the address: the first one outside a quoted string."""
    quoted = escaped = False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = quoted
        elif char == '"':
            quoted = not quoted
        elif char == "<" and not quoted:
            return position
    raise InvalidParameterValue("Illegal address")


def check_address(address: str) -> None:
    """Raises InvalidParameterValue unless `address` is local@domain of 7-bit characters."""
    if not _PLAIN.match(address):
        _check_domain(address[_end_of_local(address) + 1 :])


def _end_of_local(address: str) -> int:
    """Where the ``@`` behind the local part stands; raises where the local part is none."""
    if address.startswith('"'):
        return _end_of_quoted(address)
    before = ""
    for position, char in enumerate(address):
        if char == "@":
            _check_ends(address, position)
            return position
        # Non-ASCII letters get the same answer as blanks: observed on the live service.
        if not "!" <= char <= "~":
            raise InvalidParameterValue("Local address contains control or whitespace")
        if char in _LOCAL_ILLEGAL:
            raise InvalidParameterValue("Local address contains illegal character")
        if char == ".":
            if not before:
                raise InvalidParameterValue("Local address starts with dot")
            if before == ".":
                raise InvalidParameterValue("Local address contains dot-dot")
        before = char
    raise InvalidParameterValue("Missing final '@domain'")


def _check_ends(address: str, at: int) -> None:
    if at == 0:
        raise InvalidParameterValue("Missing local name")
    if address[at - 1] == ".":
        raise InvalidParameterValue("Local address ends with dot")


def _end_of_quoted(address: str) -> int:
    escaped = False
    for position, char in enumerate(address[1:], 1):
        # Not even behind a backslash: a line end in an address would end a line of SMTP and of the header.
        if not " " <= char <= "~":
            raise InvalidParameterValue("Local address contains control or whitespace")
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            if address[position + 1 : position + 2] not in ("", "@"):
                raise InvalidParameterValue("Local address contains illegal character")
            if position + 1 == len(address):
                break
            return position + 1
    raise InvalidParameterValue("Missing final '@domain'")


def _check_domain(domain: str) -> None:
    if not domain:
        raise InvalidParameterValue("Missing domain")
    if _LITERAL.match(domain):
        return
    if domain.startswith("."):
        raise InvalidParameterValue("Domain starts with dot")
    before = ""
    for char in domain:
        if not "!" <= char <= "~":
            raise InvalidParameterValue("Domain contains control or whitespace")
        if not _DOMAIN_LEGAL.match(char):
            raise InvalidParameterValue("Domain contains illegal character")
        if char == before == ".":
            raise InvalidParameterValue("Domain contains dot-dot")
        before = char
    if before == ".":
        raise InvalidParameterValue("Missing domain")
