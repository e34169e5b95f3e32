"""Publications: what each destination has not heard of yet. See `ports.publications`.

A destination's row is locked before its publications are looked at or added to, so that whoever finds nothing left and
whoever adds something never pass each other. Idle, a wake-up costs one look at each of two indexes.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from posthouse.domain.events import Event
from posthouse.domain.messages import MessageFacts
from posthouse.domain.publishing import NOTIFIED
from posthouse.domain.scope import Scope
from posthouse.ports.blobs import Blobs
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.publications import (
    Claimed,
    Cursor,
    DeadLetter,
    DestinationStatus,
    Publication,
    Replay,
    Round,
    Routed,
    StoredMail,
    Totals,
    Unrouted,
    Untold,
)
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores import contents
from posthouse.stores.contents import KEY, Content
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.group_commit import GroupCommit

log = logging.getLogger(__name__)

READER = "publishing"
"""This reader's row in `cursors`."""
DEAD_KEPT = 10_000
"""Dead letters of one destination; older ones go."""
DYING_AT_ONCE = 500
COUNTED = 100_000
"""How far the publications of one destination are counted for an operator."""
SHOWN_ERROR = 500
"""Characters of an error that are kept."""

UPSERT_DESTINATION = (
    "INSERT INTO publication_destinations (destination, account, region, due_ms, waiting_until_ms, lease_owner,"
    " lease_until_ms, failures, last_error) VALUES (?, ?, ?, ?, 0, '', 0, 0, '')"
    " ON CONFLICT (destination) DO UPDATE SET due_ms = CASE"
    " WHEN publication_destinations.due_ms < excluded.due_ms THEN publication_destinations.due_ms"
    " ELSE excluded.due_ms END"
)
INSERT_PUBLICATION = (
    "INSERT INTO publications (destination, event_seq, account, region, message_id, routed_ms, due_ms, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (destination, event_seq) DO NOTHING"
)
PAGE = (
    "SELECT e.seq, e.body, m.facts FROM event_log e LEFT JOIN messages m"
    f" ON e.type IN ({', '.join(repr(type.value) for type in NOTIFIED)})"
    " AND m.account = e.account AND m.region = e.region AND m.message_id = e.message_id"
    " WHERE e.seq > ? AND e.seq <= ? ORDER BY e.seq LIMIT ?"
)
IS_DUE = "due_ms <= ? AND waiting_until_ms <= ? AND lease_until_ms <= ?{healthy}"
CLAIM = (
    "WITH due AS MATERIALIZED (SELECT destination FROM publication_destinations"
    f" WHERE {IS_DUE} ORDER BY due_ms LIMIT ?{{skip_locked}})"
    " UPDATE publication_destinations SET lease_owner = ?, lease_until_ms = ? FROM due"
    " WHERE publication_destinations.destination = due.destination"
    " RETURNING publication_destinations.destination, publication_destinations.failures"
)
# Two ways to read far too much are closed to the planners: NOT EXISTS, of which PostgreSQL makes a join over all that
# failed, and the primary key, which SQLite takes for the way to the few that failed of one message.
TAKE = (
    "SELECT p.event_seq, p.attempts, p.routed_ms, e.body FROM publications p"
    " LEFT JOIN event_log e ON e.seq = p.event_seq WHERE p.destination = ? AND p.due_ms <= ? AND"
    " (SELECT 1 FROM publications f WHERE f.attempts > 0 AND (f.destination || '') = p.destination"
    " AND f.message_id = p.message_id AND f.event_seq < p.event_seq AND f.due_ms > ? LIMIT 1) IS NULL"
    " ORDER BY p.event_seq LIMIT ?"
)
LOCK = "SELECT due_ms FROM publication_destinations WHERE destination = ?"
SENT = "DELETE FROM publications WHERE destination = ? AND event_seq = ?"
FAILED = "UPDATE publications SET attempts = attempts + 1, due_ms = ? WHERE destination = ? AND event_seq = ?"
OLDEST = (
    "SELECT event_seq, account, region, message_id, routed_ms FROM (SELECT event_seq, account, region, message_id,"
    " routed_ms FROM publications WHERE destination = ? ORDER BY event_seq LIMIT ?) AS oldest WHERE routed_ms < ?"
)
BURY = (
    "INSERT INTO dead_publications (destination, event_seq, account, region, message_id, routed_ms, died_ms, error)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (destination, event_seq) DO UPDATE SET"
    " died_ms = excluded.died_ms, error = excluded.error"
)
UNBURY = "DELETE FROM dead_publications WHERE destination = ? AND event_seq = ?"
TRIM_DEAD = (
    "DELETE FROM dead_publications WHERE destination = ? AND event_seq <= (SELECT event_seq FROM dead_publications"
    f" WHERE destination = ? ORDER BY event_seq DESC LIMIT 1 OFFSET {DEAD_KEPT})"
)
END_ROUND = (
    "UPDATE publication_destinations SET failures = ?, waiting_until_ms = ?, last_error = coalesce(?, last_error),"
    " last_failure_ms = coalesce(?, last_failure_ms), last_success_ms = coalesce(?, last_success_ms)"
    " WHERE destination = ?"
)
STATUS = (
    "SELECT destination, account, region, waiting_until_ms, lease_owner, failures, last_error, last_failure_ms,"
    " last_success_ms, replay_after FROM publication_destinations"
)

