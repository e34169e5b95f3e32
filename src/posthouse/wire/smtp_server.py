"""An SMTP server without a socket: bytes in, events out, replies rendered (RFC 5321; sans-IO).

Feed `receive`, ask `next_event` until it is NEED_DATA, and hand every other event's reply to `reply`, whose bytes go
to the client. The protocol answers what needs no knowledge of mail by itself (`Answered`: EHLO, NOOP, bad syntax, wrong
order); MAIL, RCPT, a whole message and a login are asked of whoever holds the session.

Extensions: PIPELINING (RFC 2920), SIZE (1870), 8BITMIME (6152), STARTTLS (3207), AUTH PLAIN and LOGIN (4954),
ENHANCEDSTATUSCODES (2034). Not here: DSN, SMTPUTF8, CHUNKING, LMTP; clocks and deadlines (smtp/).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from posthouse.wire import smtp_auth
from posthouse.wire.smtp_body import TOO_LONG, BareNewlines, Body
from posthouse.wire.smtp_events import NEED_DATA, Answered, Event, Login, Mail, Message, Question, Rcpt, StartTls
from posthouse.wire.smtp_reply import Reply, reply
from posthouse.wire.smtp_text import NoMailbox, Refused, mail_parameters, refuse_parameters, take_path

FRESH: Final = "fresh"
READY: Final = "ready"
SENDER: Final = "sender"
RECIPIENT: Final = "recipient"
BODY: Final = "body"

# (state, command) -> next state once answered well; a pair not listed is 503 (RFC 5321 section 4.1.4).
# HELO, EHLO, RSET, NOOP, VRFY, HELP and QUIT are heard in every state but BODY; HELO, EHLO and RSET end a transaction.
NEXT: Final = {
    (FRESH, b"EHLO"): READY,
    (FRESH, b"HELO"): READY,
    (READY, b"AUTH"): READY,  # never inside a transaction (RFC 4954 section 4)
    (READY, b"STARTTLS"): FRESH,  # RFC 3207 4.2: forget all said before TLS, buffered bytes too
    (READY, b"MAIL"): SENDER,
    (SENDER, b"RCPT"): RECIPIENT,
    (RECIPIENT, b"RCPT"): RECIPIENT,
    (RECIPIENT, b"DATA"): BODY,
    (BODY, b"."): READY,  # accepted or refused: the transaction is over (RFC 5321 4.1.1.4)
}

MAX_LINE: Final = 512
"""Octets of a command line with its CRLF (RFC 5321 4.5.3.1.4)."""
MAX_ENVELOPE_LINE: Final = 2048
"""The same for MAIL and RCPT: 512, and what SIZE (26), BODY (17) and AUTH (500) add; and room for parameters of other
servers, so that they are refused by name (555) and not for their length."""
MAX_AUTH_LINE: Final = 12288
"""The same for AUTH and what follows it (RFC 4954 section 4)."""
MAX_HELLO: Final = 255


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server announces, and where it draws its lines."""

    hostname: str
    greeting: str = "ESMTP Posthouse"
    """What follows the host name in the first line."""
    max_size: int = 10_485_760
    """Octets of a message, dot stuffing and end not counted (RFC 1870 section 3)."""
    max_recipients: int = 1000
    starttls: bool = False
    auth: Literal["never", "over_tls", "always"] = "never"
    bare_newlines: BareNewlines = "accept"
    """For bare CR and LF away from dots. Naive clients submit them; beside a lone dot they are always refused."""
    invalid_sender: Reply | None = None
    """To a reverse path that is no mailbox, ``<>`` included; None: the protocol's own words, and ``<>`` is taken."""
    invalid_recipient: Reply | None = None
    """To a forward path that is no mailbox; None: the protocol's own words."""
    max_errors: int = 20
    """Bad commands and failed logins before the connection is closed."""
    max_failed_logins: int = 3
    """Of these, logins: a fourth is not even looked at. Clients that try PLAIN and then LOGIN fail twice."""
    max_idle_commands: int = 1000
    """Commands that bring no message nearer (NOOP, RSET, refused recipients), counted anew with each message."""


