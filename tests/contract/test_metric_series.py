"""Series of the embedded CloudWatch: added up over processes, bounded, read in pages."""

import asyncio

import pytest
from tests.contract.conftest import Backend
from tests.contract.values import NOW_MS

from posthouse.domain.scope import Scope
from posthouse.ports.metric_series import MetricSeries
from posthouse.ports.metric_sinks import MetricValue
from posthouse.stores import metric_series
from posthouse.stores.open import SqlStores

HERE, THERE = Scope("111111111111", "us-east-1"), Scope("111111111111", "eu-west-1")
THEIRS = Scope("222222222222", "us-east-1")


def value(name: str = "Send", amount: float = 1, at_ms: int = NOW_MS, **dimensions: str) -> MetricValue:
    return MetricValue(name, tuple(dimensions.items()), amount, at_ms)


async def series(stores: SqlStores, account: str | None = None, region: str | None = None) -> list[MetricSeries]:
    return list(await stores.metric_series.page(account, region, 0, 1000))


async def test_values_are_added_up_by_dimensions(stores: SqlStores) -> None:
    values = [value(amount=2, b="2", a="1"), value(a="1", b="2"), value(a="1", b="3"), value("Bounce", 0.5)]
    assert await stores.metric_series.add(HERE, values) == 0
    bounce, first, second = sorted(await series(stores), key=lambda found: (found.name, found.dimensions))
    assert (bounce.name, bounce.dimensions, bounce.total, bounce.samples) == ("Bounce", (), 0.5, 1)
    assert first == MetricSeries(
        number=first.number,
        scope=HERE,
        name="Send",
        dimensions=(("a", "1"), ("b", "2")),
        unit="Count",
        samples=2,
        total=3.0,
        latest=1.0,
        latest_ms=NOW_MS,
    )
    assert (second.dimensions, second.total) == ((("a", "1"), ("b", "3")), 1.0)


async def test_the_latest_is_the_youngest_whenever_it_comes(stores: SqlStores) -> None:
    await stores.metric_series.add(HERE, [value(amount=5, at_ms=NOW_MS + 2), value(amount=6, at_ms=NOW_MS + 1)])
    await stores.metric_series.add(HERE, [value(amount=7, at_ms=NOW_MS)])
    (found,) = await series(stores)
    assert (found.total, found.samples, found.latest, found.latest_ms) == (18.0, 3, 5.0, NOW_MS + 2)


async def test_processes_add_to_the_same_series(shared: Backend) -> None:
    one, two = await shared.open(), await shared.open()
    await asyncio.gather(*(each.metric_series.add(HERE, [value(), value("Open")]) for each in (one, two) * 10))
    assert sorted((found.name, found.total) for found in await series(one)) == [("Open", 20.0), ("Send", 20.0)]


async def test_series_are_read_in_pages_and_by_scope(stores: SqlStores) -> None:
    for scope in (HERE, THERE, THEIRS):
        await stores.metric_series.add(scope, [value(tag=str(number)) for number in range(2)])
    everything = await series(stores)
    assert [found.scope for found in everything] == [HERE, HERE, THERE, THERE, THEIRS, THEIRS]
    paged: list[MetricSeries] = []
    while page := await stores.metric_series.page(None, None, paged[-1].number if paged else 0, 4):
        paged += page
    assert paged == everything
    assert {found.scope for found in await series(stores, HERE.account)} == {HERE, THERE}
    assert {found.scope for found in await series(stores, HERE.account, "us-east-1")} == {HERE}
    assert {found.scope for found in await series(stores, region="us-east-1")} == {HERE, THEIRS}


async def test_a_scope_has_so_many_series_and_no_more(stores: SqlStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_series, "MAX_SERIES", 3)
    await stores.metric_series.add(HERE, [value(tag="0"), value(tag="1")])
    more = [value(tag="1"), value(tag="2"), value(tag="3"), value(tag="3"), value(tag="0")]
    assert await stores.metric_series.add(HERE, more) == 2
    assert [(found.dimensions[0][1], found.total) for found in await series(stores)] == [
        ("0", 2.0),
        ("1", 2.0),
        ("2", 1.0),
    ]
    assert await stores.metric_series.add(THERE, [value(tag="3")]) == 0