_event = msgspec.json.Decoder(Event).decode
_facts = msgspec.json.Decoder(MessageFacts).decode


class SqlPublications:
    def __init__(self, database: Database, blobs: Blobs, wakeups: Wakeups) -> None:
        self._database = database
        self._blobs = blobs
        self._wakeups = wakeups
        self._rounds = GroupCommit[Round, None](self._settle_group)

    # Routing

    async def cursor(self) -> Cursor:
        async def select(session: Session) -> Row:
            sql = "SELECT seq, (SELECT coalesce(max(seq), 0) FROM event_log) FROM cursors WHERE name = ?"
            return (await session.rows(sql, (READER,)))[0]

        return Cursor(*await self._database.read(select))

    async def page(self, after: int, until: int, limit: int) -> Sequence[Unrouted]:
        rows = await self._database.read_long(lambda session: session.rows(PAGE, (after, until, limit)))
        return [Unrouted(seq, _event(body), None if facts is None else _facts(facts)) for seq, body, facts in rows]

    async def route(self, after: int, upto: int, routed: Sequence[Routed], now_ms: int) -> bool:
        async def write(session: Session) -> bool:
            sql = "UPDATE cursors SET seq = ? WHERE name = ? AND seq = ? RETURNING seq"
            if not await session.rows(sql, (upto, READER, after)):
                return False
            await _add(session, routed, now_ms)
            return True

        # A power cut takes back cursor and publications together.
        return await self._database.write(write, durable=False)

    async def replay(self, destination: str, owner: Scope, from_seq: int) -> None:
        async def write(session: Session) -> None:
            await session.run(
                "INSERT INTO publication_destinations (destination, account, region, waiting_until_ms, lease_owner,"
                " lease_until_ms, failures, last_error) VALUES (?, ?, ?, 0, '', 0, 0, '')"
                " ON CONFLICT (destination) DO NOTHING",
                (destination, *owner),
            )
            await session.run(
                "UPDATE publication_destinations SET replay_after = ?,"
                " replay_until = (SELECT seq FROM cursors WHERE name = ?) WHERE destination = ?",
                (from_seq - 1, READER, destination),
            )

        await self._database.write(write)
        self._wakeups.notify(Topic.EVENTS)

    async def replays(self) -> Sequence[Replay]:
        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                "SELECT destination, replay_after, replay_until FROM publication_destinations"
                " WHERE replay_after IS NOT NULL ORDER BY replay_after"
            )

        return [Replay(*row) for row in await self._database.read(select)]

    async def route_again(self, replay: Replay, upto: int, routed: Sequence[Routed], now_ms: int) -> bool:
        over = upto >= replay.until

        async def write(session: Session) -> bool:
            moved = await session.rows(
                "UPDATE publication_destinations SET replay_after = ?, replay_until = ?"
                " WHERE destination = ? AND replay_after = ? AND replay_until = ? RETURNING destination",
                (
                    None if over else upto, None if over else replay.until,
                    replay.destination, replay.after, replay.until,
                ),
            )  # fmt: skip
            if moved:
                await _add(session, routed, now_ms)
                await session.many(UNBURY, [(each.destination, each.seq) for each in routed])
            return bool(moved)

        return await self._database.write(write, durable=False)

    # Sending

    async def claim(
        self, owner: str, now_ms: int, lease_ms: int, limit: int, healthy_only: bool = False
    ) -> Sequence[Claimed]:
        healthy = " AND failures = 0" if healthy_only else ""
        due = f"SELECT 1 FROM publication_destinations WHERE {IS_DUE.format(healthy=healthy)} LIMIT 1"
        now = (now_ms, now_ms, now_ms)
        if not await self._database.read(lambda session: session.rows(due, now)):
            return []

        async def lease(session: Session) -> Sequence[Row]:
            sql = CLAIM.format(healthy=healthy, skip_locked=session.dialect.skip_locked)
            return await session.rows(sql, (*now, limit, owner, now_ms + lease_ms))

        return [Claimed(*row) for row in await self._database.write(lease, durable=False)]

    async def take(self, destination: str, now_ms: int, limit: int) -> Sequence[Publication]:
        params = (destination, now_ms, now_ms, limit)
        rows = await self._database.read_long(lambda session: session.rows(TAKE, params))
        return [
            Publication(seq, None if body is None else _event(body), attempts, routed_ms)
            for seq, attempts, routed_ms, body in rows
        ]

    async def settle(self, ended: Round) -> None:
        await self._rounds.join(ended)

    async def _settle_group(self, group: Sequence[Round]) -> Sequence[None]:
        # In one order everywhere, so that two nodes never wait for each other's rows.
        ordered = sorted(group, key=lambda ended: ended.destination)

        async def write(session: Session) -> None:
            for ended in ordered:
                await _settle(session, ended)

        await self._database.write(write, durable=False)
        return [None] * len(group)

    async def leave(self, destination: str, owner: str, now_ms: int) -> None:
        async def write(session: Session) -> None:
            await _lock(session, destination)
            due_ms: int | None = now_ms
            if not await session.rows(TAKE, (destination, now_ms, now_ms, 1)):
                # All that is left waits for one that failed.
                sql = "SELECT min(due_ms) FROM publications WHERE destination = ? AND due_ms > ?"
                due_ms = (await session.rows(sql, (destination, now_ms)))[0][0]
            await session.run(
                "UPDATE publication_destinations SET due_ms = ?, lease_owner = '', lease_until_ms = 0"
                " WHERE destination = ? AND lease_owner = ?",
                (due_ms, destination, owner),
            )

        await self._database.write(write, durable=False)

    async def renew(self, owner: str, until_ms: int) -> None:
        sql = "UPDATE publication_destinations SET lease_until_ms = ? WHERE lease_owner = ? AND lease_owner <> ''"
        await self._database.write(lambda session: session.run(sql, (until_ms, owner)), durable=False)

    async def keep_only(self, owner: str, held: Collection[str]) -> int:
        known = set(held)

        async def free(session: Session) -> int:
            sql = "SELECT destination FROM publication_destinations WHERE lease_owner = ? AND lease_owner <> ''"
            untold = sorted((key, owner) for (key,) in await session.rows(sql, (owner,)) if key not in known)
            await session.many(
                "UPDATE publication_destinations SET lease_owner = '', lease_until_ms = 0"
                " WHERE destination = ? AND lease_owner = ?",
                untold,
            )
            return len(untold)

        return await self._database.write(free, durable=False)

    async def release(self, owner: str) -> int:
        async def free(session: Session) -> int:
            return len(
                await session.rows(
                    "UPDATE publication_destinations SET lease_owner = '', lease_until_ms = 0"
                    " WHERE lease_owner = ? AND lease_owner <> '' RETURNING destination",
                    (owner,),
                )
            )

        released = await self._database.write(free, durable=False)
        if released:
            self._wakeups.notify(Topic.EVENTS)
        return released

    async def owners(self) -> Sequence[str]:
        sql = "SELECT DISTINCT lease_owner FROM publication_destinations WHERE lease_owner <> ''"
        return sorted(owner for (owner,) in await self._database.read(lambda session: session.rows(sql)))

    async def drop(self, destination: str) -> int:
        async def forget(session: Session) -> int:
            await _lock(session, destination)
            dropped = await session.rows(
                "DELETE FROM publications WHERE destination = ? RETURNING event_seq", (destination,)
            )
            await session.run("DELETE FROM dead_publications WHERE destination = ?", (destination,))
            await session.run("DELETE FROM publication_destinations WHERE destination = ?", (destination,))
            return len(dropped)

        return await self._database.write(forget, durable=False)

    async def redirect(self, destination: str, to: str, owner: Scope, now_ms: int) -> int:
        async def move(session: Session) -> int:
            for key in sorted((destination, to)):
                if key == to:
                    await session.run(UPSERT_DESTINATION, (to, *owner, now_ms))
                else:
                    await _lock(session, destination)
            await session.run(
                "INSERT INTO publications (destination, event_seq, account, region, message_id, routed_ms, due_ms,"
                " attempts) SELECT CAST(? AS TEXT), event_seq, account, region, message_id, routed_ms,"
                " CAST(? AS BIGINT), 0 FROM publications WHERE destination = ?"
                " ON CONFLICT (destination, event_seq) DO NOTHING",
                (to, now_ms, destination),
            )
            sql = "DELETE FROM publications WHERE destination = ? RETURNING event_seq"
            moved = await session.rows(sql, (destination,))
            await session.run("DELETE FROM publication_destinations WHERE destination = ?", (destination,))
            return len(moved)

        return await self._database.write(move, durable=False)

    async def mails(self, keys: Collection[MessageKey]) -> Mapping[MessageKey, StoredMail]:
        wanted = [(*key.scope, key.message_id) for key in keys]

        async def select(session: Session) -> tuple[Sequence[Row], Sequence[Row]]:
            mails = await session.rows_of_many(
                f"SELECT account, region, message_id, facts, blob, data FROM messages WHERE {KEY}", wanted
            )
            sql = f"SELECT account, region, message_id, id, recipient FROM queue WHERE {KEY}"
            return mails, await session.rows_of_many(sql, wanted)

        mails, recipients = await self._database.read_long(select)
        addressed: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
        for account, region, message_id, id, recipient in recipients:
            addressed.setdefault((account, region, message_id), []).append((id, recipient))
        found: dict[MessageKey, StoredMail] = {}
        for account, region, message_id, facts, blob, data in mails:
            given = sorted(addressed.get((account, region, message_id), ()))
            found[MessageKey(Scope(account, region), message_id)] = StoredMail(
                _facts(facts),
                tuple([recipient for _, recipient in given]),
                await contents.pick_up(self._blobs, Content(blob, data)),
            )
        return found

    # Looking, and an operator's hand

    async def destinations(self, account: str | None, after: str, limit: int) -> Sequence[DestinationStatus]:
        whose, params = ("", ()) if account is None else (" AND account = ?", (account,))
        sql = f"{STATUS} WHERE destination > ?{whose} ORDER BY destination LIMIT ?"
        return await self._database.read_long(lambda session: _statuses(session, sql, (after, *params, limit)))

    async def status(self, destination: str) -> DestinationStatus | None:
        sql = f"{STATUS} WHERE destination = ?"
        found = await self._database.read_long(lambda session: _statuses(session, sql, (destination,)))
        return next(iter(found), None)

    async def untold(self, destination: str, seqs: Sequence[int]) -> Sequence[Untold]:
        keys = [(destination, seq) for seq in seqs]

        async def select(session: Session) -> tuple[Sequence[Row], Sequence[Row]]:
            columns = "event_seq, attempts, due_ms FROM publications"
            waiting = await session.rows_of_many(f"SELECT {columns} WHERE destination = ? AND event_seq = ?", keys)
            columns = "event_seq, error FROM dead_publications"
            dead = await session.rows_of_many(f"SELECT {columns} WHERE destination = ? AND event_seq = ?", keys)
            return waiting, dead

        waiting, dead = await self._database.read_long(select)
        return [
            *(Untold(destination, seq, attempts, due_ms, "") for seq, attempts, due_ms in waiting),
            *(Untold(destination, seq, 0, None, error) for seq, error in dead),
        ]

    async def dead(self, destination: str, after_seq: int, limit: int) -> Sequence[DeadLetter]:
        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                "SELECT event_seq, account, region, message_id, routed_ms, died_ms, error FROM dead_publications"
                " WHERE destination = ? AND event_seq > ? ORDER BY event_seq LIMIT ?",
                (destination, after_seq, limit),
            )

        return [
            DeadLetter(
                seq=seq,
                message=MessageKey(Scope(account, region), message_id),
                routed_ms=routed_ms,
                died_ms=died_ms,
                error=error,
            )
            for seq, account, region, message_id, routed_ms, died_ms, error in await self._database.read_long(select)
        ]

    async def revive(self, destination: str, now_ms: int) -> int:
        async def move(session: Session) -> int:
            sql = "UPDATE publication_destinations SET due_ms = ? WHERE destination = ? RETURNING destination"
            if not await session.rows(sql, (now_ms, destination)):
                return 0
            await session.run(
                "INSERT INTO publications (destination, event_seq, account, region, message_id, routed_ms, due_ms,"
                " attempts) SELECT destination, event_seq, account, region, message_id, CAST(? AS BIGINT),"
                " CAST(? AS BIGINT), 0 FROM dead_publications WHERE destination = ?"
                " ON CONFLICT (destination, event_seq) DO NOTHING",
                (now_ms, now_ms, destination),
            )
            sql = "DELETE FROM dead_publications WHERE destination = ? RETURNING event_seq"
            return len(await session.rows(sql, (destination,)))

        revived = await self._database.write(move)
        if revived:
            self._wakeups.notify(Topic.EVENTS)
        return revived

    async def totals(self) -> Totals:
        cursor = await self.cursor()

        async def count(session: Session) -> tuple[Any, ...]:
            waiting, oldest_ms = (await session.rows("SELECT count(*), min(routed_ms) FROM publications"))[0]
            dead = (await session.rows("SELECT count(*) FROM dead_publications"))[0][0]
            sql = "SELECT count(*) FROM publication_destinations WHERE failures > 0"
            return waiting, oldest_ms, dead, (await session.rows(sql))[0][0]

        waiting, oldest_ms, dead, failing = await self._database.read_long(count)
        return Totals(
            waiting=waiting,
            dead=dead,
            oldest_ms=oldest_ms,
            failing=failing,
            unrouted=max(0, cursor.last_seq - cursor.seq),
        )

    async def close(self) -> None:
        await self._rounds.close()


