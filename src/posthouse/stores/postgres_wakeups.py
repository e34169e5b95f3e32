"""Wake-ups between nodes by PostgreSQL's LISTEN and NOTIFY (https://www.postgresql.org/docs/15/sql-notify.html).

One connection of its own listens and notifies, outside every transaction: a NOTIFY inside one makes its commit wait
for all other such commits. When the connection breaks it is made anew, and everybody is woken, for nobody knows what
was missed.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict

from posthouse.ports.wakeups import Topic
from posthouse.stores.postgres import UNAVAILABLE, Connection, connect, unavailable

CHANNEL = "posthouse"
RECONNECT_S = 1.0
LAST_WORDS_S = 1.0
# The server is asked whether it is still there, so that a silently lost connection is noticed.
SILENCE_S = 15.0

log = logging.getLogger(__name__)


class PostgresWakeups:
    """Made by `open`, inside the loop that is going to use it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._subscribers: defaultdict[Topic, list[asyncio.Event]] = defaultdict(list)
        self._to_send: set[Topic] = set()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str) -> "PostgresWakeups":
        """Connects and listens. Raises StoreUnavailable."""
        wakeups = cls(url)
        with unavailable():
            connection = await wakeups._connect()
        wakeups._task = asyncio.create_task(wakeups._run(connection))
        return wakeups

    def notify(self, topic: Topic) -> None:
        self._wake(topic)
        self._to_send.add(topic)
        self._all_sent.clear()
        self._something.set()

    def subscribe(self, topic: Topic) -> asyncio.Event:
        event = asyncio.Event()
        self._subscribers[topic].append(event)
        return event

    async def close(self) -> None:
        if self._task is not None:
            # A verb of the command line ends as soon as it has committed.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._all_sent.wait()
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _wake(self, topic: Topic) -> None:
        for event in self._subscribers[topic]:
            event.set()

    def _told(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        with contextlib.suppress(ValueError):
            self._wake(Topic(str(payload)))

    def _lost(self, _connection: object) -> None:
        self._something.set()

    async def _connect(self) -> Connection:
        connection = await connect(self._url)
        await connection.execute("SET synchronous_commit TO off")
        await connection.add_listener(CHANNEL, self._told)
        connection.add_termination_listener(self._lost)
        return connection

    async def _run(self, connection: Connection) -> None:
        while True:
            try:
                await self._send_until_lost(connection)
            except UNAVAILABLE as error:
                log.warning("wake-ups are interrupted: %s", error or type(error).__name__)
            finally:
                connection.terminate()
            connection = await self._connect_again()
            for topic in Topic:
                self._wake(topic)

    async def _send_until_lost(self, connection: Connection) -> None:
        while True:
            try:
                await asyncio.wait_for(self._something.wait(), SILENCE_S)
            except TimeoutError:
                await connection.execute("SELECT 1")
                continue
            self._something.clear()
            if connection.is_closed():
                raise ConnectionError("the server closed the connection")
            topics, self._to_send = self._to_send, set()
            await connection.executemany(
                "SELECT pg_notify($1, $2)", [(CHANNEL, topic.value) for topic in sorted(topics)]
            )
            if not self._to_send:
                self._all_sent.set()

    async def _connect_again(self) -> Connection:
        while True:
            await asyncio.sleep(RECONNECT_S)
            with contextlib.suppress(*UNAVAILABLE):
                return await self._connect()
