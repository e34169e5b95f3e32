"""The sockets of the DNS door: what they take, what they drop, and how they end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from posthouse.config import Listen, load
from posthouse.dns.server import LONGEST_QUERY, DnsServer, Limits, serve_zone
from posthouse.serve import bind


class Echo:
    """Answers every packet with itself, when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.asked = 0

    async def answer(self, packet: bytes, *, tcp: bool) -> bytes | None:
        self.asked += 1
        await self.may.wait()
        if packet == b"bug":
            raise ZeroDivisionError
        return None if packet == b"silence" else (b"tcp " if tcp else b"udp ") + packet


@asynccontextmanager
async def served(limits: Limits | None = None, host: str = "127.0.0.1") -> AsyncIterator[tuple[DnsServer, Echo, int]]:
    sockets = bind(load(None, {"POSTHOUSE_DNS__LISTEN": str(Listen(host, 0))}), ["dns"])
    echo = Echo()
    server = await serve_zone(sockets["dns"], sockets["dns_udp"], echo, limits)
    try:
        yield server, echo, sockets["dns"][0].getsockname()[1]
    finally:
        echo.may.set()
        await server.close()


@asynccontextmanager
async def asker(port: int, host: str = "127.0.0.1") -> AsyncIterator[Callable[..., "asyncio.Future[bytes]"]]:
    """Sends a datagram from a connected socket, which takes replies from the asked address alone."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.setblocking(False)
        own.connect((host, port))

        def ask(packet: bytes, timeout_s: float = 5) -> "asyncio.Future[bytes]":
            own.send(packet)
            return asyncio.ensure_future(asyncio.wait_for(loop.sock_recv(own, 65535), timeout_s))

        yield ask


async def until_asked(echo: Echo, times: int) -> None:
    while echo.asked < times:
        await asyncio.sleep(0.005)


def framed(*packets: bytes) -> bytes:
    return b"".join(len(packet).to_bytes(2) + packet for packet in packets)


async def received(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def test_a_datagram_is_answered_by_a_datagram() -> None:
    async with served() as (_, _, port), asker(port) as ask:
        assert await ask(b"hello") == b"udp hello"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_on_a_wildcard_address_the_reply_leaves_from_where_it_was_asked(host: str) -> None:
    async with served(host="0.0.0.0") as (_, _, port), asker(port, host) as ask:
        assert await ask(b"hello") == b"udp hello"


def has_ipv6_loopback() -> bool:
    """Whether the machine has it, asked without the server under test: what that cannot do is a failure."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6 loopback")
async def test_ipv6_is_served_too() -> None:
    async with served(host="::1") as (_, _, port), asker(port, "::1") as ask:
        assert await ask(b"hello") == b"udp hello"


async def test_several_queries_of_one_connection_are_answered_in_order() -> None:
    async with served() as (_, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(b"one", b"two")[:4])
        await writer.drain()
        writer.write(framed(b"one", b"two")[4:])
        assert [await received(reader), await received(reader)] == [b"tcp one", b"tcp two"]
        writer.close()


@pytest.mark.parametrize("sent", [framed(b"silence"), (LONGEST_QUERY + 1).to_bytes(2), b"\0"])
async def test_what_cannot_be_answered_ends_a_connection(sent: bytes) -> None:
    async with served() as (_, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_a_silent_connection_is_ended() -> None:
    async with served(Limits(idle_s=0.05)) as (server, _, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\0\x05sl")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert not server._connections


async def test_connections_beyond_the_limit_are_hung_up_on() -> None:
    async with served(Limits(connections=1)) as (_, _, port):
        first, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(b"in"))
        assert await received(first) == b"tcp in"
        second, other = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            assert await second.read() == b""
        writer.write(framed(b"still in"))
        assert await received(first) == b"tcp still in"
        for each in (writer, other):
            each.close()


async def test_a_bug_costs_one_query_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (_, _, port), asker(port) as ask:
        lost = ask(b"bug", timeout_s=0.05)
        with pytest.raises(TimeoutError):
            await lost
        assert await ask(b"hello") == b"udp hello"
        assert "ZeroDivisionError" in caplog.text


async def test_datagrams_beyond_the_limit_are_dropped() -> None:
    async with served(Limits(pending=1)) as (_, echo, port), asker(port) as ask, asker(port) as ask_too:
        echo.may.clear()
        first = ask(b"1")
        await until_asked(echo, 1)
        with pytest.raises(TimeoutError):
            await ask_too(b"2", timeout_s=0.1)
        echo.may.set()
        assert await first == b"udp 1"
        assert echo.asked == 1


async def test_closing_answers_what_was_asked_and_hangs_up() -> None:
    async with served() as (server, echo, port), asker(port) as ask:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(framed(b"in"))
        await received(reader)
        echo.may.clear()
        reply = ask(b"late")
        await until_asked(echo, 2)
        closing = asyncio.ensure_future(server.close())
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        echo.may.set()
        await closing
        assert await reply == b"udp late"
        writer.close()


def test_a_port_taken_by_another_is_told_with_its_protocol() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"cannot listen on {at} \(UDP\)"):
            bind(load(None, {"POSTHOUSE_DNS__LISTEN": at}), ["dns"])