async def _lock(session: Session, destination: str) -> None:
    await session.rows(LOCK + session.dialect.for_update, (destination,))


async def _add(session: Session, routed: Sequence[Routed], now_ms: int) -> None:
    """Destinations first: their rows are locked then, see above."""
    owners = {each.destination: each.owner for each in routed}
    await session.many(UPSERT_DESTINATION, [(key, *owners[key], now_ms) for key in sorted(owners)])
    await session.many(
        INSERT_PUBLICATION,
        [(each.destination, each.seq, *each.message.scope, each.message.message_id, now_ms, now_ms) for each in routed],
    )


async def _settle(session: Session, ended: Round) -> None:
    key = ended.destination
    await _lock(session, key)
    await session.many(SENT, [(key, seq) for seq in ended.sent])
    reason: str | None = None
    if ended.failed:
        await session.many(FAILED, [(each.due_ms, key, each.seq) for each in ended.failed])
        reason = _shown(ended.failed[0].reason)
        await _bury(session, ended, reason)
    failed_ms = ended.at_ms if ended.failed else None
    sent_ms = ended.at_ms if ended.sent else None
    await session.run(END_ROUND, (ended.failures, ended.waiting_until_ms, reason, failed_ms, sent_ms, key))


async def _bury(session: Session, ended: Round, reason: str) -> None:
    """Only the first of the log are looked at: the oldest, or such as were replayed since, whose time will come."""
    key = ended.destination
    reasons = {each.seq: _shown(each.reason) for each in ended.failed}
    dying = await session.rows(OLDEST, (key, DYING_AT_ONCE, ended.give_up_ms))
    if not dying:
        return
    await session.many(BURY, [(key, *row, ended.at_ms, reasons.get(row[0], reason)) for row in dying])
    await session.many(SENT, [(key, row[0]) for row in dying])
    await session.run(TRIM_DEAD, (key, key))
    log.warning("%d events were given up for %s: %s", len(dying), key, reason)


