"""Delivery over real sockets and real DNS, to small servers that misbehave on purpose, and to aiosmtpd."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from tests.integration.dns_server import DnsServer
from tests.integration.test_network import Authority
from tests.unit.delivery.fakes import CONTENT, Delivering, LoopClock, settings

from posthouse.adapters.network import SocketNetwork
from posthouse.adapters.resolver import DnsResolver
from posthouse.delivery.prepared import Prepared
from posthouse.domain.messages import RecipientState
from posthouse.domain.routing import Hop
from posthouse.ports.mailstore import ClaimedMessage

Said = bytes | None
"""A reply; None: the connection is dropped instead."""


class Sink:
    """A mail server of few lines, sharing no code with ours."""

    def __init__(self, authority: Authority | None = None) -> None:
        self.rcpt: Callable[[str], Said] = lambda _: b"250 ok\r\n"
        self.end: Callable[[int], Said] = lambda count: b"250 2.0.0 queued as %d\r\n" % count
        self.delay_s = 0.0
        self.offer = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        self.authority = authority
        self.messages: list[tuple[list[str], bytes]] = []
        self.ends = 0
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> "Sink":
        await self.listen()
        return self

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            writer.write(b"220 sink\r\n")
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted: list[str] = []
        while line := await reader.readline():
            await asyncio.sleep(self.delay_s)
            match line[:4].upper():
                case b"EHLO":
                    said: Said = self.offer
                case b"MAIL":
                    accepted, said = [], b"250 ok\r\n"
                case b"RCPT":
                    address = line.split(b"<")[1].split(b">")[0].decode()
                    said = self.rcpt(address)
                    accepted += [address] if said and said[:1] == b"2" else []
                case b"DATA" if accepted:
                    writer.write(b"354 go\r\n")
                    said = self._take(accepted, await self._body(reader))
                case b"STAR" if self.authority:
                    writer.write(b"220 go\r\n")
                    self.offer = self.offer.replace(b"250-STARTTLS\r\n", b"")
                    await writer.start_tls(self.authority.context)
                    continue
                case b"QUIT":
                    return
                case _:
                    said = b"250 ok\r\n" if line[:4] == b"RSET" else b"503 no\r\n"
            if said is None:
                return
            writer.write(said)

    async def _body(self, reader: asyncio.StreamReader) -> bytes:
        lines = []
        while (line := await reader.readline()) != b".\r\n":
            if not line:
                raise ConnectionError
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _take(self, accepted: list[str], body: bytes) -> Said:
        self.ends += 1
        said = self.end(self.ends)
        if said is None or said[:1] == b"2":
            self.messages.append((accepted, body))
        return said


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as sink:
        yield sink


def delivering(routes: dict[str, Sink], **changes: Any) -> Delivering:
    hops = {domain: Hop("127.0.0.1", sink.port) for domain, sink in routes.items()}
    given = {name: changes.pop(name) for name in ("prepare", "resolver") if name in changes}
    clock = LoopClock()
    return Delivering(settings(routes=hops, **changes), network=SocketNetwork(), clock=clock, **given)


async def test_a_temporary_refusal_is_followed_by_delivery(sink: Sink) -> None:
    sink.end = lambda count: b"450 4.7.1 greylisted\r\n" if count == 1 else b"250 2.0.0 queued\r\n"
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(d.queue.all_final)
    assert d.queue.types() == ["Send", "DeliveryDelay", "Delivery"]
    assert sink.messages == [(["a@ex.test"], CONTENT)]
    assert sink.connections == 1


async def test_recipients_of_one_message_get_their_own_outcomes(sink: Sink) -> None:
    answers: dict[str, Said] = {"b@ex.test": b"550 5.1.1 nobody\r\n", "c@ex.test": b"450 later\r\n"}
    sink.rcpt = lambda address: answers.get(address, b"250 ok\r\n")
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test", "b@ex.test", "c@ex.test")
        await d.queue.until(lambda: d.queue.results)
        answers.clear()
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {
        "a@ex.test": RecipientState.DELIVERED,
        "b@ex.test": RecipientState.BOUNCED,
        "c@ex.test": RecipientState.DELIVERED,
    }
    assert [to for to, _ in sink.messages] == [["a@ex.test"], ["c@ex.test"]]


async def test_every_recipient_refused_is_a_bounce_for_each(sink: Sink) -> None:
    sink.rcpt = lambda _: b"550 5.1.1 nobody\r\n"
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test", "b@ex.test")
        await d.queue.until(d.queue.all_final)
    assert len(d.queue.event("Bounce").detail["recipients"]) == 2


async def test_a_server_that_is_down_gets_the_mail_when_it_is_up() -> None:
    sink = Sink()
    async with sink:
        pass
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(lambda: d.queue.results)
        assert "connection refused" in d.queue.results[0].reply
        await sink.listen()
        await d.queue.until(d.queue.all_final)
        await sink.__aexit__()
    assert len(sink.messages) == 1


async def test_a_drop_before_the_final_dot_loses_nothing(sink: Sink) -> None:
    answers: list[Said] = [None]
    sink.rcpt = lambda _: answers.pop() if answers else b"250 ok\r\n"
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(d.queue.all_final)
    assert len(sink.messages) == 1
    assert "DeliveryDelay" in d.queue.types()


async def test_a_drop_after_the_final_dot_delivers_twice_at_most(sink: Sink) -> None:
    sink.end = lambda count: None if count == 1 else b"250 ok\r\n"
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(d.queue.all_final)
    assert len(sink.messages) == 2
    assert d.queue.types() == ["Send", "DeliveryDelay", "Delivery"]


async def test_a_connection_dropped_between_messages_is_no_failure(sink: Sink) -> None:
    async with delivering({"*": sink}) as d:
        for i in range(3):
            sink.offer = b"250 sink\r\n"
            d.queue.add(f"m{i}", "a@ex.test")
            await d.queue.until(d.queue.all_final)
            await sink.__aexit__()
            for transport in list(_transports(sink)):
                transport.abort()
            await sink.listen()
            await asyncio.sleep(0.01)
    assert "DeliveryDelay" not in d.queue.types()
    assert sink.connections == 3


def _transports(sink: Sink) -> Any:
    """Connections of the sink, found through their tasks."""
    for task in asyncio.all_tasks():
        frame = task.get_coro().cr_frame  # type: ignore[union-attr]
        if frame is not None and frame.f_locals.get("self") is sink and "writer" in frame.f_locals:
            yield frame.f_locals["writer"].transport


async def test_starttls_is_used_and_noted(tmp_path: Any) -> None:
    async with Sink(Authority(tmp_path)) as sink:
        sink.offer = b"250-sink\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
        async with delivering({"*": sink}) as d:
            d.queue.add("m1", "a@ex.test")
            await d.queue.until(d.queue.all_final)
    detail = d.queue.event("Delivery").detail
    assert (detail["tls"], detail["tls_verified"]) == ("TLSv1.3", False)
    assert len(sink.messages) == 1


async def test_a_server_that_offers_tls_and_cannot_is_spoken_to_in_the_clear(sink: Sink) -> None:
    sink.offer = b"250-sink\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
    async with delivering({"*": sink}) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(d.queue.all_final)
    assert (len(sink.messages), sink.connections) == (1, 2)


async def test_slow_servers_beside_fast_ones_do_not_hold_them_up(sink: Sink) -> None:
    async with Sink() as slow:
        slow.delay_s = 0.3
        async with delivering({"slow.test": slow, "*": sink}, max_in_flight=100) as d:
            for i in range(100):
                d.queue.add(f"s{i}", f"u{i}@slow.test")
            for i in range(100):
                d.queue.add(f"f{i}", f"u{i}@fast{i % 10}.test")
            await d.queue.until(lambda: len(sink.messages) == 100)
            assert len(slow.messages) < 50


@pytest.mark.parametrize("size", [300_000, 6_000_000])
async def test_large_messages_arrive_whole(sink: Sink, size: int) -> None:
    content = b"Subject: large\r\n\r\n" + (b"." + b"x" * 900 + b"\r\n") * (size // 903)

    async def prepare(message: ClaimedMessage) -> Prepared:
        return Prepared(content, "s@ex.org")

    async with delivering({"*": sink}, prepare=prepare) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(d.queue.all_final)
    assert sink.messages[0][1] == content


async def test_a_large_message_refused_before_its_end_has_the_servers_words(sink: Sink) -> None:
    async def refuse(reader: asyncio.StreamReader) -> bytes:
        await reader.readexactly(1000)
        return b""

    sink._body = refuse  # type: ignore[method-assign]
    sink.end = lambda _: b"552 5.3.4 too large\r\n"

    async def prepare(message: ClaimedMessage) -> Prepared:
        return Prepared(b"Subject: x\r\n\r\n" + b"x" * 998 * 20000, "s@ex.org")

    async with delivering({"*": sink}, prepare=prepare, data_timeout_s=0.5) as d:
        d.queue.add("m1", "a@ex.test")
        await d.queue.until(lambda: d.queue.results)
    assert d.queue.results[0].reply == "552 5.3.4 too large"


async def test_hosts_are_found_by_dns(sink: Sink) -> None:
    async with DnsServer() as dns:
        dns.add("relay.test", "A", "127.0.0.1")
        clock = LoopClock()
        chosen = settings(routes={"*": Hop("relay.test", sink.port)})
        resolver = DnsResolver([dns.address], clock)
        async with Delivering(chosen, network=SocketNetwork(), clock=clock, resolver=resolver) as d:
            d.queue.add("m1", "a@ex.test")
            await d.queue.until(d.queue.all_final)
    assert d.queue.event("Delivery").detail["remote_mta"] == "relay.test"


async def test_aiosmtpd_takes_our_mail() -> None:
    taken = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
            return "250 OK"

    loop = asyncio.get_running_loop()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = await loop.create_server(lambda: SMTP(Handler(), hostname="aio"), sock=listening)
        chosen = settings(routes={"*": Hop("127.0.0.1", listening.getsockname()[1])})
        async with Delivering(chosen, network=SocketNetwork(), clock=LoopClock()) as d:
            for i in range(10):
                d.queue.add(f"m{i}", f"u{i}@ex.test", f"v{i}@ex.test", content=b"Subject: x\r\n\r\n..\r\n.\r\n")
            await d.queue.until(d.queue.all_final)
        server.close()
    assert len(taken) == 10
    assert {content for _, _, content in taken} == {b"Subject: x\r\n\r\n..\r\n.\r\n"}
    assert {len(to) for _, to, _ in taken} == {2}
