"""An SMTP or LMTP client without a socket: bytes in, events out (RFC 5321, RFC 2033; sans-IO).

Send what `data_to_send` gives, feed `receive`, and ask `next_event` until it says something else than None. Whatever
the server says or fails to say ends in an event, never in an exception: `Ready`, `StartTls`, `Finished` with one answer
for each recipient, or `Failed`.

Extensions: PIPELINING (RFC 2920: envelope and DATA leave in one write), SIZE (1870), 8BITMIME (6152), STARTTLS (3207),
AUTH PLAIN and LOGIN (4954), ENHANCEDSTATUSCODES (2034). Not here: SMTPUTF8 (SES takes no such addresses), CHUNKING;
sockets, deadlines and what an answer means for the message (delivery/).
"""

import base64
import re
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from posthouse.wire.smtp_reply import MalformedReply, Reply, reply, take_reply
from posthouse.wire.smtp_transaction import (
    Envelope,
    Event,
    Failed,
    Finished,
    Ready,
    Stage,
    StartTls,
    Transaction,
    is_path,
    wire_form,
)


class _Command(NamedTuple):
    stage: Stage
    line: str
    """Without CRLF; empty where nothing is sent."""
    recipient: int = -1
    shown: str = ""
    """How the conversation shows it, where it holds a secret."""


class _Known(NamedTuple):
    """A reply heard before at the same stage: a server mostly repeats itself, and comparing is faster than reading."""

    octets: bytes
    reply: Reply
    shown: list[str]


_NO_ADDRESS = reply(553, "Address syntax cannot be sent", "5.1.3")
_NO_SENDER = reply(553, "Sender address syntax cannot be sent", "5.1.7")
_NO_AUTH = reply(454, "Server offers neither AUTH PLAIN nor AUTH LOGIN", "4.7.0")
_INJECTED = reply(421, "Server spoke in the clear after agreeing to STARTTLS", "4.7.0")
_UNASKED = reply(421, "Server spoke without being asked", "4.5.0")
_OUT_OF_PLACE = reply(421, "Reply out of place", "4.5.0")

MAX_REPLY: Final = 65536
"""Octets of a whole reply, however many lines: a bound for our memory."""
MAX_CONVERSATION: Final = 400
"""Lines kept of a conversation."""
MAX_SHOWN: Final = 500
"""Characters kept of each of its lines."""

_SIZE = re.compile(r"[0-9]{1,15}")


