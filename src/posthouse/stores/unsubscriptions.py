"""Who has left a mailing list. See `ports.mailstore.Unsubscriptions`."""

from collections.abc import Sequence

from posthouse.domain.events import Event
from posthouse.domain.mailing_lists import MailingList, Unsubscription, binding_topics
from posthouse.domain.scope import Scope
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.events import write_events

INSERT = (
    "INSERT INTO unsubscriptions (account, region, list_name, topic, address, at_ms, message_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING address"
)
OF_LIST = "account = ? AND region = ? AND list_name = ?"
HAS_LEFT = f"SELECT CAST(? AS BIGINT) FROM unsubscriptions WHERE {OF_LIST} AND topic IN (?, ?) AND address = ?"

_Key = tuple[str, str, str]
Asked = tuple[_Key, MailingList, str]
"""Account, region and id of a message, the list that it is for, and one of its recipients."""


async def who_has_left(session: Session, asked: Sequence[Asked]) -> set[tuple[_Key, str]]:
    """Those of the recipients that get no mail of the list."""
    params = [
        (number, *key[:2], mailing_list.name, *binding_topics(mailing_list.topic), recipient.lower())
        for number, (key, mailing_list, recipient) in enumerate(asked)
    ]
    rows = await session.rows_of_many(HAS_LEFT, params)
    return {(asked[number][0], asked[number][2]) for (number,) in rows}


class SqlUnsubscriptions:
    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database, self._wakeups = database, wakeups

    async def add(self, scope: Scope, left: Unsubscription, event: Event) -> bool:
        async def write(session: Session) -> bool:
            row = (*scope, left.name, left.topic, left.address, left.at_ms, left.message_id)
            if not await session.rows(INSERT, row):
                return False
            await write_events(session, [event])
            return True

        added = await self._database.write(write)
        if added:
            self._wakeups.notify(Topic.EVENTS)
        return added

    async def page(self, scope: Scope, name: str, after: str, limit: int) -> Sequence[Unsubscription]:
        topic, _, address = after.partition(" ")
        rows = await self._database.read_long(
            lambda session: session.rows(
                f"SELECT list_name, topic, address, at_ms, message_id FROM unsubscriptions WHERE {OF_LIST}"
                " AND (topic, address) > (?, ?) ORDER BY topic, address LIMIT ?",
                (*scope, name, topic, address, limit),
            )
        )
        return [_left(row) for row in rows]

    async def remove(self, scope: Scope, name: str, topic: str, address: str) -> bool:
        rows = await self._database.write(
            lambda session: session.rows(
                f"DELETE FROM unsubscriptions WHERE {OF_LIST} AND topic = ? AND address = ? RETURNING address",
                (*scope, name, topic, address.lower()),
            )
        )
        return bool(rows)


def _left(row: Row) -> Unsubscription:
    name, topic, address, at_ms, message_id = row
    return Unsubscription(name=name, topic=topic, address=address, at_ms=at_ms, message_id=message_id)
