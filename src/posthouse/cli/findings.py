"""What a check of `posthouse doctor` found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, and will make trouble."""
    FAIL = "fail"
    """Does not work as configured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    text: str
    advice: str = ""
    """What to do; empty where nothing has to be done."""


def ok(check: str, text: str) -> Finding:
    return Finding(check, State.OK, text)


def warn(check: str, text: str, advice: str) -> Finding:
    return Finding(check, State.WARN, text, advice)


def fail(check: str, text: str, advice: str) -> Finding:
    return Finding(check, State.FAIL, text, advice)
