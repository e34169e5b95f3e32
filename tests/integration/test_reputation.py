"""A server that pauses an account whose mail bounces too often, and what the operator sees of it and does."""

import asyncio
import json
import time
from pathlib import Path

from tests.support.context import NoWakeups
from tests.support.server import Server

from posthouse.domain.events import Event, EventType
from posthouse.domain.scope import Scope
from posthouse.stores.open import open_stores

US = Scope("123456789012", "us-east-1")
HARD = {"kind": {"type": "Permanent", "subtype": "General"}}


class Clock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


async def bounce(data_dir: Path) -> None:
    """A hundred recipients were written to, and twelve of them do not exist."""
    clock = Clock()
    stores = await open_stores("sqlite", data_dir, clock, NoWakeups())
    people = tuple(f"r{number}@x.example" for number in range(100))
    kinds = ((EventType.SEND, people), (EventType.BOUNCE, people[:12]))
    await stores.events.append(
        [
            Event(scope=US, message_id="m", type=kind, at_ms=clock.now_ms(), recipients=whom, detail=HARD)
            for kind, whom in kinds
        ]
    )
    await stores.close()


def account(server: Server) -> dict[str, object]:
    found: dict[str, object] = json.loads(server.cli("account", "show", "--json").stdout)
    return found


def test_an_account_at_the_pause_line_is_paused_and_resumed_by_the_operator(tmp_path: Path) -> None:
    server = Server({"reputation.pause": True}, directory=tmp_path)
    asyncio.run(bounce(server.data_dir))
    mail = ("send", "--from", "a@example.com", "--to", "b@x.example")
    with server:
        server.cli("identity", "verify", "example.com")
        ends = time.monotonic() + 10
        while not server.admin("/accounts")["accounts"][0]["paused"]:
            assert time.monotonic() < ends, server.log
        assert account(server)["paused_why"] == "bounce rate 12.00 % of 100 recipients"
        assert "yes: bounce rate 12.00 %" in server.cli("account", "show").stdout
        assert "Sending paused for this account" in server.cli(*mail).stderr
        assert server.admin("/reputation")["reputation"][0]["state"] == "pause"
        assert "is paused: bounce rate 12.00 % of 100 recipients" in server.log
        rates = {each["name"]: each["latest"] for each in server.admin("/metrics")["metrics"]}
        assert rates == {"Reputation.BounceRate": 0.12, "Reputation.ComplaintRate": 0.0}
        server.cli("account", "set", "--resume")
        assert server.cli(*mail).returncode == 0
        resumed = server.admin("/reputation")["reputation"][0]
        assert (resumed["sending"], resumed["state"]) == (True, "unjudged")
        assert account(server)["paused_why"] == ""
