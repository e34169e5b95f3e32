"""What is done every hour."""

import asyncio
import logging

import pytest
from tests.support.context import Callers, open_ses

from posthouse.domain.suppression import Reason, SuppressedAddress
from posthouse.ports.stores import StoreUnavailable
from posthouse.upkeep.timers import DAY_MS, every_hour, expiring


async def test_it_is_done_again_and_again_and_a_store_that_is_away_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    outcomes: list[int | Exception] = [3, StoreUnavailable("gone"), 0, 1]
    done = asyncio.Event()

    async def deed() -> int:
        outcome = outcomes.pop(0)
        if not outcomes:
            done.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    timer = asyncio.create_task(every_hour("things were done", deed, 0.001))
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.sleep(0)
    timer.cancel()
    await asyncio.wait([timer])
    assert caplog.messages == [
        "3 things were done",
        "not done, until the next hour (things were done): gone",
        "1 things were done",
    ]


async def test_addresses_leave_the_suppression_list_after_so_many_days() -> None:
    async with open_ses() as ses:
        entry = SuppressedAddress(address="a@x.example", reason=Reason.BOUNCE, at_ms=ses.clock.at_ms)
        await ses.ctx.stores.suppressions.add(Callers.ANN.scope, entry)
        expire = expiring(ses.ctx.stores.suppressions, 2, ses.clock)
        ses.clock.at_ms += 2 * DAY_MS
        assert await expire() == 0
        ses.clock.at_ms += 1
        assert await expire() == 1
