"""A token bucket for each operation of each scope. Only asked where calls are limited at all."""

from posthouse.domain.call_rates import admit_call
from posthouse.domain.quotas import RateBucket
from posthouse.domain.scope import Scope
from posthouse.ports.clock import Clock
from posthouse.stores.database import Database, Session

SELECT = "SELECT tokens, at_ms FROM call_rates WHERE account = ? AND region = ? AND operation = ?"


class SqlCallRates:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def admit(self, scope: Scope, operation: str, calls_per_s: float) -> bool:
        key = (*scope, operation)

        async def look(session: Session) -> bool:
            rows = await session.rows(SELECT, key)
            return not rows or admit_call(RateBucket(*rows[0]), calls_per_s, self._clock.now_ms()) is not None

        async def take(session: Session) -> bool:
            full = max(1.0, calls_per_s)
            await session.run(
                "INSERT INTO call_rates (account, region, operation, tokens, at_ms) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (account, region, operation) DO NOTHING",
                (*key, full, self._clock.now_ms()),
            )
            rows = await session.rows(SELECT + session.dialect.for_update, key)
            # The time after the lock: who waited for it has waited for tokens too.
            bucket = admit_call(RateBucket(*rows[0]), calls_per_s, self._clock.now_ms())
            if bucket is None:
                return False
            await session.run(
                "UPDATE call_rates SET tokens = ?, at_ms = ? WHERE account = ? AND region = ? AND operation = ?",
                (bucket.tokens, bucket.at_ms, *key),
            )
            return True

        # A flood of calls that come too early is turned away by reading.
        return await self._database.read(look) and await self._database.write(take, durable=False)
