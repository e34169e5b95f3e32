"""Whatever is asked, the web door answers with something other than a failure of its own."""

import asyncio
import random

from tests.fuzz.inputs import inputs
from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import House, house  # noqa: F401 - the fixture

from posthouse.web.console import PAGES
from posthouse.web.routes import ADMIN, PREFIX

ROUNDS = inputs(1500)
WORDS = [
    "",
    "0",
    "1",
    "-1",
    "1_0",
    "١",
    "50",
    "9" * 25,
    "x",
    "in",
    "out",
    "queued",
    "Send",
    "2026-11-23",
    "2026-11-23T09:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "us-east-1",
    "123456789012",
    "123456789012 us-east-1",
    "%",
    "%zz",
    "%00",
    "%ff",
    "%ed%a0%80",
    "a%0d%0ab",
    "<script>",
    "'\"\\",
    "\u202e",
    "😀" * 50,
    "%%%",
    "_",
    "x" * 2000,
    "null",
    "..",
]
HOSTS = [
    "localhost",
    "127.0.0.1:8025",
    "[::1]",
    "[evil",
    "]",
    "a b",
    "evil.example",
    "",
    ":",
    "[::1]:x",
    "localhost:99999999",
]
HEADERS = [
    "accept",
    "authorization",
    "cookie",
    "origin",
    "sec-fetch-site",
    "last-event-id",
    "content-type",
    "content-length",
]
VALUES = [
    "",
    "text/html",
    "*/*",
    "Basic",
    "Basic x",
    "Basic Og==",
    "posthouse_session=a.1." + "0" * 64,
    'posthouse_session="',
    ";;=;",
    "http://localhost",
    "null",
    "://",
    "same-origin",
    "cross-site",
    "1",
    "-1",
    "application/json",
    "application/x-www-form-urlencoded",
    "99999999999999",
    "x" * 5000,
    "\xff\xfe",
]
BODIES = [b"", b"token=x", b"%", b"%ff=%00", b"&" * 100, b"a=b&" * 5000, b"\x00\xff", b"token=" + b"x" * 70000]


def target(random: random.Random, ids: list[str]) -> tuple[str, str, str]:
    endpoint = random.choice([*ADMIN, *PAGES])
    path = endpoint.path if endpoint.path.startswith(("/console", "/_aws")) else PREFIX + endpoint.path
    for name in ("message_id", "part", "name"):
        path = path.replace(f"{{{name}}}", random.choice([*ids, *WORDS[1:]]).replace("?", "").replace("/", ""))
    names = [param.name for param in endpoint.params] + ["surprise", "%ff", ""]
    pairs = [f"{random.choice(names)}={random.choice(WORDS)}" for _ in range(random.choice((0, 0, 1, 2, 6)))]
    method = (
        endpoint.method if random.random() < 0.8 else random.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "X"])
    )
    return method, path, "&".join(pairs)


async def test_no_request_breaks_the_web_door(house: House) -> None:  # noqa: F811
    seeded = random.Random(20261123)
    await house.allow("AKIAONE", "s3cret")
    ids = [await house.send(b"\xff\x00: x\r\n\r\n"), await house.send_draft(), await house.receive(b"")]
    clients: list[Client] = [house.client(), house.client(login_required=True)]
    closing = asyncio.Event()
    closing.set()
    # Streams and waits end at once in a process that drains.
    clients.append(house.client(closing=closing))
    for _ in range(ROUNDS):
        method, path, query = target(seeded, ids)
        headers = {seeded.choice(HEADERS): seeded.choice(VALUES) for _ in range(seeded.choice((0, 1, 2)))}
        if seeded.random() < 0.3:
            headers["host"] = seeded.choice(HOSTS)
        streams = "/live" in path or "event-stream" in headers.get("accept", "")
        client = clients[2] if streams or "wait" in path else seeded.choice(clients)
        query = query.encode().decode("latin-1")
        answer = await client.request(method, f"{path}?{query}", seeded.choice(BODIES), headers)
        assert answer.status < 500 or (answer.status == 503 and client is clients[2]), (method, path, query, headers)
        if answer.status >= 400 and not path.startswith("/console"):
            assert answer.header("content-type") == "application/problem+json"
