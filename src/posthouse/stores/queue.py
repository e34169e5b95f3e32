"""The queue: which recipients are due, who holds them, how each ended.

A row is free (`lease_owner` empty) or leased. Leases end together: `leases` has one row for each owner, so that
renewing ten thousand of them is one row written. An owner whose time has run out loses all of them at the next claim.
`due_ms` is never touched by a lease: an operator always sees when the recipient is or was due.
"""

import logging
from collections.abc import Collection, Iterator, Sequence

import msgspec

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import MessageFacts
from posthouse.domain.scope import Scope
from posthouse.ports.blobs import Blobs
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import ClaimedMessage, ClaimedRecipient, QueuedRecipient, Settlement
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores import contents
from posthouse.stores.contents import KEY, Content
from posthouse.stores.database import Database, Row, Session, padded, placeholders
from posthouse.stores.events import write_events
from posthouse.stores.group_commit import GroupCommit
from posthouse.stores.unsubscriptions import who_has_left

# A message whose content cannot be read is set aside for so long, that it does not hold up the others.
SET_ASIDE_MS = 60 * 60 * 1000
UNREADABLE = "The stored content cannot be read; see the log."

# Those of a message that are still queued. As an expression, so that a planner without statistics cannot take the
# index of all that is queued for the way to one message.
STILL_QUEUED = f"{KEY} AND (state || '') = 'queued'"
FREE = "UPDATE queue SET lease_owner = '' WHERE state = 'queued' AND lease_owner = ?"
# MATERIALIZED: PostgreSQL may run a bare subquery more than once, and so lease more than its LIMIT.
LEASE = (
    "WITH due AS MATERIALIZED (SELECT id FROM queue"
    " WHERE state = 'queued' AND lease_owner = '' AND due_ms <= ?{excluding} ORDER BY due_ms LIMIT ?{skip_locked})"
    " UPDATE queue SET lease_owner = ? FROM due WHERE queue.id = due.id"
    " RETURNING queue.account, queue.region, queue.message_id, queue.recipient, queue.attempts, queue.queued_ms,"
    " queue.due_ms, (SELECT reason FROM suppression WHERE account = queue.account AND region = queue.region"
    " AND address = lower(queue.recipient))"
)
# CASE, for the two have no name in common for the greater of two numbers.
KEEP_UNTIL = (
    "INSERT INTO leases (owner, until_ms) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET until_ms ="
    " CASE WHEN excluded.until_ms > leases.until_ms THEN excluded.until_ms ELSE leases.until_ms END"
)
LOAD = (
    "SELECT m.account, m.region, m.message_id, m.facts, m.blob, m.data, s.blob, s.data FROM messages m"
    " LEFT JOIN sent s ON s.account = m.account AND s.region = m.region AND s.message_id = m.message_id"
    " WHERE m.account = ? AND m.region = ? AND m.message_id = ?"
)
SETTLE = (
    "UPDATE queue SET state = ?, attempts = attempts + 1, due_ms = ?, lease_owner = '', reply = ?, updated_ms = ?"
    f" WHERE {STILL_QUEUED} AND recipient = ?"
)

FOR_A_LIST = '"mailing_list":{'
"""Stands in the facts of such a message; else they need not be read while the database waits."""

log = logging.getLogger(__name__)
_facts = msgspec.json.Decoder(MessageFacts)
_Key = tuple[str, str, str]
_Claimed = tuple[Sequence[Row], Sequence[Row], set[tuple[_Key, str]]]
_Member = tuple[Settlement, Content | None]


