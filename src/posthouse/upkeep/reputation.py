"""Rates of bounces and complaints, looked at every few minutes: published as metrics, warned of, and where the operator
wants that, acted on.

Source: SES developer guide, "Monitoring your sender reputation" (metrics Reputation.BounceRate and
Reputation.ComplaintRate of the account, and of configuration sets with reputation metrics enabled), "Automatically
pausing email sending". How rates are made and judged is `domain.reputation`'s.
"""

import asyncio
import logging

from posthouse.domain.accounts import Account
from posthouse.domain.configuration_sets import ConfigurationSet, with_sending_enabled
from posthouse.domain.reputation import Reputation, Standing, assess, since, told
from posthouse.domain.scope import Scope
from posthouse.ports.call_rates import CallRates
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Statistics
from posthouse.ports.metric_sinks import MetricSinks, MetricValue, SinkFailed
from posthouse.ports.records import SERVICE_SCOPE, RecordStore
from posthouse.ports.stores import StoreUnavailable
from posthouse.submission.facts import ACCOUNT

log = logging.getLogger("posthouse.upkeep")

LOOK_S = 300.0
TURN = "posthouse:reputation"
"""Counted beside the operations of the API, whose names have no colon: one process of all nodes looks at a time."""
SET_DIMENSION = "ses:configuration-set"

Watched = tuple[Scope, str]
"""A configuration set; an empty name means the account itself."""


class ReputationWatch:
    """Looks after every account that sent, and every configuration set with reputation metrics."""

    def __init__(
        self,
        records: RecordStore,
        statistics: Statistics,
        sinks: MetricSinks,
        turns: CallRates,
        clock: Clock,
        *,
        pauses: bool,
        look_s: float = LOOK_S,
    ) -> None:
        """`pauses`: `reputation.pause`, what stands at SES's pause line is paused."""
        self._records, self._statistics = records, statistics
        self._sinks, self._turns, self._clock = sinks, turns, clock
        self._pauses, self._look_s = pauses, look_s
        self._warned: dict[Watched, Standing] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                # A little less than the pause between looks: who comes back a moment too early would miss his turn.
                if await self._turns.admit(SERVICE_SCOPE, TURN, 1 / (0.9 * self._look_s)):
                    await self.look()
            except StoreUnavailable as error:
                log.warning("reputations are not looked at: %s", error)
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        """One round over everybody."""
        now_ms = self._clock.now_ms()
        for scope in await self._statistics.scopes(since(now_ms)):
            async with self._records.reading() as reading:
                account = await reading.accounts.get(scope, ACCOUNT) or Account()
            points = await self._statistics.points(scope, since(now_ms, account.fresh_start_ms))
            await self._judge((scope, ""), assess(points, now_ms, account.fresh_start_ms))
        async with self._records.reading() as reading:
            sets = await reading.configuration_sets.everywhere()
        for scope, name, kept in sets:
            if kept.reputation_metrics:
                await self._judge((scope, name), await self._of_set(scope, name, kept, now_ms))

    async def _of_set(self, scope: Scope, name: str, kept: ConfigurationSet, now_ms: int) -> Reputation:
        points = await self._statistics.points_of_set(scope, name, since(now_ms, kept.fresh_start_ms))
        return assess(points, now_ms, kept.fresh_start_ms)

    async def _judge(self, watched: Watched, reputation: Reputation) -> None:
        if reputation.sends:
            await self._publish(watched, reputation)
        self._warn(watched, reputation)
        if self._pauses and reputation.standing is Standing.PAUSE:
            await self._pause(watched, reputation)

    async def _publish(self, watched: Watched, reputation: Reputation) -> None:
        scope, name = watched
        dimensions = ((SET_DIMENSION, name),) if name else ()
        rates = (("BounceRate", reputation.bounce), ("ComplaintRate", reputation.complaint))
        now_ms = self._clock.now_ms()
        values = [MetricValue(f"Reputation.{what}", dimensions, rate.value, now_ms, "None") for what, rate in rates]
        match await self._sinks.put(scope, values):
            case SinkFailed(reason):
                log.warning("reputation metrics of %s were not taken: %s", _called(watched), reason)

    def _warn(self, watched: Watched, reputation: Reputation) -> None:
        """Once for each line that is reached, until it is left again."""
        standing = reputation.standing
        before = self._warned.get(watched, Standing.HEALTHY)
        if standing.reaches(Standing.REVIEW):
            if not before.reaches(standing):
                line = "may pause" if standing is Standing.PAUSE else "reviews"
                log.warning("%s: %s, from where SES %s it", _called(watched), told(reputation, Standing.REVIEW), line)
            self._warned[watched] = standing
        elif self._warned.pop(watched, None) is not None:
            log.info("%s: reputation is below SES's lines again", _called(watched))

    async def _pause(self, watched: Watched, reputation: Reputation) -> None:
        scope, name = watched
        why = told(reputation, Standing.PAUSE)
        paused = await (self._pause_set(scope, name) if name else self._pause_account(scope, why))
        if paused:
            log.warning("%s is paused: %s", _called(watched), why)

    async def _pause_account(self, scope: Scope, why: str) -> bool:
        """False where it is paused already, or was resumed a moment ago."""
        async with self._records.transaction() as tx:
            account = await tx.accounts.get(scope, ACCOUNT) or Account()
            if account.paused or (account.fresh_start_ms or 0) > self._clock.now_ms() - int(self._look_s * 1000):
                return False
            await tx.accounts.put(scope, ACCOUNT, account.with_paused(True, self._clock.now_ms(), why))
        return True

    async def _pause_set(self, scope: Scope, name: str) -> bool:
        async with self._records.transaction() as tx:
            kept = await tx.configuration_sets.get(scope, name)
            if kept is None or not kept.sending_enabled:
                return False
            if (kept.fresh_start_ms or 0) > self._clock.now_ms() - int(self._look_s * 1000):
                return False
            await tx.configuration_sets.put(scope, name, with_sending_enabled(kept, False, self._clock.now_ms()))
        return True


def _called(watched: Watched) -> str:
    (account, region), name = watched
    return f"account {account} in {region}" + (f", configuration set {name}" if name else "")
