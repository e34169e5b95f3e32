"""What a client writes after MAIL FROM: and RCPT TO:, as values (RFC 5321 4.1.2; parameters of RFC 1870, 4954, 6152).

Strict on purpose: a path stands in angle brackets, addresses are seven-bit (no SMTPUTF8), and every parameter must be
one this server has announced. What is refused comes back as the Reply to send, raised inside Refused.
"""

import ipaddress
import re
from dataclasses import dataclass

from posthouse.wire.smtp_reply import Reply, reply

MAX_PATH = 256
"""Octets of a path, brackets included (RFC 5321 4.5.3.1.3). No limit of its own for the local part: the 64 of
4.5.3.1.1 is the least one must take, and return paths of mailing lists are longer."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+"
_DOT_STRING = rf"{_ATEXT}(?:\.{_ATEXT})*"
# Not in RFC 5321, but hosts with an underscore do send mail, and refusing here would not make them go away.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_QUOTED = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"'

_PLAIN_PATH = re.compile(rf"<({_DOT_STRING}@{_DOMAIN})>(?: +(.*))?".encode())
_BRACKETED = re.compile(rb'(<(?:"(?:[^"\\]|\\.)*"|[^">])*>)(?: +(.*))?')
_SOURCE_ROUTE = re.compile(rf"@{_DOMAIN}(?:,@{_DOMAIN})*:")
_MAILBOX = re.compile(rf"({_DOT_STRING}|{_QUOTED})@(?:{_DOMAIN}|\[([^\[\]\\]{{1,64}})\])")
_DOT_STRING_ONLY = re.compile(_DOT_STRING)
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6 = re.compile(r"(?i:IPv6:)([0-9A-Fa-f:.]+)")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9\-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?")
_XTEXT = re.compile(r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*")
_SIZE = re.compile(r"[0-9]{1,20}")


class Refused(Exception):
    """The command is not taken; `reply` says so to the client."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(str(answer))
        self.reply = answer


class NoMailbox(Refused):
    """What stands between the brackets is no mailbox; a door may have words of its own for that."""


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What MAIL may carry beside the reverse path."""

    size: int | None = None
    """Octets the client declares (RFC 1870)."""
    body: str = "7BIT"
    """``7BIT`` or ``8BITMIME`` (RFC 6152)."""


NO_MAIL_PARAMETERS = MailParameters()


def take_path(argument: bytes, *, postmaster: bool = False) -> tuple[str, str] | None:
    """Splits ``<path> parameters`` into the mailbox and the rest; None where no path in brackets stands first.

    The mailbox is an empty string for ``<>``. With `postmaster` it may be that bare word (RFC 5321 4.5.1: the one
    recipient without a domain). A source route is dropped (appendix C), needless quotes are taken off. Raises NoMailbox
    where the brackets hold no valid one.
    """
    plain = _PLAIN_PATH.fullmatch(argument)
    if plain is not None and plain.end(1) < MAX_PATH:
        return plain[1].decode(), (plain[2] or b"").decode("ascii", "replace")
    path = _BRACKETED.fullmatch(argument)
    if path is None:
        return None
    if not argument.isascii():
        raise NoMailbox(reply(553, "Non-ASCII addresses are not supported", "5.6.7"))
    return _mailbox(path[1].decode(), postmaster), (path[2] or b"").decode()


def _mailbox(path: str, postmaster: bool) -> str:
    inner = path[1:-1]
    if inner == "":
        return inner
    if inner.startswith("@"):
        route = _SOURCE_ROUTE.match(inner)
        inner = inner[route.end() :] if route else ""
    if postmaster and inner.lower() == "postmaster":
        return inner
    mailbox = _MAILBOX.fullmatch(inner) if len(path) <= MAX_PATH else None
    if mailbox is None or (mailbox[2] is not None and not _is_address_literal(mailbox[2])):
        raise NoMailbox(reply(553, f"{path[:MAX_PATH]} Invalid email address"))
    return _without_needless_quotes(mailbox[1]) + inner[mailbox.end(1) :]


def _is_address_literal(text: str) -> bool:
    tagged = _IPV6.fullmatch(text)
    if tagged is None and _IPV4.fullmatch(text) is None:
        return False
    try:
        ipaddress.ip_address(tagged[1] if tagged else text)
    except ValueError:
        return False
    return True


def _without_needless_quotes(local_part: str) -> str:
    """``"joe"`` is ``joe`` (RFC 5321 4.1.2): one spelling, so that no rule is passed by quoting."""
    if not local_part.startswith('"'):
        return local_part
    plain = re.sub(r"\\(.)", r"\1", local_part[1:-1])
    if _DOT_STRING_ONLY.fullmatch(plain):
        return plain
    return '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'


def take_parameters(text: str) -> dict[str, str | None]:
    """``KEY=value KEY`` as a table with upper-case keys. Raises Refused on bad syntax and on a key said twice."""
    found: dict[str, str | None] = {}
    for word in text.split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter[1].upper() in found:
            raise Refused(reply(501, "Syntax error in parameters", "5.5.4"))
        found[parameter[1].upper()] = parameter[2]
    return found


def mail_parameters(text: str, *, extended: bool, auth: bool) -> MailParameters:
    """What follows the reverse path. Raises Refused on what was not announced (555) or is malformed (501)."""
    size, body = None, "7BIT"
    for key, value in take_parameters(text).items():
        if not extended:
            raise _unknown(key)
        if key == "SIZE" and value is not None and _SIZE.fullmatch(value):
            size = int(value)
        elif key == "BODY" and value is not None and value.upper() in ("7BIT", "8BITMIME"):
            body = value.upper()
        elif key == "AUTH" and auth and value is not None and _XTEXT.fullmatch(value):
            # RFC 4954 5: who sent it before us. We trust nobody to say so, which the RFC allows ("AUTH=<>").
            continue
        else:
            known = key in ("SIZE", "BODY") or (auth and key == "AUTH")
            raise _malformed(key) if known else _unknown(key)
    return MailParameters(size, body)


def refuse_parameters(text: str) -> None:
    """RCPT takes none: those that exist are of DSN (RFC 3461), which no door of ours announces. Raises Refused."""
    for key in take_parameters(text):
        raise _unknown(key)


def _unknown(key: str) -> Refused:
    return Refused(reply(555, f"Parameter {key[:40]} is not supported", "5.5.4"))


def _malformed(key: str) -> Refused:
    return Refused(reply(501, f"Malformed value of parameter {key[:40]}", "5.5.4"))
