"""When the database cannot serve: nothing is acknowledged that is not kept, and it recovers by itself."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.conftest import Backend, CountedWakeups, PostgresServer, SetClock
from tests.contract.values import NOW_MS, OURS, delivered, event, message, message_id

from posthouse.domain.events import EventType
from posthouse.ports.mailstore import MessageFilter
from posthouse.ports.stores import StoreUnavailable
from posthouse.stores import postgres, sqlite
from posthouse.stores.database import Database
from posthouse.stores.open import SqlStores, open_stores


async def _outcomes(*calls: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def _open(tmp_path: Path) -> SqlStores:
    return await open_stores("sqlite", tmp_path, SetClock(), CountedWakeups())


def _limit_pages(stores: SqlStores, pages: int) -> None:
    stores._database._writer.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]


async def test_full_disk_refuses_everybody_and_loses_nothing(tmp_path: Path) -> None:
    stores = await _open(tmp_path)
    kept = [message(n, content=b"x" * 10_000) for n in range(10)]
    assert await _outcomes(*(stores.submissions.add(one, None) for one in kept)) == [None] * 10
    _limit_pages(stores, 1)
    late = [message(n, content=b"x" * 10_000) for n in range(100, 120)]
    answers = await _outcomes(*(stores.submissions.add(one, None) for one in late))
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert "full" in str(answers[0])
    big = event(message(1), EventType.OPEN, "x" * 10_000)
    answers = await _outcomes(
        stores.inbox.add(message(130, content=b"x" * 10_000)),
        stores.events.append([big] * 10),
        stores.queue.settle([delivered(message(1), *(f"{n}@x" for n in range(3)))]),
    )
    assert isinstance(answers[0], StoreUnavailable)
    assert isinstance(answers[1], StoreUnavailable)
    assert len(await stores.messages.page(OURS, MessageFilter(), "", 100)) == 10

    _limit_pages(stores, 1_000_000)
    assert await _outcomes(*(stores.submissions.add(one, None) for one in late)) == [None] * 20
    assert await stores.queue.depth() == 30
    await stores.close()


async def test_a_full_disk_for_blobs_is_told_the_same_way(tmp_path: Path) -> None:
    stores = await _open(tmp_path)
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="blob not written"):
        await stores.submissions.add(message(1, content=b"x" * 1_000_000), None)
    (tmp_path / "blobs").unlink()
    assert await stores.submissions.add(message(1, content=b"x" * 1_000_000), None) is None
    await stores.close()


async def test_a_file_held_by_another_program_is_waited_for(tmp_path: Path) -> None:
    stores = await _open(tmp_path)
    backup = sqlite3.connect(tmp_path / "posthouse.db", isolation_level=None)
    backup.execute("BEGIN IMMEDIATE")
    adding = asyncio.create_task(stores.submissions.add(message(1), None))
    assert await stores.messages.get(OURS, message_id(1)) is None
    await asyncio.sleep(0.05)
    assert not adding.done()
    backup.execute("COMMIT")
    assert await adding is None
    backup.close()
    await stores.close()


async def test_a_file_held_for_too_long_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_PATIENCE_S", 0.05)
    stores = await _open(tmp_path)
    other = sqlite3.connect(tmp_path / "posthouse.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await stores.submissions.add(message(1), None)
    other.execute("COMMIT")
    other.close()
    assert await stores.submissions.add(message(1), None) is None
    await stores.close()


async def test_a_stopped_process_of_ours_makes_the_others_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_PATIENCE_S", 0.05)
    stores = await _open(tmp_path)
    stopped = os.open(tmp_path / "posthouse.lock", os.O_RDWR)
    fcntl.flock(stopped, fcntl.LOCK_EX)
    for number in range(3):
        with pytest.raises(StoreUnavailable, match="another process"):
            await stores.submissions.add(message(number), None)
    os.close(stopped)
    async with asyncio.timeout(5):
        while isinstance(answer := (await _outcomes(stores.submissions.add(message(9), None)))[0], StoreUnavailable):
            await asyncio.sleep(0)
    assert answer is None
    # And the lock that came late was given back, for others to take.
    probe = os.open(tmp_path / "posthouse.lock", os.O_RDWR)
    async with asyncio.timeout(5):
        while not _free(probe):
            await asyncio.sleep(0)
    os.close(probe)
    await stores.close()


async def test_who_waited_behind_others_is_told_no_later_than_they(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_PATIENCE_S", 0.3)
    stores = await _open(tmp_path)
    other = sqlite3.connect(tmp_path / "posthouse.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(5):
        answers = await _outcomes(
            *(stores.submissions.add(message(n), None) for n in range(300)),
            *(stores.queue.retry(OURS, message_id(n), NOW_MS) for n in range(50)),
        )
    assert {type(answer) for answer in answers} == {StoreUnavailable}, answers
    other.close()
    await stores.close()


def _free(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("slow_disk", [False, True])
async def test_a_cancelled_writer_leaves_the_connection_in_order(tmp_path: Path, slow_disk: bool) -> None:
    stores = await _open(tmp_path)
    await stores.submissions.add(message(0, "a@x"), None)
    if slow_disk:
        stores._database._commit_s = 1.0  # type: ignore[attr-defined]
    for number in range(1, 6):
        task = asyncio.create_task(stores.queue.retry(OURS, message_id(0), NOW_MS))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        await _outcomes(task)
    assert await stores.submissions.add(message(1), None) is None
    assert await stores.queue.depth() == 2
    await stores.close()


async def test_a_slow_disk_is_waited_for_in_a_thread(tmp_path: Path) -> None:
    stores = await _open(tmp_path)
    stores._database._commit_s = 1.0  # type: ignore[attr-defined]
    adding = asyncio.create_task(stores.submissions.add(message(1), None))
    turns = 0
    while not adding.done():
        turns += 1
        await asyncio.sleep(0)
    # Inline it would take a handful of turns, however long each is.
    assert turns > 10
    await stores.close()


async def test_the_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_ROWS", 100)
    stores = await _open(tmp_path)
    sizes = []
    for start in range(0, 3000, 50):
        group = [message(n, content=b"x" * 2000) for n in range(start, start + 50)]
        await asyncio.gather(*(stores.submissions.add(one, None) for one in group))
        sizes.append((tmp_path / "posthouse.db-wal").stat().st_size)
        if stores._database._checkpoint is not None:  # type: ignore[attr-defined]
            await asyncio.wait([stores._database._checkpoint])  # type: ignore[attr-defined]
    assert max(sizes) < 4_000_000 < (tmp_path / "posthouse.db").stat().st_size
    await stores.close()


async def test_postgres_gone_and_back(postgres_server: PostgresServer, tmp_path: Path) -> None:
    url = postgres_server.new_database()
    backend = Backend("postgres", url, tmp_path, SetClock(), [], CountedWakeups())
    stores = await backend.open()
    assert await stores.submissions.add(message(0), None) is None
    postgres_server.stop()
    try:
        answers = await _outcomes(
            *(stores.submissions.add(message(n), None) for n in range(1, 20)),
            stores.queue.claim("w", NOW_MS, 1000, 1),
            stores.messages.get(OURS, message_id(0)),
            stores.ping(),
        )
        assert {type(answer) for answer in answers} == {StoreUnavailable}, answers
    finally:
        postgres_server.start()
    await stores.ping()
    assert await _outcomes(*(stores.submissions.add(message(n), None) for n in range(1, 20))) == [None] * 19
    assert await stores.queue.depth() == 20
    await stores.close()


async def test_a_paused_postgres_is_told_to_everybody_in_time(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE_S", 0.3)
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT_S", 0.3)
    backend = Backend("postgres", postgres_server.new_database(), tmp_path, SetClock(), [], CountedWakeups())
    stores = await backend.open()
    assert await stores.submissions.add(message(0), None) is None

    def everything(first: int) -> list[Awaitable[Any]]:
        """More than there are connections."""
        return [
            *(stores.submissions.add(message(n), None) for n in range(first, first + 20)),
            *(stores.queue.claim("w", NOW_MS, 1000, 1) for _ in range(20)),
            *(stores.messages.get(OURS, message_id(0)) for _ in range(20)),
            stores.ping(),
        ]

    with postgres_server.paused():
        for first in (1, 21):
            async with asyncio.timeout(5):
                answers = await _outcomes(*everything(first))
            assert {type(answer) for answer in answers} == {StoreUnavailable}, answers
    monkeypatch.undo()
    await stores.ping()
    answers = await _outcomes(*everything(41))
    assert not [answer for answer in answers if isinstance(answer, BaseException)], answers
    await stores.close()


async def _stand_still(database: Database, meanwhile: Awaitable[None]) -> None:
    """In the midst of a transaction that keeps others from theirs."""
    async with database.transaction() as session:
        await session.rows(session.dialect.event_turn)
        await session.run("DELETE FROM leases")
        await meanwhile


async def _go_on(stores: SqlStores) -> None:
    async with asyncio.timeout(5):
        await stores.submissions.add(message(1), None)
        while isinstance((await _outcomes(stores.queue.drop(OURS, message_id(1), NOW_MS)))[0], StoreUnavailable):
            await asyncio.sleep(0.01)


async def test_a_node_that_stops_in_a_transaction_holds_up_the_others_for_a_while_only(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LET_GO_MS", "200")
    url = postgres_server.new_database()
    stores = await open_stores(url, tmp_path, SetClock(), CountedWakeups())
    stopped = await postgres.open_postgres(url)
    with pytest.raises(StoreUnavailable):
        await _stand_still(stopped, _go_on(stores))
    await stopped.close()
    await stores.close()


async def test_postgres_stopped_under_load_acknowledges_only_what_it_keeps(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.new_database()
    stores = await open_stores(url, tmp_path, SetClock(), CountedWakeups())
    acknowledged: list[str] = []
    failed = asyncio.Event()

    async def caller(first: int) -> None:
        for number in range(first, first + 100_000):
            try:
                await stores.submissions.add(message(number), None)
            except StoreUnavailable:
                failed.set()
                return
            acknowledged.append(message_id(number))

    callers = [asyncio.create_task(caller(n * 100_000)) for n in range(8)]
    while len(acknowledged) < 100:
        await asyncio.sleep(0.001)
    try:
        await asyncio.to_thread(postgres_server.stop)
        await failed.wait()
        await asyncio.gather(*callers)
    finally:
        postgres_server.start()
    for id in acknowledged:
        assert await stores.messages.get(OURS, id) is not None
    await stores.close()
