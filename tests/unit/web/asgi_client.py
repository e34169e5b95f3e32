"""A tiny ASGI client: the app is called as a server would call it, no socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

App = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests of a program; `headers` go along with each."""

    def __init__(self, app: App, headers: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.headers = {"host": "127.0.0.1:8025", **(headers or {})}

    def with_headers(self, **headers: str) -> "Client":
        return Client(self.app, {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def scope(self, method: str, target: str, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
        path, _, query = target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode("latin-1"),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8025),
        }

    async def request(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        status, given, chunks = 0, [], []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            if waiting:
                return waiting.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given.extend((name.decode().lower(), value.decode("latin-1")) for name, value in message["headers"])
            else:
                chunks.append(message.get("body", b""))

        sent = {**self.headers, **(headers or {})}
        await asyncio.wait_for(self.app(self.scope(method, target, sent), receive, send), 20)
        return Answer(status, given, b"".join(chunks))

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.request("GET", target, headers={n.replace("_", "-"): v for n, v in headers.items()})

    async def page(self, target: str) -> Answer:
        """As a browser asks."""
        return await self.get(target, accept="text/html,application/xhtml+xml,*/*;q=0.8")

    async def form(self, target: str, fields: Mapping[str, str], **headers: str) -> Answer:
        sent = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", **headers}
        sent = {name.replace("_", "-"): value for name, value in sent.items()}
        return await self.request("POST", target, urlencode(fields).encode(), {"accept": "text/html", **sent})

    @asynccontextmanager
    async def stream(self, target: str, **headers: str) -> AsyncIterator["asyncio.Queue[bytes]"]:
        """The chunks of an answer that does not end; leaving hangs up."""
        chunks: asyncio.Queue[bytes] = asyncio.Queue()
        gone = asyncio.Event()

        async def receive() -> MutableMapping[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body" and message.get("body"):
                await chunks.put(message["body"])

        sent = {**self.headers, **{n.replace("_", "-"): v for n, v in headers.items()}}
        serving = asyncio.ensure_future(self.app(self.scope("GET", target, sent), receive, send))
        try:
            yield chunks
        finally:
            gone.set()
            await asyncio.wait_for(serving, 5)
