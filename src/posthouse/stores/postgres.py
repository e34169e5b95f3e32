"""PostgreSQL as executor: a pool of asyncpg connections, statements pipelined.

Wording of statements is SQLite's but for the placeholders, turned into ``$n`` once per statement. Rows to insert go
over as arrays, one statement for all of them: a sixth of the server's work of running it for each row.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]

from posthouse.ports.stores import StoreUnavailable
from posthouse.stores.database import Dialect, Row, Session, Work

T = TypeVar("T")

CONNECTIONS = 8
STATEMENT_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
# From asking for a connection to the end of the commit. Whoever calls us waits meanwhile, and shall be told within five
# seconds that the database is away; it takes milliseconds otherwise.
PATIENCE_S = 4.0
ROLLBACK_S = 0.5
# A node that stops, or is cut off, in the midst of a transaction must not hold up the others by what it has locked.
LET_GO_MS = "3000"
# Any number that nobody else takes in this database: "even" in ASCII.
EVENT_TURN = 0x6576656E

POSTGRES = Dialect(
    for_update=" FOR UPDATE",
    skip_locked=" FOR UPDATE SKIP LOCKED",
    # Numbers of the log are given before the commit that shows them; without turns a reader could pass over one.
    event_turn=f"SELECT pg_advisory_xact_lock({EVENT_TURN})",
)
# A plan made while a table was empty finds every index as good as the other. Kept for longer, it was seen to read ten
# thousand rows for one: a new installation under full load stood still until the server's first ANALYZE.
PLAN_LIFETIME_S = 5
# Every statement is written to walk along one index, so the planner is left no other way
# (https://www.postgresql.org/docs/15/runtime-config-query.html), nor the compiler for long ones.
NOT_FOR_US = (
    "enable_seqscan",
    "enable_bitmapscan",
    "enable_hashjoin",
    "enable_mergejoin",
    "enable_sort",
    "jit",
)

BEGIN = "BEGIN"
# An answer that waits for no sync (https://www.postgresql.org/docs/15/wal-async-commit.html).
BEGIN_UNSYNCED = "BEGIN; SET LOCAL synchronous_commit TO off"
BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that died in the middle of something
    asyncpg.InsufficientResourcesError,  # 53: disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # 57: shutting down, starting up, cancelled
    asyncpg.TransactionRollbackError,  # 40: a deadlock, or the standby's conflict
    asyncpg.ReadOnlySQLTransactionError,  # a server that was made a standby
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresIOError,
)


class Connection(Protocol):
    """What we use of asyncpg's connections, which come without types."""

    async def execute(self, sql: str, *params: Any) -> str: ...
    async def executemany(self, sql: str, params: Sequence[Row]) -> None: ...
    async def fetch(self, sql: str, *params: Any) -> Sequence[Row]: ...
    async def fetchmany(self, sql: str, params: Sequence[Row]) -> Sequence[Row]: ...
    async def fetchval(self, sql: str, *params: Any) -> Any: ...
    async def prepare(self, sql: str) -> Any: ...
    async def add_listener(self, channel: str, told: Callable[..., None]) -> None: ...
    def add_termination_listener(self, told: Callable[..., None]) -> None: ...
    def is_closed(self) -> bool: ...
    def transaction(self) -> contextlib.AbstractAsyncContextManager[None]: ...
    def is_in_transaction(self) -> bool: ...
    def terminate(self) -> None: ...


class Pool(Protocol):
    """The same of its pools."""

    async def acquire(self, *, timeout: float) -> Connection: ...  # noqa: ASYNC109 - as asyncpg has it
    async def release(self, connection: Connection, *, timeout: float) -> None: ...  # noqa: ASYNC109
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    """Turns what the server and the network say about their state into StoreUnavailable; bugs stay what they are."""
    try:
        yield
    except UNAVAILABLE as error:
        if isinstance(error, ValueError):
            raise  # asyncpg's InterfaceError for a parameter of the wrong type
        raise StoreUnavailable(f"PostgreSQL: {error or type(error).__name__}") from error


@functools.lru_cache(maxsize=1024)
def numbered(sql: str) -> str:
    """The statement with ``$1``, ``$2`` ... for its question marks; none of ours stands in a string."""
    first, *rest = sql.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


def by_arrays(sql: str, types: Sequence[str]) -> str:
    """An INSERT of one row of VALUES as an INSERT of many, given as one array for each parameter."""
    head, _, rest = sql.partition(" VALUES (")
    values, end, conflict = rest.partition(") ON CONFLICT ")
    values = values if end else values.removesuffix(")")
    columns = [f"c{number}" for number in range(1, len(types) + 1)]
    for column in columns:
        values = values.replace("?", column, 1)
    arrays = ", ".join(f"${number}::{type}[]" for number, type in enumerate(types, 1))
    tail = f" ON CONFLICT {conflict}" if end else ""
    return f"{head} SELECT {values} FROM unnest({arrays}) AS given ({', '.join(columns)}){tail}"


