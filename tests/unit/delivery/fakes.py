"""Stand-ins for what delivery is given: a queue in memory, wake-ups, a clock, and a network of scripted servers."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from posthouse.delivery.prepared import Prepared
from posthouse.delivery.settings import DeliverySettings
from posthouse.delivery.worker import DeliveryWorker
from posthouse.domain.events import Event
from posthouse.domain.messages import ContentKind, Direction, MessageFacts, RecipientState, domain_of
from posthouse.domain.outcomes import RetryPlan
from posthouse.domain.routing import Hop, RoutingTable
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import ClaimedMessage, ClaimedRecipient, RecipientResult, Settlement
from posthouse.ports.network import ConnectFailed, Disconnected, TlsFacts
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.wakeups import Topic
from posthouse.wire.smtp_events import NEED_DATA, Answered, Mail, Message, Rcpt, StartTls
from posthouse.wire.smtp_reply import Reply, reply
from posthouse.wire.smtp_server import Offer, ServerProtocol

SCOPE = Scope("123456789012", "us-east-1")
CONTENT = b"Subject: hello\r\n\r\nHello\r\n"


class FakeClock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms


class LoopClock:
    """Runs with the event loop."""

    def now_ms(self) -> int:
        return 1_700_000_000_000 + int(asyncio.get_running_loop().time() * 1000)


class FakeWakeups:
    def __init__(self) -> None:
        self.events: list[asyncio.Event] = []

    def notify(self, topic: Topic) -> None:
        for event in self.events:
            event.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        self.events.append(asyncio.Event())
        return self.events[-1]


def facts(message_id: str, accepted_ms: int = 1_700_000_000_000, system: bool = False) -> MessageFacts:
    return MessageFacts(
        scope=SCOPE,
        message_id=message_id,
        direction=Direction.OUT,
        accepted_ms=accepted_ms,
        operation="SendEmail",
        source="sender@ex.org",
        from_domain="ex.org",
        feedback_to="sender@ex.org",
        subject="hello",
        size=len(CONTENT),
        content_kind=ContentKind.RAW,
        system=system,
    )


class Row:
    """One recipient of one message."""

    def __init__(self, message: str, recipient: str, now_ms: int) -> None:
        self.message = message
        self.recipient = recipient
        self.attempts = 0
        self.queued_ms = self.due_ms = now_ms
        self.owner = ""
        self.leased_until_ms = 0
        self.state = RecipientState.QUEUED
        self.reply = ""


class FakeQueue:
    """ports.mailstore.Queue as far as delivery uses it."""

    def __init__(self, clock: Any, wakeups: FakeWakeups) -> None:
        self.clock = clock
        self.wakeups = wakeups
        self.facts: dict[str, MessageFacts] = {}
        self.content: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.rows: dict[tuple[str, str], Row] = {}
        self.events: list[Event] = []
        self.results: list[RecipientResult] = []
        self.settlements: list[Settlement] = []
        self.renewed: list[int] = []
        self.excluded: list[set[str]] = []
        self.failing = 0
        """So many settles fail first."""
        self.away = False
        self.changed = asyncio.Event()

    def add(self, message_id: str, *recipients: str, content: bytes = CONTENT, system: bool = False) -> None:
        now_ms = self.clock.now_ms()
        self.facts[message_id] = facts(message_id, now_ms, system)
        self.content[message_id] = content
        for recipient in recipients:
            self.rows[message_id, recipient] = Row(message_id, recipient, now_ms)
        self.wakeups.notify(Topic.QUEUE)

    async def claim(
        self, owner: str, now_ms: int, lease_ms: int, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedMessage]:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("no database")
        self.excluded.append(set(excluding))
        due = [
            row
            for row in self.rows.values()
            if row.state is RecipientState.QUEUED
            and row.due_ms <= now_ms
            and row.leased_until_ms <= now_ms
            and domain_of(row.recipient) not in excluding
        ]
        due.sort(key=lambda row: row.due_ms)
        messages: dict[str, list[ClaimedRecipient]] = {}
        for row in due[:limit]:
            row.owner, row.leased_until_ms = owner, now_ms + lease_ms
            claimed = ClaimedRecipient(row.recipient, row.attempts, row.queued_ms)
            messages.setdefault(row.message, []).append(claimed)
        return [
            ClaimedMessage(self.facts[m], tuple(recipients), self.content[m], self.sent.get(m))
            for m, recipients in messages.items()
        ]

    async def renew(self, owner: str, until_ms: int) -> bool:
        if self.away:
            raise StoreUnavailable("no database")
        self.renewed.append(until_ms)
        mine = [row for row in self.rows.values() if row.owner == owner]
        for row in mine:
            row.leased_until_ms = until_ms
        return bool(mine)

    async def keep_only(self, owner: str, held: Collection[tuple[str, str]]) -> int:
        untold = [row for row in self.rows.values() if row.owner == owner and (row.message, row.recipient) not in held]
        for row in untold:
            row.owner, row.leased_until_ms = "", 0
        return len(untold)

    async def release(self, owner: str) -> int:
        held = [row for row in self.rows.values() if row.owner == owner]
        for row in held:
            row.owner, row.leased_until_ms = "", 0
        return len(held)

    async def owners(self) -> Sequence[str]:
        return sorted({row.owner for row in self.rows.values() if row.owner})

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("no database")
        if self.failing:
            self.failing -= 1
            raise OSError("disk full")
        for settlement in settlements:
            self.settlements.append(settlement)
            self.events += settlement.events
            if settlement.sent is not None:
                self.sent[settlement.message_id] = settlement.sent
            for result in settlement.results:
                self.results.append(result)
                row = self.rows[settlement.message_id, result.recipient]
                assert row.state is RecipientState.QUEUED
                row.owner, row.leased_until_ms = "", 0
                row.state, row.reply, row.due_ms = result.state, result.reply, result.due_ms
                row.attempts += 1
        self.changed.set()

    async def next_due_ms(self) -> int | None:
        return min((row.due_ms for row in self.rows.values() if row.state is RecipientState.QUEUED), default=None)

    async def until(self, test: Callable[[], object], timeout_s: float = 8.0) -> None:
        """Waits for the test to come true after some settle."""
        async with asyncio.timeout(timeout_s):
            while not test():
                self.changed.clear()
                await self.changed.wait()

    def states(self) -> dict[str, RecipientState]:
        return {row.recipient: row.state for row in self.rows.values()}

    def all_final(self) -> bool:
        return all(row.state is not RecipientState.QUEUED for row in self.rows.values())

    def types(self) -> list[str]:
        return [str(event.type) for event in self.events]

    def event(self, type: str) -> Event:
        [event] = [event for event in self.events if event.type == type]
        return event


class FakeResolver:
    """Answers from two tables; every other domain has no MX and the address 192.0.2.1."""

    def __init__(self) -> None:
        self.exchangers: dict[str, tuple[MailExchanger, ...] | NoSuchName | LookupFailed] = {}
        self.hosts: dict[str, tuple[str, ...] | NoSuchName | LookupFailed] = {}

    async def mx(self, domain: str) -> tuple[MailExchanger, ...] | NoSuchName | LookupFailed:
        return self.exchangers.get(domain, ())

    async def addresses(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return self.hosts.get(host, ("192.0.2.1",))

    async def txt(self, name: str) -> tuple[str, ...]:
        return ()

    async def cname(self, name: str) -> tuple[str, ...]:
        return ()


OK = reply(250, "Ok", "2.0.0")


class FakeServer:
    """A mail server in memory, made of our own server protocol; what it answers can be set."""

    def __init__(self) -> None:
        self.offer = Offer("mx.ex.net")
        self.greeting: bytes | None = None
        self.mail: Reply | None = OK
        """None here and below: the connection breaks instead."""
        self.rcpt: dict[str, Reply | None] = {}
        self.message: list[Reply | None] = []
        """Answers to the next messages; OK when empty."""
        self.refusing = False
        self.silent = False
        """Takes connections and says nothing."""
        self.max_connections = 1_000_000
        self.full = b"421 4.7.0 too many connections\r\n"
        self.delay_s = 0.0
        self.broken_tls = False
        self.taken: list[Message] = []
        self.connections = 0
        self.open: list[FakeStream] = []
        self.sources: list[str] = []
        self.ids: Counter[str] = Counter()

    def answer(self, event: Any) -> Reply | None:
        if isinstance(event, Mail):
            return self.mail
        if isinstance(event, Rcpt):
            return self.rcpt.get(event.path, OK)
        assert isinstance(event, Message)
        said = self.message.pop(0) if self.message else OK
        if said is not None and said.ok:
            self.taken.append(event)
        return said


class FakeStream:
    """ports.network.Stream to a FakeServer."""

    def __init__(self, server: FakeServer, ip: str, tls: TlsFacts | None) -> None:
        self.peer_ip = ip
        self.local_ip = "127.0.0.1"
        self.tls = tls
        self._server = server
        self._protocol = ServerProtocol(server.offer, tls=tls is not None)
        self._unread = b"" if server.silent else (server.greeting or self._protocol.greeting())
        self._reader: asyncio.Future[None] | None = None
        self.ended = ""

    def write(self, data: bytes) -> None:
        if self.ended or self._server.silent:
            return
        self._protocol.receive(data)
        out = b""
        while (event := self._protocol.next_event()) is not NEED_DATA:
            if isinstance(event, Answered | StartTls):
                said: Reply | None = event.reply
            else:
                said = self._server.answer(event)
            if said is None:
                self.end("connection reset")
                break
            out += self._protocol.reply(said)
        if not out:
            return
        if self._server.delay_s:
            asyncio.get_running_loop().call_later(self._server.delay_s, self._deliver, out)
        else:
            self._deliver(out)

    def _deliver(self, data: bytes) -> None:
        self._unread += data
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def end(self, reason: str) -> None:
        """The other side hangs up."""
        self.ended = self.ended or reason
        if self in self._server.open:
            self._server.open.remove(self)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def drain(self, timeout_s: float) -> None:
        if self.ended:
            raise Disconnected(self.ended)

    async def read(self, timeout_s: float) -> bytes:
        if not self._unread and not self.ended:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._reader
            except TimeoutError:
                raise Disconnected("timed out") from None
        if not self._unread:
            raise Disconnected(self.ended)
        data, self._unread = self._unread, b""
        return data

    async def start_tls(self, host: str, timeout_s: float) -> None:
        await asyncio.sleep(0)
        if self._server.broken_tls:
            self.end("reset")
            raise ConnectFailed("TLS handshake failed: bad record")
        self._protocol.tls_started()
        self.tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", False)

    def close(self) -> None:
        self.end("closed")


class FakeNetwork:
    """Servers by ``ip:port``; nothing listens elsewhere."""

    def __init__(self) -> None:
        self.servers: dict[str, FakeServer] = {}

    def server(self, at: str = "192.0.2.1:25") -> FakeServer:
        return self.servers.setdefault(at, FakeServer())

    async def connect(
        self, ip: str, port: int, *, source_ip: str = "", tls_host: str = "", timeout_s: float = 30.0
    ) -> FakeStream:
        await asyncio.sleep(0)
        server = self.servers.get(f"{ip}:{port}")
        if server is None or server.refusing:
            raise ConnectFailed("connection refused")
        server.connections += 1
        server.sources.append(source_ip)
        stream = FakeStream(server, ip, TlsFacts("TLSv1.3", "X", True) if tls_host else None)
        if len(server.open) >= server.max_connections:
            stream._unread = server.full
        server.open.append(stream)
        return stream


def settings(mode: str = "direct", routes: dict[str, Hop] | None = None, **changes: Any) -> DeliverySettings:
    values: dict[str, Any] = {
        "hostname": "out.ex.org",
        "routing": RoutingTable(mode, routes or {}, changes.pop("relay", None)),
        "retry": RetryPlan((0.05,), 3_600_000),
        "poll_s": 0.02,
        "stop_deadline_s": 2.0,
    }
    return DeliverySettings(**(values | changes))


async def as_it_is(message: ClaimedMessage) -> Prepared:
    """Preparation that has nothing to do."""
    return Prepared(message.sent or message.content, message.facts.source, new=message.sent is None)


class Delivering:
    """``async with Delivering(...) as d``: a worker on fakes, stopped at the end."""

    def __init__(self, chosen: DeliverySettings | None = None, **given: Any) -> None:
        self.settings = chosen or settings()
        self.clock = given.pop("clock", None) or LoopClock()
        self.wakeups = FakeWakeups()
        self.queue = given.pop("queue", None) or FakeQueue(self.clock, self.wakeups)
        self.queue.wakeups = self.wakeups
        self.network = given.pop("network", None) or FakeNetwork()
        self.resolver = given.pop("resolver", None) or FakeResolver()
        self.prepare = given.pop("prepare", as_it_is)
        self.owner = given.pop("owner", "me")
        self.given = given

    async def __aenter__(self) -> "Delivering":
        self.worker = DeliveryWorker(
            self.settings,
            owner=self.owner,
            queue=self.queue,
            wakeups=self.wakeups,
            clock=self.clock,
            network=self.network,
            resolver=self.resolver,
            prepare=self.prepare,
            random=random.Random(1),
            **self.given,
        )
        self.task = asyncio.create_task(self.worker.run())
        return self

    async def __aexit__(self, kind: Any, *_: object) -> None:
        if kind is not None and not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])
            return
        self.worker.stop()
        await asyncio.wait_for(self.task, 10)
