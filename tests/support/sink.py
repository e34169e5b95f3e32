"""A next hop for tests: takes mail over SMTP, answers as told, and counts what arrived."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tools.load.sink import Arrival, SinkConnection

Answer = Callable[[str, str], str | None]
"""(stage, argument) -> reply line, or None for the usual one. Stages: connect, EHLO, MAIL, RCPT, DATA (argument: what
follows the verb) and message (argument: the test id). The replies `SinkConnection.SILENCE` and
`SinkConnection.HANG_UP` are no lines."""


class Sink:
    """Listens on a loopback port in a thread of its own, as context manager.

    `counts` has the arrivals by (id, recipient), where the id is what follows ``id=`` in the header section: the
    tests write it into the subject. `repeated_at_s` has the times of those that brought a message to nobody who did
    not have it. `arrivals` has the messages themselves unless `keep` is False.
    """

    def __init__(self, answer: Answer | None = None, port: int = 0, keep: bool = True) -> None:
        self.answer = answer
        self.counts: Counter[tuple[str, str]] = Counter()
        self.repeated_at_s: list[float] = []
        self.arrivals: list[Arrival] = []
        self.port = port
        self._keep = keep
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)
        self._listening = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(10):
            raise TimeoutError("the sink does not listen")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SinkConnection(self._arrived, lambda stage, said: self.answer and self.answer(stage, said)),
                "127.0.0.1",
                self.port,
                backlog=1024,
            )
        )
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _arrived(self, arrival: Arrival) -> None:
        if all(self.counts[arrival.id, recipient] for recipient in arrival.rcpt_to):
            self.repeated_at_s.append(arrival.at_s)
        for recipient in arrival.rcpt_to:
            self.counts[arrival.id, recipient] += 1
        if self._keep:
            self.arrivals.append(arrival)

    def wait_for(self, messages: int, timeout_s: float = 10) -> list[Arrival]:
        """Raises TimeoutError where fewer arrive; needs `keep`."""
        ends = time.monotonic() + timeout_s
        while len(self.arrivals) < messages:
            if time.monotonic() > ends:
                raise TimeoutError(f"{len(self.arrivals)} of {messages} messages arrived in {timeout_s} s")
            time.sleep(0.01)
        return list(self.arrivals)
