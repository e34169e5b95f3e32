"""Node.js with the npm packages of tests/support/js, installed once beside the virtual environment."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.needs import need

PACKAGE = Path(__file__).parent / "js" / "package.json"
PLACE = Path(sys.prefix) / "js"


def run_node(script: str, *words: str, timeout_s: float = 60) -> str:
    """What an ES module prints; its imports are found among the installed packages."""
    need("node", "npm")
    _install()
    # Beside the packages, where its imports look for them.
    with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=PLACE) as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["node", file.name, *words], capture_output=True, text=True, timeout=timeout_s, cwd=PLACE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _install() -> None:
    wanted, there = PACKAGE.read_text(), PLACE / "package.json"
    if there.exists() and there.read_text() == wanted and (PLACE / "done").exists():
        return
    PLACE.mkdir(exist_ok=True)
    there.write_text(wanted)
    subprocess.run(
        ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"],
        cwd=PLACE,
        check=True,
        timeout=300,
    )
    (PLACE / "done").touch()
