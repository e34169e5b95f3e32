"""Logging, metrics, request ids: standard library only, for every room above the pure ground.

Metrics are plain numbers in this process; `posthouse serve` has several processes, so each writes its own to a small
file now and then, and whoever is asked for /metrics adds them up (`write_snapshot`, `read_snapshots`).
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

Labels = tuple[tuple[str, str], ...]
Snapshot = tuple[list[tuple[str, Labels, float]], dict[str, tuple[str, str]]]
"""Samples, and what each name stands for."""

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters, gauges and histograms of one process."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        self._kinds: dict[str, tuple[str, str]] = {}

    def describe(self, name: str, kind: str, text: str) -> None:
        """`kind` is ``counter``, ``gauge`` or ``histogram``."""
        self._kinds[name] = (kind, text)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self._values[key] = self._values.get(key, 0.0) + amount

    def set(self, name: str, value: float, **labels: str) -> None:
        self._values[name, tuple(sorted(labels.items()))] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """One measurement of a histogram."""
        self.add(f"{name}_count", 1, **labels)
        self.add(f"{name}_sum", seconds, **labels)
        for bound in BUCKETS_S:
            if seconds <= bound:
                self.add(f"{name}_bucket", 1, le=f"{bound:g}", **labels)
        self.add(f"{name}_bucket", 1, le="+Inf", **labels)

    def samples(self) -> list[tuple[str, Labels, float]]:
        return [(name, labels, value) for (name, labels), value in self._values.items()]

    @property
    def kinds(self) -> dict[str, tuple[str, str]]:
        return self._kinds


def write_snapshot(metrics: Metrics, directory: Path) -> None:
    """Leaves this process's numbers where a sibling finds them; a failure is only logged."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / f"{os.getpid()}.json"
        scratch = target.with_suffix(".tmp")
        scratch.write_text(json.dumps({"samples": metrics.samples(), "kinds": metrics.kinds}))
        scratch.replace(target)
    except OSError as error:
        logging.getLogger("posthouse.observe").warning("metrics snapshot not written: %s", error)


def read_snapshots(directory: Path) -> list[Snapshot]:
    """The numbers of every living process; files of dead ones are removed."""
    found = []
    for path in directory.glob("*.json"):
        if not Path(f"/proc/{path.stem}").exists():
            with suppress(OSError):
                path.unlink()
            continue
        with suppress(OSError, ValueError):
            data = json.loads(path.read_text())
            samples = [(n, tuple((k, v) for k, v in labels), value) for n, labels, value in data["samples"]]
            found.append((samples, {name: (kind, text) for name, (kind, text) in data["kinds"].items()}))
    return found


def render(parts: Iterable[Snapshot]) -> str:
    """Prometheus text format, the numbers of all parts added up."""
    totals: dict[tuple[str, Labels], float] = {}
    kinds: dict[str, tuple[str, str]] = {}
    for samples, described in parts:
        kinds.update(described)
        for name, labels, value in samples:
            totals[name, labels] = totals.get((name, labels), 0.0) + value
    by_family: dict[str, list[str]] = {name: [] for name in kinds}
    for (name, labels), value in sorted(totals.items()):
        family = next((n for n in (name, *(name.removesuffix(s) for s in _SUFFIXES)) if n in by_family), name)
        by_family.setdefault(family, []).append(f"{name}{_labels(labels)} {_number(value)}")
    lines = []
    for name, rows in by_family.items():
        kind, text = kinds.get(name, ("untyped", ""))
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *rows]
    return "\n".join(lines) + "\n"


_SUFFIXES = ("_count", "_sum", "_bucket")


def _number(value: float) -> str:
    """In full: six digits would make a counter of millions stand still."""
    return str(int(value)) if value == int(value) else repr(value)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = ((name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels)
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


def new_request_id() -> str:
    """A lower-case UUID, as AWS prints request ids."""
    h = os.urandom(16).hex()  # by hand: uuid.UUID takes three times as long, and every request needs one
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


class JsonLines(logging.Formatter):
    """One JSON object a line, for log shippers."""

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row)


def set_up_logging(format: str, level: str) -> None:
    """Everything goes to standard error; `format` is ``console`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonLines() if format == "json" else plain)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
