"""Time, so that no rule reads it behind its caller's back."""

from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since 1970-01-01 UTC."""
        ...
