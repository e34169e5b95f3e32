"""One SMTP conversation: the protocol's events to the session, its replies to the stream."""

import logging
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from posthouse.smtp import replies
from posthouse.smtp.patience import Deadlines, Patience
from posthouse.smtp.stream import Draining, MakingWay, Stream
from posthouse.wire.smtp_events import NEED_DATA, Answered, Login, Mail, Message, NeedData, Question, Rcpt, StartTls
from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_server import ServerProtocol

log = logging.getLogger("posthouse.smtp")

SMALL_MESSAGE = 32_768
"""Octets below which a message does not count against the shared memory of all messages under way."""


class Session(Protocol):
    """What a door knows about mail. An answer at hand is a Reply; one that takes time is awaited."""

    def answer(self, question: Question) -> Reply | Awaitable[Reply]: ...


class MessageMemory:
    """Octets that large messages under way may hold together; the rest are told to come again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Stream, int] = {}
        self._total = 0

    def hold(self, stream: Stream, octets: int) -> bool:
        """Notes what `stream` holds now; False where there is no room for it."""
        if octets <= SMALL_MESSAGE:
            self.release(stream)
            return True
        self._total += octets - self._held.get(stream, 0)
        self._held[stream] = octets
        return self._total <= self._limit

    def release(self, stream: Stream) -> None:
        """The message is over, or the connection."""
        self._total -= self._held.pop(stream, 0)


@dataclass(frozen=True, slots=True)
class Terms:
    """What all conversations of a door share."""

    patience: Patience
    memory: MessageMemory
    tls: ssl.SSLContext | None = None


class Conversation:
    """One client and its session.

    What can be answered at once is answered where it is heard, in the loop's callback. The task that runs `serve` is
    woken only for what takes time (a whole message, a login, TLS) and at the end: task switches are what an SMTP
    server in Python would otherwise spend its time on.
    """

    __slots__ = ("_deadlines", "_left", "_protocol", "_session", "_stream", "_terms")

    def __init__(self, stream: Stream, protocol: ServerProtocol, session: Session, terms: Terms) -> None:
        self._stream, self._protocol, self._session, self._terms = stream, protocol, session, terms
        self._deadlines = Deadlines(terms.patience)
        self._left: Unanswered = NEED_DATA

    async def run(self) -> None:
        """From greeting to close, whatever happens in between."""
        stream, protocol, patience = self._stream, self._protocol, self._terms.patience
        last_word = b""
        try:
            await self.serve()
            if not protocol.closed or protocol.said_quit:
                stream.close()
                return
        except TimeoutError:
            # A message that is refused already gets that refusal: its sender waits for an answer, not for an end.
            last_word = (protocol.refusal or replies.TIMEOUT).render()
        except (Draining, MakingWay) as reason:
            stream.write((replies.MAKE_WAY if isinstance(reason, MakingWay) else replies.SHUTTING_DOWN).render())
            stream.close()
            return
        except OSError as error:  # the connection broke, or the TLS handshake failed (ssl.SSLError is one of these)
            log.debug("connection with %s ended: %s", stream.client_ip, error)
            stream.abort()
            return
        except Exception:
            log.exception("conversation with %s failed", stream.client_ip)
            last_word = replies.INTERNAL_ERROR.render()
        finally:
            self._terms.memory.release(stream)
        await stream.say_goodbye(last_word, patience.farewell_s)

    async def serve(self) -> None:
        """The shell around the protocol; ends when either side has had enough."""
        stream, protocol = self._stream, self._protocol
        stream.write(protocol.greeting())
        self._left = self._answer_at_once()
        while not protocol.closed:
            if isinstance(self._left, NeedData):
                await stream.flush(self._terms.patience.idle_s)
                if not await stream.listen(self._hear):
                    return
                continue
            if isinstance(self._left, StartTls):
                stream.write(protocol.reply(self._left.reply))
                assert self._terms.tls is not None  # a door without it offers no STARTTLS
                await stream.start_tls(self._terms.tls, self._terms.patience.handshake_s)
                protocol.tls_started()
            else:
                stream.write(protocol.reply(await _settled(self._left)))
                self._terms.memory.release(stream)
            self._left = self._answer_at_once()

    def _hear(self, received: bytes) -> bool:
        """Takes what has come; whether `serve` has something to do now."""
        self._protocol.receive(received)
        self._left = self._answer_at_once()
        if not isinstance(self._left, NeedData) or self._protocol.closed:
            return True
        return self._stream.send() or self._stream.draining

    def _answer_at_once(self) -> "Unanswered":
        """Answers up to what takes time, or until nothing is left."""
        stream, protocol = self._stream, self._protocol
        while not protocol.closed:
            event = protocol.next_event()
            if event is NEED_DATA:
                self._await_more()
                break
            match event:
                case Answered(reply=reply):
                    stream.write(protocol.reply(reply))
                case StartTls() as start_tls:
                    return start_tls
                case Mail() | Rcpt() | Message() | Login():
                    answer = self._ask(event)
                    if not isinstance(answer, Reply):
                        return answer
                    stream.write(protocol.reply(answer))
        return NEED_DATA

    def _ask(self, question: Question) -> Reply | Awaitable[Reply]:
        try:
            return self._session.answer(question)
        except Exception:
            log.exception("no answer to %s", type(question).__name__)
            return replies.INTERNAL_ERROR

    def _await_more(self) -> None:
        stream, protocol = self._stream, self._protocol
        if protocol.in_message and not self._terms.memory.hold(stream, protocol.held):
            protocol.refuse_message(replies.NO_ROOM)
        stream.expect(self._deadlines.next(protocol, stream.now), interruptible=not protocol.in_message)


Unanswered = NeedData | StartTls | Awaitable[Reply]
"""What `serve` has yet to do."""


async def _settled(answer: Awaitable[Reply]) -> Reply:
    """The answer when it is there; a bug on the way to it is logged once, and costs the client a retry."""
    try:
        return await answer
    except Exception:
        log.exception("no answer from the session")
        return replies.INTERNAL_ERROR
