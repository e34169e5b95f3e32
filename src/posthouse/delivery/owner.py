"""Who holds a lease, and whether that process still lives: so that a restart need not wait for leases to run out."""

import os
import socket
from pathlib import Path

PROC = Path("/proc")


def own_name(nonce: str, proc: Path = PROC) -> str:
    """The name of a worker of this process: ``host/boot/pid namespace/pid/start time/nonce``."""
    pid = os.getpid()
    return "/".join((socket.gethostname(), *_machine(proc), str(pid), _start_time(pid, proc), nonce))


def is_known_dead(owner: str, proc: Path = PROC) -> bool:
    """True only for an owner on this machine, in this boot and pid namespace, whose process is gone.

    Anything else may be alive somewhere: its leases run out by themselves if it is not.
    """
    parts = owner.split("/")
    if len(parts) != 6 or parts[:3] != [socket.gethostname(), *_machine(proc)] or not parts[3].isascii():
        return False
    if "" in parts[1:5] or not parts[3].isdigit():
        return False
    # A process id is given out again some day; together with its start time it is not.
    return _start_time(int(parts[3]), proc) != parts[4]


def _machine(proc: Path) -> tuple[str, str]:
    """Which boot of which kernel, and whose process ids; empty where there is no /proc."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink(proc / "self/ns/pid").strip("pid:[]")
    except OSError:
        return "", ""


def _start_time(pid: int, proc: Path) -> str:
    """Clock ticks from boot to the start of the process; empty where there is no such process."""
    try:
        # proc(5): field 22; the second one, in parentheses, may itself hold blanks and parentheses.
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        # A zombie works no more, and may stay one for as long as nobody reaps it.
        return "" if fields[0] in ("Z", "X") else fields[19]
    except (OSError, IndexError):
        return ""
