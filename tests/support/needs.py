"""Programs that a test talks to: without them it is left out, except in CI, where nothing may be."""

import os
import shutil

import pytest

PLACES = ("/usr/sbin", "/usr/lib/postgresql/15/bin", "/sbin")


def need(*programs: str) -> None:
    """Leaves the test out where one of these is not installed; with CI=true that is a failure."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *PLACES))
    missing = [program for program in programs if not shutil.which(program, path=path)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {', '.join(missing)}: tools/system-packages")
    if missing:
        pytest.skip(f"waits for {', '.join(missing)}: make system-packages")