class SqlQueue:
    def __init__(self, database: Database, blobs: Blobs, clock: Clock, wakeups: Wakeups) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._wakeups = wakeups
        self._settling = GroupCommit[Sequence[_Member], None](self._settle_group)

    # Leases

    async def claim(
        self, owner: str, now_ms: int, lease_ms: int, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedMessage]:
        async def lease(session: Session) -> _Claimed:
            await _free_expired(session, now_ms)
            rows = await _lease(session, owner, now_ms, limit, padded(tuple(sorted(excluding))))
            if not rows:
                return (), (), set()
            await session.run(KEEP_UNTIL, (owner, now_ms + lease_ms))
            # In the same transaction: what was leased and not told would stay leased as long as its owner lives.
            loaded = await session.rows_of_many(LOAD, list(dict.fromkeys(tuple(row[:3]) for row in rows)))
            return rows, loaded, await _who_has_left(session, rows, loaded)

        leased, loaded, left = await self._database.write(lease, durable=False)
        return await self._claimed(leased, {tuple(row[:3]): row for row in loaded}, left, now_ms)

    async def _claimed(
        self, leased: Sequence[Row], loaded: dict[_Key, Row], left: Collection[tuple[_Key, str]], now_ms: int
    ) -> Sequence[ClaimedMessage]:
        """The messages of leased rows, in the order of their first due recipient."""
        recipients: dict[_Key, list[ClaimedRecipient]] = {}
        for account, region, message_id, recipient, attempts, queued_ms, _, suppressed in sorted(leased, key=_due_ms):
            key = (account, region, message_id)
            one = ClaimedRecipient(recipient, attempts, queued_ms, suppressed or "", (key, recipient) in left)
            recipients.setdefault(key, []).append(one)
        messages = []
        for key, those in recipients.items():
            facts, blob, data, sent_blob, sent_data = loaded[key][3:]
            content = await contents.pick_up(self._blobs, Content(blob, data))
            if content is None:
                await self._set_aside(key, now_ms)
                continue
            sent = await contents.pick_up(self._blobs, Content(sent_blob, sent_data))
            messages.append(ClaimedMessage(_facts.decode(facts), tuple(those), content, sent))
        return messages

    async def _set_aside(self, key: _Key, now_ms: int) -> None:
        log.error("the content of message %s in %s/%s cannot be read", key[2], key[0], key[1])

        async def put_off(session: Session) -> None:
            await session.run(
                f"UPDATE queue SET lease_owner = '', due_ms = ?, reply = ? WHERE {STILL_QUEUED}",
                (now_ms + SET_ASIDE_MS, UNREADABLE, *key),
            )

        await self._database.write(put_off)

    async def renew(self, owner: str, until_ms: int) -> bool:
        async def keep(session: Session) -> bool:
            kept = "UPDATE leases SET until_ms = ? WHERE owner = ? RETURNING owner"
            return bool(await session.rows(kept, (until_ms, owner)))

        return await self._database.write(keep, durable=False)

    async def keep_only(self, owner: str, held: Collection[tuple[str, str]]) -> int:
        known = set(held)

        async def free(session: Session) -> int:
            rows = await session.rows(
                "SELECT account, region, message_id, recipient FROM queue WHERE state = 'queued' AND lease_owner = ?",
                (owner,),
            )
            untold = sorted((*row, owner) for row in rows if (row[2], row[3]) not in known)
            await session.many(
                f"UPDATE queue SET lease_owner = '' WHERE {STILL_QUEUED} AND recipient = ? AND lease_owner = ?", untold
            )
            return len(untold)

        return await self._database.write(free, durable=False)

    async def release(self, owner: str) -> int:
        async def free(session: Session) -> int:
            await session.run("DELETE FROM leases WHERE owner = ?", (owner,))
            return len(await session.rows(f"{FREE} RETURNING recipient", (owner,)))

        released = await self._database.write(free, durable=False)
        if released:
            self._wakeups.notify(Topic.QUEUE)
        return released

    async def owners(self) -> Sequence[str]:
        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                "SELECT owner FROM leases WHERE EXISTS (SELECT 1 FROM queue WHERE state = 'queued'"
                " AND lease_owner = leases.owner) ORDER BY owner"
            )

        return [owner for (owner,) in await self._database.read(select)]

    # The end of attempts

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        if settlements:
            await self._settling.join([(each, await self._sent(each)) for each in settlements])

    async def _sent(self, settlement: Settlement) -> Content | None:
        return None if settlement.sent is None else await contents.set_down(self._blobs, settlement.sent)

    async def _settle_group(self, group: Sequence[Sequence[_Member]]) -> Sequence[None]:
        members = [member for members in group for member in members]
        now_ms = self._clock.now_ms()
        written = await self._database.write(lambda session: _settle(session, members, now_ms), durable=False)
        if written:
            self._wakeups.notify(Topic.EVENTS)
        return [None] * len(group)

    # Looking, and an operator's hand

    async def next_due_ms(self) -> int | None:
        async def earliest(session: Session) -> Sequence[Row]:
            free = await session.rows("SELECT min(due_ms) FROM queue WHERE state = 'queued' AND lease_owner = ''")
            leased = await session.rows(
                "SELECT min(until_ms) FROM leases WHERE EXISTS (SELECT 1 FROM queue WHERE state = 'queued'"
                " AND lease_owner = leases.owner)"
            )
            return [*free, *leased]

        return min((due for (due,) in await self._database.read(earliest) if due is not None), default=None)

    async def depth(self) -> int:
        async def count(session: Session) -> int:
            return int((await session.rows("SELECT count(*) FROM queue WHERE state = 'queued'"))[0][0])

        return await self._database.read_long(count)

    async def page(self, scope: Scope | None, after: str, limit: int) -> Sequence[QueuedRecipient]:
        message_id, _, recipient = after.partition(" ")
        in_scope, params = ("", ()) if scope is None else ("AND account = ? AND region = ?", scope)

        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                "SELECT account, region, message_id, recipient, attempts, queued_ms, due_ms, reply, lease_owner"
                f" FROM queue WHERE state = 'queued' {in_scope} AND (message_id, recipient) > (?, ?)"
                " ORDER BY message_id, recipient LIMIT ?",
                (*params, message_id, recipient, limit),
            )

        return [_queued(row) for row in await self._database.read_long(select)]

    async def retry(self, scope: Scope, message_id: str, now_ms: int) -> int:
        async def make_due(session: Session) -> int:
            return len(
                await session.rows(
                    f"UPDATE queue SET due_ms = ? WHERE {STILL_QUEUED} RETURNING recipient",
                    (now_ms, *scope, message_id),
                )
            )

        due = await self._database.write(make_due)
        if due:
            self._wakeups.notify(Topic.QUEUE)
        return due

    async def drop(self, scope: Scope, message_id: str, now_ms: int) -> int:
        async def end(session: Session) -> int:
            rows = await session.rows(
                "UPDATE queue SET state = 'dropped', lease_owner = '', updated_ms = ?"
                f" WHERE {STILL_QUEUED} RETURNING recipient",
                (now_ms, *scope, message_id),
            )
            dropped = tuple(sorted(recipient for (recipient,) in rows))
            event = Event(scope=scope, message_id=message_id, type=EventType.DROPPED, at_ms=now_ms, recipients=dropped)
            await write_events(session, [event] if dropped else [])
            return len(dropped)

        dropped = await self._database.write(end)
        if dropped:
            self._wakeups.notify(Topic.EVENTS)
        return dropped

    async def close(self) -> None:
        await self._settling.close()