class PostgresSession:
    """Runs statements on one connection, inside a transaction."""

    dialect = POSTGRES

    def __init__(self, connection: Connection, inserts: dict[str, str]) -> None:
        self._connection = connection
        self._inserts = inserts

    async def rows(self, sql: str, params: Row = ()) -> Sequence[Row]:
        with unavailable():
            return await self._connection.fetch(numbered(sql), *params)

    async def run(self, sql: str, params: Row = ()) -> None:
        with unavailable():
            await self._connection.execute(numbered(sql), *params)

    async def many(self, sql: str, params: Iterable[Row]) -> None:
        sets = list(params)
        if not sets:
            return
        with unavailable():
            if len(sets) > 1 and sql.startswith("INSERT "):
                await self._connection.execute(await self._insert(sql), *map(list, zip(*sets, strict=True)))
            else:
                await self._connection.executemany(numbered(sql), sets)

    async def _insert(self, sql: str) -> str:
        if sql not in self._inserts:
            statement = await self._connection.prepare(numbered(sql))
            self._inserts[sql] = by_arrays(sql, [parameter.name for parameter in statement.get_parameters()])
        return self._inserts[sql]

    async def rows_of_many(self, sql: str, params: Iterable[Row]) -> Sequence[Row]:
        sets = list(params)
        with unavailable():
            return await self._connection.fetchmany(numbered(sql), sets) if sets else []

    async def changes(self, sql: str, params: Iterable[Row]) -> Sequence[bool]:
        counted = [(*each, number) for number, each in enumerate(params)]
        changed = {number for (number,) in await self.rows_of_many(f"{sql} RETURNING CAST(? AS BIGINT)", counted)}
        return [number in changed for number in range(len(counted))]


class PostgresDatabase:
    """One PostgreSQL database as one process uses it. Connections that broke are replaced when they are next needed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._inserts: dict[str, str] = {}

    async def write(self, work: Work[T], *, durable: bool = True) -> T:
        async with self._begun(BEGIN if durable else BEGIN_UNSYNCED) as session:
            return await work(session)

    def transaction(self) -> contextlib.AbstractAsyncContextManager[Session]:
        return self._begun(BEGIN)

    def reading(self) -> contextlib.AbstractAsyncContextManager[Session]:
        return self._begun(BEGIN_READING)

    async def read(self, work: Work[T]) -> T:
        async with self.reading() as session:
            return await work(session)

    async def read_long(self, work: Work[T]) -> T:
        async with self._begun(BEGIN_READING, STATEMENT_TIMEOUT_S) as session:
            return await work(session)

    @contextlib.asynccontextmanager
    async def _begun(self, begin: str, patience_s: float | None = None) -> AsyncIterator[Session]:
        patience_s = patience_s or PATIENCE_S
        limit = asyncio.timeout(patience_s)
        try:
            async with limit:
                with unavailable():
                    connection = await self._pool.acquire(timeout=CONNECT_TIMEOUT_S)
                try:
                    with unavailable():
                        await connection.execute(begin)
                    yield PostgresSession(connection, self._inserts)
                    with unavailable():
                        await connection.execute("COMMIT")
                except asyncio.CancelledError:
                    _hang_up(connection)  # to ask a server that does not answer for a rollback would take as long
                    raise
                except BaseException:
                    await _roll_back(connection)
                    raise
                finally:
                    with contextlib.suppress(*UNAVAILABLE):
                        await self._pool.release(connection, timeout=ROLLBACK_S)
        except TimeoutError:
            if limit.expired():
                raise StoreUnavailable(f"PostgreSQL: no answer within {patience_s:g} s") from None
            raise

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            self._pool.terminate()


async def _roll_back(connection: Connection) -> None:
    """Ends a transaction that failed, where its connection is still there."""
    try:
        if connection.is_in_transaction():
            await asyncio.wait_for(connection.execute("ROLLBACK"), ROLLBACK_S)
    except UNAVAILABLE:
        _hang_up(connection)


def _hang_up(connection: Connection) -> None:
    with contextlib.suppress(*UNAVAILABLE):  # it may be gone already
        connection.terminate()


async def _as_it_is(connection: Connection) -> None:
    """Spares the round trip in which the pool would reset what we never set."""


async def connect(url: str) -> Connection:
    connection: Connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, command_timeout=STATEMENT_TIMEOUT_S)
    return connection


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """One connection for a while."""
    with unavailable():
        connection = await connect(url)
    try:
        with unavailable():
            yield connection
    finally:
        connection.terminate()


async def open_postgres(url: str) -> PostgresDatabase:
    """A pool that connects when it is first needed. Raises StoreUnavailable."""
    with unavailable():
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=CONNECTIONS,
            reset=_as_it_is,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            statement_cache_size=256,
            max_cached_statement_lifetime=PLAN_LIFETIME_S,
            server_settings={
                "application_name": "posthouse",
                "idle_in_transaction_session_timeout": LET_GO_MS,
                "lock_timeout": LET_GO_MS,
            }
            | dict.fromkeys(NOT_FOR_US, "off"),
        )
    return PostgresDatabase(pool)
