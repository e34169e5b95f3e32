"""adapters.network against real sockets and TLS, on asyncio's loop and on uvloop."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from tests.support.authority import Authority

from posthouse.adapters.certificates import TrustStore
from posthouse.adapters.network import SocketNetwork
from posthouse.ports.network import ConnectFailed, Disconnected

# One suite on two loops; the plugin's newer way of saying so would need a conftest for this one file.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the")

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "mx.test")


class Server:
    """``async with Server(handler) as port``."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._context = context

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_bytes_go_there_and_back() -> None:
    async with Server(echo) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        stream.write(b"hello ")
        stream.write(b"world")
        received = b""
        while len(received) < 11:
            received += await stream.read(5)
        assert received == b"hello world"
        assert (stream.peer_ip, stream.local_ip, stream.tls) == ("127.0.0.1", "127.0.0.1", None)
        stream.close()


async def test_the_source_address_can_be_chosen() -> None:
    async with Server(echo) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port, source_ip="127.0.0.9")
        assert stream.local_ip == "127.0.0.9"
        stream.close()


@pytest.mark.parametrize("ip", ["127.0.0.1", "not an address"])
async def test_no_connection_is_told_with_its_reason(ip: str) -> None:
    async with Server(echo) as port:
        pass
    with pytest.raises(ConnectFailed) as failure:
        await SocketNetwork().connect(ip, port, timeout_s=2)
    assert "\n" not in str(failure.value)
    if ip == "127.0.0.1":
        assert str(failure.value) == "connection refused"


async def test_a_read_ends_at_its_deadline() -> None:
    async with Server(silence) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        for timeout_s in (0.05, 0.01):
            with pytest.raises(Disconnected, match="timed out"):
                await stream.read(timeout_s)
        stream.close()


async def test_a_later_deadline_replaces_an_earlier_one() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first")
        await asyncio.sleep(0.15)
        writer.write(b"second")
        await reader.read()

    async with Server(slow) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        assert await stream.read(0.1) == b"first"
        assert await stream.read(5) == b"second"
        stream.close()


async def test_what_came_before_the_end_can_still_be_read() -> None:
    async def farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 bye\r\n")

    async with Server(farewell) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        await asyncio.sleep(0.05)
        assert await stream.read(1) == b"421 bye\r\n"
        with pytest.raises(Disconnected, match="closed by the other side"):
            await stream.read(1)
        stream.write(b"nobody hears this")
        with pytest.raises(Disconnected):
            await stream.drain(1)


async def test_a_peer_that_does_not_read_holds_the_writer_up_to_its_deadline() -> None:
    async def lazy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)

    async with Server(lazy) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        stream.write(b"x" * 30_000_000)
        with pytest.raises(Disconnected, match="timed out"):
            await stream.drain(0.1)
        stream.close()


async def test_a_reader_that_does_not_come_holds_the_peer() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with Server(flood) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        await asyncio.sleep(0.3)
        assert len(stream._unread) < 3_000_000
        before = sent
        for _ in range(20):
            await stream.read(1)
            await asyncio.sleep(0.01)
        assert sent > before
        stream.close()


async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    """STARTTLS without the words: a line, then the handshake, then an echo."""
    await reader.readline()
    writer.write(b"220 go\r\n")
    await writer.start_tls(context)
    await echo(reader, writer)


@pytest.mark.parametrize(
    ("host", "trusted", "verified"),
    [("mx.test", True, True), ("127.0.0.1", True, True), ("other.test", True, False), ("mx.test", False, False)],
)
async def test_starttls_takes_any_certificate_and_tells_whether_it_was_good(
    authority: Authority, host: str, trusted: bool, verified: bool
) -> None:
    store = TrustStore(str(authority.authorities)) if trusted else TrustStore()
    async with Server(lambda r, w: agree(r, w, authority.context)) as port:
        stream = await SocketNetwork(store.verify).connect("127.0.0.1", port)
        stream.write(b"go\n")
        assert await stream.read(5) == b"220 go\r\n"
        await stream.start_tls(host, 5)
        stream.write(b"hello")
        assert await stream.read(5) == b"hello"
        assert stream.tls is not None
        assert (stream.tls.version, stream.tls.verified) == ("TLSv1.3", verified)
        assert stream.tls.cipher.startswith("TLS_")
        stream.close()


async def test_implicit_tls_speaks_from_the_first_byte(authority: Authority) -> None:
    async with Server(echo, authority.context) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port, tls_host="mx.test")
        assert stream.tls is not None
        assert not stream.tls.verified
        stream.write(b"hello")
        assert await stream.read(5) == b"hello"
        stream.close()


async def test_implicit_tls_with_a_server_that_knows_none_is_no_connection() -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx ESMTP\r\n")
        await reader.read()

    async with Server(chatty) as port:
        with pytest.raises(ConnectFailed):
            await SocketNetwork().connect("127.0.0.1", port, tls_host="mx.test", timeout_s=3)


@pytest.mark.parametrize("how", ["garbage", "close", "silence"])
async def test_a_failing_handshake_is_told_in_time(how: str) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if how == "garbage":
            writer.write(b"this is not TLS at all" * 20)
        if how != "close":
            await asyncio.sleep(1)

    async with Server(broken) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        with pytest.raises(ConnectFailed, match="TLS handshake"):
            await stream.start_tls("mx.test", 0.3)
        stream.close()


async def test_bytes_in_the_clear_ahead_of_the_handshake_are_refused(authority: Authority) -> None:
    async def injecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"250 AUTH PLAIN\r\n")
        await agree(reader, writer, authority.context)

    async with Server(injecting) as port:
        stream = await SocketNetwork().connect("127.0.0.1", port)
        await asyncio.sleep(0.05)
        stream.write(b"go\n")
        with pytest.raises(ConnectFailed, match="in the clear"):
            await stream.start_tls("mx.test", 2)
        stream.close()


def test_an_unreadable_trust_store_trusts_nobody() -> None:
    assert not TrustStore("/nonexistent").verify("mx.test", [b"x"])
    assert not TrustStore().verify("mx.test", [])
    assert not TrustStore().verify("mx.test", [b"not a certificate"])
