"""What wire/smtp_client is given and gives back: an envelope, answers by recipient, and the events of a session."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from posthouse.wire.smtp_reply import Reply

# What may stand between the angle brackets of MAIL and RCPT without leaving them: printable ASCII, blanks and
# brackets only inside quotes. Whether the address is a good one is for the server to say.
_PATH = re.compile(r'(?:"(?:[ !#-\[\]-~]|\\[ -~])*"|[!#-;=?-~]+)(?:@[!#-;=?-~]+)?')


class Stage(StrEnum):
    """What was being done when a reply came, or failed to come."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    IDLE = "idle"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BODY = "end of data"
    """The final dot has been sent: without an answer nobody knows whether the message was taken."""
    QUIT = "QUIT"


class Envelope(NamedTuple):
    """One transaction."""

    mail_from: str
    """The reverse path; an empty string for ``<>``."""
    recipients: tuple[str, ...]
    content: bytes
    """RFC 5322 message; bare CR or LF become CRLF on the way (RFC 5321 2.3.8), so better there are none."""
    eight_bit: bool = False
    """Octets above 127 in it: BODY=8BITMIME where the server offers it."""


class Answer(NamedTuple):
    """What became of one recipient."""

    recipient: str
    stage: Stage
    reply: Reply
    """The reply that decided it; our own words, with code 421, where the server had none."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The server takes a transaction; `extensions` says what it offers."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class StartTls:
    """Make the connection safe now, then call `tls_started`."""


class Finished(NamedTuple):
    """The transaction is over: an answer for each recipient, in the order of the envelope."""

    answers: tuple[Answer, ...]
    reusable: bool
    """The connection takes another transaction."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The session is of no use: refused, broken or ended by the server outside of a transaction."""

    stage: Stage
    reply: Reply


Event = Ready | StartTls | Finished | Failed


class Transaction:
    """The envelope under way and what was said about it so far."""

    __slots__ = ("accepted", "answers", "envelope", "mail_refusal")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.answers: dict[int, Answer] = {}
        self.accepted: list[int] = []
        self.mail_refusal: Reply | None = None

    def answer(self, index: int, stage: Stage, said: Reply) -> None:
        self.answers[index] = Answer(self.envelope.recipients[index], stage, said)

    def answer_rest(self, stage: Stage, said: Reply) -> None:
        """The same for every recipient that has none yet."""
        if self.mail_refusal is not None:
            stage, said = Stage.MAIL, self.mail_refusal
        for index in range(len(self.envelope.recipients)):
            if index not in self.answers:
                self.answer(index, stage, said)


def is_path(address: str) -> bool:
    """It can be sent between angle brackets without leaving them."""
    return _PATH.fullmatch(address) is not None


def wire_form(content: bytes) -> bytes:
    """The message as it follows 354, end of data included (RFC 5321 4.5.2)."""
    rest = content.replace(b"\r\n", b"")
    if b"\n" in rest or b"\r" in rest:
        # RFC 5321 2.3.8: never send them bare; a lone dot between two would end the message for lenient servers.
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    if content.startswith(b"."):
        content = b"." + content
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
