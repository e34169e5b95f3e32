"""The tool that measures honest clients beside a crowd; and that none of them is refused beside a small one."""

import argparse
import asyncio
from typing import Any

import uvloop
from tests.support.sdk import ses_client
from tests.support.server import Server
from tools.crowd import compare


def test_honest_clients_are_served_beside_idle_and_slow_ones() -> None:
    asked = argparse.Namespace(idle=200, slow=60, tls=False, mails=160, sessions=4)
    with Server({"log.level": "error"}) as server:
        ses_client(server.url).verify_domain_identity(Domain="example.com")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result: dict[str, Any] = runner.run(compare(server, asked))
        arrived = server.admin("/messages?direction=in&limit=200")["messages"]
    assert result["crowd"]["still_there"] == 260
    assert [result[part]["failures"] for part in ("quiet", "crowded", "after")] == [0, 0, 0]
    assert len(arrived) == 200  # a page; the three runs and a first one brought more
