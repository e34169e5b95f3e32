"""Finding messages: the newest first, from a place on, narrowed by a filter.

Each search walks along the index that fits it and leaves nothing to the planner's guess, for a wrong one reads a
million rows. Measured in docs/decisions/0002-one-sql-for-both-stores.md.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from posthouse.domain.messages import RecipientState
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageFilter
from posthouse.stores.contents import KEY
from posthouse.stores.database import Row, Session, placeholders
from posthouse.stores.submissions import address_in, folded

TIME_IN_ID = re.compile(r"[0-9a-f]{4}([0-9a-f]{12})-")
LIKE_SPECIAL = re.compile(r"[%_!]")

# As in the index queue_by_recipient.
SHELF = 512
MOST_SHELVES = 64
# How much later than a row written after it a message may have been accepted: other processes, other clocks.
DISORDER_MS = 60_000
# Rows that are sorted in a few milliseconds.
FEW = 20_000
# As in the index queue_gone_wrong.
GONE_WRONG = ("bounced", "expired", "rejected", "dropped")
IS_GONE_WRONG = "q.state IN ('bounced', 'expired', 'rejected', 'dropped')"


@dataclass(frozen=True, slots=True)
class Place:
    """A point in the order of acceptance; what was accepted later is not looked at."""

    accepted_ms: int
    id: int
    """Of the row in messages."""
    queue_id: int
    """The first id of its rows in queue."""


NEWEST = Place(2**62, 2**62, 2**62)


async def scopes(session: Session) -> AsyncIterator[Scope]:
    """Every scope that has messages, by leaping from one to the next in the primary key: two reads for each."""
    account = region = ""
    while True:
        rows = await session.rows(
            "SELECT account, region FROM messages WHERE account = ? AND region > ? ORDER BY region LIMIT 1",
            (account, region),
        ) or await session.rows(
            "SELECT account, region FROM messages WHERE account > ? ORDER BY account, region LIMIT 1", (account,)
        )
        if not rows:
            return
        account, region = rows[0]
        yield Scope(account, region)


async def scope_of(session: Session, message_id: str) -> Scope | None:
    """Whose message this is."""
    async for scope in scopes(session):
        if await session.rows(f"SELECT 1 FROM messages WHERE {KEY}", (*scope, message_id)):
            return scope
    return None


async def place_of(session: Session, scope: Scope | None, message_id: str) -> Place:
    """Where a message stands."""
    scope = scope or await scope_of(session, message_id)
    rows: Sequence[Row] = ()
    if scope is not None:
        rows = await session.rows(
            "SELECT m.accepted_ms, m.id, (SELECT min(q.id) FROM queue q WHERE q.account = m.account"
            " AND q.region = m.region AND q.message_id = m.message_id) FROM messages m"
            " WHERE m.account = ? AND m.region = ? AND m.message_id = ?",
            (*scope, message_id),
        )
    if rows:
        accepted_ms, id, queue_id = rows[0]
        return Place(accepted_ms, id, NEWEST.queue_id if queue_id is None else queue_id)
    # Deleted while somebody was paging: an id of ours tells the time itself. Of any other nobody can tell.
    ours = TIME_IN_ID.match(message_id)
    return Place(int(ours[1], 16) if ours else 0, 0, NEWEST.queue_id)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and from where on."""

    scope: Scope | None
    wanted: MessageFilter
    start: Place


class Terms:
    """The conditions of a statement with their parameters; every value is a parameter."""

    def __init__(self) -> None:
        self._terms: list[str] = []
        self.params: list[object] = []

    def add(self, term: str, *params: object) -> None:
        self._terms.append(term)
        self.params += params

    @property
    def where(self) -> str:
        return f"WHERE {' AND '.join(self._terms)}" if self._terms else ""


async def search(session: Session, search: Search, limit: int) -> Sequence[Row]:
    """The facts of up to `limit` messages."""
    status = search.wanted.status.lower()
    if search.wanted.recipient:
        return await _by_recipient(session, search, limit)
    if status in GONE_WRONG or (status == RecipientState.QUEUED and await _few_are_queued(session)):
        return await _by_state(session, search, limit)
    return await _by_time(session, search, limit)


async def _by_time(session: Session, search: Search, limit: int) -> Sequence[Row]:
    """Along the index of the sender, the scope, or time alone."""
    found = Terms()
    if search.scope is not None and search.wanted.sender:
        # As expressions, here and below: a plain account and region would offer the primary key as the way.
        found.add("(m.account || '') = ? AND (m.region || '') = ?", *search.scope)
    elif search.scope is not None:
        found.add("(m.account || ' ' || m.region) = ?", " ".join(search.scope))
    _narrow(found, search)
    return await session.rows(
        f"SELECT m.facts FROM messages m {found.where} ORDER BY m.accepted_ms DESC, m.id DESC LIMIT ?",
        (*found.params, limit),
    )


