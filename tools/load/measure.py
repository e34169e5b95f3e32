"""What every load tool needs: an event loop, percentiles, memory of a process tree, one line of JSON."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest loop there is, made the current one."""
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """The value below which `share` of the times lie, in milliseconds; 0 where there are none."""
    if not seconds:
        return 0.0
    return round(sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] * 1000, 3)


def cpu_s(pids: Sequence[int]) -> float:
    """Processor time that the processes have used, in user and system mode."""
    ticks = 0
    for pid in pids:
        # proc(5): the name, in parentheses, may hold anything; utime and stime are the 14th and 15th field.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mib(pids: Sequence[int]) -> float:
    """Proportional set size of the processes: pages they share count once."""
    kib = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(kib / 1024, 1)


def print_json(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)
