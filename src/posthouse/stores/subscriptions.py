"""Subscribers of the embedded stand-in's topics, and the deliveries to them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from posthouse.domain.subscriptions import Endpoint, MessageType
from posthouse.ports.subscriptions import (
    DeadLetter,
    Delivery,
    DeliveryEnd,
    GivenUp,
    Health,
    KeptSubscription,
    Made,
    PutOff,
    SigningPair,
    Subscription,
)
from posthouse.ports.topics import Notification
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores.database import Database, Row, Session, padded, placeholders
from posthouse.stores.group_commit import GroupCommit
from posthouse.stores.sealing import Seal

KEPT_DEAD = 1000
"""Dead letters of one topic; older ones go."""

INSERT_TOPIC = "INSERT INTO topics (account, arn, created_ms) VALUES (?, ?, ?) ON CONFLICT (account, arn) DO NOTHING"
COLUMNS = (
    "id, account, topic_arn, arn, endpoint, sealed_login, raw, confirmed, token, keeps_to_owner, created_ms,"
    " failures, resume_ms, last_failure, last_failure_ms"
)
SELECT = f"SELECT {COLUMNS} FROM subscriptions"
INSERT = (
    "INSERT INTO subscriptions (account, topic_arn, endpoint, arn, token, created_ms, sealed_login, raw, confirmed,"
    " keeps_to_owner, failures, resume_ms, last_failure, last_failure_ms, lease_owner, lease_until_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, NULL, 0, 0, 0, 0, 0, '', 0, '', 0)"
    " ON CONFLICT (account, topic_arn, endpoint) DO NOTHING"
)
INSERT_DELIVERY = (
    "INSERT INTO topic_deliveries (subscription, type, message_id, subject, message, published_ms, attempts, due_ms,"
    " chain) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)"
)
SELECT_DELIVERIES = (
    "SELECT d.id, d.type, d.message_id, d.subject, d.message, d.published_ms, d.chain, d.attempts"
    " FROM topic_deliveries d WHERE d.subscription = ?"
)
# Not behind one that failed. The plus keeps SQLite from going through all that waits for the subscription.
FREE = (
    "(d.chain = '' OR (SELECT 1 FROM topic_deliveries f WHERE f.attempts > 0 AND f.chain = d.chain AND f.id < d.id"
    " AND +f.subscription = d.subscription LIMIT 1) IS NULL)"
)
# MATERIALIZED: PostgreSQL may run a bare subquery more than once, and so lease more than its LIMIT.
CLAIM = (
    "WITH free AS MATERIALIZED (SELECT id FROM subscriptions WHERE resume_ms <= ? AND lease_until_ms <= ?"
    " AND EXISTS (SELECT 1 FROM topic_deliveries d WHERE d.subscription = subscriptions.id AND d.due_ms <= ?"
    f" AND {FREE})"
    " ORDER BY resume_ms LIMIT ?{skip_locked})"
    " UPDATE subscriptions SET lease_owner = ?, lease_until_ms = ? FROM free WHERE subscriptions.id = free.id"
    " RETURNING subscriptions.id"
)
BURY = (
    "INSERT INTO topic_dead_letters (account, topic_arn, subscription_arn, endpoint, type, message_id, subject,"
    " message, published_ms, attempts, reason, died_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
TRIM_DEAD = (
    "DELETE FROM topic_dead_letters WHERE topic_arn = ? AND account = ? AND seq <= (SELECT seq FROM topic_dead_letters"
    f" WHERE topic_arn = ? AND account = ? ORDER BY seq DESC LIMIT 1 OFFSET {KEPT_DEAD})"
)


class Settlement(NamedTuple):
    subscription: int
    ends: Sequence[DeliveryEnd]
    health: Health
    now_ms: int


class SqlSubscriptions:
    """See `ports.subscriptions.SubscriptionStore`."""

    def __init__(self, database: Database, seal: Seal, wakeups: Wakeups) -> None:
        self._database = database
        self._seal = seal
        self._wakeups = wakeups
        self._group = GroupCommit[Settlement, None](self._settle_group)

    # What people do

    async def subscribe(self, wanted: Subscription, create_topic: bool) -> Subscription | None:
        key = (wanted.account, wanted.topic_arn, wanted.endpoint.url)
        where = "account = ? AND topic_arn = ? AND endpoint = ?"

        async def put(session: Session) -> Row | None:
            if create_topic:
                await session.run(INSERT_TOPIC, (*key[:2], wanted.created_ms))
            elif not await session.rows("SELECT 1 FROM topics WHERE account = ? AND arn = ?", key[:2]):
                return None
            await session.run(INSERT, (*key, wanted.arn, wanted.token, wanted.created_ms))
            (row,) = await session.rows(f"{SELECT} WHERE {where}{session.dialect.for_update}", key)
            await self._renew_subscription(session, self._kept(row), wanted)
            (row,) = await session.rows(f"{SELECT} WHERE {where}", key)
            return row

        row = await self._database.write(put)
        self._wakeups.notify(Topic.SUBSCRIBERS)
        return None if row is None else self._kept(row).subscription

    async def _renew_subscription(self, session: Session, there: KeptSubscription, wanted: Subscription) -> None:
        """Makes the one that is there, new or old, what is wanted now."""
        login = wanted.endpoint.login
        sealed = self._seal.close(login.encode(), _owner(there.subscription.arn)) if login else None
        await session.run(
            "UPDATE subscriptions SET sealed_login = ?, raw = ? WHERE id = ?", (sealed, int(wanted.raw), there.number)
        )
        if there.subscription.confirmed:
            return
        await session.run(f"DELETE FROM topic_deliveries WHERE {_CONFIRMATIONS}", (there.number,))
        if wanted.confirmed:
            await session.run("UPDATE subscriptions SET confirmed = 1 WHERE id = ?", (there.number,))
            return
        now_ms, kind = wanted.created_ms, MessageType.CONFIRMATION.value
        # Its message id is the last part of the subscription's ARN. Whoever was down is asked at once all the same.
        name = there.subscription.arn.rpartition(":")[2]
        await session.run(INSERT_DELIVERY, (there.number, kind, name, None, "", now_ms, now_ms, ""))
        await session.run(
            "UPDATE subscriptions SET token = ?, created_ms = ?, resume_ms = ? WHERE id = ?",
            (wanted.token, now_ms, now_ms, there.number),
        )

    async def confirm(
        self, topic_arn: str, token: str, not_before_ms: int, keeps_to_owner: bool
    ) -> Subscription | None:
        async def change(session: Session) -> Row | None:
            where = "token = ? AND topic_arn = ? AND (confirmed = 1 OR created_ms >= ?)"
            rows = await session.rows(
                f"{SELECT} WHERE {where}{session.dialect.for_update}", (token, topic_arn, not_before_ms)
            )
            for row in rows:
                keep = ", keeps_to_owner = 1" if keeps_to_owner else ""
                await session.run(f"UPDATE subscriptions SET confirmed = 1{keep} WHERE id = ?", row[:1])
                await session.run(f"DELETE FROM topic_deliveries WHERE {_CONFIRMATIONS}", row[:1])
                (after,) = await session.rows(f"{SELECT} WHERE id = ?", row[:1])
                return after
            return None

        row = await self._database.write(change)
        return None if row is None else self._kept(row).subscription

    async def find(self, arn: str) -> KeptSubscription | None:
        async def select(session: Session) -> KeptSubscription | None:
            rows = await session.rows(f"{SELECT} WHERE arn = ?", (arn,))
            return self._kept(rows[0], await _waiting(session, rows[0][0])) if rows else None

        return await self._database.read_long(select)

    async def unsubscribe(self, arn: str) -> bool:
        async def end(session: Session) -> bool:
            rows = await session.rows("DELETE FROM subscriptions WHERE arn = ? RETURNING id", (arn,))
            for (number,) in rows:
                await session.run("DELETE FROM topic_deliveries WHERE subscription = ?", (number,))
            return bool(rows)

        return await self._database.write(end)

    async def page(
        self, account: str | None, topic_arn: str | None, after: str, limit: int
    ) -> Sequence[KeptSubscription]:
        given = [("account = ?", account), ("topic_arn = ?", topic_arn), ("arn > ?", after)]
        where = " AND ".join(condition for condition, value in given if value is not None)
        params = [value for _, value in given if value is not None]

        async def select(session: Session) -> Sequence[KeptSubscription]:
            rows = await session.rows(f"{SELECT} WHERE {where} ORDER BY arn LIMIT ?", (*params, limit))
            return [self._kept(row, await _waiting(session, row[0])) for row in rows]

        return await self._database.read_long(select)

    async def dead_letters(
        self, account: str | None, topic_arn: str, before_seq: int | None, limit: int
    ) -> Sequence[DeadLetter]:
        given = [("topic_arn = ?", topic_arn), ("account = ?", account), ("seq < ?", before_seq)]
        where = " AND ".join(condition for condition, value in given if value is not None)
        params = [value for _, value in given if value is not None]
        columns = (
            "seq, account, subscription_arn, endpoint, attempts, reason, died_ms,"
            " type, message_id, subject, message, published_ms"
        )
        sql = f"SELECT {columns} FROM topic_dead_letters WHERE {where} ORDER BY seq DESC LIMIT ?"
        rows = await self._database.read_long(lambda session: session.rows(sql, (*params, limit)))
        return [
            DeadLetter(
                seq=row[0],
                account=row[1],
                subscription_arn=row[2],
                endpoint=row[3],
                attempts=row[4],
                reason=row[5],
                died_ms=row[6],
                type=MessageType(row[7]),
                notification=_notification(row[8:12]),
            )
            for row in rows
        ]

    # What the engine does

    async def claim(self, owner: str, now_ms: int, lease_ms: int, limit: int) -> Sequence[KeptSubscription]:
        async def lease(session: Session) -> Sequence[Row]:
            sql = CLAIM.format(skip_locked=session.dialect.skip_locked)
            leased = await session.rows(sql, (now_ms, now_ms, now_ms, limit, owner, now_ms + lease_ms))
            return await session.rows_of_many(f"{SELECT} WHERE id = ?", leased)

        rows = await self._database.write(lease, durable=False)
        return sorted((self._kept(row) for row in rows), key=lambda kept: kept.health.resume_ms)

    async def due(
        self, subscription: int, now_ms: int, limit: int, excluding: Collection[int] = ()
    ) -> Sequence[Delivery]:
        but = padded(tuple(sorted(excluding)))
        not_these = f" AND d.id NOT IN ({placeholders(len(but))})" if but else ""
        sql = f"{SELECT_DELIVERIES} AND d.due_ms <= ?{not_these} AND {FREE} ORDER BY d.due_ms, d.id LIMIT ?"
        rows = await self._database.read(lambda session: session.rows(sql, (subscription, now_ms, *but, limit)))
        return [_delivery(row) for row in rows]

    async def overdue(
        self, subscription: int, published_before_ms: int, most_waiting: int, limit: int
    ) -> Sequence[Delivery]:
        async def select(session: Session) -> Sequence[Row]:
            # By id, which is the order of publishing but for what came within the same moment.
            surplus = await session.rows(
                "SELECT id FROM topic_deliveries WHERE subscription = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
                (subscription, most_waiting),
            )
            last = surplus[0][0] if surplus else 0
            return await session.rows(
                f"{SELECT_DELIVERIES} AND (d.published_ms < ? OR d.id <= ?) ORDER BY d.id LIMIT ?",
                (subscription, published_before_ms, last, limit),
            )

        return [_delivery(row) for row in await self._database.read_long(select)]

    async def settle(self, subscription: int, ends: Sequence[DeliveryEnd], health: Health, now_ms: int) -> None:
        await self._group.join(Settlement(subscription, ends, health, now_ms))

    async def _settle_group(self, group: Sequence[Settlement]) -> Sequence[None]:
        # Not durable: what a power cut takes back is delivered once more, as at-least-once allows.
        await self._database.write(lambda session: _settle(session, group), durable=False)
        return [None] * len(group)

    async def renew(self, owner: str, until_ms: int) -> None:
        sql = "UPDATE subscriptions SET lease_until_ms = ? WHERE lease_owner = ? AND lease_owner <> ''"
        await self._database.write(lambda session: session.run(sql, (until_ms, owner)), durable=False)

    async def keep_only(self, owner: str, held: Collection[int]) -> int:
        known = set(held)

        async def free(session: Session) -> int:
            sql = "SELECT id FROM subscriptions WHERE lease_owner = ? AND lease_owner <> ''"
            untold = sorted((number, owner) for (number,) in await session.rows(sql, (owner,)) if number not in known)
            await session.many(
                "UPDATE subscriptions SET lease_owner = '', lease_until_ms = 0 WHERE id = ? AND lease_owner = ?", untold
            )
            return len(untold)

        return await self._database.write(free, durable=False)

    async def release(self, owner: str, subscription: int | None = None, now_ms: int = 0) -> int:
        which, params = ("", ()) if subscription is None else (" AND id = ?", (subscription,))
        sql = (
            "UPDATE subscriptions SET lease_owner = '', lease_until_ms = 0,"
            " resume_ms = CASE WHEN resume_ms < ? THEN ? ELSE resume_ms END"
            f" WHERE lease_owner = ? AND lease_owner <> ''{which} RETURNING id"
        )
        released = await self._database.write(
            lambda session: session.rows(sql, (now_ms, now_ms, owner, *params)), durable=False
        )
        return len(released)

    async def owners(self) -> Sequence[str]:
        sql = "SELECT DISTINCT lease_owner FROM subscriptions WHERE lease_owner <> ''"
        return [owner for (owner,) in await self._database.read(lambda session: session.rows(sql))]

    async def sweep(self) -> None:
        async def remove_orphans(session: Session) -> None:
            # From one subscription to the next along the index, however much waits for each.
            last, step = -1, "SELECT min(subscription) FROM topic_deliveries WHERE subscription > ?"
            while (last := (await session.rows(step, (last,)))[0][0]) is not None:
                if not await session.rows("SELECT 1 FROM subscriptions WHERE id = ?", (last,)):
                    await session.run("DELETE FROM topic_deliveries WHERE subscription = ?", (last,))

        await self._database.write(remove_orphans)

    async def next_due_ms(self) -> int | None:
        sql = (
            "SELECT resume_ms, lease_until_ms, (SELECT due_ms FROM topic_deliveries d"
            f" WHERE d.subscription = subscriptions.id AND {FREE} ORDER BY due_ms LIMIT 1) FROM subscriptions"
        )
        rows = await self._database.read(lambda session: session.rows(sql))
        return min((max(row) for row in rows if row[2] is not None), default=None)

    # What subscribers verify

    async def signing_pair(self) -> SigningPair | None:
        rows = await self._database.read(lambda session: session.rows(SELECT_PAIR))
        return self._pair(rows[0]) if rows else None

    async def offer_signing_pair(self, pair: SigningPair, now_ms: int) -> SigningPair:
        sealed = self._seal.close(pair.private_pem, _PAIR)

        async def offer(session: Session) -> Row:
            await session.run(
                "INSERT INTO topic_signing (one, sealed_pem, certificate, created_ms) VALUES (1, ?, ?, ?)"
                " ON CONFLICT (one) DO NOTHING",
                (sealed, pair.certificate_pem, now_ms),
            )
            return (await session.rows(SELECT_PAIR))[0]

        return self._pair(await self._database.write(offer))

    def _pair(self, row: Row) -> SigningPair:
        return SigningPair(private_pem=self._seal.open(row[0], _PAIR), certificate_pem=row[1])

    async def close(self) -> None:
        await self._group.close()

    def _kept(self, row: Row, waiting: int = 0) -> KeptSubscription:
        number, account, topic_arn, arn, url, sealed, raw, confirmed, token, keeps, created_ms, *health = row
        login = self._seal.open(bytes(sealed), _owner(arn)).decode() if sealed is not None else ""
        subscription = Subscription(
            account=account,
            topic_arn=topic_arn,
            arn=arn,
            endpoint=Endpoint(url=url, login=login),
            raw=bool(raw),
            confirmed=bool(confirmed),
            token=token,
            keeps_to_owner=bool(keeps),
            created_ms=created_ms,
        )
        failures, resume_ms, last_failure, last_failure_ms = health
        how = Health(failures=failures, resume_ms=resume_ms, last_failure=last_failure, last_failure_ms=last_failure_ms)
        return KeptSubscription(number=number, subscription=subscription, health=how, waiting=waiting)


_PAIR = "topic signing"
_CONFIRMATIONS = f"subscription = ? AND type = '{MessageType.CONFIRMATION.value}'"
SELECT_PAIR = "SELECT sealed_pem, certificate FROM topic_signing WHERE one = 1"


def _owner(arn: str) -> str:
    return f"login {arn}"


async def _waiting(session: Session, subscription: int) -> int:
    rows = await session.rows("SELECT count(*) FROM topic_deliveries WHERE subscription = ?", (subscription,))
    return int(rows[0][0])


async def deliver(session: Session, notifications: Sequence[tuple[str, str, Notification]]) -> int:
    """Inside the transaction that publishes (account, topic, notification): a delivery to each confirmed subscriber of
    each; how many that were."""
    subscribers: dict[tuple[str, str], Sequence[Row]] = {}
    sql = "SELECT id FROM subscriptions WHERE account = ? AND topic_arn = ? AND confirmed = 1"
    for account, arn, _ in notifications:
        if (account, arn) not in subscribers:
            subscribers[account, arn] = await session.rows(sql, (account, arn))
    kind = MessageType.NOTIFICATION.value
    rows = [
        (
            *(number, kind, given.message_id, given.subject, given.message, given.published_ms, given.published_ms),
            given.chain,
        )
        for account, arn, given in notifications
        for (number,) in subscribers[account, arn]
    ]
    await session.many(INSERT_DELIVERY, rows)
    return len(rows)


async def _settle(session: Session, group: Sequence[Settlement]) -> None:
    # By number everywhere, so that two nodes never wait for each other's rows.
    ends = sorted((end for each in group for end in each.ends), key=lambda end: end.number)
    given_up = [(each, end) for each in group for end in each.ends if isinstance(end, GivenUp)]
    if given_up:
        await _bury(session, given_up)
    await session.many(
        "UPDATE topic_deliveries SET attempts = attempts + 1, due_ms = ? WHERE id = ?",
        [(end.due_ms, end.number) for end in ends if isinstance(end, PutOff)],
    )
    await session.many(
        "DELETE FROM topic_deliveries WHERE id = ?", [(end.number,) for end in ends if isinstance(end, Made | GivenUp)]
    )
    latest = {each.subscription: each.health for each in group}
    await session.many(
        "UPDATE subscriptions SET failures = ?, resume_ms = ?, last_failure = ?, last_failure_ms = ? WHERE id = ?"
        " AND (failures <> ? OR last_failure_ms <> ? OR resume_ms < ?)",
        [
            (
                *(how.failures, how.resume_ms, how.last_failure, how.last_failure_ms, number),
                *(how.failures, how.last_failure_ms, how.resume_ms),
            )
            for number, how in sorted(latest.items())
        ],
    )


async def _bury(session: Session, given_up: Sequence[tuple[Settlement, GivenUp]]) -> None:
    columns = (
        "s.account, s.topic_arn, s.arn, s.endpoint, d.type, d.message_id, d.subject, d.message, d.published_ms,"
        " d.attempts"
    )
    sql = f"SELECT {columns} FROM topic_deliveries d JOIN subscriptions s ON s.id = d.subscription WHERE d.id = ?"
    topics = set()
    for settlement, end in given_up:
        for row in await session.rows(sql, (end.number,)):
            attempts = row[9] + (1 if end.tried else 0)
            await session.run(BURY, (*row[:9], attempts, end.reason, settlement.now_ms))
            topics.add((row[1], row[0]))
    await session.many(TRIM_DEAD, [(*topic, *topic) for topic in sorted(topics)])


def _notification(row: Row, chain: str = "") -> Notification:
    message_id, subject, message, published_ms = row
    return Notification(message_id=message_id, subject=subject, message=message, published_ms=published_ms, chain=chain)


def _delivery(row: Row) -> Delivery:
    number, kind, *given, chain, attempts = row
    told = _notification(given, chain)
    return Delivery(number=number, type=MessageType(kind), notification=told, attempts=attempts)