class ClientProtocol:
    """The client's side of one connection. Not to be shared; makes no I/O."""

    def __init__(self, hostname: str, *, lmtp: bool = False) -> None:
        """`hostname` is what EHLO says. The server speaks first, so there is nothing to send yet."""
        self.extensions: dict[str, str] = {}
        """Keywords of the EHLO reply in upper case, with their parameters."""
        self.conversation: list[str] = []
        """``C: `` and ``S: `` lines since `take_conversation`, secrets masked, the message itself left out."""
        self.replies = 0
        """Replies heard so far: progress, for deadlines."""
        self._hostname = hostname
        self._lmtp = lmtp
        self._todo: deque[_Command] = deque()
        self._awaiting: deque[_Command] = deque([_Command(Stage.GREETING, "")])
        self._out: list[bytes] = []
        self._buffer = b""
        self._known: dict[Stage, _Known] = {}
        self._events: deque[Event] = deque()
        self._transaction: Transaction | None = None
        self._login: deque[str] = deque()
        self._must_reset = False
        self._end: Reply | None = None

    # -- the caller's side

    @property
    def stage(self) -> Stage:
        """What the next reply will be about."""
        return self._awaiting[0].stage if self._awaiting else Stage.IDLE

    def data_to_send(self) -> bytes:
        """What has to go to the server now; each byte once."""
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    def next_event(self) -> Event | None:
        """What the replies so far amount to; None: more has to come."""
        return self._events.popleft() if self._events else None

    def take_conversation(self) -> list[str]:
        """The lines since the last call."""
        taken, self.conversation = self.conversation, []
        return taken

    def start_tls(self) -> None:
        """Asks for STARTTLS, after Ready: leads to StartTls or Failed."""
        self._send(_Command(Stage.STARTTLS, "STARTTLS"))

    def tls_started(self) -> None:
        """The channel is safe: all that was said before is forgotten (RFC 3207 4.2). Leads to Ready or Failed."""
        self.extensions = {}
        self._send(self._hello())

    def authenticate(self, user: str, password: str) -> None:
        """Logs in, after Ready: leads to Ready or Failed. Whether the channel is safe enough is the caller's care."""
        mechanisms = self.extensions.get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            line = f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}"
            self._send(_Command(Stage.AUTH, line, shown="AUTH PLAIN ****"))
        elif "LOGIN" in mechanisms:
            self._login.extend((_base64(user), _base64(password)))
            self._send(_Command(Stage.AUTH, "AUTH LOGIN"))
        else:
            self._events.append(Failed(Stage.AUTH, _NO_AUTH))

    def send(self, envelope: Envelope) -> None:
        """Begins a transaction, after Ready or a reusable Finished: leads to Finished."""
        transaction = self._transaction = Transaction(envelope)
        refusal = self._end or self._refusal(envelope)
        if refusal is not None:
            transaction.answer_rest(Stage.MAIL, refusal)
            self._finish()
            return
        for index, recipient in enumerate(envelope.recipients):
            if not is_path(recipient):
                transaction.answer(index, Stage.RCPT, _NO_ADDRESS)
        if len(transaction.answers) == len(envelope.recipients):
            self._finish()
            return
        self._queue_envelope(transaction)
        self._pump()

    def quit(self) -> None:
        """Says goodbye; nothing follows from the answer."""
        if self._end is None:
            self._send(_Command(Stage.QUIT, "QUIT"))

    def lost(self, reason: str) -> None:
        """The connection is gone or silent: whoever has no answer yet gets this one."""
        if self._end is None:
            self._break(reply(421, reason, "4.4.2"))

    def receive(self, data: bytes) -> None:
        """Takes bytes from the server, in pieces of any size."""
        if self._end is not None:
            return
        if not self._awaiting:
            self._spoke_unasked()
            return
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if b"\n" not in data:  # no reply ends here; looking again at every octet would cost the square of them
            self._check_length(buffer)
            return
        try:
            at = self._hear(buffer)
        except MalformedReply as error:
            self._break(reply(421, f"Protocol error: {error}", "4.5.0"))
            return
        self._buffer = buffer[at:] if self._end is None else b""
        if self._buffer:
            if not self._awaiting:
                self._spoke_unasked()
            self._check_length(self._buffer)

    def _hear(self, buffer: bytes) -> int:
        """Acts on the whole replies in `buffer` that are waited for; returns where they end."""
        at = 0
        while self._awaiting:
            stage = self._awaiting[0].stage
            known = self._known.get(stage)
            if known is None or not buffer.startswith(known.octets, at):
                taken = take_reply(buffer, at)
                if taken is None:
                    break
                known = self._known[stage] = _Known(buffer[at : taken[1]], taken[0], _shown(taken[0]))
            at += len(known.octets)
            if len(self.conversation) < MAX_CONVERSATION:
                self.conversation += known.shown
            self._heard(known.reply)
        return at

    # -- sending

    def _hello(self) -> _Command:
        return _Command(Stage.EHLO, f"{'LHLO' if self._lmtp else 'EHLO'} {self._hostname}")

    def _send(self, command: _Command) -> None:
        if self._end is not None:
            self._events.append(Failed(command.stage, self._end))
            return
        self._todo.append(command)
        self._pump()

    def _pump(self) -> None:
        """Lets commands out: all of them with PIPELINING, else one as soon as the last is answered."""
        if self._end is not None or not self._todo:
            return
        if "PIPELINING" in self.extensions:
            commands = list(self._todo)
            self._todo.clear()
        elif not self._awaiting:
            commands = [self._todo.popleft()]
        else:
            return
        self._awaiting.extend(commands)
        self._out.append("".join([f"{command.line}\r\n" for command in commands]).encode("ascii", "replace"))
        if len(self.conversation) < MAX_CONVERSATION:
            self.conversation += [_shortened("C: " + (command.shown or command.line)) for command in commands]

    def _queue_envelope(self, transaction: Transaction) -> None:
        envelope, todo = transaction.envelope, self._todo
        if self._must_reset:
            todo.append(_Command(Stage.RSET, "RSET"))
            self._must_reset = False
        todo.append(_Command(Stage.MAIL, self._mail_line(envelope)))
        for index, recipient in enumerate(envelope.recipients):
            if index not in transaction.answers:
                todo.append(_Command(Stage.RCPT, f"RCPT TO:<{recipient}>", index))
        todo.append(_Command(Stage.DATA, "DATA"))

    def _mail_line(self, envelope: Envelope) -> str:
        line = f"MAIL FROM:<{envelope.mail_from}>"
        if "SIZE" in self.extensions:
            line += f" SIZE={len(envelope.content)}"
        if envelope.eight_bit and "8BITMIME" in self.extensions:
            line += " BODY=8BITMIME"
        return line

    def _refusal(self, envelope: Envelope) -> Reply | None:
        """Why it is of no use to ask the server at all."""
        if envelope.mail_from and not is_path(envelope.mail_from):
            return _NO_SENDER
        limit = self.extensions.get("SIZE", "")
        # RFC 1870 section 3: no value, or zero, is no limit.
        if _SIZE.fullmatch(limit) and 0 < int(limit) < len(envelope.content):
            return reply(552, f"Message of {len(envelope.content)} octets exceeds the server's limit {limit}", "5.3.4")
        return None

    # -- hearing

    def _heard(self, said: Reply) -> None:
        command = self._awaiting.popleft()
        self.replies += 1
        if said.code == 421:  # RFC 5321 3.8: may answer any command, and the server closes after it
            self._fail(command.stage, said)
            return
        _HEARD[command.stage](self, command, said)
        if self._todo:
            self._pump()

    def _on_greeting(self, command: _Command, said: Reply) -> None:
        if said.ok:
            self._todo.append(self._hello())
        else:
            self._fail(command.stage, said)

    def _on_ehlo(self, command: _Command, said: Reply) -> None:
        if said.ok:
            self.extensions = _extensions(said)
            self._events.append(Ready(said))
        elif said.permanent and not self._lmtp:  # RFC 5321 3.2: an old server
            self._todo.append(_Command(Stage.HELO, f"HELO {self._hostname}"))
        else:
            self._fail(command.stage, said)

    def _on_helo(self, command: _Command, said: Reply) -> None:
        if said.ok:
            self._events.append(Ready(said))
        else:
            self._fail(command.stage, said)

    def _on_starttls(self, command: _Command, said: Reply) -> None:
        if said.code == 220:
            self._events.append(StartTls())
        else:
            self._fail(command.stage, said)

    def _on_auth(self, command: _Command, said: Reply) -> None:
        if said.code == 334 and self._login:
            self._todo.append(_Command(Stage.AUTH, self._login.popleft(), shown="****"))
        elif said.ok and not self._login:
            self._events.append(Ready(said))
        else:
            self._fail(command.stage, said)

    def _on_rset(self, command: _Command, said: Reply) -> None:
        if not said.ok:  # what the old transaction left may mix with the new one
            self._fail(command.stage, said)

    def _on_mail(self, command: _Command, said: Reply) -> None:
        transaction = self._open
        if said.ok:
            return
        transaction.mail_refusal = said
        self._must_reset = True
        if not self._awaiting:
            transaction.answer_rest(Stage.MAIL, said)
            self._give_up()

    def _on_rcpt(self, command: _Command, said: Reply) -> None:
        transaction = self._open
        if said.ok:
            transaction.accepted.append(command.recipient)
        elif transaction.mail_refusal is None:
            transaction.answer(command.recipient, Stage.RCPT, said)
        self._must_reset = True
        if not transaction.accepted and not self._awaiting and self._todo and self._todo[0].stage is Stage.DATA:
            self._give_up()

    def _on_data(self, command: _Command, said: Reply) -> None:
        transaction = self._open
        if said.code == 354:
            self._send_body(transaction)
        elif not said.temporary and not said.permanent:
            self._fail(command.stage, _OUT_OF_PLACE)
        else:
            self._must_reset = True
            transaction.answer_rest(Stage.DATA, said)
            self._finish()

    def _send_body(self, transaction: Transaction) -> None:
        self._must_reset = False  # the end of data ends the transaction, whatever the answer
        accepted = transaction.accepted if transaction.mail_refusal is None else []
        if accepted:
            content = transaction.envelope.content
            self._out.append(wire_form(content))
            self._note(f"C: (message of {len(content)} octets) .")
            waits = accepted if self._lmtp else accepted[:1]
            self._awaiting.extend([_Command(Stage.BODY, "", index) for index in waits])
            return
        if self._lmtp:  # RFC 2033 4.2: must be 503, and how many answers would follow the dot is anybody's guess
            self._fail(Stage.DATA, _OUT_OF_PLACE)
            return
        # RFC 2920 3.1: a server may ask for the message although it refused every recipient; a lone dot ends that.
        self._out.append(b".\r\n")
        self._note("C: .")
        self._awaiting.append(_Command(Stage.BODY, ""))

    def _on_body(self, command: _Command, said: Reply) -> None:
        transaction = self._open
        if self._lmtp and command.recipient >= 0:
            transaction.answer(command.recipient, Stage.BODY, said)
        else:
            transaction.answer_rest(Stage.BODY, said)
        if not self._awaiting:
            self._finish()

    def _on_quit(self, command: _Command, said: Reply) -> None:
        self._end = said

    @property
    def _open(self) -> Transaction:
        transaction = self._transaction
        assert transaction is not None  # only `send` asks for MAIL, RCPT, DATA
        return transaction

    # -- ending

    def _give_up(self) -> None:
        """The rest of the transaction is not worth asking for."""
        self._todo.clear()
        self._finish()

    def _finish(self) -> None:
        transaction = self._open
        self._transaction = None
        answers = tuple([transaction.answers[i] for i in range(len(transaction.answers))])
        self._events.append(Finished(answers, reusable=self._end is None))

    def _break(self, said: Reply) -> None:
        """The session ends in our words, the server having none or none that make sense."""
        self._note(f"* {said}")
        self._fail(self.stage, said)

    def _fail(self, stage: Stage, said: Reply) -> None:
        """Nothing more can be said on this connection."""
        self._end = said
        self._todo.clear()
        self._awaiting.clear()
        self._out.clear()
        self._buffer = b""
        if self._transaction is not None:
            self._transaction.answer_rest(stage, said)
            self._finish()
        elif stage not in (Stage.IDLE, Stage.QUIT):
            self._events.append(Failed(stage, said))

    def _spoke_unasked(self) -> None:
        """Bytes nobody asked for: answers to come could no longer be told from them."""
        self._buffer, self._end = b"", _UNASKED
        if self._events and isinstance(self._events[-1], StartTls):
            # What was said in the clear must not be taken for an answer given under TLS (RFC 3207 6, CVE-2011-0411).
            self._events[-1] = Failed(Stage.STARTTLS, _INJECTED)

    def _check_length(self, buffer: bytes) -> None:
        if len(buffer) > MAX_REPLY:
            self._break(reply(421, "Protocol error: reply too long", "4.5.0"))

    # -- the conversation

    def _note(self, line: str) -> None:
        if len(self.conversation) < MAX_CONVERSATION:
            self.conversation.append(_shortened(line))


