"""Sockets to conversations: limits on connections, the PROXY protocol, and an orderly end."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from posthouse.smtp import replies
from posthouse.smtp.conversation import Conversation, MessageMemory, Session, Terms
from posthouse.smtp.envelope import Peer
from posthouse.smtp.guests import Guests
from posthouse.smtp.patience import Patience
from posthouse.smtp.stream import Stream, ip_of
from posthouse.wire import proxy_protocol
from posthouse.wire.smtp_server import Offer, ServerProtocol

log = logging.getLogger("posthouse.smtp")

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one process gives to its clients."""

    connections: int = 20_000
    connections_per_client: int = 500
    """See `guests.Guests`."""
    message_memory: int = 268_435_456
    """Octets of all large messages that are arriving or being stored."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Door:
    """One kind of SMTP service: what it announces and who answers."""

    offer: Offer
    new_session: Callable[[ServerProtocol, Peer], Session]
    tls: ssl.SSLContext | None = None
    """Needed where STARTTLS is offered or `implicit_tls` is set."""
    implicit_tls: bool = False
    """TLS from the first octet on (RFC 8314 section 3.3)."""
    proxy_protocol: bool = False
    """A PROXY header stands before everything else. Only for sockets that none but the balancer can reach."""


class Listener:
    """A door that is open. Made by `serve_sockets`."""

    def __init__(self, door: Door, limits: Limits, guests: Guests) -> None:
        self._door, self._limits, self._guests = door, limits, guests
        self._terms = Terms(limits.patience, MessageMemory(limits.message_memory), door.tls)
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._streams: dict[Stream, asyncio.Task[None]] = {}
        self._welcomes: set[asyncio.Task[None]] = set()
        self._draining = False
        self._deserted = asyncio.Event()

    @property
    def connections(self) -> int:
        """Conversations under way."""
        return len(self._streams)

    async def open(self, sockets: list[socket.socket]) -> None:
        """Starts to accept on bound sockets, which belong to the listener from now on."""
        loop = asyncio.get_running_loop()
        for bound in sockets:
            bound.setblocking(False)
            if self._door.proxy_protocol or self._door.implicit_tls:
                bound.listen(BACKLOG)
                self._acceptors.append(loop.create_task(self._accept_with_preface(bound)))
            else:
                made = await loop.create_server(lambda: Stream(self._admit, self._end), sock=bound, backlog=BACKLOG)
                self._servers.append(made)

    async def drain(self, timeout_s: float) -> None:
        """Stops accepting, says 421 to idle clients, lets messages under way finish, and after `timeout_s` hangs up."""
        self._draining = True
        for server in self._servers:
            server.close()
        for task in (*self._acceptors, *self._welcomes):
            task.cancel()
        open_streams = dict(self._streams)
        for stream in open_streams:
            stream.drain()
        if open_streams:
            _, late = await asyncio.wait(open_streams.values(), timeout=timeout_s)
            for stream, task in open_streams.items():
                if task in late:
                    task.cancel()
                    stream.abort()
            await asyncio.gather(*late, return_exceptions=True)
            with contextlib.suppress(TimeoutError):  # the last words are still on their way to the sockets
                await asyncio.wait_for(self._deserted.wait(), timeout=1.0)

    # -- connections

    def _admit(self, stream: Stream) -> None:
        if self._draining or not self._guests.enter(stream.client_ip):
            stream.write((replies.SHUTTING_DOWN if self._draining else replies.TOO_MANY_CONNECTIONS).render())
            stream.close()
            return
        self._begin(stream)

    def _begin(self, stream: Stream) -> None:
        """A conversation with somebody who has entered."""
        protocol = ServerProtocol(self._door.offer, tls=self._door.implicit_tls)
        session = self._door.new_session(protocol, stream)
        task = asyncio.get_running_loop().create_task(Conversation(stream, protocol, session, self._terms).run())
        self._streams[stream] = task
        self._guests.seat(stream)
        self._deserted.clear()

    def _end(self, stream: Stream) -> None:
        if self._streams.pop(stream, None) is not None:
            self._guests.unseat(stream)
            self._guests.leave(stream.client_ip)
            if not self._streams:
                self._deserted.set()

    # -- where something comes before SMTP: the header of a balancer, or the handshake of implicit TLS

    async def _accept_with_preface(self, bound: socket.socket) -> None:
        """Accepts by ourselves: the loop's server would not count who has not yet come past the preface."""
        loop = asyncio.get_running_loop()
        with bound:
            while True:
                try:
                    connection, address = await loop.sock_accept(bound)
                except OSError as error:  # no file descriptors left, or the client is gone already
                    log.warning("accept failed: %s", error)
                    await asyncio.sleep(0.1)
                    continue
                if len(self._welcomes) >= self._limits.connections:
                    connection.close()
                    continue
                task = loop.create_task(self._welcome(connection, ip_of(address)))
                self._welcomes.add(task)
                task.add_done_callback(self._welcomes.discard)

    async def _welcome(self, connection: socket.socket, peer_ip: str) -> None:
        try:
            connection.setblocking(False)
            async with asyncio.timeout(self._limits.patience.handshake_s):
                named = await _read_proxy_header(connection) if self._door.proxy_protocol else None
                await self._admit_with_preface(connection, named or peer_ip)
        except proxy_protocol.MalformedHeader as error:
            log.warning("connection from %s without a valid PROXY header dropped: %s", peer_ip, error)
            connection.close()
        except OSError as error:  # TimeoutError and ssl.SSLError among them
            log.debug("connection ended before its greeting: %s", error)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _admit_with_preface(self, connection: socket.socket, client_ip: str) -> None:
        """Counts the client from here on: half a handshake takes as much room as a conversation."""
        if not self._guests.enter(client_ip):
            if not self._door.implicit_tls:
                with contextlib.suppress(OSError):
                    connection.send(replies.TOO_MANY_CONNECTIONS.render())
            connection.close()
            return
        begun = False

        def begin(stream: Stream) -> None:
            nonlocal begun
            begun = True
            self._begin(stream)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Stream(begin, self._end, client_ip=client_ip),
                connection,
                ssl=self._door.tls if self._door.implicit_tls else None,
                ssl_handshake_timeout=self._limits.patience.handshake_s if self._door.implicit_tls else None,
            )
        finally:
            if not begun:
                self._guests.leave(client_ip)


async def serve_sockets(
    sockets: list[socket.socket], door: Door, limits: Limits | None = None, guests: Guests | None = None
) -> Listener:
    """Opens a door on bound stream sockets (they may be shared with other processes). `guests`: the list that this
    process's doors share. Raises OSError."""
    limits = limits or Limits()
    if guests is None:
        guests = Guests(limits.connections, limits.connections_per_client)
    listener = Listener(door, limits, guests)
    await listener.open(sockets)
    return listener


async def _read_proxy_header(connection: socket.socket) -> str | None:
    """Reads the header to its last octet and not beyond: what follows may be a TLS handshake."""
    loop = asyncio.get_running_loop()
    header = b""
    while missing := proxy_protocol.octets_missing(header):
        piece = await loop.sock_recv(connection, missing)
        if not piece:
            raise ConnectionResetError("closed within the PROXY header")
        header += piece
    return proxy_protocol.client_ip(header)
