"""The doors against slow, broken and malicious clients."""

import asyncio
import logging
import socket
import ssl
import struct
from pathlib import Path

import pytest
import uvloop
from tests.integration.smtp_door import QUICK, Behind, Wire, inbound, open_door, submission, tls_of

from posthouse.smtp.listener import Limits
from posthouse.smtp.patience import Patience

QUICK_LIMITS = Limits(patience=QUICK)

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy:pytest.PytestDeprecationWarning")


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = request.param
    return policy


async def test_silent_client_is_told_and_closed() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind, QUICK_LIMITS):
        wire = await Wire.connect(behind.port)
        assert (await wire.reply()).startswith("220 mx.example.com ESMTP")
        assert await wire.reply() == "451 4.4.2 Timeout waiting for data from client."
        assert await wire.rest() == b""


async def test_line_that_drips_is_not_waited_for_without_end() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind, QUICK_LIMITS):
        wire = await Wire.connect(behind.port)
        await wire.reply()

        async def drip() -> None:
            while True:
                wire.writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert (await wire.reply()).startswith("451 4.4.2 ")
        dripping.cancel()


async def test_message_that_drips_is_not_waited_for_without_end() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind, QUICK_LIMITS):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()

        async def drip() -> None:
            while True:
                wire.writer.write(b"x\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert (await wire.reply()).startswith("451 4.4.2 ")
        dripping.cancel()
    assert behind.accepted == []


async def test_smuggler_who_sends_no_real_end_gets_the_refusal_and_is_closed() -> None:
    behind = Behind()
    patience = Patience(refused_s=0.2, farewell_s=0.2)
    async with open_door(inbound(behind), behind, Limits(patience=patience)):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        assert (await wire.ask(b"one\n.\nMAIL FROM:<x@y.example>\r\n")).startswith("550 5.6.11 ")
        assert await wire.rest() == b""
    assert behind.accepted == []


@pytest.mark.parametrize("false_end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r.\n"])
async def test_smuggled_message_is_not_taken(false_end: bytes) -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        smuggled = b"MAIL FROM:<x@y.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: two\r\n\r\n2\r\n.\r\n"
        assert (await wire.ask(b"Subject: one\r\n\r\n1" + false_end + smuggled)).startswith("550 5.6.11 ")
        assert (await wire.ask(b"NOOP\r\n")).startswith("250 ")
        assert (await wire.ask(b"QUIT\r\n")).startswith("221 ")
        assert await wire.rest() == b""
    assert behind.accepted == []


async def test_commands_injected_before_the_handshake_are_not_heard(tmp_path: Path) -> None:
    behind = Behind()
    async with open_door(inbound(behind, tls_of(tmp_path)), behind):
        wire = await Wire.connect(behind.port)
        await wire.reply()
        await wire.ask(b"EHLO x\r\n")
        assert (await wire.ask(b"STARTTLS\r\nEHLO y\r\nMAIL FROM:<x@y.example>\r\n")).startswith("220 ")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await wire.writer.start_tls(context)
        assert await wire.ask(b"RCPT TO:<c@d.example>\r\n") == "503 5.5.1 Send EHLO first"
        assert (await wire.ask(b"EHLO x\r\n")).startswith("250-")
        wire.close()


@pytest.mark.parametrize("implicit", [False, True])
async def test_handshake_that_never_comes_ends_the_connection(tmp_path: Path, implicit: bool) -> None:
    behind = Behind()
    async with open_door(submission(behind, tls_of(tmp_path), implicit=implicit), behind, QUICK_LIMITS):
        wire = await Wire.connect(behind.port)
        if not implicit:
            await wire.reply()
            await wire.ask(b"EHLO x\r\n")
            await wire.ask(b"STARTTLS\r\n")
        assert await wire.rest() == b""
        assert behind.listener is not None
        await until(lambda: behind.listener.connections == 0)


async def test_garbage_instead_of_a_handshake_ends_the_connection(tmp_path: Path) -> None:
    behind = Behind()
    async with open_door(submission(behind, tls_of(tmp_path), implicit=True), behind):
        wire = await Wire.connect(behind.port)
        wire.writer.write(b"EHLO x\r\n" * 100)
        assert b"220" not in await wire.rest()