# What follows from the reply to each command.
_HEARD: Final[dict[Stage, Callable[[ClientProtocol, _Command, Reply], None]]] = {
    Stage.GREETING: ClientProtocol._on_greeting,
    Stage.EHLO: ClientProtocol._on_ehlo,
    Stage.HELO: ClientProtocol._on_helo,
    Stage.STARTTLS: ClientProtocol._on_starttls,
    Stage.AUTH: ClientProtocol._on_auth,
    Stage.RSET: ClientProtocol._on_rset,
    Stage.MAIL: ClientProtocol._on_mail,
    Stage.RCPT: ClientProtocol._on_rcpt,
    Stage.DATA: ClientProtocol._on_data,
    Stage.BODY: ClientProtocol._on_body,
    Stage.QUIT: ClientProtocol._on_quit,
}


def _extensions(said: Reply) -> dict[str, str]:
    """Keywords and parameters of an EHLO reply; its first line is the server's name."""
    offered: dict[str, str] = {}
    for line in said.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        if keyword.upper().startswith("AUTH="):  # how servers wrote it before RFC 2554
            keyword, parameters = "AUTH", f"{keyword[5:]} {parameters}"
        offered.setdefault(keyword.upper(), parameters.strip())
    return offered


def _shown(said: Reply) -> list[str]:
    """The reply as lines of the conversation."""
    if len(said.lines) == 1:
        return [_shortened(f"S: {said}")]
    enhanced = f"{said.enhanced} " if said.enhanced else ""
    last = len(said.lines) - 1
    return [
        _shortened(f"S: {said.code}{' ' if index == last else '-'}{enhanced}{line}")
        for index, line in enumerate(said.lines)
    ]


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_SHOWN else line[:MAX_SHOWN] + "..."


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
