"""The sockets of the DNS door: datagrams, and the same over TCP with a length before each message (RFC 7766)."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

log = logging.getLogger("posthouse.dns")

BACKLOG: Final = 256
LONGEST_QUERY: Final = 4096
"""Octets; a question with all it may carry has some hundred."""
AT_ONCE: Final = 64
"""Datagrams taken in one turn of the loop: others are waiting too."""

# linux/in.h; the socket module of Python 3.11 does not name it.
_IP_PKTINFO: Final = 8
_PACKET_INFO: Final = struct.Struct("=i4s4s")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one process gives to its askers."""

    pending: int = 1000
    """Datagrams being answered; what comes beyond is dropped, and asked again."""
    connections: int = 500
    connections_per_client: int = 20
    """By IP address. Not held against loopback, where a test or a forwarder may be."""
    idle_s: float = 10.0
    """Between two queries of a connection, and for each to arrive and be taken (RFC 7766 §6.2.3)."""


class Answers(Protocol):
    def answer(self, packet: bytes, *, tcp: bool) -> Awaitable[bytes | None]: ...


class DnsServer:
    """A zone that is served. Made by `serve_zone`."""

    def __init__(self, zone: Answers, limits: Limits) -> None:
        self._zone, self._limits = zone, limits
        self._datagrams: list[socket.socket] = []
        self._listeners: list[asyncio.Server] = []
        self._pending: set[asyncio.Task[None]] = set()
        self._connections: dict[asyncio.Task[Any], str] = {}
        self._by_client: Counter[str] = Counter()

    async def open(self, streams: Sequence[socket.socket], datagrams: Sequence[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for bound in streams:
            self._listeners.append(
                await asyncio.start_server(self._converse, sock=bound, backlog=BACKLOG, limit=LONGEST_QUERY)
            )
        for bound in datagrams:
            bound.setblocking(False)
            _ask_for_destination(bound)
            loop.add_reader(bound, self._take_datagrams, bound)
            self._datagrams.append(bound)

    async def close(self) -> None:
        """Takes nothing more, answers what was asked by datagram, hangs up on connections."""
        loop = asyncio.get_running_loop()
        datagrams, self._datagrams = self._datagrams, []
        for bound in datagrams:
            loop.remove_reader(bound)
        for listener in self._listeners:
            listener.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._pending, *self._connections, return_exceptions=True)
        for bound in datagrams:
            bound.close()

    # -- datagrams

    def _take_datagrams(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(AT_ONCE):
            try:
                packet, ancillary, flags, asker = bound.recvmsg(LONGEST_QUERY, 256)
            except OSError:  # nothing left; or an ICMP error of an earlier reply, which says nothing new
                return
            if flags & socket.MSG_TRUNC or len(self._pending) >= self._limits.pending:
                continue
            task = loop.create_task(self._answer_datagram(bound, packet, _from_there(ancillary), asker))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def _answer_datagram(self, bound: socket.socket, packet: bytes, source: Any, asker: Any) -> None:
        reply = await self._answer(packet, tcp=False)
        if reply is not None:
            # A full buffer or a dead route loses the reply, as any datagram may be lost.
            with contextlib.suppress(OSError):
                bound.sendmsg([reply], source, 0, asker)

    async def _answer(self, packet: bytes, *, tcp: bool) -> bytes | None:
        try:
            return await self._zone.answer(packet, tcp=tcp)
        except Exception:
            log.exception("a query could not be answered: %s", packet[:64].hex())
            return None

    # -- connections

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client_ip = str((writer.get_extra_info("peername") or ("",))[0])
        task = asyncio.current_task()
        if task is None or not self._has_room(client_ip):
            writer.transport.abort()
            return
        self._connections[task] = client_ip
        self._by_client[client_ip] += 1
        try:
            while await self._answer_next(reader, writer):
                pass
        except TimeoutError:
            writer.transport.abort()  # what it does not take is not kept for it
        except (OSError, asyncio.IncompleteReadError) as error:
            log.debug("connection of %s ended: %s", client_ip, error)
        finally:
            writer.close()
            self._leave(task)

    async def _answer_next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One query; False where the connection is to end."""
        async with asyncio.timeout(self._limits.idle_s):
            size = int.from_bytes(await reader.readexactly(2))
            if size > LONGEST_QUERY:
                return False
            packet = await reader.readexactly(size)
        reply = await self._answer(packet, tcp=True)
        if reply is None:
            return False
        writer.write(len(reply).to_bytes(2) + reply)
        async with asyncio.timeout(self._limits.idle_s):
            await writer.drain()
        return True

    def _has_room(self, client_ip: str) -> bool:
        if len(self._connections) >= self._limits.connections:
            return False
        return self._by_client[client_ip] < self._limits.connections_per_client or _is_loopback(client_ip)

    def _leave(self, task: "asyncio.Task[Any]") -> None:
        client_ip = self._connections.pop(task)
        self._by_client[client_ip] -= 1
        if not self._by_client[client_ip]:
            del self._by_client[client_ip]


async def serve_zone(
    streams: Sequence[socket.socket], datagrams: Sequence[socket.socket], zone: Answers, limits: Limits | None = None
) -> DnsServer:
    """Serves a zone on bound sockets (they may be shared with other processes). Raises OSError."""
    server = DnsServer(zone, limits or Limits())
    await server.open(streams, datagrams)
    return server


def _ask_for_destination(bound: socket.socket) -> None:
    """On a wildcard address, a reply has to leave from the address that was asked, or the asker does not take it."""
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _from_there(ancillary: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """What to send along so that the reply leaves from where the query arrived (ip(7), RFC 3542 §6)."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(data) == _PACKET_INFO.size:
            _, local, _ = _PACKET_INFO.unpack(data)
            return [(level, kind, _PACKET_INFO.pack(0, local, bytes(4)))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return [(level, kind, data)]
    return []


def _is_loopback(client_ip: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(client_ip).is_loopback
    return False
