"""Series of the embedded stand-in for CloudWatch."""

from collections.abc import Sequence

import msgspec

from posthouse.domain.scope import Scope
from posthouse.ports.metric_series import MetricSeries
from posthouse.ports.metric_sinks import MetricValue
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.group_commit import GroupCommit

MAX_SERIES = 10_000
"""Of one scope."""
COLUMNS = "account, region, name, dimensions, unit, samples, total, latest, latest_ms"
# A value may come later than a younger one: then it counts, and is not the latest.
PUT = (
    f"INSERT INTO metric_series ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account, region, name, dimensions) DO UPDATE SET unit = excluded.unit,"
    " samples = metric_series.samples + excluded.samples, total = metric_series.total + excluded.total,"
    " latest = CASE WHEN excluded.latest_ms >= metric_series.latest_ms THEN excluded.latest"
    " ELSE metric_series.latest END,"
    " latest_ms = CASE WHEN excluded.latest_ms >= metric_series.latest_ms THEN excluded.latest_ms"
    " ELSE metric_series.latest_ms END"
)

_dimensions = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_Key = tuple[str, str, str, str]
_Addition = tuple[Scope, Sequence[MetricValue]]


class SqlMetricSeries:
    """See `ports.metric_series.MetricSeriesStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group = GroupCommit[_Addition, int](self._commit)

    async def add(self, scope: Scope, values: Sequence[MetricValue]) -> int:
        return await self._group.join((scope, values))

    async def _commit(self, group: Sequence[_Addition]) -> Sequence[int]:
        # Not durable: numbers for looking at, not worth a sync.
        return await self._database.write(lambda session: _add(session, group), durable=False)

    async def page(self, account: str | None, region: str | None, after: int, limit: int) -> Sequence[MetricSeries]:
        given = [("account = ?", account), ("region = ?", region), ("id > ?", after)]
        where = " AND ".join(condition for condition, value in given if value is not None)
        params = [value for _, value in given if value is not None]
        sql = f"SELECT id, {COLUMNS} FROM metric_series WHERE {where} ORDER BY id LIMIT ?"
        rows = await self._database.read_long(lambda session: session.rows(sql, (*params, limit)))
        return [_series(row) for row in rows]

    async def close(self) -> None:
        await self._group.close()


async def _add(session: Session, group: Sequence[_Addition]) -> Sequence[int]:
    sums: dict[_Key, Row] = {}
    refused: set[_Key] = set()
    counts: dict[Scope, int] = {}
    left_out = []
    for scope, values in group:
        left_out.append(0)
        for value in values:
            key = (*scope, value.name, _encoded(value.dimensions))
            if key not in sums and key not in refused and not await _has_room(session, scope, key, counts):
                refused.add(key)
            if key in refused:
                left_out[-1] += 1
                continue
            sums[key] = _added(sums.get(key), value)
    await session.many(PUT, [(*key, *row) for key, row in sorted(sums.items())])
    return left_out


async def _has_room(session: Session, scope: Scope, key: _Key, counts: dict[Scope, int]) -> bool:
    where = "account = ? AND region = ?"
    if await session.rows(f"SELECT 1 FROM metric_series WHERE {where} AND name = ? AND dimensions = ?", key):
        return True
    if scope not in counts:
        counts[scope] = int((await session.rows(f"SELECT count(*) FROM metric_series WHERE {where}", scope))[0][0])
    counts[scope] += 1
    return counts[scope] <= MAX_SERIES


def _added(row: Row | None, value: MetricValue) -> Row:
    """unit, samples, total, latest, latest_ms with one value more."""
    if row is None:
        return (value.unit, 1, value.value, value.value, value.at_ms)
    _, samples, total, latest, latest_ms = row
    newest = (value.value, value.at_ms) if value.at_ms >= latest_ms else (latest, latest_ms)
    return (value.unit, samples + 1, total + value.value, *newest)


def _encoded(dimensions: Sequence[tuple[str, str]]) -> str:
    return msgspec.json.encode(sorted(dimensions)).decode()


def _series(row: Row) -> MetricSeries:
    number, account, region, name, dimensions, unit, samples, total, latest, latest_ms = row
    return MetricSeries(
        number=number,
        scope=Scope(account, region),
        name=name,
        dimensions=_dimensions.decode(dimensions),
        unit=unit,
        samples=samples,
        total=total,
        latest=latest,
        latest_ms=latest_ms,
    )
