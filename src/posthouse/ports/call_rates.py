"""Counting the calls of the API, where they are limited."""

from typing import Protocol

from posthouse.domain.scope import Scope


class CallRates(Protocol):
    async def admit(self, scope: Scope, operation: str, calls_per_s: float) -> bool:
        """Whether one more call may be made now, and counts it then: exact over all processes of all nodes."""
        ...