async def _who_has_left(session: Session, leased: Sequence[Row], loaded: Sequence[Row]) -> set[tuple[_Key, str]]:
    """Those of the recipients that have left the list that their message is for; hardly any message is for one."""
    lists = {tuple(row[:3]): _facts.decode(row[3]).mailing_list for row in loaded if FOR_A_LIST in row[3]}
    asked = [(key, found, row[3]) for row in leased if (found := lists.get(key := tuple(row[:3]))) is not None]
    return await who_has_left(session, asked) if asked else set()


def _due_ms(leased: Row) -> int:
    return int(leased[6])


async def _free_expired(session: Session, now_ms: int) -> None:
    expired = await session.rows("DELETE FROM leases WHERE until_ms <= ? RETURNING owner", (now_ms,))
    for owner in expired:
        await session.run(FREE, owner)


async def _lease(session: Session, owner: str, now_ms: int, limit: int, excluding: Sequence[str]) -> Sequence[Row]:
    sql = LEASE.format(
        excluding=f" AND domain NOT IN ({placeholders(len(excluding))})" if excluding else "",
        skip_locked=session.dialect.skip_locked,
    )
    return await session.rows(sql, (now_ms, *excluding, limit, owner))


async def _settle(session: Session, members: Sequence[_Member], now_ms: int) -> int:
    """Writes settlements; how many events that made."""
    attempts = [
        (
            result.state.value, result.due_ms, result.reply, now_ms,
            *settlement.scope, settlement.message_id, result.recipient,
        )
        for settlement, _ in members
        for result in settlement.results
    ]  # fmt: skip
    # By key, so that two nodes lock rows in one order; a recipient's own results stay in theirs.
    in_order = sorted(range(len(attempts)), key=lambda number: attempts[number][4:])
    changed = await session.changes(SETTLE, [attempts[number] for number in in_order])
    late_numbers = {number for number, done in zip(in_order, changed, strict=True) if not done}
    events: list[Event] = []
    sent: dict[_Key, Content] = {}
    number = 0
    for settlement, content in members:
        results = settlement.results
        late = {results[i - number].recipient for i in late_numbers if number <= i < number + len(results)}
        number += len(results)
        if late and len(late) == len(results):
            continue
        events += _still_true(settlement.events, late)
        if content is not None:
            sent[(*settlement.scope, settlement.message_id)] = content
    await session.many(contents.KEEP_SENT, [(*key, kept.blob, kept.data) for key, kept in sent.items()])
    await write_events(session, events)
    return len(events)


def _still_true(events: Sequence[Event], late: set[str]) -> Iterator[Event]:
    """The events without the recipients whose end was written before, and without those that told of no other."""
    if not late:
        yield from events
        return
    for event in events:
        if late.isdisjoint(event.recipients):
            yield event
        elif left := tuple(recipient for recipient in event.recipients if recipient not in late):
            yield msgspec.structs.replace(event, recipients=left)


def _queued(row: Row) -> QueuedRecipient:
    account, region, message_id, recipient, attempts, queued_ms, due_ms, reply, owner = row
    return QueuedRecipient(
        scope=Scope(account, region),
        message_id=message_id,
        recipient=recipient,
        attempts=attempts,
        queued_ms=queued_ms,
        due_ms=due_ms,
        reply=reply,
        leased=bool(owner),
    )
