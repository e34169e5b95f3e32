"""Calls to users' addresses against real sockets: a server that answers well, and servers that mean no good."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.authority import Authority
from tests.support.processes import free_port

from posthouse.adapters.http_calls import AiohttpCalls
from posthouse.ports.http_calls import HttpAnswer, HttpFailed, HttpRefused
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENCE_S = 10.0


class Names:
    """A resolver that says what it was told, one answer after the other, the last one for ever."""

    def __init__(self, *answers: tuple[str, ...] | NoSuchName | LookupFailed) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def addresses(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def mx(self, domain: str) -> tuple[MailExchanger, ...]:
        raise AssertionError

    async def txt(self, name: str) -> tuple[str, ...]:
        raise AssertionError

    async def cname(self, name: str) -> tuple[str, ...]:
        raise AssertionError


HERE = Names(("127.0.0.1",))


class Peer:
    """A server on loopback that remembers what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"


@asynccontextmanager
async def serving(answer: bytes | Handler = OK, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    peer = Peer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
                peer.requests.append(head + await reader.readexactly(length))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


@asynccontextmanager
async def calling(
    names: Names = HERE, *, allow_private: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[AiohttpCalls]:
    calls = AiohttpCalls(names, allow_private=allow_private, tls=tls)
    try:
        yield calls
    finally:
        await calls.close()


async def test_a_call_carries_body_and_headers_and_nothing_of_the_client() -> None:
    async with serving() as peer, calling() as calls:
        answer = await calls.post(peer.url, b"{}", {"x-amz-sns-message-type": "Notification"}, PATIENCE_S)
    assert answer == HttpAnswer(200, b"ok")
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /hook?a=b HTTP/1.1"
    assert body == b"{}"
    assert b"x-amz-sns-message-type: Notification" in lines
    assert b"Accept-Encoding: identity" in lines
    assert b"aiohttp" not in head


async def test_connections_are_kept() -> None:
    async with serving() as peer, calling() as calls:
        for _ in range(5):
            assert await calls.post(peer.url, b"x", {}, PATIENCE_S) == HttpAnswer(200, b"ok")
    assert (len(peer.requests), peer.connections) == (5, 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with serving() as inner:
        moved = f"HTTP/1.1 {status} X\r\nLocation: {inner.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(moved) as peer, calling() as calls:
            assert await calls.post(peer.url, b"x", {}, PATIENCE_S) == HttpAnswer(status, b"")
    assert inner.requests == []


async def test_no_cookie_and_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with_cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with serving(with_cookie) as peer, calling() as calls:
        for _ in range(2):
            assert await calls.post(peer.url, b"x", {}, PATIENCE_S) == HttpAnswer(200, b"")
    assert b"ookie" not in peer.requests[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0x7f000001"])
async def test_a_private_address_in_the_url_is_not_called(host: str) -> None:
    async with serving() as peer, calling(Names(NoSuchName()), allow_private=False) as calls:
        answer = await calls.post(f"http://{host}:{peer.port}/", b"x", {}, PATIENCE_S)
    assert isinstance(answer, HttpRefused | HttpFailed)
    assert peer.connections == 0


async def test_a_name_that_leads_to_a_private_address_is_not_called() -> None:
    names = Names(("127.0.0.1", "10.0.0.1"))
    async with serving() as peer, calling(names, allow_private=False) as calls:
        answer = await calls.post(f"http://hook.example:{peer.port}/", b"x", {}, PATIENCE_S)
    assert answer == HttpRefused("hook.example: 127.0.0.1 is not a public address")
    assert peer.connections == 0


async def test_the_metadata_service_is_not_called_even_where_private_addresses_are() -> None:
    async with calling(Names(("169.254.169.254",))) as calls:
        for url in ("http://169.254.169.254/", "http://metadata.example/"):
            answer = await calls.post(url, b"x", {}, PATIENCE_S)
            assert isinstance(answer, HttpRefused)
            assert "169.254.169.254" in answer.reason


async def test_a_name_is_asked_once_for_a_connection_and_its_second_answer_gains_nothing() -> None:
    """DNS rebinding: the address that was checked is the one that is called."""
    names = Names(("127.0.0.1",), ("169.254.169.254",))
    async with serving() as peer, calling(names) as calls:
        for _ in range(2):  # the second one over the kept connection
            assert await calls.post(f"http://hook.example:{peer.port}/", b"x", {}, PATIENCE_S) == HttpAnswer(200, b"ok")
    assert names.asked == ["hook.example"]
    assert peer.connections == 1


async def test_a_name_without_address_is_no_refusal() -> None:
    for found, words in ((NoSuchName(), "no address"), ((), "no address"), (LookupFailed("timed out"), "timed out")):
        async with calling(Names(found), allow_private=False) as calls:
            answer = await calls.post("http://hook.example/", b"x", {}, PATIENCE_S)
        assert isinstance(answer, HttpFailed)
        assert words in answer.reason


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook.example/",
        "ftp://hook.example/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user:secret@hook.example/",
        "http://user@hook.example/",
        "http://hook.example:0/",
        "http://hook.example:99999/",
        "http://hook.example/\r\nX: y",
        "http://hook.example/a b",
        "http://hook.example/\u2028",
        "http://[::1/",
        "http://hook.example/" + "a" * 3000,
    ],
)
async def test_what_is_no_url_to_call_is_refused(url: str) -> None:
    async with calling() as calls:
        assert isinstance(await calls.post(url, b"x", {}, PATIENCE_S), HttpRefused)


async def test_a_body_that_drips_ends_with_the_time() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as peer, calling() as calls:
        answer = await calls.post(peer.url, b"x", {}, 0.2)
    assert answer == HttpFailed("no answer within 0.2 s", timed_out=True)


async def test_headers_that_drip_end_with_the_time() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"x: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(drip) as peer, calling() as calls:
        answer = await calls.post(peer.url, b"x", {}, 0.2)
    assert isinstance(answer, HttpFailed)


async def test_of_a_huge_body_only_so_much_is_read() -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 1 << 30:
            writer.write(b"10000\r\n" + b"." * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000

    async with serving(flood) as peer, calling() as calls:
        answer = await calls.post(peer.url, b"x", {}, PATIENCE_S, max_answer=1000)
    assert answer == HttpAnswer(200, b"." * 1000)
    assert sent < 1 << 26


async def test_a_compressed_answer_stays_compressed() -> None:
    bomb = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    async with serving(bomb) as peer, calling() as calls:
        assert await calls.post(peer.url, b"x", {}, PATIENCE_S) == HttpAnswer(200, b"\x1f\x8b\x08\x00")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\xff\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 20000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    ],
)
async def test_an_answer_that_is_none_is_a_failure_not_a_traceback(answer: bytes) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with serving(say) as peer, calling() as calls:
        assert isinstance(await calls.post(peer.url, b"x", {}, PATIENCE_S), HttpFailed)


async def test_nobody_there_is_a_failure() -> None:
    async with calling() as calls:
        answer = await calls.post(f"http://127.0.0.1:{free_port()}/", b"x", {}, PATIENCE_S)
    assert answer == HttpFailed("connection refused")


async def test_tls_is_verified_for_the_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "hook.test")
    trusting = ssl.create_default_context(cafile=str(authority.authorities))
    async with serving(tls=authority.context) as peer:
        async with calling(tls=trusting) as calls:
            assert await calls.post(f"https://hook.test:{peer.port}/", b"x", {}, PATIENCE_S) == HttpAnswer(200, b"ok")
            wrong = await calls.post(f"https://other.test:{peer.port}/", b"x", {}, PATIENCE_S)
        async with calling() as calls:
            untrusted = await calls.post(f"https://hook.test:{peer.port}/", b"x", {}, PATIENCE_S)
    for answer in (wrong, untrusted):
        assert isinstance(answer, HttpFailed)
        assert "certificate" in answer.reason
    assert len(peer.requests) == 1
