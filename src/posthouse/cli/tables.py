"""Output: aligned tables for people, JSON for scripts.

What strangers wrote (subjects, replies, host names) must not drive the terminal that shows it.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

# C0, DEL and C1 controls (ECMA-48), line and paragraph separators, and the marks that turn the direction of text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNPRINTABLE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """One line that only prints."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, two blanks between; without heads, rows only."""
    lines = [[printable(cell) for cell in row] for row in ([heads] if heads else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def show(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    click.echo(table([head.upper() for head in heads], rows))


def show_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one pair a line."""
    click.echo(table((), facts))


def show_json(value: Any) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(_UNPRINTABLE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded))


def moment(at_ms: int) -> str:
    """UTC to the second."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d %H:%M:%S}"


def yes_no(flag: bool) -> str:
    return "yes" if flag else "no"
