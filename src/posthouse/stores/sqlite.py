"""SQLite as executor: one writer at a time over all processes, statements inline, readers beside it.

Every process opens the file for itself, after it was forked (https://www.sqlite.org/howtocorrupt.html §2.6).
Statements run inline on the loop: most take microseconds, and a thread would queue for the interpreter lock at each
of them. What waits for the disk or for another process waits in a thread. docs/decisions/0003-group-commit.md has
the reasons and the figures.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from posthouse.ports.stores import StoreUnavailable
from posthouse.stores.database import Dialect, Row, Session, Work, run_through
from posthouse.stores.file_lock import FileLock

T = TypeVar("T")

# A commit that the disk ends within this time is waited for on the loop: handing it to a thread costs a fifth of the
# processor time of an accepted message (docs/performance.md). One that takes longer leaves the loop free for those who
# come meanwhile.
QUICK_COMMIT_S = 0.0015
# How long another program (a backup, a shell, a stopped process of ours) may hold the file before we give up; whoever
# calls us waits meanwhile, and shall be answered within five seconds.
LOCK_PATIENCE_S = 4.0
LONG_READERS = 2
# Work after which the write-ahead log is carried over into the database file.
CHECKPOINT_ROWS = 4_000
CHECKPOINT_BYTES = 16 << 20
# It is repeated beside the writers until a pass is so short that they may wait for one more.
CHECKPOINT_PASSES = 4
SHORT_CHECKPOINT_S = 0.005
WAL_KEPT_BYTES = 64 << 20

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOTADB,
}

log = logging.getLogger(__name__)


def told(error: sqlite3.Error) -> Exception:
    """What SQLite says about its state, as StoreUnavailable; a bug of ours stays what it is."""
    # The low byte is the primary code (https://www.sqlite.org/rescode.html).
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNAVAILABLE:
        return StoreUnavailable(f"SQLite: {error}")
    return error


class SqliteSession:
    """Runs statements on one connection. No method ever waits."""

    dialect = Dialect()

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, params: Row = ()) -> Sequence[Row]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise told(error) from None

    async def run(self, sql: str, params: Row = ()) -> None:
        try:
            self._connection.execute(sql, params)
        except sqlite3.Error as error:
            raise told(error) from None

    async def many(self, sql: str, params: Iterable[Row]) -> None:
        try:
            self._connection.executemany(sql, params)
        except sqlite3.Error as error:
            raise told(error) from None

    async def rows_of_many(self, sql: str, params: Iterable[Row]) -> Sequence[Row]:
        execute = self._connection.execute
        try:
            return [row for each in params for row in execute(sql, each).fetchall()]
        except sqlite3.Error as error:
            raise told(error) from None

    async def changes(self, sql: str, params: Iterable[Row]) -> Sequence[bool]:
        # RETURNING would cost as much as the change: SQLite makes a table for its rows each time.
        cursor = self._connection.cursor()
        try:
            return [cursor.execute(sql, each).rowcount > 0 for each in params]
        except sqlite3.Error as error:
            raise told(error) from None


class SqliteDatabase:
    """One SQLite file as one process uses it; made inside the loop that is going to use it."""

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        """Opens a file that `migrations` has brought up to date. Not `synced`: nothing survives a power cut."""
        self._path = path
        self._synced = synced
        self._turn = asyncio.Lock()
        self._threads = ThreadPoolExecutor(LONG_READERS + 2, thread_name_prefix="posthouse-sqlite")
        self._lock = FileLock(path.with_name("posthouse.lock"), self._threads, LOCK_PATIENCE_S)
        self._writer = self._connect_writer()
        self._writing = SqliteSession(self._writer)
        self._reader = self._connect(read_only=True)
        self._idle_readers: list[sqlite3.Connection] = []
        self._long_readers = asyncio.Semaphore(LONG_READERS)
        self._durable: bool | None = None
        self._commit_s = 0.0
        self._checkpoint: asyncio.Task[None] | None = None
        self._rows_carried = 0
        self._wal_carried = 0

    def _connect_writer(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
            # Carried over by `_carry_over`, so that no commit pays for it.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            # From now on whoever finds the file locked waits in a thread.
            connection.execute("PRAGMA busy_timeout = 0")
        except sqlite3.Error as error:
            raise told(error) from None
        return connection

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        """A connection in autocommit, that any thread may use, one at a time."""
        try:
            connection = sqlite3.connect(
                self._path,
                timeout=LOCK_PATIENCE_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            if read_only:
                connection.execute("PRAGMA query_only = ON")
            elif not self._synced:
                connection.execute("PRAGMA synchronous = OFF")
        except sqlite3.Error as error:
            raise told(error) from None
        return connection

    # Writing

    async def write(self, work: Work[T], *, durable: bool = True) -> T:
        give_up_s = time.monotonic() + LOCK_PATIENCE_S
        async with self._turn:
            try:
                await self._begin(durable, give_up_s)
                result = run_through(work(self._writing))
                await self._commit(durable)
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._lock.release()
            self._checkpoint_when_due()
            return result

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        give_up_s = time.monotonic() + LOCK_PATIENCE_S
        async with self._turn:
            try:
                await self._begin(True, give_up_s)
                yield self._writing
                await self._commit(durable=True)
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._lock.release()
            self._checkpoint_when_due()

    async def _begin(self, durable: bool, give_up_s: float) -> None:
        """`give_up_s`: counted from when its turn was asked for, so that one who waited behind others is not told so
        later than they."""
        await self._lock.acquire(max(0.0, give_up_s - time.monotonic()))
        try:
            if durable is not self._durable and self._synced:
                # With NORMAL a commit in WAL mode syncs nothing by itself (https://www.sqlite.org/pragma.html
                # #pragma_synchronous); the sync of the next FULL one carries it.
                self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not isinstance(told(error), StoreUnavailable):
                raise
            # Held by a program that does not know our lock file, or still to be recovered after a crash.
            await self._in_thread(lambda: self._begin_patiently(give_up_s))

    def _begin_patiently(self, give_up_s: float) -> None:
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                    raise told(error) from None
                time.sleep(0.005)

    async def _commit(self, durable: bool) -> None:
        if not durable:
            self._end_transaction()  # waits for no disk
        elif self._commit_s < QUICK_COMMIT_S:
            self._timed_commit()
        else:
            await self._in_thread(self._timed_commit)

    def _timed_commit(self) -> None:
        start = time.perf_counter()
        self._end_transaction()
        self._commit_s += (time.perf_counter() - start - self._commit_s) * 0.1

    def _end_transaction(self) -> None:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise told(error) from None

    def _roll_back(self) -> None:
        # A full disk may have made SQLite roll back by itself.
        if self._writer.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")

    # Reading

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        connection = self._idle_readers.pop() if self._idle_readers else self._connect(read_only=True)
        try:
            connection.execute("BEGIN")
            yield SqliteSession(connection)
        finally:
            self._done_reading(connection)

    def _done_reading(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if len(self._idle_readers) < LONG_READERS + 1:
            self._idle_readers.append(connection)
        else:
            connection.close()

    async def read(self, work: Work[T]) -> T:
        self._reader.execute("BEGIN")
        try:
            return run_through(work(SqliteSession(self._reader)))
        finally:
            self._reader.execute("ROLLBACK")

    async def read_long(self, work: Work[T]) -> T:
        async with self._long_readers, self.reading() as session:
            return await self._in_thread(lambda: run_through(work(session)))

    # The write-ahead log

    def _checkpoint_when_due(self) -> None:
        if self._checkpoint is not None:
            return
        rows = self._writer.total_changes - self._rows_carried
        if rows >= CHECKPOINT_ROWS or self._wal_size() - self._wal_carried >= CHECKPOINT_BYTES:
            self._checkpoint = asyncio.get_running_loop().create_task(self._carry_over())

    def _wal_size(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size
        except OSError:
            return 0

    async def _carry_over(self) -> None:
        """Most of it beside the writers, the rest while they wait: only a log that is carried over in full starts anew,
        else it grows for ever (https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files)."""
        try:
            for _ in range(CHECKPOINT_PASSES):
                if await self._in_thread(self._carry_over_what_is_there) < SHORT_CHECKPOINT_S:
                    break
            async with self._turn:
                try:
                    await self._lock.acquire()
                    await self._in_thread(self._carry_over_what_is_there)
                finally:
                    self._lock.release()
        except StoreUnavailable as error:
            log.warning("the write-ahead log could not be carried over: %s", error)
        finally:
            self._rows_carried = self._writer.total_changes
            self._wal_carried = self._wal_size()
            self._checkpoint = None

    def _carry_over_what_is_there(self) -> float:
        """How long it took, in seconds."""
        start = time.perf_counter()
        connection = self._connect()
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise told(error) from None
        finally:
            connection.close()
        return time.perf_counter() - start

    # Threads and the end

    async def _in_thread(self, deed: Callable[[], T]) -> T:
        """Waits for the end of the deed even when cancelled: a connection is never left in the middle of one."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, deed)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return future.result()

    async def close(self) -> None:
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])
        async with self._turn:
            self._threads.shutdown(wait=True)
            # The last one to close carries the log over and removes it.
            for connection in [*self._idle_readers, self._reader, self._writer]:
                connection.close()
            self._lock.close()