async def test_a_client_that_guesses_passwords_waits_longer_and_longer_and_others_do_not(tmp_path: Path) -> None:
    behind = Behind()
    guess = b"AUTH PLAIN AEFLSUFLTk9XTgB3cm9uZw==\r\n"
    async with open_door(submission(behind, tls_of(tmp_path), plain_auth=True, proxy=True), behind):
        guesser, other = [await Wire.connect(behind.port) for _ in range(2)]
        for wire, address in ((guesser, "192.0.2.7"), (other, "192.0.2.8")):
            await wire.ask(f"PROXY TCP4 {address} 192.0.2.9 1 25\r\n".encode())
            await wire.ask(b"EHLO x\r\n")
        for _ in range(3):
            assert (await guesser.ask(guess)).startswith("535 ")
        assert (await guesser.ask(guess)).startswith("421 ")
        guesser = await Wire.connect(behind.port)
        await guesser.ask(b"PROXY TCP4 192.0.2.7 192.0.2.9 1 25\r\n")
        await guesser.ask(b"EHLO x\r\n")
        waiting = asyncio.create_task(guesser.ask(guess))
        assert (await other.ask(guess)).startswith("535 ")
        assert not waiting.done()
        assert (await waiting).startswith("535 ")


async def test_giant_lines_cost_nothing_and_the_session_goes_on() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.reply()
        wire.writer.write(b"NOOP " + b"x" * 5_000_000)
        await wire.writer.drain()
        assert await wire.ask(b"\r\n") == "500 5.5.2 Line too long"
        assert (await wire.ask(b"NOOP\r\n")).startswith("250 ")
        wire.close()


async def test_nul_is_refused_in_commands_and_in_messages() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        assert (await wire.ask(b"a\0b\r\n.\r\n")).startswith("550 5.6.0 ")
        assert (await wire.ask(b"NO\0OP\r\n")).startswith("500 5.5.2 ")
        wire.close()
    assert behind.accepted == []


async def test_last_word_is_read_although_the_client_keeps_sending() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.reply()
        wire.writer.write(b"GET / HTTP/1.1\r\n" + b"Header: x\r\n" * 100_000)
        assert await wire.reply() == "500 5.5.1 Command unrecognized"
        wire.close()


async def test_client_that_reads_nothing_is_dropped() -> None:
    behind = Behind()
    transaction = b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\n"

    async def send_for_ever(client: socket.socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(client, b"HELP\r\n" * 900 + transaction)

    async with open_door(inbound(behind), behind, QUICK_LIMITS):
        with socket.create_connection(("127.0.0.1", behind.port)) as client:
            client.setblocking(False)
            client.send(b"EHLO x\r\n")
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await asyncio.wait_for(send_for_ever(client), 10)


async def test_connection_reset_in_the_midst_of_a_message_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        wire.writer.write(b"half a mess")
        await wire.writer.drain()
        sock = wire.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.writer.transport.abort()
        assert behind.listener is not None
        await until(lambda: behind.listener.connections == 0)
    assert behind.accepted == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_client_that_leaves_while_its_message_is_stored_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    behind = Behind(hold=asyncio.Event())
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        wire.writer.write(b"Subject: x\r\n\r\n.\r\n")
        await wire.writer.drain()
        await asyncio.sleep(0.05)
        wire.writer.transport.abort()
        await asyncio.sleep(0.05)
        assert behind.hold is not None
        behind.hold.set()
        await until(lambda: len(behind.accepted) == 1)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_client_that_sends_on_while_its_message_is_stored_is_left_unread() -> None:
    behind = Behind(hold=asyncio.Event())
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        wire.writer.write(b"x\r\n.\r\n" + b"NOOP\r\n" * 900 + b"VRFY " + b"x" * 30_000_000)
        await asyncio.sleep(0.2)
        assert wire.writer.transport.get_write_buffer_size() > 1_000_000
        assert behind.hold is not None
        behind.hold.set()
        assert await wire.reply() == "250 Ok in-1"
        await asyncio.wait_for(wire.writer.drain(), 5)
        wire.writer.transport.abort()


async def test_client_that_closes_its_half_still_gets_all_answers() -> None:
    behind = Behind()
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        wire.writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n")
        wire.writer.write_eof()
        assert (await wire.rest()).endswith(b"354 End data with <CR><LF>.<CR><LF>\r\n250 Ok in-1\r\n")


async def test_bug_behind_the_door_is_logged_once_and_answered_451(caplog: pytest.LogCaptureFixture) -> None:
    behind = Behind(error=ZeroDivisionError("secret"))
    async with open_door(inbound(behind), behind):
        wire = await Wire.connect(behind.port)
        await wire.begin_data()
        assert await wire.ask(b"x\r\n.\r\n") == "451 4.0.0 Temporary service failure"
        assert (await wire.ask(b"NOOP\r\n")).startswith("250 ")
        wire.close()
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def until(condition: object) -> None:
    for _ in range(200):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")
