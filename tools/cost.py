#!/usr/bin/env python3
"""What a message costs: processor time of each of our processes over a fixed number of messages.

    tools/cost.py                       every kind of work
    tools/cost.py --only api16,inbound --rounds 3

Rates drift with whatever else a machine does; the processor time of a message drifts far less, so changes are judged by
it. Two checkouts are compared in turn (A B A B ...), each by its own tools/cost.py. Load comes from tools/load; from
the first message to the last one settled, in the default configuration with strict signatures and without quotas.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import processes
from tests.support.server import Server
from tools.bench import BULK, LOGIN, STRICT, drained, load, sink_for, verify_domains

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written_kib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("wchar:"))) / 1024


def spent(server: Server, count: int, work: Callable[[], Any], profile: Path | None) -> dict[str, float]:
    """Microseconds of processor a message, by process: doors first, then engines."""
    pids = server.children()
    before, written = {pid: cpu_s(pid) for pid in pids}, {pid: written_kib(pid) for pid in pids}
    profilers = (
        [_profiled(pid, profile.with_name(f"{profile.name}-{n}.txt")) for n, pid in enumerate(pids)] if profile else []
    )
    began = time.perf_counter()
    rate = work()
    drained(server)
    took_s = time.perf_counter() - began
    costs: dict[str, float] = {}
    for name, pid in zip(("door", "engine"), pids, strict=True):
        costs[f"{name} us"] = round((cpu_s(pid) - before[pid]) / count * 1e6, 1)
        costs[f"{name} KiB"] = round((written_kib(pid) - written[pid]) / count, 2)
    for profiler in profilers:
        profiler.send_signal(2)
        profiler.wait()
    return costs | {
        "both us": round(costs["door us"] + costs["engine us"], 1),
        "rate": rate,
        "to the end /s": round(count / took_s),
    }


def _profiled(pid: int, into: Path) -> "subprocess.Popen[bytes]":
    words = ["record", "--pid", str(pid), "--format", "raw", "--gil", "--rate", "500", "--output", str(into)]
    return subprocess.Popen([os.environ.get("PY_SPY", "py-spy"), *words], stdout=subprocess.DEVNULL)


def over_api(callers: int, count: int, *words: object, per_call: int = 1) -> Callable[[Path | None], dict[str, float]]:
    def run(profile: Path | None) -> dict[str, float]:
        with Server(STRICT) as server:
            load("ses", "--url", server.url, "-n", 200, "-c", callers, *words)
            drained(server)
            return spent(
                server,
                count * per_call,
                lambda: load("ses", "--url", server.url, "-n", count, "-c", callers, *words)["rate"],
                profile,
            )

    return run


def relayed(count: int, signed: bool) -> Callable[[Path | None], dict[str, float]]:
    def run(profile: Path | None) -> dict[str, float]:
        with ExitStack() as stack:
            port = processes.free_port()
            more = {} if signed else {"identities.service_signature": "none"}
            routes = {"delivery.mode": "direct", "delivery.routes": {"*": f"127.0.0.1:{port}"}}
            server = stack.enter_context(Server({**STRICT, **routes, **more}))
            verify_domains(server, "bench.example.com")
            drained(server)
            sink = stack.enter_context(sink_for(port, count))

            def work() -> float:
                rate = load("smtp", "-n", count, "--port", server.submission, "--login", LOGIN)["rate"]
                sink.communicate(timeout=300)
                return float(rate)

            return spent(server, count, work, profile)

    return run


def inbound(count: int) -> Callable[[Path | None], dict[str, float]]:
    def run(profile: Path | None) -> dict[str, float]:
        with Server(STRICT) as server:
            verify_domains(server, "bench.example.com", "example.net")
            load("smtp", "--port", server.inbound, "-n", 500)
            drained(server)
            return spent(server, count, lambda: load("smtp", "--port", server.inbound, "-n", count)["rate"], profile)

    return run


WORK = {
    "api1": over_api(1, 2_000),
    "api16": over_api(16, 10_000),
    "api64": over_api(64, 10_000),
    "bulk": over_api(16, 200, "--bulk", BULK, per_call=BULK),
    "signed": relayed(4_000, True),
    "unsigned": relayed(6_000, False),
    "inbound": inbound(10_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORK))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--profile", type=Path, help="folded stacks by py-spy ($PY_SPY), into PATH-WORK-0.txt and -1.txt"
    )
    asked = parser.parse_args()
    for name in asked.only.split(","):
        profile = asked.profile and asked.profile.with_name(f"{asked.profile.name}-{name}")
        rounds = [WORK[name](profile) for _ in range(asked.rounds)]
        print(name, json.dumps({key: statistics.median(each[key] for each in rounds) for key in rounds[0]}), flush=True)


if __name__ == "__main__":
    main()
