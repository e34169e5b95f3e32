"""Whom an account's mail is no longer sent to. See `ports.mailstore.Suppressions`."""

from collections.abc import Iterable, Sequence

from posthouse.domain.events import Event
from posthouse.domain.scope import Scope
from posthouse.domain.suppression import Reason, SuppressedAddress, suppressed_by
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.search import LIKE_SPECIAL

PUT = (
    "INSERT INTO suppression (account, region, address, reason, at_ms, message_id) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (account, region, address) DO UPDATE SET reason = excluded.reason, at_ms = excluded.at_ms,"
    " message_id = excluded.message_id"
)
SELECT = "SELECT address, reason, at_ms, message_id FROM suppression WHERE account = ? AND region = ?"


async def suppress(session: Session, events: Iterable[Event]) -> None:
    """Adds those that the events tell to leave alone, within the transaction that logs the events."""
    # In one order everywhere, so that two nodes never wait for each other's rows.
    rows = {(*event.scope, entry.address): entry for event in events for entry in suppressed_by(event)}
    await session.many(PUT, [(*key, *_told(entry)) for key, entry in sorted(rows.items(), key=lambda row: row[0])])


def _told(entry: SuppressedAddress) -> tuple[str, int, str]:
    return entry.reason.value, entry.at_ms, entry.message_id


class SqlSuppressions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, scope: Scope, entry: SuppressedAddress) -> None:
        await self._database.write(lambda session: session.run(PUT, (*scope, entry.address, *_told(entry))))

    async def get(self, scope: Scope, address: str) -> SuppressedAddress | None:
        rows = await self._database.read(
            lambda session: session.rows(f"{SELECT} AND address = ?", (*scope, address.lower()))
        )
        return _entry(rows[0]) if rows else None

    async def remove(self, scope: Scope, address: str) -> bool:
        rows = await self._database.write(
            lambda session: session.rows(
                "DELETE FROM suppression WHERE account = ? AND region = ? AND address = ? RETURNING address",
                (*scope, address.lower()),
            )
        )
        return bool(rows)

    async def page(self, scope: Scope, after: str, limit: int, containing: str = "") -> Sequence[SuppressedAddress]:
        terms, params = f"{SELECT} AND address > ?", [*scope, after.lower()]
        if containing:
            terms += " AND address LIKE ? ESCAPE '!'"
            params.append("%" + LIKE_SPECIAL.sub(lambda special: f"!{special[0]}", containing.lower()) + "%")
        rows = await self._database.read_long(
            lambda session: session.rows(f"{terms} ORDER BY address LIMIT ?", (*params, limit))
        )
        return [_entry(row) for row in rows]

    async def expire(self, before_ms: int) -> int:
        rows = await self._database.write(
            lambda session: session.rows("DELETE FROM suppression WHERE at_ms < ? RETURNING address", (before_ms,))
        )
        return len(rows)


def _entry(row: Row) -> SuppressedAddress:
    address, reason, at_ms, message_id = row
    return SuppressedAddress(address=address, reason=Reason(reason), at_ms=at_ms, message_id=message_id)
