"""The event log and the statistics that the same transactions keep."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from posthouse.domain.events import Event, EventType, LoggedEvent
from posthouse.domain.scope import Scope
from posthouse.domain.statistics import COLUMNS, counted
from posthouse.ports.mailstore import StatisticsPoint
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores.database import Database, Row, Session, placeholders
from posthouse.stores.group_commit import GroupCommit
from posthouse.stores.suppressions import suppress

POINT_MS = 15 * 60 * 1000

INSERT_EVENT = "INSERT INTO event_log (account, region, message_id, type, at_ms, body) VALUES (?, ?, ?, ?, ?, ?)"


def _upsert(table: str, key: str) -> str:
    columns = (*key.split(", "), *COLUMNS)
    added = ", ".join(f"{column} = {table}.{column} + excluded.{column}" for column in COLUMNS)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({placeholders(len(columns))})"
        f" ON CONFLICT ({key}) DO UPDATE SET {added}"
    )


UPSERT_POINT = _upsert("statistics", "account, region, start_ms")
UPSERT_SET_POINT = _upsert("set_statistics", "account, region, configuration_set, start_ms")
POINTS = "SELECT start_ms, delivery_attempts, bounces, complaints, rejects FROM"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


async def write_events(session: Session, events: Sequence[Event]) -> None:
    """Logs events and counts them. To be the last thing a transaction does: on PostgreSQL it holds up other writers
    of events until the commit."""
    if not events:
        return
    if session.dialect.event_turn:
        await session.rows(session.dialect.event_turn)
    await session.many(
        INSERT_EVENT,
        [(*e.scope, e.message_id, e.type.value, e.at_ms, _encoder.encode(e).decode()) for e in events],
    )
    await session.many(UPSERT_POINT, _points((event.scope, event) for event in events))
    of_sets = [event for event in events if event.configuration_set]
    await session.many(UPSERT_SET_POINT, _points(((*event.scope, event.configuration_set), event) for event in of_sets))
    await suppress(session, events)


def _points(events: Iterable[tuple[tuple[str, ...], Event]]) -> Sequence[Row]:
    """Rows to add to statistics, summed up by the key beside each event and its time."""
    counts: Counter[tuple[tuple[str, ...], int, str]] = Counter()
    for key, event in events:
        count = counted(event)
        if count is not None:
            counts[key, event.at_ms // POINT_MS * POINT_MS, count.column] += count.recipients
    rows = sorted({(key, start_ms) for key, start_ms, _ in counts})
    return [(*key, start_ms, *(counts[key, start_ms, column] for column in COLUMNS)) for key, start_ms in rows]


def _logged(row: Row) -> LoggedEvent:
    return LoggedEvent(seq=row[0], event=_decoder.decode(row[1]))


class SqlEventLog:
    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups
        self._group = GroupCommit[Sequence[Event], None](self._commit)

    async def append(self, events: Sequence[Event]) -> None:
        if events:
            await self._group.join(events)

    async def _commit(self, group: Sequence[Sequence[Event]]) -> Sequence[None]:
        flat = [event for events in group for event in events]
        await self._database.write(lambda session: write_events(session, flat))
        self._wakeups.notify(Topic.EVENTS)
        return [None] * len(group)

    async def of_message(self, scope: Scope, message_id: str) -> Sequence[LoggedEvent]:
        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                "SELECT seq, body FROM event_log WHERE account = ? AND region = ? AND message_id = ? ORDER BY seq",
                (*scope, message_id),
            )

        return [_logged(row) for row in await self._database.read(select)]

    async def page(
        self, scope: Scope | None, after_seq: int, limit: int, type: EventType | None = None, message_id: str = ""
    ) -> Sequence[LoggedEvent]:
        terms: list[str] = ["seq > ?"]
        params: list[object] = [after_seq]
        if scope is not None:
            terms.append("account = ? AND region = ?")
            params += scope
        if type is not None:
            terms.append("type = ?")
            params.append(type.value)
        if message_id:
            terms.append("message_id = ?")
            params.append(message_id)
        sql = f"SELECT seq, body FROM event_log WHERE {' AND '.join(terms)} ORDER BY seq LIMIT ?"
        rows = await self._database.read_long(lambda session: session.rows(sql, (*params, limit)))
        return [_logged(row) for row in rows]

    async def last_seq(self) -> int:
        async def newest(session: Session) -> int:
            return int((await session.rows("SELECT coalesce(max(seq), 0) FROM event_log"))[0][0])

        return await self._database.read(newest)

    async def close(self) -> None:
        await self._group.close()


class SqlStatistics:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def points(self, scope: Scope, since_ms: int) -> Sequence[StatisticsPoint]:
        return await self._points(
            f"{POINTS} statistics WHERE account = ? AND region = ? AND start_ms >= ? ORDER BY start_ms",
            (*scope, since_ms),
        )

    async def points_of_set(self, scope: Scope, configuration_set: str, since_ms: int) -> Sequence[StatisticsPoint]:
        return await self._points(
            f"{POINTS} set_statistics WHERE account = ? AND region = ? AND configuration_set = ? AND start_ms >= ?"
            " ORDER BY start_ms",
            (*scope, configuration_set, since_ms),
        )

    async def scopes(self, since_ms: int) -> Sequence[Scope]:
        sql = "SELECT DISTINCT account, region FROM statistics WHERE start_ms >= ? ORDER BY account, region"
        return [Scope(*row) for row in await self._database.read_long(lambda session: session.rows(sql, (since_ms,)))]

    async def _points(self, sql: str, params: Row) -> Sequence[StatisticsPoint]:
        return [
            StatisticsPoint(start_ms=start, delivery_attempts=a, bounces=b, complaints=c, rejects=r)
            for start, a, b, c, r in await self._database.read_long(lambda session: session.rows(sql, params))
        ]
