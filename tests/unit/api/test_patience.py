"""One timer ends every wait that lasts too long."""

import asyncio

import pytest

from posthouse.api.patience import Patience


async def test_wait_that_ends_in_time_gives_its_result() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await Patience(60).wait(work()) == 7


async def test_waits_that_last_too_long_are_ended_and_others_are_not() -> None:
    patience = Patience(0.05)
    never, soon = asyncio.Event(), asyncio.Event()
    late = [asyncio.create_task(patience.wait(never.wait())) for _ in range(3)]
    ended = await asyncio.gather(*late, return_exceptions=True)
    assert [type(error) for error in ended] == [TimeoutError] * 3
    young = asyncio.create_task(patience.wait(soon.wait()))
    await asyncio.sleep(0)
    soon.set()
    assert await young is True


async def test_failure_and_cancellation_pass_through() -> None:
    async def fail() -> None:
        raise KeyError("x")

    patience = Patience(60)
    with pytest.raises(KeyError):
        await patience.wait(fail())
    task = asyncio.create_task(patience.wait(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_timer_rests_while_nobody_waits() -> None:
    patience = Patience(0.02)
    await patience.wait(asyncio.sleep(0))
    while patience._timer is not None:
        await asyncio.sleep(0.005)
    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.Event().wait())
