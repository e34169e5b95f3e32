"""An HTTP subscriber of a topic, as a process: takes what it is posted, fails as often as it is told to, and counts.

    python -m tools.load.subscriber --port 2700 --target 20000
    python -m tools.load.subscriber --port 2700 --failing 0.5 --seed 1 --ledger arrivals.txt

A failure is an answer of 500, a connection that is ended before anything was read of the request, or one that is ended
when the notification was taken: the caller cannot know. What was taken stands in the ledger, a line each in the order
of arrival: event type and message id. Prints one line of JSON after --target notifications, or on SIGTERM.
"""

import argparse
import asyncio
import json
import random
import signal
import time
from pathlib import Path
from typing import Any, TextIO, cast

from tools.load.measure import new_loop, print_json

TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Count:
    """What came."""

    def __init__(self, target: int, failing: float, seed: int, ledger: TextIO | None) -> None:
        self._target, self._failing, self._random, self._ledger = target, failing, random.Random(seed), ledger
        self.reached = asyncio.Event()
        self.calls = self.taken = 0
        self.first_s = self.last_s = 0.0

    def answer(self, body: bytes) -> bytes:
        """What to say to a notification; nothing: hang up."""
        self.calls += 1
        failure = self._random.randrange(3) if self._random.random() < self._failing else None
        if failure in (None, 0):
            self._take(body)
        return {None: TAKEN, 1: FAILED}.get(failure, b"")

    def _take(self, body: bytes) -> None:
        self.last_s = time.time()
        self.first_s = self.first_s or self.last_s
        self.taken += 1
        if self._ledger is not None:
            self._ledger.write(line_of(json.loads(body)["Message"]))
        if self.taken == self._target:
            self.reached.set()

    def result(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "taken": self.taken,
            "first_s": self.first_s,
            "last_s": self.last_s,
            "cpu_s": time.process_time(),
        }


def line_of(message: str) -> str:
    """Event type and message id, as a ledger has them; empty for what is no event."""
    if not message.startswith("{"):
        return ""
    told = json.loads(message)
    return f"{told['eventType']} {told['mail']['messageId']}\n"


class Connection(asyncio.Protocol):
    """One HTTP/1.1 client that sends a length."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            ends = self._buffer.find(b"\r\n\r\n") + 4
            if ends < 4:
                return
            length = self._buffer[:ends].lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0]
            ends_all = ends + int(length or 0)
            if len(self._buffer) < ends_all:
                return
            body, self._buffer = self._buffer[ends:ends_all], self._buffer[ends_all:]
            if not (answer := self._count.answer(body)):
                self._transport.abort()
                return
            self._transport.write(answer)


async def _serve(asked: argparse.Namespace, ledger: TextIO | None) -> None:
    loop = asyncio.get_running_loop()
    count = Count(asked.target, asked.failing, asked.seed, ledger)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, count.reached.set)
    server = await loop.create_server(lambda: Connection(count), "127.0.0.1", asked.port, backlog=1024)
    await count.reached.wait()
    await asyncio.sleep(0.05)  # the last answers are still on their way out
    server.close()
    print_json(count.result())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", type=int, default=0)
    parser.add_argument("--failing", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ledger", type=Path, help="a file to append to")
    asked = parser.parse_args()
    ledger = asked.ledger.open("a") if asked.ledger else None
    try:
        new_loop().run_until_complete(_serve(asked, ledger))
    finally:
        if ledger is not None:
            ledger.close()


if __name__ == "__main__":
    main()
