"""The schema: made from nothing, known by its number, never older or newer than the program."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from tests.contract.conftest import Backend, CountedWakeups, SetClock

from posthouse.ports.stores import StoreRefused, StoreUnavailable
from posthouse.stores.migrations import known
from posthouse.stores.open import SQLITE_FILE, migrate, open_stores
from posthouse.stores.postgres import connected


def test_both_databases_have_the_same_migrations() -> None:
    numbers = [[(one.number, one.name) for one in known(dialect)] for dialect in ("sqlite", "postgres")]
    assert numbers[0] == numbers[1]
    assert [number for number, _ in numbers[0]] == list(range(1, len(numbers[0]) + 1))


async def test_an_empty_database_is_brought_up_to_date_once(shared: Backend) -> None:
    shared.data_dir.mkdir()
    assert await migrate(shared.url, shared.data_dir) == len(known("sqlite"))
    assert await migrate(shared.url, shared.data_dir) == 0


async def test_several_that_migrate_at_once_do_it_once(shared: Backend) -> None:
    shared.data_dir.mkdir()
    steps = await asyncio.gather(*(migrate(shared.url, shared.data_dir) for _ in range(4)))
    assert sorted(steps) == [0, 0, 0, len(known("sqlite"))]


async def _execute(backend: Backend, statement: str) -> None:
    if backend.name == "postgres":
        async with connected(backend.url) as connection:
            await connection.execute(statement)
    else:
        connection = sqlite3.connect(backend.data_dir / SQLITE_FILE)
        with connection:
            connection.execute(statement)
        connection.close()


async def test_a_newer_schema_is_refused(shared: Backend) -> None:
    await shared.open()
    await _execute(shared, "INSERT INTO schema_version VALUES (9999, 'from the future', 0)")
    with pytest.raises(StoreRefused, match="9999, newer than"):
        await shared.open()


async def test_an_older_schema_is_refused_where_migrating_is_left_to_the_operator(shared: Backend) -> None:
    with pytest.raises(StoreRefused, match="run posthouse migrate"):
        await open_stores(shared.url, shared.data_dir, SetClock(), CountedWakeups(), bring_up_to_date=False)
    await migrate(shared.url, shared.data_dir)
    stores = await open_stores(shared.url, shared.data_dir, SetClock(), CountedWakeups(), bring_up_to_date=False)
    await stores.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / SQLITE_FILE).write_bytes(b"something else entirely\n" * 100)
    with pytest.raises(StoreRefused, match="not a database"):
        await open_stores("sqlite", tmp_path, SetClock(), CountedWakeups())


async def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_stores(f"postgresql://nobody@/none?host={tmp_path}", tmp_path, SetClock(), CountedWakeups())
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        await open_stores("sqlite", tmp_path / "file", SetClock(), CountedWakeups())


async def test_an_url_of_no_kind_we_know_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither sqlite nor memory nor postgresql"):
        await open_stores("mysql://x", tmp_path, SetClock(), CountedWakeups())


async def test_nothing_of_a_store_in_memory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stores = await open_stores("memory", tmp_path / "data", SetClock(), CountedWakeups())
    assert list(tmp_path.iterdir())
    await stores.close()
    assert list(tmp_path.iterdir()) == []


async def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    stores = await open_stores("sqlite", tmp_path / "data", SetClock(), CountedWakeups())
    for path in (tmp_path / "data", *(tmp_path / "data").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    await stores.close()
