"""One HTTP connection, and what it may make a process hold."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn

from posthouse.api.connections import MAX_HEAD, MOST_PIPELINED, Crowd
from posthouse.api.server import Receive, Send

HURRY = 0.001
HOST = b"Host: x\r\n"


class Door:
    """An application that answers when it is let, and reads what it is told to read."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.let = asyncio.Event()
        self.let.set()
        self.big = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        event = {"more_body": True}
        while scope["method"] == "POST" and event.get("more_body"):
            event = await receive()
            if event["type"] == "http.disconnect":
                return
        await self.let.wait()
        text = scope["path"].encode() + b"." * self.big
        headers = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


class Everybody:
    """Guests without an end, unless told otherwise."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.full = False

    def enter(self, client_ip: str) -> bool:
        if not self.full:
            self.inside.append(client_ip)
        return not self.full

    def leave(self, client_ip: str) -> None:
        self.inside.remove(client_ip)

    def seat(self, guest: Any) -> None: ...
    def unseat(self, guest: Any) -> None: ...


@asynccontextmanager
async def listening(door: Door, guests: Everybody | None = None, hurry: float = 1.0) -> AsyncIterator[int]:
    crowd = Crowd(guests or Everybody(), lambda: "a-request-id", hurry=hurry)
    config = uvicorn.Config(door, http=cast(Any, crowd.protocol), lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)

    def connection() -> asyncio.Protocol:
        return crowd.protocol(config=config, server_state=server.server_state, app_state={})

    listener = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        door.let.set()
        listener.close()


async def said(port: int, *octets: bytes) -> bytes:
    """All that the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for each in octets:
        writer.write(each)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not so():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_as_aws_does(request_: bytes) -> None:
    async with listening(Door()) as port:
        answer = await said(port, request_)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>MalformedHttpRequestException</Code>" in answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_http_1_0_needs_no_host() -> None:
    async with listening(Door()) as port:
        assert (await said(port, b"GET /old HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("head", [b"X: " + b"a" * (3 * MAX_HEAD), b"A: b\r\n" * MAX_HEAD])
async def test_a_head_has_an_end(head: bytes) -> None:
    async with listening(Door()) as port:
        answer = await said(port, b"GET / HTTP/1.1\r\n" + HOST + head)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"<Code>RequestHeadersTooLarge</Code>" in answer


async def test_a_body_is_not_a_head() -> None:
    body = b"x" * (3 * MAX_HEAD)
    request = b"POST /mail-%d HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
    async with listening(Door()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(2):
            writer.write(request % (number, len(body)) + body)
            assert (await reader.readuntil(b"/mail-%d" % number)).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_pipelined_requests_wait_as_octets_and_are_all_answered_in_order() -> None:
    door, count = Door(), 20 * MOST_PIPELINED
    door.let.clear()
    async with listening(door) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(b"GET /mail-%d HTTP/1.1\r\n%s%s\r\n" % (n, HOST, b"X: y\r\n" * 40) for n in range(count)))
        await until(lambda: bool(door.paths))
        door.let.set()
        for number in range(count):
            answer = await asyncio.wait_for(reader.readuntil(b"/mail-%d" % number), 10)
            assert answer.startswith(b"HTTP/1.1 200 ")
        writer.close()
    assert door.paths == [f"/mail-{number}" for number in range(count)]


async def test_who_reads_no_answers_makes_nobody_read_on() -> None:
    door = Door()
    door.big = 1 << 20
    async with listening(door) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n") * 300_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)
        writer.transport.abort()
    assert len(door.paths) < 100


async def test_the_rest_of_a_refused_request_is_let_come() -> None:
    async with listening(Door()) as port:
        answer = await said(port, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n", b"x" * (8 << 20))
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nX: ", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nab", b""),
    ],
)
async def test_nobody_stays_for_ever(octets: bytes, answer: bytes) -> None:
    guests = Everybody()
    async with listening(Door(), guests, HURRY) as port:
        try:
            assert (await said(port, octets)).startswith(answer)
        except ConnectionResetError:
            assert not answer
        await until(lambda: not guests.inside)


async def test_who_reads_nothing_is_sent_away() -> None:
    door, guests = Door(), Everybody()
    door.big = 32 << 20
    async with listening(door, guests, HURRY) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: bool(door.paths))
        await until(lambda: not guests.inside)
        writer.transport.abort()


async def test_a_request_that_is_being_answered_may_take_its_time() -> None:
    door = Door()
    door.let.clear()
    async with listening(door, hurry=HURRY) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.sleep(0.3)
        door.let.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_full_house_says_so() -> None:
    guests = Everybody()
    guests.full = True
    async with listening(Door(), guests) as port:
        answer = await said(port)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"<Code>ServiceUnavailable</Code>" in answer
