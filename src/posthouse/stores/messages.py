"""Stored messages for readers: one by its id, pages of them, and their deletion."""

import functools
from collections.abc import Sequence

import msgspec

from posthouse.domain.messages import MessageFacts, RecipientState, RecipientStatus, StoredMessage
from posthouse.domain.scope import Scope
from posthouse.ports.blobs import Blobs
from posthouse.ports.mailstore import MessageFilter
from posthouse.stores import contents
from posthouse.stores.contents import KEY
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.search import NEWEST, Search, place_of, scope_of, search

STATUS = (
    "SELECT account, region, message_id, recipient, state, attempts, due_ms, reply, updated_ms FROM queue"
    f" WHERE {KEY} ORDER BY recipient"
)
# How many messages are deleted in one transaction: the others wait for it.
DELETED_AT_ONCE = 500

_facts = msgspec.json.Decoder(MessageFacts)


class SqlMessages:
    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def get(self, scope: Scope, message_id: str) -> StoredMessage | None:
        return await self._database.read(lambda session: _get(session, scope, message_id))

    async def find(self, message_id: str) -> StoredMessage | None:
        return await self._database.read_long(lambda session: _find(session, message_id))

    async def page(
        self, scope: Scope | None, wanted: MessageFilter, before: str, limit: int
    ) -> Sequence[StoredMessage]:
        async def select(session: Session) -> Sequence[StoredMessage]:
            start = await place_of(session, scope, before) if before else NEWEST
            rows = await search(session, Search(scope, wanted, start), limit)
            return await _with_recipients(session, [_facts.decode(facts) for (facts,) in rows])

        return await self._database.read_long(select)

    async def content(self, scope: Scope, message_id: str) -> bytes | None:
        return await self._content(scope, message_id, "messages")

    async def sent(self, scope: Scope, message_id: str) -> bytes | None:
        return await self._content(scope, message_id, "sent")

    async def _content(self, scope: Scope, message_id: str, table: str) -> bytes | None:
        content = await self._database.read(lambda session: contents.find(session, table, scope, message_id))
        return await contents.pick_up(self._blobs, content)

    async def delete_all(self, scope: Scope) -> int:
        deleted, after = 0, ""
        while True:
            ids = await self._database.read_long(functools.partial(_ended, scope=scope, after=after))
            if not ids:
                return deleted
            after = ids[-1]
            deleted += await self._delete(scope, ids)

    async def delete(self, scope: Scope, message_id: str) -> bool:
        return await self._delete(scope, [message_id]) > 0

    async def _delete(self, scope: Scope, message_ids: Sequence[str]) -> int:
        keys = [(*scope, message_id) for message_id in message_ids]
        deleted, blobs = await self._database.write(functools.partial(_remove, keys=keys))
        # After the commit: a row never names a blob that is gone. What is left by a crash here is swept.
        for blob in blobs:
            await self._blobs.delete(blob)
        return deleted


async def _remove(session: Session, *, keys: Sequence[Row]) -> tuple[int, Sequence[str]]:
    """Deletes messages; how many there were, and the blobs that nothing names any more."""
    gone = await session.rows_of_many(f"DELETE FROM messages WHERE {KEY} RETURNING blob", keys)
    sent = await session.rows_of_many(f"DELETE FROM sent WHERE {KEY} RETURNING blob", keys)
    await session.many(f"DELETE FROM queue WHERE {KEY}", keys)
    await session.many(f"DELETE FROM inbox WHERE {KEY}", keys)
    return len(gone), [blob for (blob,) in [*gone, *sent] if blob is not None]


async def _get(session: Session, scope: Scope, message_id: str) -> StoredMessage | None:
    rows = await session.rows(f"SELECT facts FROM messages WHERE {KEY}", (*scope, message_id))
    return (await _with_recipients(session, [_facts.decode(facts) for (facts,) in rows]))[0] if rows else None


async def _find(session: Session, message_id: str) -> StoredMessage | None:
    scope = await scope_of(session, message_id)
    return None if scope is None else await _get(session, scope, message_id)


async def _with_recipients(session: Session, messages: Sequence[MessageFacts]) -> list[StoredMessage]:
    recipients: dict[tuple[Scope, str], list[RecipientStatus]] = {}
    keys = [(*facts.scope, facts.message_id) for facts in messages]
    for account, region, message_id, *status in await session.rows_of_many(STATUS, keys):
        recipients.setdefault((Scope(account, region), message_id), []).append(_status(status))
    return [
        StoredMessage(facts=facts, recipients=tuple(recipients.get((facts.scope, facts.message_id), ())))
        for facts in messages
    ]


def _status(row: Row) -> RecipientStatus:
    recipient, state, attempts, due_ms, reply, updated_ms = row
    return RecipientStatus(
        recipient=recipient,
        state=RecipientState(state),
        attempts=attempts,
        due_ms=due_ms,
        reply=reply,
        updated_ms=updated_ms,
    )


async def _ended(session: Session, *, scope: Scope, after: str) -> Sequence[str]:
    """The next messages by id that nothing is to be done with any more."""
    rows = await session.rows(
        "SELECT m.message_id FROM messages m WHERE m.account = ? AND m.region = ? AND m.message_id > ?"
        " AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.account = m.account AND q.region = m.region"
        " AND q.message_id = m.message_id AND (q.state || '') = 'queued')"
        " AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.account = m.account AND i.region = m.region"
        " AND i.message_id = m.message_id)"
        " ORDER BY m.message_id LIMIT ?",
        (*scope, after, DELETED_AT_ONCE),
    )
    return [message_id for (message_id,) in rows]
