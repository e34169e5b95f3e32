"""An SMTP next hop that takes everything: as a class for tests, as a command for measuring.

    python -m tools.load.sink --port 2600 --target 10000

counts what arrives, by the ``id=`` in the header section, and prints one line of JSON after --target messages, after
--idle seconds without one, or on SIGTERM.
"""

import argparse
import asyncio
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tools.load.measure import new_loop, print_json

TEST_ID = re.compile(rb"\bid=([A-Za-z0-9.-]+)")
_USUAL = {
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"RSET": b"250 2.0.0 ok\r\n",
    b"NOOP": b"250 2.0.0 ok\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
    b"HELO": b"250 sink.example.net\r\n",
    b"EHLO": b"250-sink.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 52428800\r\n",
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that was answered with 250."""

    id: str
    mail_from: str
    rcpt_to: tuple[str, ...]
    content: bytes
    """As on the wire, dots still doubled, without the final one."""
    at_s: float


class SinkConnection(asyncio.Protocol):
    """One SMTP client. Lenient: it is there to count, not to judge."""

    SILENCE = ""
    HANG_UP = "hang up"

    def __init__(
        self, arrived: Callable[[Arrival], None], answer: Callable[[str, str], str | None] | None = None
    ) -> None:
        self._arrived, self._answer = arrived, answer
        self._buffer = bytearray()
        self._searched = 0
        self._in_data = False
        self._mail_from, self._rcpt_to = "", list[str]()
        self._out = list[bytes]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._say("connect", "", b"220 sink.example.net ESMTP\r\n")
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer and (self._take_message() if self._in_data else self._take_command()):
            pass
        self._flush()

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _say(self, stage: str, argument: str, usual: bytes) -> bool:
        """Puts the reply in line; whether it is a good one."""
        asked = self._answer(stage, argument) if self._answer else None
        if asked == self.HANG_UP:
            self._transport.abort()
        elif asked is None:
            self._out.append(usual)
        elif asked != self.SILENCE:
            self._out.append(f"{asked}\r\n".encode())
        return asked is None or asked[:1] in ("2", "3")

    def _take_command(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        verb, argument = line[:4].upper(), line[4:].strip().decode("latin-1")
        good = self._say(verb.decode("latin-1"), argument, _USUAL.get(verb, b"502 5.5.2 not here\r\n"))
        if verb == b"MAIL":
            self._mail_from, self._rcpt_to = _path(argument), []
        elif verb == b"RCPT" and good:
            self._rcpt_to.append(_path(argument))
        elif verb == b"DATA" and good:
            self._open_data()
        elif verb == b"QUIT":
            self._flush()
            self._transport.close()
        return True

    def _open_data(self) -> None:
        if self._rcpt_to:
            self._in_data = True
        else:
            self._out[-1:] = [b"554 5.5.1 no valid recipients\r\n"]

    def _take_message(self) -> bool:
        end = 0 if self._buffer.startswith(b".\r\n") else self._buffer.find(b"\r\n.\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - 4)
            return False
        content = bytes(self._buffer[: end and end + 2])
        del self._buffer[: end + 5 if end else 3]
        self._searched, self._in_data = 0, False
        found = TEST_ID.search(content, 0, 8192)
        test_id = found[1].decode() if found else ""
        if self._say("message", test_id, b"250 2.0.0 ok\r\n"):
            self._arrived(Arrival(test_id, self._mail_from, tuple(self._rcpt_to), content, time.time()))
        return True


def _path(argument: str) -> str:
    return argument.partition("<")[2].partition(">")[0]


class Count:
    """What a measuring run wants to know of the arrivals."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.reached = asyncio.Event()
        self.count = self.signed = 0
        self.ids: set[str] = set()
        self.first_s = self.last_s = 0.0

    def arrived(self, arrival: Arrival) -> None:
        self.count += 1
        self.signed += b"DKIM-Signature:" in arrival.content
        self.ids.add(arrival.id)
        self.first_s = self.first_s or arrival.at_s
        self.last_s = arrival.at_s
        if self.count == self._target:
            self.reached.set()

    def result(self) -> dict[str, float]:
        return {
            "count": self.count,
            "distinct": len(self.ids),
            "signed": self.signed,
            "first_s": self.first_s,
            "last_s": self.last_s,
        }


async def _serve(port: int, target: int, idle_s: float) -> None:
    count, loop = Count(target), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, count.reached.set)
    server = await loop.create_server(lambda: SinkConnection(count.arrived), "127.0.0.1", port, backlog=1024)
    began_s = time.time()
    while not count.reached.is_set() and time.time() - max(count.last_s, began_s) < idle_s:
        await asyncio.wait([loop.create_task(count.reached.wait())], timeout=0.25)
    await asyncio.sleep(0.05)  # the last replies are still on their way out
    server.close()
    print_json(count.result())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", type=int, default=0)
    parser.add_argument("--idle", type=float, default=30)
    asked = parser.parse_args()
    new_loop().run_until_complete(_serve(asked.port, asked.target, asked.idle))


if __name__ == "__main__":
    main()
