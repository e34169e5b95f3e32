"""Doors and engines as processes of their own on one data directory: one is killed, the other goes on."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import processes
from tests.support.sdk import ses_client
from tests.support.server import COMMAND, Server
from tests.support.sink import Sink


@contextmanager
def engine(server: Server) -> Iterator[int]:
    """A delivery process beside the server's own doors."""
    log = server.directory / "engine.log"
    pid = processes.start([*COMMAND, "serve", "--roles", "delivery"], log, server.environment, server.directory)
    try:
        yield pid
    finally:
        if processes.is_alive(pid):
            processes.stop(pid)


class DoorsOnly(Server):
    """A server that accepts and shows, and delivers nothing."""

    def start(self, ready: bool = True) -> None:
        words = [*COMMAND, "serve", "--roles", "api,web,smtp"]
        self.directory.mkdir(parents=True, exist_ok=True)
        self.pid = processes.start(words, self.directory / "server.log", self.environment, self.directory)
        if ready:
            self.wait_ready()


def send(ses: Any, number: int) -> None:
    ses.send_email(
        Source="anne@example.com",
        Destination={"ToAddresses": [f"r{number}@example.net"]},
        Message={"Subject": {"Data": f"id={number}"}, "Body": {"Text": {"Data": "x"}}},
    )


def test_a_killed_engine_leaves_the_door_open_and_its_work_to_the_next(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = {"delivery.mode": "direct", "delivery.routes": {"*": sink.address}}
        with DoorsOnly(settings, tmp_path) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain="example.com")
            with engine(server) as pid:
                for number in range(5):
                    send(ses, number)
                assert sink.wait_for(5)
                os.kill(pid, signal.SIGKILL)
                processes.reap(pid, 5)
                for number in range(5, 10):
                    send(ses, number)  # the door does not notice
            time.sleep(0.2)
            assert len(sink.arrivals) == 5
            with engine(server):
                assert sink.wait_for(10)
                assert server.wait_queue_empty(10)


def test_a_killed_door_leaves_the_engine_to_finish(tmp_path: Path) -> None:
    with Sink() as sink:
        settings = {"delivery.mode": "direct", "delivery.routes": {"*": sink.address}}
        with DoorsOnly(settings, tmp_path) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain="example.com")
            for number in range(20):
                send(ses, number)
            with engine(server):
                assert server.kill9() == []
                assert sink.wait_for(20)
            server.start()
            assert server.wait_queue_empty(10)
