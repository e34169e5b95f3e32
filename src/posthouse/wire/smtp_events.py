"""What an SMTP server hears, as values: the events of wire/smtp_server, to be answered with a Reply each."""

from dataclasses import dataclass
from typing import Final

from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_text import NO_MAIL_PARAMETERS, MailParameters


@dataclass(frozen=True, slots=True)
class NeedData:
    """All bytes received are used up."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The protocol has decided the reply by itself."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Mail:
    """A transaction begins."""

    path: str
    """The reverse path; an empty string for ``<>``."""
    parameters: MailParameters = NO_MAIL_PARAMETERS


@dataclass(frozen=True, slots=True)
class Rcpt:
    """One more recipient."""

    path: str
    """The forward path: a mailbox, or ``Postmaster`` in any case."""


@dataclass(frozen=True, slots=True)
class Message:
    """The transaction is complete: whoever answers 2xx has taken the mail."""

    mail: Mail
    rcpts: tuple[Rcpt, ...]
    content: bytes
    """Dots unstuffed; ends in CRLF unless empty."""


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials to be judged; 235 makes the session authenticated."""

    user: str
    password: str
    authorization_id: str = ""


@dataclass(frozen=True, slots=True)
class StartTls:
    """Send the reply, make the connection safe, then call `tls_started`."""

    reply: Reply


Event = NeedData | Answered | Mail | Rcpt | Message | Login | StartTls
Question = Mail | Rcpt | Message | Login
"""The events a session answers."""

NEED_DATA: Final = NeedData()
