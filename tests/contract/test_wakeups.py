"""Wakeups: a tap reaches everybody who subscribed, in this process and in others, and harms nobody."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.conftest import PostgresServer

from posthouse.adapters.wakeups import LocalWakeups, runtime_directory
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores.postgres_wakeups import PostgresWakeups

Opener = Callable[[], Awaitable[Wakeups]]


@pytest.fixture(params=["local", "postgres"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens wake-ups as another process would."""
    opened: list[LocalWakeups | PostgresWakeups] = []
    url = ""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.new_database()

    async def open() -> Wakeups:
        opened.append(await PostgresWakeups.open(url) if url else LocalWakeups(tmp_path / "run"))
        return opened[-1]

    yield open
    for one in opened:
        closed = one.close()
        if closed is not None:
            await closed


async def _woken(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()
    event.clear()


async def test_a_tap_wakes_subscribers_here_and_elsewhere(opener: Opener) -> None:
    one, other = await opener(), await opener()
    events = [wakeups.subscribe(Topic.QUEUE) for wakeups in (one, one, other)]
    one.notify(Topic.QUEUE)
    for event in events:
        await _woken(event)
    other.notify(Topic.QUEUE)
    for event in events:
        await _woken(event)


async def test_a_tap_given_at_the_very_end_is_heard(opener: Opener) -> None:
    one, other = await opener(), await opener()
    heard = other.subscribe(Topic.QUEUE)
    one.notify(Topic.QUEUE)
    closed = one.close()  # type: ignore[attr-defined]
    if closed is not None:
        await closed
    await _woken(heard)


async def test_a_tap_wakes_nobody_for_another_topic(opener: Opener) -> None:
    one, other = await opener(), await opener()
    quiet = [wakeups.subscribe(Topic.RECORDS) for wakeups in (one, other)]
    inbox = other.subscribe(Topic.INBOX)
    one.notify(Topic.INBOX)
    await _woken(inbox)
    assert not any(event.is_set() for event in quiet)


async def test_a_burst_of_taps_is_no_burden(opener: Opener) -> None:
    one, other = await opener(), await opener()
    event = other.subscribe(Topic.EVENTS)
    for _ in range(10_000):
        one.notify(Topic.EVENTS)
    await _woken(event)


async def test_who_subscribes_later_is_reached_too(opener: Opener) -> None:
    one = await opener()
    one.notify(Topic.QUEUE)
    await asyncio.sleep(0)
    event = (await opener()).subscribe(Topic.QUEUE)
    one.notify(Topic.QUEUE)
    await _woken(event)


async def test_a_reader_that_sleeps_holds_up_nobody(tmp_path: Path) -> None:
    wakeups = LocalWakeups(tmp_path / "run")
    sleeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sleeper.bind(str(tmp_path / "run" / "queue.1.1"))
    event = wakeups.subscribe(Topic.QUEUE)
    for _ in range(1000):
        wakeups.notify(Topic.QUEUE)
        await _woken(event)
    sleeper.close()
    wakeups.close()


async def test_the_socket_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    wakeups = LocalWakeups(tmp_path / "run")
    dead = tmp_path / "run" / "queue.1.1"
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(str(dead))
    left.close()
    wakeups.notify(Topic.QUEUE)
    await asyncio.sleep(0)
    assert not dead.exists()
    wakeups.notify(Topic.QUEUE)
    await asyncio.sleep(0)
    wakeups.close()


async def test_closing_leaves_no_socket_behind(tmp_path: Path) -> None:
    wakeups = LocalWakeups(tmp_path / "run")
    wakeups.subscribe(Topic.QUEUE)
    assert len(list((tmp_path / "run").iterdir())) == 1
    wakeups.close()
    assert not (tmp_path / "run").exists()


async def test_who_subscribes_after_the_last_other_left_is_reached(tmp_path: Path) -> None:
    late, other = LocalWakeups(tmp_path / "run"), LocalWakeups(tmp_path / "run")
    other.close()
    event = late.subscribe(Topic.QUEUE)
    speaker = LocalWakeups(tmp_path / "run")
    speaker.notify(Topic.QUEUE)
    await _woken(event)
    speaker.close()
    late.close()


async def test_a_lost_directory_is_no_reason_to_fail(tmp_path: Path) -> None:
    wakeups = LocalWakeups(tmp_path / "run")
    event = wakeups.subscribe(Topic.QUEUE)
    for path in (tmp_path / "run").iterdir():
        path.unlink()
    (tmp_path / "run").rmdir()
    wakeups.notify(Topic.QUEUE)
    await _woken(event)
    wakeups.close()


async def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o777)
    with pytest.raises(PermissionError):
        LocalWakeups(tmp_path / "open")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        LocalWakeups(tmp_path / "link")


def test_socket_paths_fit_however_deep_the_data_directory_is(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    directory = runtime_directory(deep)
    assert len(os.fsencode(directory / "records.4194304.1048576")) < 108
    assert directory == runtime_directory(deep / ".." / ("e" * 200))
    assert directory != runtime_directory(tmp_path)


async def test_postgres_wakeups_come_back_with_the_server(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    one, other = await PostgresWakeups.open(url), await PostgresWakeups.open(url)
    event = other.subscribe(Topic.QUEUE)
    postgres_server.stop()
    one.notify(Topic.QUEUE)
    postgres_server.start()
    # Everybody is woken at the new connection, for nobody knows what was missed.
    await _woken(event)
    async with asyncio.timeout(10):
        while not event.is_set():
            one.notify(Topic.QUEUE)
            await asyncio.sleep(0.05)
    await one.close()
    await other.close()
