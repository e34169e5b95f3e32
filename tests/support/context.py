"""Operations on real stores, without a server: a clock that stands still and everything in memory."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.receipt import MemoryReceipt

from posthouse.adapters.local_streams import LocalStreams
from posthouse.adapters.local_topics import LocalTopics
from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.scope import Caller, Scope
from posthouse.domain.simulator import simulator_domains
from posthouse.domain.verification import Links
from posthouse.operations.context import Context
from posthouse.operations.table import OPERATIONS
from posthouse.ports.streams import Streams
from posthouse.ports.topics import Topics
from posthouse.ports.wakeups import Topic
from posthouse.stores.open import open_stores
from posthouse.submission.context import SubmissionContext
from posthouse.submission.facts import Facts
from posthouse.wire import query

UNLIMITED = SendingLimits(-1, -1)
SIMULATORS = simulator_domains("posthouse.test")


class FixedClock:
    def __init__(self, at_ms: int = 1_800_000_000_000) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


class NoWakeups:
    def notify(self, topic: Topic) -> None:
        """Nobody waits."""

    def subscribe(self, topic: Topic) -> asyncio.Event:
        return asyncio.Event()


class Callers:
    """Two accounts and two regions to be told apart."""

    ANN = Caller(Scope("111111111111", "us-east-1"), "AKIAANN", "192.0.2.1")
    ANN_ELSEWHERE = Caller(Scope("111111111111", "eu-west-1"), "AKIAANN", "192.0.2.1")
    BOB = Caller(Scope("222222222222", "us-east-1"), "AKIABOB", "192.0.2.2")


class Ses:
    """Calls operations as the API door does: by name, with the parameters of the wire."""

    def __init__(self, ctx: Context, clock: FixedClock) -> None:
        self.ctx, self.clock = ctx, clock

    async def call(self, name: str, /, caller: Caller = Callers.ANN, **parameters: str | bytes) -> Any:
        from posthouse.model.generated import OPERATIONS as MODEL

        form = {key.replace("__", "."): str(value) for key, value in parameters.items()}
        request = query.parse(form, MODEL[name].request)
        return await OPERATIONS[name](request, caller, self.ctx)


@asynccontextmanager
async def open_ses(
    *,
    auto_verify: bool = True,
    sandbox: bool = False,
    production: SendingLimits = UNLIMITED,
    in_sandbox: SendingLimits = UNLIMITED,
    auto_create_topics: bool = True,
    preset_topics: tuple[str, ...] = (),
    streams: Streams | None = None,
    topics: Topics | None = None,
    receipt: MemoryReceipt | None = None,
    directory: Path | None = None,
    seed: int = 7,
) -> AsyncIterator[Ses]:
    """In memory, or in a directory that outlives it."""
    clock, seeded = FixedClock(), random.Random(seed)
    defaults = AccountDefaults(sandbox=sandbox, production_limits=production, sandbox_limits=in_sandbox)
    where = ("memory", Path()) if directory is None else ("sqlite", directory)
    stores = await open_stores(*where, clock, NoWakeups())
    try:
        local = LocalTopics(stores.topics, clock, seeded.randbytes, auto_create_topics, preset_topics)
        submission = SubmissionContext(
            stores.submissions,
            Facts(stores.records),
            clock,
            seeded.randbytes,
            defaults,
            simulator_domains("posthouse.test"),
        )
        links = Links(lambda: b"a key for links", "http://ses.test:8025")
        yield Ses(
            Context(
                stores=stores,
                submission=submission,
                clock=clock,
                random=seeded.randbytes,
                defaults=defaults,
                streams=streams or LocalStreams(Path("/dev/null"), clock, seeded.randbytes, True, ()),
                topics=topics or local,
                receipt=(receipt or MemoryReceipt()).ports,
                auto_verify=auto_verify,
                links=links,
                service_domain="posthouse.test",
            ),
            clock,
        )
    finally:
        await stores.close()
