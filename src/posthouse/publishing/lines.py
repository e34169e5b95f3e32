"""Who may go now: what has the same line goes one after the other, and not at all while the one before it failed."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Lines(Generic[T]):
    """Items that wait. An empty line is none: such items go side by side."""

    def __init__(self) -> None:
        self._ready: deque[T] = deque()
        self._behind: dict[str, deque[T]] = {}
        """By line, of which one is ready or under way."""
        self._closed: set[str] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, line: str, item: T) -> bool:
        """To the end of its line. False, and not added, where that is closed."""
        if line in self._closed:
            return False
        self._count += 1
        if line in self._behind:
            self._behind[line].append(item)
            return True
        if line:
            self._behind[line] = deque()
        self._ready.append(item)
        return True

    def take(self) -> T | None:
        """The next one, which is under way now: `passed` or `close` says how it ended."""
        if not self._ready:
            return None
        self._count -= 1
        return self._ready.popleft()

    def passed(self, line: str) -> None:
        """The one that was under way has arrived, or never will: the next may go, before all others."""
        behind = self._behind.pop(line, None)
        if behind:
            self._ready.appendleft(behind.popleft())
            self._behind[line] = behind

    def close(self, line: str) -> list[T]:
        """The one that was under way failed: what stood behind it, which is let go of. The line takes nobody until it
        is opened."""
        if not line:
            return []
        self._closed.add(line)
        behind = self._behind.pop(line, deque())
        self._count -= len(behind)
        return list(behind)

    def open(self, lines: set[str]) -> None:
        self._closed -= lines

    def clear(self) -> list[T]:
        """Takes out all that wait."""
        left = [*self._ready, *(item for behind in self._behind.values() for item in behind)]
        self._ready.clear()
        self._behind.clear()
        self._count = 0
        return left
