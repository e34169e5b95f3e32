"""Topics of the embedded stand-in for SNS: who has them, and the last that each was given."""

from collections.abc import Sequence
from typing import NamedTuple

from posthouse.ports.topics import KeptNotification, Notification, Topic
from posthouse.ports.wakeups import Topic as WakeupTopic
from posthouse.ports.wakeups import Wakeups
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.group_commit import GroupCommit
from posthouse.stores.subscriptions import INSERT_TOPIC, deliver

KEPT = 1000
"""Notifications of one topic; older ones go."""

INSERT_NOTIFICATION = (
    "INSERT INTO topic_notifications (account, arn, message_id, subject, message, published_ms)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
SELECT_NOTIFICATIONS = "SELECT seq, account, message_id, subject, message, published_ms FROM topic_notifications"


class Addition(NamedTuple):
    account: str
    arn: str
    notification: Notification
    create: bool


class SqlTopics:
    """See `ports.topics.TopicStore`."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups
        self._group = GroupCommit[Addition, bool](self._commit)

    async def create(self, account: str, arn: str, now_ms: int) -> None:
        await self._database.write(lambda session: session.run(INSERT_TOPIC, (account, arn, now_ms)))

    async def add(self, account: str, arn: str, notification: Notification, create: bool) -> bool:
        return await self._group.join(Addition(account, arn, notification, create))

    async def _commit(self, group: Sequence[Addition]) -> Sequence[bool]:
        taken, deliveries = await self._database.write(lambda session: _add(session, group))
        if deliveries:
            self._wakeups.notify(WakeupTopic.SUBSCRIBERS)
        return taken

    async def page(self, account: str | None, after: str, limit: int) -> Sequence[Topic]:
        last_account, _, last_arn = after.partition(" ")
        last = (last_account, last_arn)
        whose, params = ("", last) if account is None else ("account = ? AND ", (account, *last))
        sql = f"SELECT account, arn, created_ms FROM topics WHERE {whose}(account, arn) > (?, ?)"
        rows = await self._database.read(
            lambda session: session.rows(f"{sql} ORDER BY account, arn LIMIT ?", (*params, limit))
        )
        return [Topic(account=account, arn=arn, created_ms=created_ms) for account, arn, created_ms in rows]

    async def notifications(
        self, account: str | None, arn: str, before_seq: int | None, limit: int
    ) -> Sequence[KeptNotification] | None:
        async def select(session: Session) -> Sequence[Row] | None:
            whose, params = ("", (arn,)) if account is None else (" AND account = ?", (arn, account))
            if not await session.rows(f"SELECT 1 FROM topics WHERE arn = ?{whose} LIMIT 1", params):
                return None
            before, bound = ("", ()) if before_seq is None else (" AND seq < ?", (before_seq,))
            return await session.rows(
                f"{SELECT_NOTIFICATIONS} WHERE arn = ?{whose}{before} ORDER BY seq DESC LIMIT ?",
                (*params, *bound, limit),
            )

        rows = await self._database.read_long(select)
        return None if rows is None else [_kept(row) for row in rows]

    async def close(self) -> None:
        await self._group.close()


async def _add(session: Session, group: Sequence[Addition]) -> tuple[Sequence[bool], int]:
    """Which were taken, and how many deliveries that made."""
    # In one order everywhere, so that two nodes never wait for each other's rows.
    created = sorted({(each.account, each.arn): each for each in group if each.create}.items())
    await session.many(INSERT_TOPIC, [(*key, each.notification.published_ms) for key, each in created])
    named = sorted({(each.account, each.arn) for each in group})
    known = {key for key in named if await session.rows("SELECT 1 FROM topics WHERE account = ? AND arn = ?", key)}
    taken = [(each.account, each.arn) in known for each in group]
    added = [each for each, there in zip(group, taken, strict=True) if there]
    await session.many(INSERT_NOTIFICATION, [_row(each) for each in added])
    deliveries = await deliver(session, [(each.account, each.arn, each.notification) for each in added])
    await session.many(
        "DELETE FROM topic_notifications WHERE arn = ? AND account = ? AND seq <= (SELECT seq FROM topic_notifications"
        f" WHERE arn = ? AND account = ? ORDER BY seq DESC LIMIT 1 OFFSET {KEPT})",
        [(arn, account, arn, account) for account, arn in sorted(known)],
    )
    return taken, deliveries


def _row(added: Addition) -> Row:
    given = added.notification
    return (added.account, added.arn, given.message_id, given.subject, given.message, given.published_ms)


def _kept(row: Row) -> KeptNotification:
    seq, account, message_id, subject, message, published_ms = row
    notification = Notification(message_id=message_id, subject=subject, message=message, published_ms=published_ms)
    return KeptNotification(seq=seq, account=account, notification=notification)
