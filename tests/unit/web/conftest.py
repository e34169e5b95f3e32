"""The web door on real stores in a scratch directory, with a clock that stands still."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.web.asgi_client import Client

from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import ContentKind, Direction, Draft, MessageFacts, NewMessage, RecipientState, Text
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.scope import Scope
from posthouse.domain.subscriptions import TopicLinks
from posthouse.domain.verification import Links
from posthouse.mail.tracking_tokens import TrackingTokens
from posthouse.operations.subscriptions import Subscribing
from posthouse.ports.credentials import Credential
from posthouse.ports.mailstore import MailSettlement, RecipientResult, Settlement
from posthouse.ports.stores import Stores
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import open_stores
from posthouse.web.app import build_app
from posthouse.web.context import WebContext

HOME = Scope("123456789012", "us-east-1")
NOW_MS = 1_795_425_000_000
DEFAULTS = AccountDefaults(
    sandbox=False,
    production_limits=SendingLimits(50000.0, 1000.0),
    sandbox_limits=SendingLimits(200.0, 1.0),
)


@dataclass
class Clock:
    at_ms: int = NOW_MS

    def now_ms(self) -> int:
        return self.at_ms


class Wakeups:
    def __init__(self) -> None:
        self.events: dict[Topic, list[asyncio.Event]] = {}

    def notify(self, topic: Topic) -> None:
        for each in self.events.get(topic, []):
            each.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        event = asyncio.Event()
        self.events.setdefault(topic, []).append(event)
        return event


@dataclass
class House:
    """The stores with shorthands for what the tests need to be in them."""

    stores: Stores
    wakeups: Wakeups
    clock: Clock
    sent: int = field(default=0)

    def context(self, **changes: Any) -> WebContext:
        given: dict[str, Any] = {
            "stores": self.stores,
            "wakeups": self.wakeups,
            "clock": self.clock,
            "ready": lambda: True,
            "metrics": lambda: "posthouse_up 1\n",
            "version": "0.1.0",
            "login_required": False,
            "session_key": b"k" * 32,
            "subscribing": Subscribing(
                store=self.stores.subscriptions,
                clock=self.clock,
                random=os.urandom,
                links=TopicLinks(lambda: b"a key for topics", "http://mail.example.org"),
                creates=lambda arn: not arn.endswith(":unknown"),
            ),
            "links": Links(lambda: b"a key for links", "http://mail.example.org"),
            "tracking": TrackingTokens(lambda: b"k" * 32),
            "default_scope": HOME,
            "account_defaults": DEFAULTS,
            "service_domain": "posthouse.test",
            "public_hosts": frozenset({"mail.example.org"}),
        }
        return WebContext(**{**given, **changes})

    def client(self, **changes: Any) -> Client:
        return Client(build_app(self.context(**changes)))

    def next_id(self) -> str:
        self.sent += 1
        self.clock.at_ms += 1
        return f"0100{self.clock.at_ms:012x}-5f0e6c1d-8a42-4c37-9b6e-{self.sent:012x}-000000"

    def facts(self, **changes: Any) -> MessageFacts:
        message_id = self.next_id()
        given: dict[str, Any] = {
            "scope": HOME,
            "message_id": message_id,
            "direction": Direction.OUT,
            "accepted_ms": self.clock.at_ms,
            "operation": "SendEmail",
            "source": "Shop <orders@shop.example>",
            "from_domain": "shop.example",
            "feedback_to": "orders@shop.example",
            "subject": "Hello",
            "size": 10,
            "content_kind": ContentKind.RAW,
            "source_ip": "127.0.0.1",
            "access_key": "posthouse",
        }
        return MessageFacts(**{**given, **changes})

    async def send(self, content: bytes, to: Sequence[str] = ("dana@mail.example",), **changes: Any) -> str:
        facts = self.facts(size=len(content), **changes)
        refused = await self.stores.submissions.add(NewMessage(facts, tuple(to), content), None)
        assert refused is None
        return facts.message_id

    async def send_draft(self, to: Sequence[str] = ("dana@mail.example",), **changes: Any) -> str:
        draft = Draft(
            source="Shop <orders@shop.example>",
            to=tuple(to),
            subject=Text(changes.get("subject", "Hello")),
            text=Text("plain words"),
            html=Text("<p>rich words</p>"),
        )
        return await self.send(msgspec.json.encode(draft), to, content_kind=ContentKind.DRAFT, **changes)

    async def receive(self, content: bytes, to: Sequence[str] = ("in@shop.example",), **changes: Any) -> str:
        given = {"direction": Direction.IN, "operation": "Inbound", "source": "eve@far.example", **changes}
        facts = self.facts(size=len(content), helo="mx.far.example", **given)
        await self.stores.inbox.add(NewMessage(facts, tuple(to), content))
        # Handled, as by a worker: nothing is left to be done with it.
        await self.stores.inbox.claim("house", self.clock.now_ms(), 1000, 1)
        await self.stores.inbox.settle("house", [MailSettlement(facts.scope, facts.message_id)])
        return facts.message_id

    async def settle(
        self,
        message_id: str,
        recipient: str,
        state: RecipientState,
        kind: EventType,
        reply: str = "",
        detail: dict[str, Any] | None = None,
        sent: bytes | None = None,
        due_ms: int = 0,
    ) -> None:
        """One attempt as a delivery worker would settle it."""
        await self.stores.queue.claim("tests", self.clock.at_ms + 10**6, 60000, 100)
        event = Event(
            scope=HOME,
            message_id=message_id,
            type=kind,
            at_ms=self.clock.at_ms,
            recipients=(recipient,),
            detail=detail or {},
        )
        result = RecipientResult(recipient, state, reply, due_ms)
        await self.stores.queue.settle([Settlement(HOME, message_id, (result,), (event,), sent)])
        await self.stores.queue.release("tests")

    async def allow(self, access_key: str, secret: str, account: str = HOME.account, console: bool = True) -> None:
        await self.stores.credentials.add(Credential(access_key, secret, account, console=console), self.clock.at_ms)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, wakeups = Clock(), Wakeups()
    stores = await open_stores("sqlite", tmp_path, clock, wakeups)
    yield House(stores, wakeups, clock)
    await stores.close()


@pytest.fixture
def client(house: House) -> Client:
    return house.client()
