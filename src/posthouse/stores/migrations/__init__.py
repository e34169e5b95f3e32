"""The schema, as SQL files applied in order; none is ever edited once released.

``sqlite/NNNN_name.sql`` and ``postgres/NNNN_name.sql`` have the same numbers and names. `schema_version` in the
database tells which of them it has seen.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from posthouse.ports.stores import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from posthouse.stores.postgres import Connection

CREATE_VERSION = """CREATE TABLE IF NOT EXISTS schema_version (
    number {int} PRIMARY KEY, name TEXT NOT NULL, applied_ms {int} NOT NULL
)"""
# Any number will do that nobody else takes in this database: "post" in ASCII.
ADVISORY_LOCK = 0x706F7374


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str


def known(dialect: str) -> Sequence[Migration]:
    """The migrations of ``sqlite`` or ``postgres``, in order."""
    files = sorted((Path(__file__).parent / dialect).glob("*.sql"))
    return [Migration(int(file.stem[:4]), file.stem[5:], file.read_text("utf-8")) for file in files]


def missing(migrations: Sequence[Migration], version: int, apply: bool) -> Sequence[Migration]:
    """Those a database of this version has not seen.

    Raises StoreRefused where it has seen more than we know, or needs some and they are not to be applied.
    """
    newest = migrations[-1].number
    if version > newest:
        raise StoreRefused(
            f"the database has schema {version}, newer than the {newest} this version of posthouse knows"
        )
    if version < newest and not apply:
        raise StoreRefused(f"the database has schema {version} and needs {newest}: run posthouse migrate")
    return [migration for migration in migrations if migration.number > version]


def migrate_sqlite(path: Path, *, apply: bool = True) -> int:
    """Creates the file or brings it up to date; how many steps that took. Safe beside others that do the same.

    Raises StoreRefused for a newer schema, for an older one unless it may `apply`, and for a file of another kind.
    """
    try:
        with _locked(path.with_name("posthouse.lock")):
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
            try:
                os.chmod(path, 0o600)
                connection.execute("PRAGMA journal_mode = WAL")
                return _bring_up_to_date(connection, apply)
            finally:
                connection.close()
    except (OSError, sqlite3.OperationalError) as error:
        raise StoreUnavailable(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreRefused(f"{path}: {error}") from error


def _bring_up_to_date(connection: sqlite3.Connection, apply: bool) -> int:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        connection.execute(CREATE_VERSION.format(int="INTEGER"))
        version = connection.execute("SELECT coalesce(max(number), 0) FROM schema_version").fetchone()[0]
        steps = missing(known("sqlite"), version, apply)
        for step in steps:
            for statement in statements(step.sql):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?, ?, ?)", _row(step))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return len(steps)


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit before it begins."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


async def migrate_postgres(connection: "Connection", *, apply: bool = True) -> int:
    """The same for PostgreSQL: one transaction, under an advisory lock."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK)
        await connection.execute(CREATE_VERSION.format(int="BIGINT"))
        version = await connection.fetchval("SELECT coalesce(max(number), 0) FROM schema_version")
        steps = missing(await asyncio.to_thread(known, "postgres"), version, apply)
        for step in steps:
            await connection.execute(step.sql)
            await connection.execute("INSERT INTO schema_version VALUES ($1, $2, $3)", *_row(step))
    return len(steps)


def _row(step: Migration) -> tuple[int, str, int]:
    return (step.number, step.name, time.time_ns() // 1_000_000)
