"""The way in for outgoing messages, with their queue rows; how any message becomes rows (`stores/inbox.py` too)."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from posthouse.domain.messages import NewMessage, RecipientState, domain_of
from posthouse.domain.quotas import WINDOW_MS, Refusal, SendingLimits
from posthouse.domain.scope import Scope
from posthouse.ports.blobs import Blobs
from posthouse.ports.clock import Clock
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores import allowances, contents
from posthouse.stores.allowances import Charge
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.group_commit import GroupCommit

INSERT_MESSAGE = (
    "INSERT INTO messages (account, region, message_id, accepted_ms, direction, sender, subject, facts, blob, data)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_RECIPIENT = (
    "INSERT INTO queue (account, region, message_id, recipient, state, domain, attempts, queued_ms, due_ms,"
    " lease_owner, updated_ms, reply) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, '', ?, '')"
)

_encoder = msgspec.json.Encoder()


class Rows(NamedTuple):
    """A message as the rows that will hold it."""

    message: Row
    recipients: Sequence[Row]
    charge: Charge | None


# As much of a sender or subject as can be searched; an index does not take any length.
SEARCHED_CHARACTERS = 500


def folded(text: str) -> str:
    """For comparing without regard to case. NUL, which PostgreSQL cannot keep in text, becomes a blank."""
    return text[:SEARCHED_CHARACTERS].casefold().replace("\0", " ")


def address_in(source: str) -> str:
    """The address of ``Name <address>``, or all of it, folded."""
    start, end = source.rfind("<"), source.rfind(">")
    return folded(source[start + 1 : end] if 0 <= start < end else source).strip()


def rows_of(message: NewMessage, state: RecipientState, content: contents.Content, charge: Charge | None) -> Rows:
    """Everything that may be wrong with a message shows here, where it is alone, not in the group's transaction."""
    facts = message.facts
    account, region = facts.scope
    message_id, at_ms = facts.message_id, facts.accepted_ms
    direction, state_name = facts.direction.value, state.value
    "".join(message.recipients).encode()
    return Rows(
        (
            account, region, message_id, at_ms, direction, address_in(facts.source), folded(facts.subject),
            _encoder.encode(facts).decode(), content.blob, content.data,
        ),
        [
            (account, region, message_id, recipient, state_name, domain_of(recipient), at_ms, at_ms, at_ms)
            for recipient in message.recipients
        ],
        charge,
    )  # fmt: skip


async def insert(session: Session, group: Sequence[Rows]) -> None:
    await session.many(INSERT_MESSAGE, [rows.message for rows in group])
    await session.many(INSERT_RECIPIENT, [row for rows in group for row in rows.recipients])


class SqlSubmissions:
    """Outgoing messages, charged and stored by groups."""

    def __init__(self, database: Database, blobs: Blobs, clock: Clock, wakeups: Wakeups) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._wakeups = wakeups
        self._group = GroupCommit[Rows, Refusal | None](self._commit)

    async def add(self, message: NewMessage, limits: SendingLimits | None, simulated: int = 0) -> Refusal | None:
        charge = None if limits is None else Charge(message.facts.scope, len(message.recipients), limits, simulated)
        content = await contents.set_down(self._blobs, message.content)
        refusal = await self._group.join(rows_of(message, RecipientState.QUEUED, content, charge))
        if refusal is not None and content.blob is not None:
            await self._blobs.delete(content.blob)
        return refusal

    async def _commit(self, group: Sequence[Rows]) -> Sequence[Refusal | None]:
        async def store(session: Session) -> Sequence[Refusal | None]:
            refusals = await allowances.charge(session, [rows.charge for rows in group], self._clock.now_ms())
            admitted = [rows for rows, refusal in zip(group, refusals, strict=True) if refusal is None]
            await insert(session, admitted)
            return refusals

        refusals = await self._database.write(store)
        if None in refusals:
            self._wakeups.notify(Topic.QUEUE)
            self._wakeups.notify(Topic.EVENTS)
        return refusals

    async def sent_last_24_hours(self, scope: Scope, now_ms: int) -> int:
        return await self._database.read(
            lambda session: allowances.sent_since(session, scope, (now_ms - WINDOW_MS) // 1000)
        )

    async def close(self) -> None:
        await self._group.close()
