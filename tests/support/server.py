"""A real Posthouse as a process of its own: free loopback ports, a data directory for itself, settings by key."""

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import processes

ACCESS_KEY, SECRET_KEY = "posthouse", "posthouse-secret"
"""The bootstrap credentials of the dev profile."""
COMMAND = [sys.executable, "-m", "posthouse"]


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings by key (``delivery.mode``) as the environment variables that set them."""

    def shown(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, dict):
            return json.dumps(value)
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return {f"POSTHOUSE_{key.replace('.', '__').upper()}": shown(value) for key, value in settings.items()}


def refusing_dns() -> dict[str, Any]:
    """Settings for tests without DNS: our own name server knows no names but ours, and says so at once."""
    place = f"127.0.0.1:{processes.free_port()}"
    return {"dns.listen": place, "dns.resolvers": place}


class Server:
    """`posthouse serve` in the dev profile; as context manager started, ready, and ended at the end.

    `settings` go by configuration key. `.http`, `.submission` and `.inbound` are ports, the same over restarts.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None, directory: Path | None = None) -> None:
        self._own = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="posthouse-test-"))
        self.data_dir = self.directory / "data"
        self._log = self.directory / "server.log"
        self.http, self.submission, self.inbound = processes.free_ports(3)
        ours = {
            "data_dir": self.data_dir,
            "http.listen": f"127.0.0.1:{self.http}",
            "smtp.submission_listen": f"127.0.0.1:{self.submission}",
            "smtp.inbound_listen": f"127.0.0.1:{self.inbound}",
            "smtp.hostname": "mx.posthouse.test",
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("POSTHOUSE_")}
        self.environment = {**inherited, **as_environment({**ours, **(settings or {})})}
        self.pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def log(self) -> str:
        """Everything it said, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            sys.stderr.write(f"--- the server said:\n{self.log[-4000:]}\n")
        self.close()

    def close(self) -> None:
        """Ends it, whatever its state, and removes a directory that is its own."""
        if self.pid:
            family = processes.tree(self.pid)
            self.terminate()
            assert not processes.wait_gone(family, 5), "children outlived the server"
        if self._own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, ready: bool = True) -> None:
        """Starts the process, from a directory without configuration files; by default waits until it is ready."""
        assert not self.pid, "it runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.pid = processes.start([*COMMAND, "serve"], self._log, self.environment, self.directory)
        if ready:
            self.wait_ready()

    def wait_ready(self, timeout_s: float = 20) -> None:
        """Until /readyz says so. Raises RuntimeError where the process ended, TimeoutError where it takes too long."""
        ends = time.monotonic() + timeout_s
        while not self._is_ready():
            if not processes.is_alive(self.pid):
                status, self.pid = processes.reap(self.pid, 1), 0
                raise RuntimeError(f"the server ended with status {status}:\n{self.log[-4000:]}")
            if time.monotonic() > ends:
                raise TimeoutError(f"the server is not ready after {timeout_s} s:\n{self.log[-4000:]}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz", timeout_s=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill9(self) -> list[int]:
        """kill -9 of the parent process; its children that are still there two seconds later (promised: none)."""
        pid, self.pid = self.pid, 0
        family = processes.tree(pid)
        os.kill(pid, signal.SIGKILL)
        processes.reap(pid, 10)
        return processes.wait_gone(family, 2)

    def terminate(self, patience_s: float = 15) -> int:
        """SIGTERM; the exit status."""
        pid, self.pid = self.pid, 0
        return processes.stop(pid, patience_s)

    def restart(self) -> None:
        """Started again on the same ports and data; ended in order first where it still runs."""
        if self.pid:
            self.terminate()
        self.start()

    def children(self) -> list[int]:
        """Its child processes, doors before engines."""
        return processes.children(self.pid)

    def get(self, path: str, headers: Mapping[str, str] | None = None, timeout_s: float = 30) -> tuple[int, bytes]:
        """Status and body of a GET."""
        return self.ask("GET", path, headers or {}, None, timeout_s)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float = 30
    ) -> tuple[int, bytes]:
        """Status and body of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=timeout_s)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def admin(self, path: str, post: Any = None) -> Any:
        """What the admin API answers to ``GET /api/v1<path>``, or to a POST of JSON, with the bootstrap login."""
        login = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        if post is None:
            status, body = self.get(f"/api/v1{path}", headers)
        else:
            headers["Content-Type"] = "application/json"
            status, body = self.ask("POST", f"/api/v1{path}", headers, json.dumps(post).encode())
        if status not in (200, 201):
            raise RuntimeError(f"GET /api/v1{path}: {status} {body[:500].decode(errors='replace')}")
        return json.loads(body)

    def wait_queue_empty(self, timeout_s: float) -> bool:
        """Whether every recipient came to a final state in time."""
        ends = time.monotonic() + timeout_s
        while self.admin("/queue?limit=1")["queue"]:
            if time.monotonic() > ends:
                return False
            time.sleep(0.05)
        return True

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`posthouse WORDS` beside this server, with its environment."""
        return subprocess.run(
            [*COMMAND, *words], env=self.environment, cwd=self.directory, capture_output=True, text=True, timeout=60
        )
