"""Limits on connections and memory, the PROXY protocol, and the end of a door."""

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop
from tests.integration.smtp_door import QUICK, Behind, Wire, inbound, open_door, submission, tls_of

from posthouse.smtp.conversation import SMALL_MESSAGE
from posthouse.smtp.guests import Guests
from posthouse.smtp.listener import Limits

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy:pytest.PytestDeprecationWarning")


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = request.param
    return policy


async def test_connection_beyond_the_limit_is_told_so_and_closed() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind, Limits(connections=2)):
        first, second = [await Wire.connect(behind.port) for _ in range(2)]
        await first.reply()
        await second.reply()
        third = await Wire.connect(behind.port)
        assert await third.reply() == "421 Too many concurrent SMTP connections"
        assert await third.rest() == b""
        await first.ask(b"QUIT\r\n")
        await first.rest()
        assert (await (await Wire.connect(behind.port)).reply()).startswith("220 ")


async def test_idle_connection_makes_way_when_all_places_are_taken() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind, guests=Guests(2, 0, settled_s=0)):
        sending, idle = [await Wire.connect(behind.port) for _ in range(2)]
        await sending.begin_data()
        await idle.reply()
        newcomer = await Wire.connect(behind.port)
        assert (await newcomer.reply()).startswith("220 ")
        assert await idle.reply() == "421 4.3.2 Too many connections, and this one is idle: come again"
        assert await idle.rest() == b""
        assert (await newcomer.ask(b"EHLO x\r\n")).startswith("250-")
        assert await sending.ask(b"x\r\n.\r\n") == "250 Ok in-1"


@pytest.mark.parametrize("implicit", [False, True])
async def test_half_a_handshake_takes_a_place(tmp_path: Path, implicit: bool) -> None:
    behind = Behind()
    guests = Guests(9, 2)
    async with open_door(submission(behind, tls_of(tmp_path), implicit=implicit, proxy=True), behind, guests=guests):
        halves = []
        for number in range(2):
            halves.append(await Wire.connect(behind.port))
            halves[-1].writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.9 1 25\r\n")
            while guests.count <= number:
                await asyncio.sleep(0.01)
        refused = await Wire.connect(behind.port)
        refused.writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.9 1 25\r\n")
        told = b"" if implicit else b"421 Too many concurrent SMTP connections\r\n"
        assert await refused.rest() == told
        for half in halves:
            half.writer.transport.abort()
        while guests.count:
            await asyncio.sleep(0.01)


async def test_one_client_cannot_take_all_connections() -> None:
    behind = Behind()
    limits = Limits(connections_per_client=1)
    async with open_door(inbound(behind, proxy=True), behind, limits):
        greetings = []
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "127.0.0.1", "127.0.0.1"):
            wire = await Wire.connect(behind.port)
            greetings.append((await wire.ask(f"PROXY TCP4 {address} 192.0.2.9 1 25\r\n".encode()))[:3])
        assert greetings == ["220", "421", "220", "220", "220"]


PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n"
IPV6 = bytes.fromhex("20010db8000000000000000000000007" + "20010db8000000000000000000000009") + b"\0\1\0\x19"