START_INPUT = Answered(reply(354, "End data with <CR><LF>.<CR><LF>"))
BYE = Answered(reply(221, "Bye"))
RESET = Answered(reply(250, "Ok", "2.0.0"))
CANNOT_VERIFY = Answered(reply(252, "Cannot verify the user, but will take mail for it", "2.5.0"))
HELP = Answered(reply(214, "See RFC 5321", "2.0.0"))
READY_FOR_TLS = StartTls(reply(220, "Ready to start TLS", "2.0.0"))
BAD_SEQUENCE = Answered(reply(503, "Bad sequence of commands", "5.5.1"))
HELLO_FIRST = Answered(reply(503, "Send EHLO first", "5.5.1"))
MAIL_FIRST = Answered(reply(503, "Need MAIL before RCPT", "5.5.1"))
RCPT_FIRST = Answered(reply(503, "Need a valid RCPT before DATA", "5.5.1"))
NESTED_MAIL = Answered(reply(503, "A transaction is open already", "5.5.1"))
AUTHENTICATED = Answered(reply(503, "Already authenticated", "5.5.1"))
UNKNOWN_COMMAND = Answered(reply(500, "Command unrecognized", "5.5.1"))
NOT_IMPLEMENTED = Answered(reply(502, "Command not implemented", "5.5.1"))
BAD_LINE = Answered(reply(500, "Syntax error: control or non-ASCII characters", "5.5.2"))
LINE_TOO_LONG = Answered(reply(500, "Line too long", "5.5.2"))
BARE_LF = Answered(reply(500, "Bare LF: lines must end with CRLF", "5.5.2"))
NO_ARGUMENT_TAKEN = Answered(reply(501, "This command takes no argument", "5.5.4"))
HELLO_SYNTAX = Answered(reply(501, "Syntax: EHLO hostname", "5.5.4"))
MAIL_SYNTAX = Answered(reply(501, "Syntax: MAIL FROM:<address>", "5.5.4"))
RCPT_SYNTAX = Answered(reply(501, "Syntax: RCPT TO:<address>", "5.5.4"))
NO_RECIPIENT = Answered(reply(501, "RCPT needs an address", "5.1.3"))
TOO_MANY_RECIPIENTS = Answered(reply(452, "Too many recipients", "4.5.3"))
# Observed at SES, for AUTH and for MAIL; the code and words of RFC 3207 section 4.
TLS_FIRST = reply(530, "Must issue a STARTTLS command first")
TOO_MANY_ERRORS = reply(421, "Too many errors", "4.7.0")

_CONTROLS = bytes(range(32)) + b"\x7f"


