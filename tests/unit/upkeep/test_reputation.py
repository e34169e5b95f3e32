"""Rates are published, warned of and acted on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.accounts import Account
from posthouse.domain.events import Event, EventType
from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import Kept, MetricValue, SinkFailed, SinkOutcome
from posthouse.submission.facts import ACCOUNT
from posthouse.upkeep.reputation import ReputationWatch

ANN, BOB = Callers.ANN.scope, Callers.BOB.scope
HOUR_MS = 60 * 60 * 1000
HARD = {"kind": {"type": "Permanent", "subtype": "General"}}
NEWS = {"ConfigurationSet__Name": "news"}
WATCHED = {"ConfigurationSetName": "news", "Enabled": "true"}


class Sinks:
    """Keeps what it is given, unless it is down."""

    def __init__(self) -> None:
        self.values: list[tuple[Scope, MetricValue]] = []
        self.down = False

    async def put(self, scope: Scope, values: Sequence[MetricValue]) -> SinkOutcome:
        self.values += [(scope, each) for each in values]
        return SinkFailed("nobody home") if self.down else Kept()

    async def close(self) -> None:
        """Nothing is held open."""

    def rates(self) -> list[tuple[str, str, tuple[tuple[str, str], ...], float]]:
        return [(scope.account, each.name, each.dimensions, each.value) for scope, each in self.values]


class Desk:
    """Stores with what happened, and a watch over them."""

    def __init__(self, ses: Ses) -> None:
        self.ses, self.sinks = ses, Sinks()

    def watch(self, pauses: bool = False, look_s: float = 300.0) -> ReputationWatch:
        stores = self.ses.ctx.stores
        return ReputationWatch(
            stores.records,
            stores.statistics,
            self.sinks,
            stores.call_rates,
            self.ses.ctx.clock,
            pauses=pauses,
            look_s=look_s,
        )

    async def happened(self, kind: EventType, recipients: int, scope: Scope = ANN, set_name: str = "") -> None:
        event = Event(
            scope=scope,
            message_id="m",
            type=kind,
            at_ms=self.ses.clock.at_ms,
            recipients=tuple(f"r{number}@x.example" for number in range(recipients)),
            detail=HARD if kind is EventType.BOUNCE else {},
            configuration_set=set_name,
        )
        await self.ses.ctx.stores.events.append([event])

    async def account(self) -> Account:
        async with self.ses.ctx.stores.records.reading() as reading:
            return await reading.accounts.get(ANN, ACCOUNT) or Account()

    async def sends(self, set_name: str) -> bool:
        async with self.ses.ctx.stores.records.reading() as reading:
            found = await reading.configuration_sets.get(ANN, set_name)
        assert found is not None
        return found.sending_enabled

    async def mark(self, **changes: object) -> None:
        async with self.ses.ctx.stores.records.transaction() as tx:
            account = await tx.accounts.get(ANN, ACCOUNT) or Account()
            await tx.accounts.put(ANN, ACCOUNT, msgspec.structs.replace(account, **changes))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_ses() as ses:
        yield Desk(ses)


async def test_rates_of_accounts_and_of_watched_sets_are_published(desk: Desk) -> None:
    for name in ("news", "quiet"):
        await desk.ses.call("CreateConfigurationSet", ConfigurationSet__Name=name)
    await desk.ses.call("UpdateConfigurationSetReputationMetricsEnabled", **WATCHED)
    await desk.happened(EventType.SEND, 8, set_name="news")
    await desk.happened(EventType.SEND, 2, set_name="quiet")
    await desk.happened(EventType.BOUNCE, 2, set_name="news")
    await desk.happened(EventType.SEND, 4, scope=BOB)
    await desk.happened(EventType.COMPLAINT, 1, scope=BOB)
    await desk.watch().look()
    news = (("ses:configuration-set", "news"),)
    assert desk.sinks.rates() == [
        (ANN.account, "Reputation.BounceRate", (), 0.2),
        (ANN.account, "Reputation.ComplaintRate", (), 0.0),
        (BOB.account, "Reputation.BounceRate", (), 0.0),
        (BOB.account, "Reputation.ComplaintRate", (), 0.25),
        (ANN.account, "Reputation.BounceRate", news, 0.25),
        (ANN.account, "Reputation.ComplaintRate", news, 0.0),
    ]


async def test_each_line_is_warned_of_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="posthouse.upkeep")
    watch = desk.watch()
    await desk.happened(EventType.SEND, 100)
    await desk.happened(EventType.BOUNCE, 5)
    for _ in range(2):
        await watch.look()
    await desk.happened(EventType.BOUNCE, 5)
    for _ in range(2):
        await watch.look()
    await desk.happened(EventType.SEND, 900)
    await watch.look()
    assert caplog.messages == [
        "account 111111111111 in us-east-1: bounce rate 5.00 % of 100 recipients, from where SES reviews it",
        "account 111111111111 in us-east-1: bounce rate 10.00 % of 100 recipients, from where SES may pause it",
        "account 111111111111 in us-east-1: reputation is below SES's lines again",
    ]
    assert not (await desk.account()).paused


async def test_an_account_at_the_pause_line_is_paused_until_somebody_resumes_it(desk: Desk) -> None:
    watch = desk.watch(pauses=True)
    await desk.happened(EventType.SEND, 100)
    await desk.happened(EventType.BOUNCE, 10)
    await watch.look()
    account = await desk.account()
    assert (account.paused, account.paused_why) == (True, "bounce rate 10.00 % of 100 recipients")
    desk.ses.clock.at_ms += HOUR_MS
    resumed = account.with_paused(False, desk.ses.clock.at_ms)
    await desk.mark(paused=False, paused_why="", fresh_start_ms=resumed.fresh_start_ms)
    desk.ses.clock.at_ms += HOUR_MS
    await watch.look()
    assert not (await desk.account()).paused


async def test_a_set_at_the_pause_line_is_paused_and_starts_afresh(desk: Desk) -> None:
    await desk.ses.call("CreateConfigurationSet", **NEWS)
    await desk.ses.call("UpdateConfigurationSetReputationMetricsEnabled", **WATCHED)
    watch = desk.watch(pauses=True)
    await desk.happened(EventType.SEND, 900)
    await desk.happened(EventType.SEND, 100, set_name="news")
    await desk.happened(EventType.BOUNCE, 10, set_name="news")
    await watch.look()
    # Of all of the account's mail that is 1 %.
    assert (await desk.sends("news"), (await desk.account()).paused) == (False, False)
    desk.ses.clock.at_ms += HOUR_MS
    await desk.ses.call("UpdateConfigurationSetSendingEnabled", **WATCHED)
    desk.ses.clock.at_ms += HOUR_MS
    await watch.look()
    assert await desk.sends("news")


async def test_sets_without_reputation_metrics_are_left_alone(desk: Desk) -> None:
    await desk.ses.call("CreateConfigurationSet", **NEWS)
    await desk.happened(EventType.SEND, 100, set_name="news")
    await desk.happened(EventType.BOUNCE, 50, set_name="news")
    await desk.watch(pauses=True).look()
    assert await desk.sends("news")


async def test_a_sink_that_is_down_is_told_of_and_hinders_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.sinks.down = True
    await desk.happened(EventType.SEND, 100)
    await desk.happened(EventType.BOUNCE, 10)
    await desk.watch(pauses=True).look()
    assert (await desk.account()).paused
    assert "reputation metrics of account 111111111111 in us-east-1 were not taken: nobody home" in caplog.messages


async def test_of_several_processes_one_looks(desk: Desk) -> None:
    await desk.happened(EventType.SEND, 1)
    watches = [asyncio.ensure_future(desk.watch().run()) for _ in range(3)]
    while not desk.sinks.values:
        await asyncio.sleep(0)
    for watch in watches:
        await asyncio.sleep(0.02)
        watch.cancel()
    await asyncio.wait(watches)
    assert len(desk.sinks.values) == 2
