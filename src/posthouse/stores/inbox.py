"""The inbox: mail that came in, from its arrival until everything is done with it.

A row waits, free or leased, exactly as in the queue (`stores/queue.py`), and is gone when the mail is done; what became
of it stands in the event log. Only who holds the lease settles: the steps of a mail must not be written by two.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from posthouse.domain.events import Event
from posthouse.domain.messages import MessageFacts, NewMessage, RecipientState
from posthouse.ports.blobs import Blobs
from posthouse.ports.mailstore import ClaimedMail, MailSettlement, Settled
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores import contents
from posthouse.stores.contents import KEY
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.events import write_events
from posthouse.stores.group_commit import GroupCommit
from posthouse.stores.submissions import Rows, insert, rows_of

INSERT = (
    "INSERT INTO inbox (account, region, message_id, due_ms, lease_owner, attempts, stage)"
    " VALUES (?, ?, ?, ?, '', 0, ?)"
)
FREE = "UPDATE inbox SET lease_owner = '' WHERE lease_owner = ?"
# MATERIALIZED: PostgreSQL may run a bare subquery more than once, and so lease more than its LIMIT.
LEASE = (
    "WITH due AS MATERIALIZED (SELECT account, region, message_id FROM inbox"
    " WHERE lease_owner = '' AND due_ms <= ? ORDER BY due_ms LIMIT ?{skip_locked})"
    " UPDATE inbox SET lease_owner = ? FROM due"
    " WHERE inbox.account = due.account AND inbox.region = due.region AND inbox.message_id = due.message_id"
    " RETURNING inbox.account, inbox.region, inbox.message_id, inbox.attempts, inbox.stage, inbox.due_ms"
)
# CASE, for the two have no name in common for the greater of two numbers.
KEEP_UNTIL = (
    "INSERT INTO inbox_leases (owner, until_ms) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET until_ms ="
    " CASE WHEN excluded.until_ms > inbox_leases.until_ms THEN excluded.until_ms ELSE inbox_leases.until_ms END"
)
LOAD_FACTS = f"SELECT facts FROM messages WHERE {KEY}"
LOAD_RECIPIENTS = f"SELECT recipient FROM queue WHERE {KEY} ORDER BY id"
MINE = f"SELECT 1 FROM inbox WHERE {KEY} AND lease_owner = ?"
DONE = f"DELETE FROM inbox WHERE {KEY}"
GO_ON = f"UPDATE inbox SET due_ms = ?, lease_owner = '', attempts = attempts + 1 WHERE {KEY}"
STAGE = f"UPDATE inbox SET stage = ? WHERE {KEY}"
NEWER = f"SELECT 1 FROM event_log WHERE {KEY} AND seq > ? LIMIT 1"

_facts = msgspec.json.Decoder(MessageFacts)


class _Arrival(NamedTuple):
    """What one caller adds."""

    rows: Rows
    stage: str


class _Look(NamedTuple):
    """What one caller settles."""

    owner: str
    settlements: Sequence[MailSettlement]


class SqlInbox:
    """Inbound messages, stored and settled by groups."""

    def __init__(self, database: Database, blobs: Blobs, wakeups: Wakeups) -> None:
        self._database = database
        self._blobs = blobs
        self._wakeups = wakeups
        self._adding = GroupCommit[_Arrival, None](self._add_group)
        self._settling = GroupCommit[_Look, Sequence[Settled]](self._settle_group)

    async def add(self, message: NewMessage, stage: str = "") -> None:
        content = await contents.set_down(self._blobs, message.content)
        await self._adding.join(_Arrival(rows_of(message, RecipientState.RECEIVED, content, None), stage))

    async def _add_group(self, group: Sequence[_Arrival]) -> Sequence[None]:
        async def store(session: Session) -> None:
            await insert(session, [each.rows for each in group])
            await session.many(INSERT, [(*each.rows.message[:4], each.stage) for each in group])

        await self._database.write(store)
        self._wakeups.notify(Topic.INBOX)
        self._wakeups.notify(Topic.EVENTS)
        return [None] * len(group)

    # Leases

    async def claim(self, owner: str, now_ms: int, lease_ms: int, limit: int) -> Sequence[ClaimedMail]:
        async def lease(session: Session) -> Sequence[ClaimedMail]:
            for expired in await session.rows(
                "DELETE FROM inbox_leases WHERE until_ms <= ? RETURNING owner", (now_ms,)
            ):
                await session.run(FREE, expired)
            sql = LEASE.format(skip_locked=session.dialect.skip_locked)
            rows = await session.rows(sql, (now_ms, limit, owner))
            if rows:
                await session.run(KEEP_UNTIL, (owner, now_ms + lease_ms))
            # In the same transaction: what was leased and not told would stay leased as long as its owner lives.
            return [await _claimed(session, row) for row in sorted(rows, key=lambda row: row[5])]

        return await self._database.write(lease, durable=False)

    async def renew(self, owner: str, until_ms: int) -> None:
        async def keep(session: Session) -> None:
            await session.run("UPDATE inbox_leases SET until_ms = ? WHERE owner = ?", (until_ms, owner))

        await self._database.write(keep, durable=False)

    async def keep_only(self, owner: str, held: Collection[str]) -> int:
        known = set(held)

        async def free(session: Session) -> int:
            rows = await session.rows("SELECT account, region, message_id FROM inbox WHERE lease_owner = ?", (owner,))
            untold = sorted((*row, owner) for row in rows if row[2] not in known)
            await session.many(f"UPDATE inbox SET lease_owner = '' WHERE {KEY} AND lease_owner = ?", untold)
            return len(untold)

        return await self._database.write(free, durable=False)

    async def release(self, owner: str) -> int:
        async def free(session: Session) -> int:
            await session.run("DELETE FROM inbox_leases WHERE owner = ?", (owner,))
            return len(await session.rows(f"{FREE} RETURNING message_id", (owner,)))

        released = await self._database.write(free, durable=False)
        if released:
            self._wakeups.notify(Topic.INBOX)
        return released

    async def owners(self) -> Sequence[str]:
        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                "SELECT owner FROM inbox_leases"
                " WHERE EXISTS (SELECT 1 FROM inbox WHERE lease_owner = inbox_leases.owner) ORDER BY owner"
            )

        return [owner for (owner,) in await self._database.read(select)]

    # The end of a look

    async def settle(self, owner: str, settlements: Sequence[MailSettlement]) -> Sequence[Settled]:
        return await self._settling.join(_Look(owner, settlements)) if settlements else []

    async def _settle_group(self, group: Sequence[_Look]) -> Sequence[Sequence[Settled]]:
        settled = await self._database.write(lambda session: _settle(session, group), durable=False)
        self._wakeups.notify(Topic.EVENTS)
        return settled

    # Looking

    async def next_due_ms(self) -> int | None:
        async def earliest(session: Session) -> Sequence[Row]:
            free = await session.rows("SELECT min(due_ms) FROM inbox WHERE lease_owner = ''")
            leased = await session.rows(
                "SELECT min(until_ms) FROM inbox_leases"
                " WHERE EXISTS (SELECT 1 FROM inbox WHERE lease_owner = inbox_leases.owner)"
            )
            return [*free, *leased]

        return min((due for (due,) in await self._database.read(earliest) if due is not None), default=None)

    async def depth(self) -> int:
        async def count(session: Session) -> int:
            return int((await session.rows("SELECT count(*) FROM inbox"))[0][0])

        return await self._database.read_long(count)

    async def close(self) -> None:
        await self._adding.close()
        await self._settling.close()


async def _claimed(session: Session, row: Row) -> ClaimedMail:
    key, attempts, stage = row[:3], row[3], row[4]
    [(facts,)] = await session.rows(LOAD_FACTS, key)
    recipients = await session.rows(LOAD_RECIPIENTS, key)
    return ClaimedMail(_facts.decode(facts), tuple([recipient for (recipient,) in recipients]), attempts, stage)


async def _settle(session: Session, group: Sequence[_Look]) -> Sequence[Sequence[Settled]]:
    if session.dialect.event_turn:
        # From here to the commit nobody else adds events: what is found to be the last one stays it.
        await session.rows(session.dialect.event_turn)
    events: list[Event] = []
    answers: list[list[Settled]] = []
    for owner, settlements in group:
        answers.append([])
        for settlement in settlements:
            answers[-1].append(settled := await _standing(session, owner, settlement, events))
            if settled is Settled.WRITTEN:
                events += settlement.events
                await _write(session, settlement)
    await write_events(session, events)
    return answers


async def _standing(session: Session, owner: str, settlement: MailSettlement, before: Sequence[Event]) -> Settled:
    """Whether it may be written; `before`: the events that this transaction is about to write."""
    scope, basis = settlement.scope, settlement.basis
    if not await session.rows(MINE + session.dialect.for_update, (*scope, settlement.message_id, owner)):
        return Settled.LOST
    if basis is None:
        return Settled.WRITTEN
    moved = any(event.scope == scope and event.message_id == basis.message_id for event in before)
    if moved or await session.rows(NEWER, (*scope, basis.message_id, basis.last_seq)):
        return Settled.STALE
    return Settled.WRITTEN


async def _write(session: Session, settlement: MailSettlement) -> None:
    key = (*settlement.scope, settlement.message_id)
    if settlement.due_ms is None and not settlement.holds:
        await session.run(DONE, key)
        return
    if settlement.stage is not None:
        await session.run(STAGE, (settlement.stage, *key))
    if settlement.due_ms is not None:
        await session.run(GO_ON, (settlement.due_ms, *key))
