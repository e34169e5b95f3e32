"""Addresses as SES reads them in API parameters: a mailbox, strictly, with SES's words for what is wrong.

Source: the texts of JavaMail's strict check, which SES answers with (observed on the live service); API reference:
7-bit addresses only, domains in Punycode. Lists of addresses in header fields are mail/mailboxes.py's.
"""

import re
from dataclasses import dataclass

from posthouse.model.errors import InvalidParameterValue

MAX_ADDRESS_LENGTH = 320
"""Characters of the whole text, display name included, as SES counts them."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*@[A-Za-z0-9](?:[A-Za-z0-9-]*)(?:\.[A-Za-z0-9-]+)*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOCAL_ILLEGAL = frozenset('()<>,;:\\"[]@')
_DOMAIN_LEGAL = re.compile(r"[A-Za-z0-9.-]*\Z")
_LITERAL = re.compile(r"\[[0-9A-Fa-f:.IPv]+\]\Z")


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
    if _PLAIN.match(text):
        mailbox = Mailbox(text, "", text)
    else:
        if _CONTROL.search(text.replace("\t", " ")):
            # SES names the place; a CR, LF or NUL anywhere must never reach a header or an envelope.
            raise InvalidParameterValue(_where_control(text))
        display, address = _split_display(text)
        check_address(address)
        mailbox = Mailbox(text, display, address)
    if len(text) > MAX_ADDRESS_LENGTH:
        raise InvalidParameterValue(f"Address length is more than {MAX_ADDRESS_LENGTH} characters long: '{text}'.")
    return mailbox


def _where_control(text: str) -> str:
    local, at, domain = text.rpartition("@")
    place = "Domain" if at and _CONTROL.search(domain) and not _CONTROL.search(local) else "Local address"
    return f"{place} contains control or whitespace"


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
    if _PLAIN.match(address):
        return
    local, at, domain = address.rpartition("@")
    if not at or (address.startswith('"') and address.endswith('"')):
        raise InvalidParameterValue("Missing final '@domain'")
    _check_local(local)
    _check_domain(domain)


def _check_local(local: str) -> None:
    if not local:
        raise InvalidParameterValue("Missing local name")
    quoted = len(local) >= 2 and local[0] == local[-1] == '"'
    inner = re.sub(r"\\.", "", local[1:-1]) if quoted else local
    # Non-ASCII letters get the same answer as blanks: observed on the live service.
    if any(ord(c) < 32 or ord(c) > 126 or (c == " " and not quoted) for c in inner):
        raise InvalidParameterValue("Local address contains control or whitespace")
    if quoted:
        if '"' in inner or "\\" in inner:
            raise InvalidParameterValue("Local address contains illegal character")
        return
    if any(c in _LOCAL_ILLEGAL for c in local):
        raise InvalidParameterValue("Local address contains illegal character")
    for bad, where in ((local[0] == ".", "starts with dot"), (local[-1] == ".", "ends with dot")):
        if bad:
            raise InvalidParameterValue(f"Local address {where}")
    if ".." in local:
        raise InvalidParameterValue("Local address contains dot-dot")


def _check_domain(domain: str) -> None:
    if not domain or domain.endswith("."):
        raise InvalidParameterValue("Missing domain")
    if any(ord(c) <= 32 or ord(c) == 127 for c in domain):
        raise InvalidParameterValue("Domain contains control or whitespace")
    if _LITERAL.match(domain):
        return
    if not _DOMAIN_LEGAL.match(domain):
        raise InvalidParameterValue("Domain contains illegal character")
    if domain.startswith("."):
        raise InvalidParameterValue("Domain starts with dot")
    if ".." in domain:
        raise InvalidParameterValue("Domain contains dot-dot")