def _shown(reason: str) -> str:
    """NUL, which PostgreSQL cannot keep in text, becomes a blank."""
    return reason[:SHOWN_ERROR].replace("\0", " ")


async def _statuses(session: Session, sql: str, params: Row) -> Sequence[DestinationStatus]:
    return [await _status(session, row) for row in await session.rows(sql, params)]


async def _status(session: Session, row: Row) -> DestinationStatus:
    key, account, region, waiting_until_ms, lease_owner, failures, error, failure_ms, success_ms, replay_after = row
    counted = await session.rows(
        f"SELECT count(*) FROM (SELECT 1 FROM publications WHERE destination = ? LIMIT {COUNTED}) AS counted", (key,)
    )
    oldest = await session.rows(
        "SELECT routed_ms FROM publications WHERE destination = ? ORDER BY event_seq LIMIT 1", (key,)
    )
    dead = await session.rows("SELECT count(*) FROM dead_publications WHERE destination = ?", (key,))
    return DestinationStatus(
        destination=key,
        owner=Scope(account, region),
        waiting=counted[0][0],
        dead=dead[0][0],
        oldest_ms=oldest[0][0] if oldest else None,
        failures=failures,
        waiting_until_ms=waiting_until_ms,
        last_error=error,
        last_failure_ms=failure_ms,
        last_success_ms=success_ms,
        leased=bool(lease_owner),
        replaying=replay_after is not None,
    )
