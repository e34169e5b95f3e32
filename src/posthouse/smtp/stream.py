"""One connection as a stream with a bound on every buffer and a deadline on every wait (asyncio or uvloop).

Not asyncio's own streams: those cost several times what the SMTP protocol itself does.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from typing import cast

READ_AHEAD = 65_536
"""Octets that may wait here while a session is busy; beyond, the socket is left unread."""


class Draining(Exception):
    """The server is about to stop, and the client was not in the midst of a message."""


class MakingWay(Exception):
    """There are too many connections, and this one had nothing to say."""


class Stream(asyncio.Protocol):
    """Reads, writes and TLS of one connection. One reader at a time."""

    def __init__(
        self,
        opened: Callable[["Stream"], None],
        lost: Callable[["Stream"], None],
        *,
        client_ip: str = "",
    ) -> None:
        self.client_ip = client_ip
        """Whom we talk to; given where a proxy stands in between."""
        self.cipher = ""
        """``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty while in the clear."""
        self.draining = False
        self._opened, self._lost = opened, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._received: list[bytes] = []
        self._received_octets = 0
        self._ended = False
        self._gone = False
        self._unread = False
        self._reader: asyncio.Future[bool] | None = None
        self._interruptible = False
        self._hear: Callable[[bytes], bool] = lambda _: False
        self._deadline = 0.0
        self._silent_since = 0.0
        self._look_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self._congested = False
        self._relieved: asyncio.Future[bool] | None = None

    # -- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.client_ip = self.client_ip or ip_of(transport.get_extra_info("peername"))
        self._note_cipher()
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self._reader is not None and not self._reader.done():
            self._give_ear(self._reader, data)
            return
        self._received.append(data)
        self._received_octets += len(data)
        if self._received_octets >= READ_AHEAD and not self._unread:
            self._unread = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        # The client said all it had to say, and may still listen; TLS knows no such half-open state.
        self._end()
        return not self.cipher

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._end()
        if self._relieved is not None and not self._relieved.done():
            self._relieved.set_exception(ConnectionResetError())
        if self._timer is not None:
            self._timer.cancel()
        self._lost(self)

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        if self._relieved is not None and not self._relieved.done():
            self._relieved.set_result(True)

    def _end(self) -> None:
        self._ended = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(False)

    def _give_ear(self, reader: asyncio.Future[bool], data: bytes) -> None:
        try:
            if self._hear(data):
                reader.set_result(True)
        except Exception as error:  # it belongs to the conversation, not to the loop
            reader.set_exception(error)

    # -- called by the conversation

    @property
    def now(self) -> float:
        """The clock of the deadlines."""
        return self._loop.time()

    def expect(self, deadline: float, *, interruptible: bool) -> None:
        """Until when more must come, and whether `drain` may end the waiting."""
        self._interruptible = interruptible
        self._silent_since = self.now
        self._watch(deadline)

    async def listen(self, hear: Callable[[bytes], bool]) -> bool:
        """Gives all that comes to `hear` until that returns True; False once the client has ended.

        Raises TimeoutError when the deadline expected last is over, Draining, and whatever `hear` raises.
        """
        while self._received:
            if hear(self._take_received()):
                return True
        if self._ended:
            return False
        if self._interruptible and self.draining:
            raise Draining
        self._hear = hear
        self._reader = self._loop.create_future()
        try:
            return await self._reader
        finally:
            self._reader = None

    def _take_received(self) -> bytes:
        received = self._received[0] if len(self._received) == 1 else b"".join(self._received)
        self._received.clear()
        self._received_octets = 0
        if self._unread:
            self._unread = False
            if not self._gone:
                self._transport.resume_reading()
        return received

    def write(self, data: bytes) -> None:
        """Queues bytes until `flush`, so that pipelined commands are answered in one packet (RFC 2920 section 3.2)."""
        self._out.append(data)

    def send(self) -> bool:
        """Sends what was written; whether the client is slow to read it. Raises ConnectionError."""
        if self._gone:
            raise ConnectionResetError
        if self._out:
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()
        return self._congested

    async def flush(self, patience_s: float) -> None:
        """As `send`, and waits while the client does not read. Raises TimeoutError, ConnectionError."""
        if self.send():
            await self._relief(patience_s)

    async def _relief(self, patience_s: float) -> None:
        self._relieved = self._loop.create_future()
        self._watch(self.now + patience_s)
        try:
            await self._relieved
        finally:
            self._relieved = None

    async def start_tls(self, context: ssl.SSLContext, patience_s: float) -> None:
        """Upgrades the connection; bytes that came before count for nothing. Raises OSError, TimeoutError."""
        await self.flush(patience_s)
        # RFC 3207 4.2. What is still in the socket goes to the handshake, which fails on it.
        self._take_received()
        try:
            transport = await self._loop.start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=patience_s
            )
        except BaseException:
            self.connection_lost(None)  # the loop closes the connection then, but tells only its TLS layer
            raise
        if transport is None:
            raise ConnectionResetError
        self._transport = transport
        self._note_cipher()

    def _note_cipher(self) -> None:
        tls = self._transport.get_extra_info("ssl_object")
        if tls is not None:
            self.cipher = f"{tls.version()} {tls.cipher()[0]}"

    def drain(self) -> None:
        """Asks the conversation to end as soon as no message is under way."""
        self.draining = True
        if self._interruptible and self._reader is not None and not self._reader.done():
            self._reader.set_exception(Draining())

    def leave_if_idle(self, for_s: float) -> bool:
        """Ends the conversation if nothing is under way and nothing was said for so long; whether it does."""
        reader = self._reader
        if reader is None or reader.done() or not self._interruptible or self.now - self._silent_since < for_s:
            return False
        reader.set_exception(MakingWay())
        return True

    async def say_goodbye(self, last_word: bytes, patience_s: float) -> None:
        """Sends the last reply and closes, once the client has read it or `patience_s` is over.

        Closing with unread input resets the connection, and the client might never see the reply that says why.
        """
        self._out.append(last_word)
        try:
            await self.flush(patience_s)
            if self._transport.can_write_eof() and not self._transport.is_closing():
                self._transport.write_eof()
                self.expect(self.now + patience_s, interruptible=False)
                await self.listen(lambda _: False)
        except (TimeoutError, OSError):
            self.abort()
        self.close()

    def close(self) -> None:
        """Sends what was written and closes."""
        if self._out and not self._gone and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()
        self._transport.close()

    def abort(self) -> None:
        """Drops the connection at once."""
        self._transport.abort()

    # -- one timer for all waits: deadlines mostly move on, and moving a timer costs more than letting it look again

    def _watch(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None:
            if deadline >= self._look_at:
                return
            self._timer.cancel()
        if self._gone:  # a session may answer when its client has left; nothing is left to wait for
            return
        self._look_at = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        waiting = self._reader or self._relieved
        if waiting is None or waiting.done():
            return
        # Half a clock tick of grace: a loop may call a timer that much too early.
        if self.now + 0.005 < self._deadline:
            self._watch(self._deadline)
        else:
            waiting.set_exception(TimeoutError())


def ip_of(peername: object) -> str:
    """The client's address without port; an IPv4 address as such where the socket speaks IPv6."""
    if not isinstance(peername, tuple) or not peername:
        return ""
    host = str(peername[0]).partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
