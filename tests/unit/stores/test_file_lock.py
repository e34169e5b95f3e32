"""FileLock: one holder over all processes, and none where the one who waited is gone."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posthouse.ports.stores import StoreUnavailable
from posthouse.stores.file_lock import FileLock


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


async def _until_free(path: Path) -> None:
    probe = os.open(path, os.O_RDWR)
    async with asyncio.timeout(5):
        while True:
            try:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.001)
            else:
                break
    os.close(probe)


async def test_only_one_holds_it(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    one, other = (FileLock(tmp_path / "lock", threads, 5) for _ in range(2))
    await one.acquire()
    assert not other.try_acquire()
    waiting = asyncio.create_task(other.acquire())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    one.release()
    await waiting
    assert not one.try_acquire()
    other.release()
    assert one.try_acquire()
    one.release()
    one.release()


async def test_patience_ends(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    one, other = (FileLock(tmp_path / "lock", threads, 0.01) for _ in range(2))
    await one.acquire()
    for _ in range(10):
        with pytest.raises(StoreUnavailable, match="another process"):
            await other.acquire()
    one.release()
    # The wait that outlived its caller ends without keeping the lock.
    await _until_free(tmp_path / "lock")
    await other.acquire()
    other.release()


async def test_who_gave_up_does_not_keep_it(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    one, other = (FileLock(tmp_path / "lock", threads, 5) for _ in range(2))
    await one.acquire()
    waiting = asyncio.create_task(other.acquire())
    await asyncio.sleep(0.01)
    waiting.cancel()
    one.release()
    await asyncio.gather(waiting, return_exceptions=True)
    await _until_free(tmp_path / "lock")


async def test_it_stays_held_by_its_holder_when_an_old_wait_ends(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    one, other = (FileLock(tmp_path / "lock", threads, 0.01) for _ in range(2))
    await one.acquire()
    with pytest.raises(StoreUnavailable):
        await other.acquire()
    one.release()
    await other.acquire()
    for _ in range(20):
        await asyncio.sleep(0.001)
        assert not one.try_acquire()
    other.release()
    await _until_free(tmp_path / "lock")


async def test_no_place_for_the_lock_is_told(tmp_path: Path, threads: ThreadPoolExecutor) -> None:
    with pytest.raises(StoreUnavailable):
        FileLock(tmp_path / "nowhere" / "lock", threads, 1)
