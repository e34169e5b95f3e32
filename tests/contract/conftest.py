"""Every implementation of the stores, opened for a test; PostgreSQL is started here where it is installed."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.values import NOW_MS
from tests.support import processes

from posthouse.ports.wakeups import Topic
from posthouse.stores.open import SqlStores, open_stores

POSTGRES_BIN = Path("/usr/lib/postgresql/15/bin")


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms


class CountedWakeups:
    """Wake-ups inside one process, which remembers them."""

    def __init__(self) -> None:
        self.notified: list[Topic] = []
        self._events: defaultdict[Topic, list[asyncio.Event]] = defaultdict(list)

    def notify(self, topic: Topic) -> None:
        self.notified.append(topic)
        for event in self._events[topic]:
            event.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        event = asyncio.Event()
        self._events[topic].append(event)
        return event


class PostgresServer:
    """A server of its own in a temporary directory, reached by a socket in it."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="posthouse-pg-"))
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        if self.user:
            shutil.chown(self.directory, "postgres", "postgres")
        self.names = itertools.count()
        self.process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", "data", "-U", "posthouse", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [POSTGRES_BIN / program, *arguments], cwd=self.directory, capture_output=True, text=True, **self.user
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        settings = ("listen_addresses=", "fsync=off", "max_connections=60", "shared_buffers=32MB")
        self.process = subprocess.Popen(
            [POSTGRES_BIN / "postgres", "-D", "data", "-k", str(self.directory)]
            + [part for setting in settings for part in ("-c", setting)],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.user,
        )
        ready = [POSTGRES_BIN / "pg_isready", "-q", "-h", self.directory]
        deadline = time.monotonic() + 30
        while subprocess.run(ready).returncode != 0:
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, with connections still open."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """All its processes stand still: it takes connections and answers nothing."""
        assert self.process is not None
        family = processes.tree(self.process.pid)
        try:
            for pid in family:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in family:
                os.kill(pid, signal.SIGCONT)

    def new_database(self) -> str:
        name = f"posthouse_{next(self.names)}"
        self._run(
            "psql", "-q", "-h", str(self.directory), "-U", "posthouse", "-c", f"CREATE DATABASE {name}", "postgres"
        )
        return f"postgresql://posthouse@/{name}?host={self.directory}"

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    if not (POSTGRES_BIN / "initdb").exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL is not installed in {POSTGRES_BIN}")
        pytest.skip(f"PostgreSQL is not installed in {POSTGRES_BIN}")
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@dataclass
class Backend:
    """A database that a test may open more than once, as several processes would."""

    name: str
    url: str
    data_dir: Path
    clock: SetClock
    opened: list[SqlStores]
    wakeups: CountedWakeups

    async def open(self) -> SqlStores:
        self.wakeups = CountedWakeups()
        stores = await open_stores(self.url, self.data_dir, self.clock, self.wakeups)
        self.opened.append(stores)
        return stores


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


async def _backend(name: str, request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Backend:
    server = request.getfixturevalue("postgres_server") if name == "postgres" else None
    return Backend(name, server.new_database() if server else name, tmp_path / "data", clock, [], CountedWakeups())


async def _close(backend: Backend) -> None:
    for stores in backend.opened:
        await stores.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> AsyncIterator[Backend]:
    backend = await _backend(request.param, request, tmp_path, clock)
    yield backend
    await _close(backend)


@pytest.fixture(params=["sqlite", "postgres"])
async def shared(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> AsyncIterator[Backend]:
    """Those that several processes can use at once."""
    backend = await _backend(request.param, request, tmp_path, clock)
    yield backend
    await _close(backend)


@pytest.fixture
async def stores(backend: Backend) -> SqlStores:
    return await backend.open()
