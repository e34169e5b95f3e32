"""A subscriber of a topic: takes every notification of SES, and remembers of whom it told what."""

import asyncio
import json
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, cast

Told = tuple[str, str, str]
"""(type, message id, recipient)"""


class Subscriber:
    """Listens on a loopback port in a thread of its own, as context manager. `told` grows; nothing is ever refused."""

    def __init__(self) -> None:
        self.told: set[Told] = set()
        self.posts = self.again = 0
        """How often it was called, and how many recipients it was told of once more."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self._listening = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(10):
            raise TimeoutError("the subscriber does not listen")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = self._loop.create_server(lambda: _Connection(self._take), "127.0.0.1", 0, backlog=1024)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _take(self, body: bytes) -> None:
        self.posts += 1
        envelope = json.loads(body)
        if envelope["Type"] == "Notification":
            for told in told_in(json.loads(envelope["Message"])):
                self.again += told in self.told
                self.told.add(told)


def told_in(message: Any) -> Iterator[Told]:
    """Of whom a notification or an event of SES tells what; whatever else comes by that way is passed over."""
    kind = message.get("notificationType") or message.get("eventType")
    match kind:
        case "Delivery":
            recipients = message["delivery"]["recipients"]
        case "Bounce":
            recipients = [each["emailAddress"] for each in message["bounce"]["bouncedRecipients"]]
        case "Send":
            recipients = message["mail"]["destination"]
        case _:
            return
    for recipient in recipients:
        yield kind, message["mail"]["messageId"], recipient


class _Connection(asyncio.Protocol):
    """One kept connection; every POST is answered with 200."""

    def __init__(self, take: Any) -> None:
        self._take = take
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (ends := self._buffer.find(b"\r\n\r\n")) >= 0:
            _, _, length = self._buffer[:ends].lower().partition(b"\r\ncontent-length:")
            whole = ends + 4 + int(length.split(b"\r\n", 1)[0] or 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[ends + 4 : whole], self._buffer[whole:]
            self._take(body)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
