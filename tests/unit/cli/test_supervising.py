"""Children that end, and when their parent loses patience with them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from posthouse.serve import NO_DATABASE, TOO_MANY_DEATHS

CHILDREN = f"""
import os, sys
from posthouse import serve
serve.RESTART_WAIT_S = serve.NO_DATABASE_WAIT_S = 0

def work(plan):
    with open(sys.argv[1], "a") as starts:
        starts.write("x")
    if os.path.getsize(sys.argv[1]) < {3 * TOO_MANY_DEATHS}:
        return int(sys.argv[2])
    print("up", flush=True)
    while True:
        import signal; signal.pause()

sys.exit(serve.supervise([serve.ProcessPlan("one", ()), serve.ProcessPlan("two", ())], work))
"""


@pytest.mark.parametrize(("status", "gives_up"), [(NO_DATABASE, False), (1, True)])
def test_only_who_ends_by_its_own_fault_tries_the_parents_patience(tmp_path: Path, status: int, gives_up: bool) -> None:
    argv = [sys.executable, "-c", CHILDREN, str(tmp_path / "starts"), str(status)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        if gives_up:
            assert parent.wait(20) == 1
        else:
            assert parent.stdout.readline() == b"up\n"
            os.kill(parent.pid, signal.SIGTERM)
            assert parent.wait(20) == 0
