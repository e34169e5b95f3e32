"""Opens everything that is kept, on SQLite or PostgreSQL: the only place that knows which."""

import asyncio
import functools
import tempfile
from pathlib import Path

from posthouse.ports.blobs import Blobs
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Messages
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.wakeups import Wakeups
from posthouse.stores import contents
from posthouse.stores.blobs import FileBlobs
from posthouse.stores.call_rates import SqlCallRates
from posthouse.stores.credentials import SqlCredentials
from posthouse.stores.database import Database, Session
from posthouse.stores.events import SqlEventLog, SqlStatistics
from posthouse.stores.inbox import SqlInbox
from posthouse.stores.messages import SqlMessages
from posthouse.stores.metric_series import SqlMetricSeries
from posthouse.stores.migrations import migrate_postgres, migrate_sqlite
from posthouse.stores.publications import SqlPublications
from posthouse.stores.queue import SqlQueue
from posthouse.stores.records import SELECT_VERSION, SqlRecordStore
from posthouse.stores.sealing import Seal
from posthouse.stores.sqlite import SqliteDatabase
from posthouse.stores.submissions import SqlSubmissions
from posthouse.stores.subscriptions import SqlSubscriptions
from posthouse.stores.suppressions import SqlSuppressions
from posthouse.stores.topics import SqlTopics
from posthouse.stores.unsubscriptions import SqlUnsubscriptions

SQLITE_FILE = "posthouse.db"
# How long a change of records by another node may stay unseen where its wake-up got lost.
VERSION_TTL_S = 1.0
# A blob is written before the row that names it; one so old that nothing names was left behind.
ABANDONED_MS = 60 * 60 * 1000


Passing = tempfile.TemporaryDirectory[str]


class SqlStores:
    """All stores over one database. See `ports.stores.Stores`."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        seal: Seal,
        clock: Clock,
        wakeups: Wakeups,
        version_ttl_s: float,
        passing: Passing | None = None,
    ) -> None:
        """`passing`: a directory that is removed with the stores."""
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._passing = passing
        self.records = SqlRecordStore(database, seal, wakeups, version_ttl_s)
        self.credentials = SqlCredentials(database, seal, self.records)
        self.submissions = SqlSubmissions(database, blobs, clock, wakeups)
        self.queue = SqlQueue(database, blobs, clock, wakeups)
        self.messages: Messages = SqlMessages(database, blobs)
        self.inbox = SqlInbox(database, blobs, wakeups)
        self.events = SqlEventLog(database, wakeups)
        self.statistics = SqlStatistics(database)
        self.suppressions = SqlSuppressions(database)
        self.unsubscriptions = SqlUnsubscriptions(database, wakeups)
        self.publications = SqlPublications(database, blobs, wakeups)
        self.metric_series = SqlMetricSeries(database)
        self.topics = SqlTopics(database, wakeups)
        self.subscriptions = SqlSubscriptions(database, seal, wakeups)
        self.call_rates = SqlCallRates(database, clock)

    async def ping(self) -> None:
        async def look(session: Session) -> None:
            await session.rows(SELECT_VERSION)

        await self._database.read(look)

    async def sweep_blobs(self) -> int:
        """Deletes blobs that no row names: left behind by a crash, a refusal, a late settlement. How many."""
        before_ms = self._clock.now_ms() - ABANDONED_MS
        old = [info.key async for info in self._blobs.listing() if info.written_ms < before_ms]
        swept = 0
        for start in range(0, len(old), 500):
            keys = old[start : start + 500]
            named = await self._database.read_long(functools.partial(contents.named, keys=keys))
            for key in set(keys) - named:
                await self._blobs.delete(key)
                swept += 1
        return swept

    async def close(self) -> None:
        """Waits for what is being written, then closes."""
        topics = (self.topics, self.subscriptions, self.metric_series)
        for groups in (self.submissions, self.inbox, self.events, self.queue, self.publications, *topics):
            await groups.close()
        await self._database.close()
        if self._passing is not None:
            self._passing.cleanup()


async def open_stores(
    url: str, data_dir: Path, clock: Clock, wakeups: Wakeups, *, bring_up_to_date: bool = True
) -> SqlStores:
    """Opens the stores inside the running loop; in each process for itself, after it was forked.

    `url`: ``sqlite`` (a file in `data_dir`), ``memory`` (gone when closed; `data_dir` is not touched) or
    ``postgresql://...``. `data_dir` holds the master key, the blobs and the SQLite file; it is made where it is
    missing. Raises StoreRefused for a schema this version does not know, or for an old one unless
    `bring_up_to_date`; StoreUnavailable where the database does not answer.
    """
    if url == "memory":
        # Not SQLite's ":memory:": that has one connection, hence no readers beside a writer.
        directory = tempfile.TemporaryDirectory(prefix="posthouse-")
        return await _open("sqlite", Path(directory.name), clock, wakeups, True, directory)
    return await _open(url, data_dir, clock, wakeups, bring_up_to_date, None)


async def _open(
    url: str, data_dir: Path, clock: Clock, wakeups: Wakeups, bring_up_to_date: bool, passing: Passing | None
) -> SqlStores:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything is served
    except OSError as error:
        raise StoreUnavailable(str(error)) from error
    await migrate(url, data_dir, apply=bring_up_to_date)
    database = await _open_database(url, data_dir, synced=passing is None)
    blobs, seal = FileBlobs(data_dir / "blobs"), Seal(data_dir / "master.key")
    return SqlStores(database, blobs, seal, clock, wakeups, 0.0 if url == "sqlite" else VERSION_TTL_S, passing)


async def migrate(url: str, data_dir: Path, *, apply: bool = True) -> int:
    """Brings the database to this version's schema; how many steps that took.

    Raises StoreRefused for a schema that is newer, or older unless it may `apply`; StoreUnavailable.
    """
    if url == "sqlite":
        return await asyncio.to_thread(migrate_sqlite, data_dir / SQLITE_FILE, apply=apply)
    if url.startswith(("postgresql://", "postgres://")):
        # Here and below: what only PostgreSQL needs is not loaded, nor required to be installed, without it.
        from posthouse.stores.postgres import connected

        async with connected(url) as connection:
            return await migrate_postgres(connection, apply=apply)
    raise ValueError(f"database URL {url!r} is neither sqlite nor memory nor postgresql://...")


async def _open_database(url: str, data_dir: Path, *, synced: bool) -> Database:
    if url == "sqlite":
        return SqliteDatabase(data_dir / SQLITE_FILE, synced=synced)
    from posthouse.stores.postgres import open_postgres

    return await open_postgres(url)