async def _by_recipient(session: Session, search: Search, limit: int) -> Sequence[Row]:
    """Shelf by shelf of the index, in growing armfuls."""
    newest = await session.rows("SELECT max(id) FROM queue WHERE id < ?", (search.start.queue_id,))
    oldest = await session.rows("SELECT min(id) FROM queue")
    if newest[0][0] is None:
        return []
    shelf, last = newest[0][0] // SHELF, oldest[0][0] // SHELF
    since_ms = search.wanted.since_ms
    rows: list[Row] = []
    armful = 1
    while shelf >= last and len(rows) < limit:
        shelves = range(shelf, shelf - armful, -1)
        rows += await _on_shelves(session, shelves, search, limit - len(rows))
        if since_ms and await _older_than(session, shelves[-1] * SHELF, since_ms - DISORDER_MS):
            break
        shelf -= armful
        armful = min(armful * 2, MOST_SHELVES)
    return rows


async def _on_shelves(session: Session, shelves: Sequence[int], search: Search, limit: int) -> Sequence[Row]:
    found = Terms()
    found.add(f"(q.id / {SHELF}) IN ({placeholders(len(shelves))})", *shelves)
    found.add(
        "lower(q.recipient) = lower(CAST(? AS TEXT)) AND q.id < ?", search.wanted.recipient, search.start.queue_id
    )
    return await _of_recipients(session, found, search, "lower(o.recipient) = lower(q.recipient)", "q.id DESC", limit)


async def _by_state(session: Session, search: Search, limit: int) -> Sequence[Row]:
    """Along the index of what is queued, or of what went wrong."""
    found = Terms()
    status = search.wanted.status.lower()
    # Word for word the condition of a partial index, for SQLite does not prove one from another.
    found.add(IS_GONE_WRONG if status in GONE_WRONG else "q.state = 'queued'")
    found.add("q.state = ? AND q.queued_ms <= ?", status, search.start.accepted_ms)
    return await _of_recipients(session, found, search, "o.state = q.state", "q.queued_ms DESC, m.id DESC", limit)


async def _of_recipients(
    session: Session, found: Terms, search: Search, same: str, order: str, limit: int
) -> Sequence[Row]:
    """The facts of messages, each once, though several of its recipients may be found."""
    if search.scope is not None:
        found.add("(q.account || '') = ? AND (q.region || '') = ?", *search.scope)
    found.add(
        "NOT EXISTS (SELECT 1 FROM queue o WHERE o.account = q.account AND o.region = q.region"
        f" AND o.message_id = q.message_id AND o.recipient < q.recipient AND {same})"
    )
    found.add("m.account = q.account AND m.region = q.region AND m.message_id = q.message_id")
    _narrow(found, search)
    # CROSS JOIN: SQLite keeps the order of the tables.
    return await session.rows(
        f"SELECT m.facts FROM queue q CROSS JOIN messages m {found.where} ORDER BY {order} LIMIT ?",
        (*found.params, limit),
    )


async def _older_than(session: Session, queue_id: int, at_ms: int) -> bool:
    """True where the first row from this id on was queued before that time."""
    rows = await session.rows("SELECT queued_ms FROM queue WHERE id >= ? ORDER BY id LIMIT 1", (queue_id,))
    return bool(rows) and rows[0][0] < at_ms


async def _few_are_queued(session: Session) -> bool:
    """True where sorting all that is queued is less work than walking along time until enough was met."""
    rows = await session.rows(
        "SELECT count(*) FROM (SELECT 1 FROM queue WHERE state = 'queued' LIMIT ?) AS queued", (FEW + 1,)
    )
    return int(rows[0][0]) <= FEW


def _narrow(found: Terms, search: Search) -> None:
    wanted, start = search.wanted, search.start
    if start is not NEWEST:
        found.add("(m.accepted_ms, m.id) < (?, ?)", start.accepted_ms, start.id)
    if wanted.since_ms:
        found.add("m.accepted_ms >= ?", wanted.since_ms)
    if wanted.sender:
        found.add("m.sender = ?", address_in(wanted.sender))
    if wanted.subject:
        found.add("m.subject LIKE ? ESCAPE '!'", _containing(wanted.subject))
    if wanted.direction is not None:
        found.add("m.direction = ?", wanted.direction.value)
    if wanted.status:
        found.add(
            "EXISTS (SELECT 1 FROM queue s WHERE s.account = m.account AND s.region = m.region"
            " AND s.message_id = m.message_id AND s.state = ?)",
            wanted.status.lower(),
        )


def _containing(text: str) -> str:
    """The LIKE pattern for texts that contain this one."""
    return "%" + LIKE_SPECIAL.sub(lambda special: f"!{special[0]}", folded(text)) + "%"
