"""What the parts of one process share."""

import asyncio
import hmac
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from posthouse import observe
from posthouse.config import Config
from posthouse.operations.context import Context
from posthouse.ports.wakeups import Wakeups
from posthouse.smtp.guests import Guests
from posthouse.stores.sealing import master_key

log = logging.getLogger("posthouse.assembly")

GRACE_S = 9.0
"""Within the ten seconds that the parent gives (serve.py)."""

Sockets = Mapping[str, Sequence[socket.socket]]
End = Callable[[], Awaitable[None]]

DEFAULT_REGION = "us-east-1"


class SystemClock:
    """ports.Clock of the machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


def key_for(config: Config, purpose: bytes) -> bytes:
    """A key of the installation for one purpose, the same in every process."""
    return hmac.digest(master_key(config.data_path / "master.key"), purpose, "sha256")


class Process:
    """One process of a node, as its parts see it."""

    def __init__(self, config: Config, roles: frozenset[str], sockets: Sockets) -> None:
        self.config, self.roles, self.sockets = config, roles, sockets
        self.metrics = observe.Metrics()
        self.guests: Guests | None = None
        """Of all its SMTP doors together."""
        self.ready = False
        self.stopping = asyncio.Event()
        self.closing = asyncio.Event()
        """Doors end what waits for something to happen."""

    def end_when_broken(self, engine: "asyncio.Task[None]") -> None:
        """An engine that fell over takes its process along; the parent starts a new one."""
        if not engine.cancelled() and engine.exception() is not None:
            log.critical("an engine failed", exc_info=engine.exception())
            self.stopping.set()


Start = Callable[[Process, Context, Wakeups], Awaitable[End]]
