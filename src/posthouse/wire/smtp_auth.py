"""AUTH PLAIN (RFC 4616) and LOGIN as steps: the client's words become credentials or a challenge (RFC 4954)."""

import binascii
import re
from dataclasses import dataclass
from typing import Literal

from posthouse.wire.smtp_reply import Reply, reply

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

CANCELLED = reply(501, "Authentication cancelled", "5.7.0")
NOT_BASE64 = reply(501, "Cannot decode the response as base64", "5.5.2")
MALFORMED = reply(501, "Malformed credentials", "5.5.2")
SYNTAX = reply(501, "Syntax: AUTH mechanism [initial-response]", "5.5.4")
UNKNOWN_MECHANISM = reply(504, "Unrecognized authentication type", "5.5.4")
LINE_TOO_LONG = reply(500, "Authentication exchange line is too long", "5.5.6")

# SES has been seen to send "334 Ok" here. RFC 4954 wants base64, here of nothing, and clients decode what they get
# (Python's smtplib fails on "Ok"), so the RFC wins.
ASK_PLAIN = reply(334, "")
ASK_USERNAME = reply(334, "VXNlcm5hbWU6")
ASK_PASSWORD = reply(334, "UGFzc3dvcmQ6")


@dataclass(frozen=True, slots=True)
class Presented:
    """What the client claims to be, to be judged."""

    user: str
    password: str
    authorization_id: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A login under way: the next line is not a command but the answer to our challenge."""

    wanted: Literal["plain", "username", "password"]
    user: str = ""

    def answer(self, line: bytes) -> "Step":
        """What the client's line leads to."""
        if line == b"*":
            return CANCELLED
        response = _decode(line)
        return NOT_BASE64 if response is None else self.heard(response)

    def heard(self, response: bytes) -> "Step":
        """The same, for a response that is decoded already."""
        if self.wanted == "plain":
            return _plain(response)
        try:
            text = response.decode()
        except UnicodeDecodeError:
            return MALFORMED
        if "\0" in text or (self.wanted == "username" and not text):
            return MALFORMED
        if self.wanted == "username":
            return Challenge(ASK_PASSWORD, Exchange("password", text))
        return Presented(self.user, text)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send `reply`, then give the next line to `exchange`."""

    reply: Reply
    exchange: Exchange


Step = Challenge | Presented | Reply


def begin(argument: bytes) -> Step:
    """The first step, from what follows ``AUTH``: mechanism, perhaps a first response (``=`` if empty)."""
    words = argument.split(b" ")
    if not words[0] or len(words) > 2:
        return SYNTAX
    mechanism = words[0].upper()
    if mechanism == b"PLAIN":
        first = Challenge(ASK_PLAIN, Exchange("plain"))
    elif mechanism == b"LOGIN":
        first = Challenge(ASK_USERNAME, Exchange("username"))
    else:
        return UNKNOWN_MECHANISM
    if len(words) == 1:
        return first
    return first.exchange.heard(b"") if words[1] == b"=" else first.exchange.answer(words[1])


def _plain(response: bytes) -> Step:
    parts = response.split(b"\0")
    if len(parts) != 3 or not parts[1]:
        return MALFORMED
    try:
        authorization_id, user, password = (part.decode() for part in parts)
    except UnicodeDecodeError:
        return MALFORMED
    return Presented(user, password, authorization_id)


def _decode(line: bytes) -> bytes | None:
    """Strict: the alphabet only, whole groups, padding where it belongs. Python's decoder by itself skips rubbish."""
    return binascii.a2b_base64(line) if _BASE64.fullmatch(line) else None