@pytest.mark.parametrize(
    ("header", "client_ip"),
    [
        (b"PROXY TCP6 2001:db8::7 2001:db8::9 1 25\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (PROXY_2 + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 9, 0, 1, 0, 25]), "192.0.2.7"),
        (PROXY_2 + b"\x21\x21\0\x24" + IPV6, "2001:db8::7"),
        (PROXY_2 + b"\x21\x21\0\x29" + IPV6 + b"\x04\0\2xy", "2001:db8::7"),
        (PROXY_2 + b"\x20\0\0\0", "127.0.0.1"),  # LOCAL: a health check of the balancer's own
    ],
)
async def test_address_of_every_kind_of_proxy_header(header: bytes, client_ip: str) -> None:
    behind = Behind()
    async with open_door(inbound(behind, proxy=True), behind):
        wire = await Wire.connect(behind.port)
        for octet in header:  # however it is cut, not one octet of SMTP is taken with it
            wire.writer.write(bytes([octet]))
            await asyncio.sleep(0)
        await wire.begin_data()
        await wire.ask(b"x\r\n.\r\n")
        wire.close()
    assert behind.accepted[0][0].client_ip == client_ip


@pytest.mark.parametrize("implicit", [False, True])
async def test_address_comes_from_the_proxy_header(tmp_path: Path, implicit: bool) -> None:
    behind = Behind()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if implicit:
        async with open_door(submission(behind, tls_of(tmp_path), implicit=True, proxy=True), behind):
            wire = await Wire.connect(behind.port)
            wire.writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.9 1 25\r\n")
            await wire.writer.start_tls(context)
            assert (await wire.reply()).startswith("220 ")
            wire.close()
        return
    async with open_door(inbound(behind, proxy=True), behind):
        wire = await Wire.connect(behind.port)
        wire.writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.9 1 25\r\n")
        await wire.begin_data()
        await wire.ask(b"x\r\n.\r\n")
        wire.close()
    assert behind.accepted[0][0].client_ip == "192.0.2.7"


async def test_connection_without_proxy_header_is_dropped() -> None:
    behind = Behind()
    async with open_door(inbound(behind, proxy=True), behind, Limits(patience=QUICK)):
        wire = await Wire.connect(behind.port)
        wire.writer.write(b"EHLO not a proxy\r\n")
        assert await wire.rest() == b""
        silent = await Wire.connect(behind.port)
        assert await silent.rest() == b""
        dripping = await Wire.connect(behind.port)

        async def drip() -> None:
            while True:
                dripping.writer.write(b"PROXY "[:1])
                await asyncio.sleep(0.2)

        drop = asyncio.create_task(drip())
        assert await dripping.rest() == b""
        drop.cancel()


async def test_large_messages_beyond_the_shared_memory_are_put_off() -> None:
    behind = Behind()
    limits = Limits(message_memory=2 * SMALL_MESSAGE)
    async with open_door(inbound(behind, max_size=10_000_000), behind, limits):
        greedy, modest = [await Wire.connect(behind.port) for _ in range(2)]
        await greedy.begin_data()
        await modest.begin_data()
        greedy.writer.write(b"x" * 3 * SMALL_MESSAGE)
        await greedy.writer.drain()
        assert await modest.ask(b"small\r\n.\r\n") == "250 Ok in-1"
        assert (await greedy.ask(b"\r\n.\r\n")).startswith("452 4.3.1 ")
        assert (await greedy.ask(b"NOOP\r\n")).startswith("250 ")
        greedy.close()
        modest.close()


async def test_draining_says_421_to_idle_clients_and_lets_messages_finish() -> None:
    behind = Behind(hold=asyncio.Event())
    async with open_door(inbound(behind), behind):
        idle, sending, waiting = [await Wire.connect(behind.port) for _ in range(3)]
        await idle.reply()
        await sending.begin_data()
        sending.writer.write(b"half of it\r\n")
        await waiting.begin_data()
        waiting.writer.write(b"all of it\r\n.\r\n")
        await asyncio.sleep(0.05)
        assert behind.listener is not None
        assert behind.hold is not None
        drained = asyncio.create_task(behind.listener.drain(5))
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.rest() == b""
        behind.hold.set()
        assert (await waiting.reply()).startswith("250 Ok in-")
        assert (await waiting.reply()).startswith("421 4.3.2 ")
        assert (await sending.ask(b"the rest\r\n.\r\n")).startswith("250 Ok in-")
        assert (await sending.reply()).startswith("421 4.3.2 ")
        for wire in (idle, sending, waiting):
            wire.close()
        await asyncio.wait_for(drained, 5)
        with pytest.raises(OSError):  # noqa: PT011 - refused
            await Wire.connect(behind.port)
    assert len(behind.accepted) == 2


async def test_draining_ends_in_time_although_a_client_never_does() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        assert behind.listener is not None
        await asyncio.wait_for(behind.listener.drain(0.1), 3)
        assert await wire.rest() == b""
        assert behind.listener.connections == 0
