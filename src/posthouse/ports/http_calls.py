"""Calls to addresses that users give: topic subscribers, functions.

One client makes them all. It connects only to the address it has checked (no private, loopback or link-local ranges
unless the configuration allows them: a user must not reach through us what only we can reach), follows no redirect,
and bounds time and size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The other side answered, whatever it said."""

    status: int
    body: bytes
    """At most as much as was asked for."""


@dataclass(frozen=True, slots=True)
class HttpRefused:
    """Not called at all: no URL that may be called, or an address that may not be reached."""

    reason: str


@dataclass(frozen=True, slots=True)
class HttpFailed:
    """No answer: not reached, broken off, too slow."""

    reason: str
    timed_out: bool = False


HttpOutcome = HttpAnswer | HttpRefused | HttpFailed


class HttpCalls(Protocol):
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, max_answer: int = 64 * 1024
    ) -> HttpOutcome:
        """Never raises for what the URL, the name service or the other side does."""
        ...

    async def close(self) -> None: ...
