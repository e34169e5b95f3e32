"""Calls are counted exactly: over connections that stand for processes and nodes, and over restarts."""

import asyncio

from tests.contract.conftest import Backend, SetClock
from tests.contract.values import OTHER_REGION, OURS, THEIRS

from posthouse.stores.open import SqlStores


async def test_a_call_too_early_is_refused_and_time_lets_it_through(stores: SqlStores, clock: SetClock) -> None:
    rates = stores.call_rates
    assert await rates.admit(OURS, "ListIdentities", 1)
    assert not await rates.admit(OURS, "ListIdentities", 1)
    clock.ms += 1000
    assert await rates.admit(OURS, "ListIdentities", 1)
    assert not await rates.admit(OURS, "ListIdentities", 1)


async def test_operations_accounts_and_regions_are_counted_apart(stores: SqlStores) -> None:
    for scope in (OURS, OTHER_REGION, THEIRS):
        for operation in ("ListIdentities", "GetSendQuota"):
            assert await stores.call_rates.admit(scope, operation, 1)
            assert not await stores.call_rates.admit(scope, operation, 1)


async def test_several_processes_share_one_count(shared: Backend, clock: SetClock) -> None:
    ours = [await shared.open() for _ in range(3)]
    for expected in (5, 5):
        told = await asyncio.gather(*(each.call_rates.admit(OURS, "GetSendQuota", 5) for each in ours * 7))
        assert sum(told) == expected
        clock.ms += 1000


async def test_the_count_outlives_a_restart(shared: Backend) -> None:
    first = await shared.open()
    assert await first.call_rates.admit(OURS, "GetSendQuota", 1)
    await first.close()
    shared.opened.clear()
    assert not await (await shared.open()).call_rates.admit(OURS, "GetSendQuota", 1)