class ServerProtocol:
    """The server's side of one connection. Not to be shared; makes no I/O."""

    def __init__(self, offer: Offer, *, tls: bool = False) -> None:
        self.offer = offer
        self.tls = tls
        self.closed = False
        """Set with the last reply: send it, then close."""
        self.said_quit = False
        """The client ended the conversation, and so sends nothing more."""
        self.user = ""
        """Who logged in, as the client wrote it."""
        self.completed = 0
        """Lines and messages taken so far: tells one half-received line from the next."""
        self.messages = 0
        """Messages that came to their end, taken or refused."""
        self._buffer = b""
        self._at = 0
        self._skipping = False
        self._closing = False
        self._errors = 0
        self._failed_logins = 0
        self._idle_commands = 0
        self._asked: Question | None = None
        self._forget()

    def _forget(self) -> None:
        """All that was said, as if the client had just connected."""
        self._state: str = FRESH
        self.client_name = ""
        """What the client called itself in HELO or EHLO."""
        self.extended = False
        self.user = ""
        self._exchange: smtp_auth.Exchange | None = None
        self._end_transaction()

    def _end_transaction(self) -> None:
        self._mail: Mail | None = None
        self._rcpts: list[Rcpt] = []
        self._body: Body | None = None

    @property
    def protocol_name(self) -> str:
        """For ``with`` of the Received header (RFC 3848): ``SMTP``, ``ESMTP``, ``ESMTPSA``..."""
        if not self.extended:
            return "SMTP"
        return "ESMTP" + ("S" if self.tls else "") + ("A" if self.user else "")

    @property
    def stage(self) -> Literal["between", "line", "body", "refused"]:
        """What the client is in the midst of, for deadlines: a line, a message, or a message refused already."""
        if self._body is not None:
            return "body" if self._body.refusal is None else "refused"
        return "line" if self._at < len(self._buffer) or self._skipping else "between"

    @property
    def refusal(self) -> Reply | None:
        """What the message now arriving will be answered with, if that is clear before its end."""
        return self._body.refusal if self._body is not None else None

    @property
    def in_message(self) -> bool:
        """Between the 354 and the end of the message."""
        return self._body is not None

    @property
    def held(self) -> int:
        """Octets of a message in memory."""
        return self._body.held if self._body is not None else 0

    @property
    def body_octets(self) -> int:
        """Octets of the message now arriving that came so far."""
        return self._body.received if self._body is not None else 0

    def refuse_message(self, refusal: Reply) -> None:
        """Gives up the message now arriving: the rest of it is read and dropped, then `refusal` is the answer."""
        if self._body is not None:
            self._body.refuse(refusal)

    def greeting(self) -> bytes:
        """The first line, sent before anything is read."""
        return Reply(220, "", (f"{self.offer.hostname} {self.offer.greeting}",)).render()

    def tls_started(self) -> None:
        """The channel is safe now; nothing said before counts, nor bytes that came early (RFC 3207 4.2)."""
        self._buffer, self._at = b"", 0
        self._skipping = False
        self.tls = True
        self._forget()

    def receive(self, received: bytes) -> None:
        """Takes bytes from the client, in pieces of any size."""
        rest = self._buffer[self._at :] if self._at < len(self._buffer) else b""
        self._buffer = rest + received if rest else received
        self._at = 0

    def next_event(self) -> Event:
        """What the bytes received so far amount to. Every event but NEED_DATA wants its `reply` before the next."""
        if self.closed:
            return NEED_DATA
        if self._body is not None:
            return self._next_message(self._body)
        line = self._next_line()
        if line is None:
            return NEED_DATA
        if isinstance(line, Answered):
            return line
        self.completed += 1
        if self._exchange is not None:
            return self._continue_login(self._exchange, line)
        return self._command(line)

    def reply(self, answer: Reply) -> bytes:
        """The bytes of `answer` to the last event, and what follows from it for the session."""
        asked, self._asked = self._asked, None
        if asked is not None:
            self._settle(asked, answer)
        elif answer.code >= 500 and answer.code != 503:
            self._errors += 1
        else:
            self._idle_commands += 1
        if self._errors > self.offer.max_errors or self._idle_commands > self.offer.max_idle_commands:
            answer = TOO_MANY_ERRORS
        if self._closing or answer.code == 421:
            self.closed = True
        return answer.render()

    def _settle(self, asked: Question, answer: Reply) -> None:
        if isinstance(asked, Message):
            self._state = NEXT[BODY, b"."]
            self._idle_commands = 0
            self._end_transaction()
        elif not answer.ok:
            self._idle_commands += 1
            if isinstance(asked, Login):
                self._errors += 1
                self._failed_logins += answer.permanent
        elif isinstance(asked, Rcpt):
            self._state = NEXT[self._state, b"RCPT"]
            self._rcpts.append(asked)
        elif isinstance(asked, Mail):
            self._state = NEXT[self._state, b"MAIL"]
            self._mail = asked
        else:
            self._state = NEXT[self._state, b"AUTH"]
            self.user = asked.user

    # -- lines

    def _next_line(self) -> bytes | Answered | None:
        """The next line without its CRLF; or what is to be answered instead; None while it is not whole."""
        buffer, at = self._buffer, self._at
        if at >= len(buffer):
            return None
        end = buffer.find(b"\n", at)
        if 0 < end - at < MAX_LINE and buffer[end - 1] == 13 and not self._skipping:
            self._at = end + 1
            return buffer[at : end - 1]
        return self._next_odd_line(end)

    def _next_odd_line(self, end: int) -> bytes | Answered | None:
        buffer, at = self._buffer, self._at
        limit = self._line_limit()
        if self._skipping or (end if end >= 0 else len(buffer)) - at >= limit:
            return self._skip_line(limit)
        if end < 0:
            return None
        if end == at or buffer[end - 1] != 13:
            # RFC 5321 4.1.1.4: a bare LF must not end a line; taking it allows smuggling. Where the line ends is in
            # doubt, so nothing after it is read.
            self._closing = True
            return BARE_LF
        self._at = end + 1
        return buffer[at : end - 1]

    def _line_limit(self) -> int:
        if self._exchange is not None:
            return MAX_AUTH_LINE
        verb = self._buffer[self._at : self._at + 5].upper()
        if verb == b"AUTH ":
            return MAX_AUTH_LINE
        return MAX_ENVELOPE_LINE if verb in (b"MAIL ", b"RCPT ") else MAX_LINE

    def _skip_line(self, limit: int) -> Answered | None:
        """Drops a line that is too long, up to its CRLF, keeping no more than a CR that may be half of it."""
        if not self._skipping:
            self._skipping = True
            self._at += limit - 1
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            self._at = len(self._buffer) - self._buffer.endswith(b"\r", self._at)
            return None
        self._skipping = False
        self._at = end + 2
        self.completed += 1
        if self._exchange is not None:
            self._exchange = None
            return Answered(smtp_auth.LINE_TOO_LONG)
        return LINE_TOO_LONG

    # -- commands

    def _command(self, line: bytes) -> Event:
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        handler = _COMMANDS.get(verb)
        if line.translate(None, _CONTROLS) != line or (handler is None and not line.isascii()):
            return BAD_LINE
        if handler is None:
            return self._not_a_command(verb)
        return handler(self, argument.rstrip(b" "))

    def _not_a_command(self, verb: bytes) -> Answered:
        if verb in _LEFT_OUT:
            return NOT_IMPLEMENTED
        if verb in _OTHER_PROTOCOLS:
            # A browser made to talk to us: what follows is not from whom it seems to be (cross-protocol attack).
            self._closing = True
        return UNKNOWN_COMMAND

    def _ehlo(self, argument: bytes) -> Event:
        return self._hello(argument, extended=True)

    def _helo(self, argument: bytes) -> Event:
        return self._hello(argument, extended=False)

    def _hello(self, argument: bytes, *, extended: bool) -> Event:
        if not argument or len(argument) > MAX_HELLO or b" " in argument or not argument.isascii():
            return HELLO_SYNTAX
        # RFC 5321 4.1.4: as RSET; who is logged in stays so.
        self._end_transaction()
        self._state = READY
        self.extended = extended
        self.client_name = argument.decode()
        if not extended:
            return Answered(reply(250, self.offer.hostname))
        return Answered(Reply(250, "", (self.offer.hostname, *self._keywords(), "Ok")))

    def _keywords(self) -> list[str]:
        offer = self.offer
        keywords = ["8BITMIME", f"SIZE {offer.max_size}", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if self._offers_tls:
            keywords.append("STARTTLS")
        if self._offers_auth:
            keywords.append("AUTH PLAIN LOGIN")
        return keywords

    @property
    def _offers_tls(self) -> bool:
        return self.offer.starttls and not self.tls

    @property
    def _offers_auth(self) -> bool:
        return self.offer.auth == "always" or (self.offer.auth == "over_tls" and self.tls)

    def _mail_from(self, argument: bytes) -> Event:
        if (self._state, b"MAIL") not in NEXT:
            return HELLO_FIRST if self._state == FRESH else NESTED_MAIL
        if argument[:5].upper() != b"FROM:":
            return MAIL_SYNTAX
        try:
            path = take_path(argument[5:].lstrip(b" "))
            if path is None:
                return MAIL_SYNTAX
            mail = Mail(path[0]) if path[1] == "" else self._mail_with(*path)
        except NoMailbox as refused:
            return Answered(self.offer.invalid_sender or refused.reply)
        except Refused as refused:
            return Answered(refused.reply)
        if mail.path == "" and self.offer.invalid_sender is not None:
            return Answered(self.offer.invalid_sender)
        if mail.parameters.size is not None and mail.parameters.size > self.offer.max_size:
            return Answered(TOO_LONG)
        self._asked = mail
        return mail

    def _mail_with(self, path: str, rest: str) -> Mail:
        return Mail(path, mail_parameters(rest, extended=self.extended, auth=self._offers_auth))

    def _rcpt_to(self, argument: bytes) -> Event:
        if (self._state, b"RCPT") not in NEXT:
            return HELLO_FIRST if self._state == FRESH else MAIL_FIRST
        if argument[:3].upper() != b"TO:":
            return RCPT_SYNTAX
        try:
            path = take_path(argument[3:].lstrip(b" "), postmaster=True)
            if path is None:
                return RCPT_SYNTAX
            if path[1]:
                refuse_parameters(path[1])
        except NoMailbox as refused:
            return Answered(self.offer.invalid_recipient or refused.reply)
        except Refused as refused:
            return Answered(refused.reply)
        if path[0] == "":
            return NO_RECIPIENT
        if len(self._rcpts) >= self.offer.max_recipients:
            return TOO_MANY_RECIPIENTS
        self._asked = rcpt = Rcpt(path[0])
        return rcpt

    def _data(self, argument: bytes) -> Event:
        if argument:
            return NO_ARGUMENT_TAKEN
        if (self._state, b"DATA") not in NEXT:
            return HELLO_FIRST if self._state == FRESH else RCPT_FIRST
        self._state = NEXT[self._state, b"DATA"]
        self._body = Body(self.offer.max_size, self.offer.bare_newlines)
        return START_INPUT

    def _next_message(self, body: Body) -> Event:
        if self._at >= len(self._buffer):
            return NEED_DATA
        self._at = body.take(self._buffer, self._at)
        if self._at < 0:
            self._at = len(self._buffer)
            if not body.endless:
                return NEED_DATA
            self._closing = True
        self.completed += 1
        self.messages += 1
        if body.refusal is not None:
            self._state = NEXT[BODY, b"."]
            self._end_transaction()
            return Answered(body.refusal)
        assert self._mail is not None  # NEXT leads to BODY only through MAIL
        self._body = None
        message = Message(self._mail, tuple(self._rcpts), body.content)
        self._asked = message
        return message

    def _rset(self, argument: bytes) -> Event:
        if argument:
            return NO_ARGUMENT_TAKEN
        self._end_transaction()
        self._state = FRESH if self._state == FRESH else READY
        return RESET

    def _noop(self, argument: bytes) -> Event:
        return RESET

    def _help(self, argument: bytes) -> Event:
        return HELP

    def _vrfy(self, argument: bytes) -> Event:
        return CANNOT_VERIFY

    def _quit(self, argument: bytes) -> Event:
        if argument:
            return NO_ARGUMENT_TAKEN
        self._closing = self.said_quit = True
        return BYE

    def _starttls(self, argument: bytes) -> Event:
        if not self._offers_tls:
            return NOT_IMPLEMENTED if not self.tls else BAD_SEQUENCE
        if argument:
            return NO_ARGUMENT_TAKEN
        if (self._state, b"STARTTLS") not in NEXT or not self.extended:
            return HELLO_FIRST if self._state == FRESH else BAD_SEQUENCE
        return READY_FOR_TLS

    # -- logging in

    def _auth(self, argument: bytes) -> Event:
        if self.offer.auth == "never":
            return NOT_IMPLEMENTED
        if not self._offers_auth:
            return Answered(TLS_FIRST)
        if self._failed_logins >= self.offer.max_failed_logins:
            return Answered(TOO_MANY_ERRORS)
        if self.user:
            return AUTHENTICATED
        if (self._state, b"AUTH") not in NEXT or not self.extended:
            return HELLO_FIRST if self._state == FRESH else BAD_SEQUENCE
        return self._login_step(smtp_auth.begin(argument))

    def _continue_login(self, exchange: smtp_auth.Exchange, line: bytes) -> Event:
        self._exchange = None
        return self._login_step(exchange.answer(line))

    def _login_step(self, step: smtp_auth.Step) -> Event:
        if isinstance(step, smtp_auth.Challenge):
            self._exchange = step.exchange
            return Answered(step.reply)
        if isinstance(step, Reply):
            return Answered(step)
        self._asked = Login(step.user, step.password, step.authorization_id)
        return self._asked


_COMMANDS: Final[dict[bytes, Callable[[ServerProtocol, bytes], Event]]] = {
    b"EHLO": ServerProtocol._ehlo,
    b"HELO": ServerProtocol._helo,
    b"MAIL": ServerProtocol._mail_from,
    b"RCPT": ServerProtocol._rcpt_to,
    b"DATA": ServerProtocol._data,
    b"RSET": ServerProtocol._rset,
    b"NOOP": ServerProtocol._noop,
    b"HELP": ServerProtocol._help,
    b"VRFY": ServerProtocol._vrfy,
    b"QUIT": ServerProtocol._quit,
    b"STARTTLS": ServerProtocol._starttls,
    b"AUTH": ServerProtocol._auth,
}
_LEFT_OUT: Final = frozenset((b"EXPN", b"BDAT", b"ETRN", b"TURN", b"ATRN", b"SEND", b"SOML", b"SAML", b"BURL"))
_OTHER_PROTOCOLS: Final = frozenset((b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT"))
