"""Processes and ports for tests: found free, started, watched and ended by pid."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

# Below the range from which Linux takes the local ports of outgoing connections: a port that is given up for a
# moment (a restart) is not lost to a connection meanwhile.
_PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Different loopback TCP ports on which nobody listens now."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            attempt = held.enter_context(socket.socket())
            port = random.choice(_PORTS)
            with suppress(OSError):
                attempt.bind(("127.0.0.1", port))
                found.append(port)
        return found


def free_port() -> int:
    return free_ports(1)[0]


def start(argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
    """Starts a child with both outputs appended to `log`; its pid. `stop` or `reap` it."""
    with log.open("ab") as out:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd)
    child.returncode = 0  # whoever has the pid waits for it: Popen itself shall not complain when it is collected
    return child.pid


def children(pid: int) -> list[int]:
    """Living children of a process, oldest first."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return sorted(found)


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


def is_alive(pid: int) -> bool:
    """False for what is gone and for zombies: those hold nothing any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_gone(pids: Iterable[int], timeout_s: float) -> list[int]:
    """Waits until all are gone; those that are not."""
    left, ends = list(pids), time.monotonic() + timeout_s
    while (left := [pid for pid in left if is_alive(pid)]) and time.monotonic() < ends:
        time.sleep(0.005)
    return left


def reap(pid: int, timeout_s: float) -> int | None:
    """Exit status of a child that ends (negative: the signal); None where it still lives after `timeout_s`."""
    ends = time.monotonic() + timeout_s
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            return None
        time.sleep(0.005)


def stop(pid: int, patience_s: float = 15) -> int:
    """SIGTERM, and SIGKILL for what does not heed it; the exit status of a child."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    status = reap(pid, patience_s)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        status = reap(pid, patience_s)
    assert status is not None, f"pid {pid} outlived SIGKILL"
    return status


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_port(port: int, timeout_s: float = 10) -> None:
    """Until somebody takes connections there. Raises TimeoutError."""
    ends = time.monotonic() + timeout_s
    while not listens(port):
        if time.monotonic() > ends:
            raise TimeoutError(f"nobody listens on port {port} after {timeout_s} s")
        time.sleep(0.01)
