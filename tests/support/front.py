"""A door in front of a server: with TLS, as a reverse proxy gives it, or plain, to be shut while the server is away."""

import asyncio
import contextlib
import ssl
import threading
from typing import Self


class Front:
    """``with Front(port, context) as front``: what comes to `front.port`, under TLS where there is a context, goes to
    `port` without. Once only."""

    def __init__(self, to_port: int, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._to_port, self._context = to_port, context
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self.port = port

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        server = self._loop.run_until_complete(serving)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            onward, back = await asyncio.open_connection("127.0.0.1", self._to_port)
            await asyncio.gather(_copy(reader, back), _copy(onward, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
