"""ports.network on asyncio (or uvloop) sockets.

A stream is written without waiting and read with one future; its deadline is one timer that is moved lazily, because
starting and cancelling a timer for each read costs more than the read. No retries here: what failed is told.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from posthouse.ports.network import ConnectFailed, Disconnected, TlsFacts

MAX_UNREAD = 1 << 20
"""Bytes kept for a reader that does not come: then the peer has to wait."""
MAX_LINGERING = 65536
"""Bytes not sent yet that a closing stream may still get rid of."""

ChainVerifier = Callable[[str, list[bytes]], bool]
"""Given host name and DER certificates, leaf first: is the leaf valid for the name by the trust store?"""


class SocketNetwork:
    """Connections to other servers."""

    def __init__(self, verify: ChainVerifier | None = None) -> None:
        """`verify` says whether a presented certificate chain is good; None: nothing is called verified."""
        self._verify = verify
        self._context = _opportunistic()

    async def connect(
        self, ip: str, port: int, *, source_ip: str = "", tls_host: str = "", timeout_s: float = 30.0
    ) -> "SocketStream":
        loop = asyncio.get_running_loop()
        stream = SocketStream(loop, self._context, self._verify)
        try:
            async with asyncio.timeout(timeout_s):
                await loop.create_connection(
                    lambda: stream,
                    ip,
                    port,
                    local_addr=(source_ip, 0) if source_ip else None,
                    ssl=self._context if tls_host else None,
                    server_hostname=_server_name(tls_host) if tls_host else None,
                )
        except TimeoutError:
            raise ConnectFailed("connection timed out") from None
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; uvloop raises ValueError for bad addresses
            raise ConnectFailed(_reason(error)) from error
        if tls_host:
            stream.note_tls(tls_host)
        return stream


class SocketStream(asyncio.Protocol):
    """ports.network.Stream."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext, verify: ChainVerifier | None) -> None:
        self._loop = loop
        self._context = context
        self._verify = verify
        self._transport: Any = None
        self._unread = b""
        self._end: str | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tls: TlsFacts | None = None
        self.peer_ip = ""
        self.local_ip = ""

    @property
    def tls(self) -> TlsFacts | None:
        return self._tls

    def write(self, data: bytes) -> None:
        if self._end is None:
            self._transport.write(data)

    async def drain(self, timeout_s: float) -> None:
        if self._end is not None:
            raise Disconnected(self._end)
        if self._full:
            self._writer = self._loop.create_future()
            await self._wait(self._writer, timeout_s)

    async def read(self, timeout_s: float) -> bytes:
        if not self._unread:
            if self._end is not None:
                raise Disconnected(self._end)
            self._reader = self._loop.create_future()
            await self._wait(self._reader, timeout_s)
        data, self._unread = self._unread, b""
        if len(data) > MAX_UNREAD and self._end is None:
            self._transport.resume_reading()
        return data

    async def start_tls(self, host: str, timeout_s: float) -> None:
        if self._unread or self._end is not None:
            # Bytes that came in the clear must not be read as if they came through TLS (RFC 3207 §6).
            raise ConnectFailed(self._end or "data in the clear ahead of the TLS handshake")
        try:
            async with asyncio.timeout(timeout_s):
                self._transport = await self._loop.start_tls(
                    self._transport, self, self._context, server_hostname=_server_name(host)
                )
        except TimeoutError:
            raise ConnectFailed("TLS handshake timed out") from None
        except (OSError, ValueError) as error:
            raise ConnectFailed(f"TLS handshake failed: {_reason(error)}") from error
        if self._transport is None:  # the peer left during the handshake
            raise ConnectFailed("TLS handshake failed: connection closed")
        self.note_tls(host)

    def close(self) -> None:
        self._finish("connection closed")
        if self._transport is not None:
            # What waits to be sent to a peer that no longer reads would linger as long as the kernel keeps trying.
            unsent = self._transport.get_write_buffer_size()
            self._transport.close() if unsent <= MAX_LINGERING else self._transport.abort()

    def note_tls(self, host: str) -> None:
        """Writes down what the handshake agreed on."""
        session = self._transport.get_extra_info("ssl_object")
        cipher = session.cipher()
        verified = self._verify is not None and self._verify(host, _presented(session))
        self._tls = TlsFacts(session.version() or "", cipher[0] if cipher else "", verified)

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.peer_ip = _address(transport.get_extra_info("peername"))
        self.local_ip = _address(transport.get_extra_info("sockname"))

    def data_received(self, data: bytes) -> None:
        self._unread = self._unread + data if self._unread else data
        if len(self._unread) > MAX_UNREAD:
            self._transport.pause_reading()
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def eof_received(self) -> None:
        self._finish("connection closed by the other side")

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(f"connection lost: {_reason(error)}" if error else "connection closed by the other side")

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # -- waiting

    def _finish(self, reason: str) -> None:
        if self._end is None:
            self._end = reason
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._interrupt(self._end)

    def _interrupt(self, reason: str) -> None:
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(Disconnected(reason))

    async def _wait(self, waiter: asyncio.Future[None], timeout_s: float) -> None:
        """Waits for one of the two futures; only one is waited for at a time."""
        self._deadline = self._loop.time() + timeout_s
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look_at_deadline)
        try:
            await waiter
        finally:
            self._reader = self._writer = None

    def _look_at_deadline(self) -> None:
        self._timer = None
        if self._reader is None and self._writer is None:
            return
        if self._loop.time() < self._deadline:  # moved since this timer was set
            self._timer = self._loop.call_at(self._deadline, self._look_at_deadline)
        else:
            self._interrupt("timed out")


def _opportunistic() -> ssl.SSLContext:
    """Any certificate: the alternative is sending in the clear (RFC 7435). TLS 1.2 and later, OpenSSL's default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= ssl.OP_NO_COMPRESSION
    return context


def _server_name(host: str) -> str:
    """The name for SNI; asyncio wants one, and an address is not sent as SNI (RFC 6066 §3)."""
    return host.rstrip(".")


def _presented(session: Any) -> list[bytes]:
    """The certificates the peer sent, DER, leaf first. Public from Python 3.13 on; before that one layer below."""
    get = getattr(session, "get_unverified_chain", None) or getattr(
        getattr(session, "_sslobj", None), "get_unverified_chain", None
    )
    chain = get() if get is not None else None
    return [c if isinstance(c, bytes) else ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in chain or ()]


def _address(name: Any) -> str:
    return str(name[0]) if isinstance(name, tuple) and name else ""


def _reason(error: BaseException) -> str:
    """One line without the noise asyncio puts around it."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).replace("_", " ").lower()
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return " ".join(text.split()) or type(error).__name__
