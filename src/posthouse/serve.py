"""The processes of one node: a parent that binds, forks and restarts, and children that do the work.

Python holds one core per process, so doors and engines get processes of their own; they share sockets that the parent
bound, and meet in the database. The parent imports before it forks: the children then share those pages. A child that
dies is replaced; when the parent dies, by whatever signal, its children die with it and leave no port taken.
"""

import ctypes
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from posthouse.config import Config, Listen

log = logging.getLogger("posthouse.serve")

DOORS = ("api", "web", "smtp", "mx", "dns")
ENGINES = ("delivery", "events")
BACKLOG = 2048
GRACE_S = 10.0
"""Promise 4 of the contract: after SIGTERM, what is in flight has so long."""
RESTART_WAIT_S = 0.5
NO_DATABASE, NO_DATABASE_WAIT_S = 75, 1.0
"""The exit status (EX_TEMPFAIL of sysexits.h) of a child that found no database; that is no fault of its own, and the
others, who may go on with what they have, are not to end for it."""
TOO_MANY_DEATHS, TOO_MANY_DEATHS_S = 10, 20.0
"""Children that end so often do not end by accident."""
PORT_PATIENCE_S = 3.0
"""What was killed under load lets go of its ports a moment after it is gone (seen: some tenths of a second), and who
starts a server anew does not wait for that."""
MOST_FILES = 1 << 20
_PR_SET_PDEATHSIG = 1

Sockets = Mapping[str, Sequence[socket.socket]]


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One child: its number among its kind and what it does."""

    name: str
    roles: tuple[str, ...]


def plan_processes(config: Config, roles: Iterable[str], cores: int) -> list[ProcessPlan]:
    """Which processes a node runs. On one core: one, so that a small machine stays quiet; a database in memory is one
    process's own anyway."""
    wanted = set(roles)
    doors = tuple(role for role in DOORS if role in wanted)
    engines = tuple(role for role in ENGINES if role in wanted)
    quiet = cores == 1 and not (config.processes.doors or config.processes.engines)
    if quiet or config.database.url == "memory":
        return [ProcessPlan("all", doors + engines)]
    plans = []
    for kind, its_roles, asked in (
        ("doors", doors, config.processes.doors),
        ("engines", engines, config.processes.engines),
    ):
        if its_roles:
            plans += [ProcessPlan(f"{kind}-{number}", its_roles) for number in range(asked or max(1, cores // 2))]
    return plans


def bind(config: Config, roles: Iterable[str]) -> dict[str, list[socket.socket]]:
    """Every listening socket that the roles need, by purpose. Raises OSError with the address in its text."""
    wanted = set(roles)
    purposes = {
        "http": config.http.listen if wanted & {"api", "web"} else (),
        "submission": config.smtp.submission_listen if "smtp" in wanted else (),
        "submission_tls": config.smtp.submission_tls_listen if "smtp" in wanted else (),
        "inbound": config.smtp.inbound_listen if "mx" in wanted else (),
    }
    bound = {purpose: [_listening(at) for at in places] for purpose, places in purposes.items() if places}
    if "dns" in wanted and config.dns.listen:
        bound["dns"] = [_listening(at) for at in config.dns.listen]
        bound["dns_udp"] = [_beside(at, stream) for at, stream in zip(config.dns.listen, bound["dns"], strict=True)]
    return bound


def _listening(at: Listen) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind_patiently(bound, address)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        raise OSError(f"cannot listen on {at}: {error.strerror or error}") from None
    return bound


def _bind_patiently(bound: socket.socket, address: Any) -> None:
    give_up_s = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            bound.bind(address)
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up_s:
                raise
        time.sleep(0.02)


def _beside(at: Listen, stream: socket.socket) -> socket.socket:
    """The datagram socket at the address of a stream socket: DNS speaks both ways at one port."""
    try:
        bound = socket.socket(stream.family, socket.SOCK_DGRAM)
        if stream.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(stream.getsockname())
        bound.setblocking(False)
    except OSError as error:
        raise OSError(f"cannot listen on {at} (UDP): {error.strerror or error}") from None
    return bound


def raise_file_limit() -> None:
    """As many open files as the system lets us have: every connection is one, and the usual start value is 1,024.

    Inherited by the children.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def supervise(plans: Sequence[ProcessPlan], work: Callable[[ProcessPlan], int]) -> int:
    """Runs `work` in a child for each plan until SIGTERM or SIGINT; the exit status for the parent.

    A single plan runs right here: there is nobody to look after.
    """
    if len(plans) == 1:
        return work(plans[0])
    return _Parent(plans, work).run()


class _Parent:
    def __init__(self, plans: Sequence[ProcessPlan], work: Callable[[ProcessPlan], int]) -> None:
        self._plans, self._work = plans, work
        self._children: dict[int, ProcessPlan] = {}
        self._stopping = False
        self._gave_up = False
        self._deaths: list[float] = []

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        # What was imported up to here is shared by all children as long as nobody writes to it; the collector would.
        gc.collect()
        gc.freeze()
        for plan in self._plans:
            self._start(plan)
        while self._children:
            pid, status = os.wait()
            ended = self._children.pop(pid, None)
            if ended is not None and not self._stopping:
                self._replace(ended, pid, status)
        return 1 if self._gave_up else 0

    def _replace(self, ended: ProcessPlan, pid: int, status: int) -> None:
        """Starts a new child in the place of one that ended; gives up where none comes to its feet."""
        if os.waitstatus_to_exitcode(status) == NO_DATABASE:
            log.warning("process %s (pid %d) found no database; starting it again", ended.name, pid)
            time.sleep(NO_DATABASE_WAIT_S)
            if not self._stopping:
                self._start(ended)
            return
        self._deaths = [at for at in self._deaths if at > time.monotonic() - TOO_MANY_DEATHS_S] + [time.monotonic()]
        if len(self._deaths) > TOO_MANY_DEATHS:
            log.critical("process %s ended (%s) and so do those in its place; giving up", ended.name, _said(status))
            self._gave_up = True
            self._on_stop(signal.SIGTERM, None)
            return
        log.error("process %s (pid %d) ended (%s); starting it again", ended.name, pid, _said(status))
        time.sleep(RESTART_WAIT_S)
        if not self._stopping:
            self._start(ended)

    def _start(self, plan: ProcessPlan) -> None:
        parent = os.getpid()
        # Between fork and the child's own handlers a signal must not run the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        pid = os.fork()
        if pid == 0:
            self._be_child(plan, parent)
        self._children[pid] = plan
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))

    def _be_child(self, plan: ProcessPlan, parent: int) -> None:
        status = 1
        try:
            _die_with_parent(parent)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
            status = self._work(plan)
        except BaseException:
            log.exception("process %s failed", plan.name)
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _on_stop(self, number: int, frame: object) -> None:
        if not self._stopping:
            self._stopping = True
            signal.signal(signal.SIGALRM, self._on_overtime)
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)
        for pid in list(self._children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _on_overtime(self, number: int, frame: object) -> None:
        for pid in list(self._children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _die_with_parent(parent: int) -> None:
    """Linux: a killed parent takes its children along, or their ports would stay taken."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _said(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit status {code}"
