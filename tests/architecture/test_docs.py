"""What the docs promise to list, they list."""

import re
import subprocess
import sys
from pathlib import Path

from posthouse.config import keys
from posthouse.model.generated import OPERATIONS as MODEL
from posthouse.operations.table import OPERATIONS as BUILT

DOCS = Path(__file__).parents[2] / "docs"


def test_compatibility_lists_every_operation_with_its_true_state() -> None:
    rows = re.findall(
        r"^\| ([A-Z]\w+) \| (done|differs|not built yet) \|", (DOCS / "compatibility.md").read_text(), re.M
    )
    states = dict(rows)
    assert len(rows) == len(states) == 71
    assert set(states) == set(MODEL)
    assert {name for name, state in states.items() if state != "not built yet"} == set(BUILT)


def test_the_settings_page_lists_every_key() -> None:
    page = (DOCS / "reference" / "settings.md").read_text()
    for key, _ in keys():
        assert f"`{key}`" in page, key


def test_the_settings_page_is_fresh() -> None:
    done = subprocess.run([sys.executable, "tools/generate_docs.py", "--check"], cwd=DOCS.parent, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
