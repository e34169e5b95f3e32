"""A lock between processes on a file, taken on the loop where it is free and waited for in a thread where not.

SQLite's own waiting is sleeping and trying again, which is slow and favours whoever comes often; flock(2) wakes the
next one at once, and the kernel releases it when its holder dies.
"""

import asyncio
import fcntl
import os
import time
from concurrent.futures import Executor
from pathlib import Path

from posthouse.ports.stores import StoreUnavailable

# Others hold it for a millisecond or two, mostly. The way into a thread and back costs both sides more processor than
# so many short naps, and at full load every second one would go it (docs/performance.md).
NAPS = 4
NAP_S = 0.00025


class FileLock:
    """For one holder at a time in this process: whoever acquires has seen to that."""

    def __init__(self, path: Path, threads: Executor, patience_s: float) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(str(error)) from error
        self._threads = threads
        self._patience_s = patience_s
        self._held = False
        self._wanted = False
        self._coming: asyncio.Future[None] | None = None

    def try_acquire(self) -> bool:
        """True where it was free."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._held = True
        return True

    async def acquire(self, patience_s: float | None = None) -> None:
        """Raises StoreUnavailable where its holder keeps it too long."""
        if self.try_acquire() or self._nap():
            return
        if self._coming is None:
            # A wait in a thread cannot be called off; one that outlived its caller is taken up by the next.
            self._coming = asyncio.get_running_loop().run_in_executor(
                self._threads, fcntl.flock, self._file, fcntl.LOCK_EX
            )
            self._coming.add_done_callback(self._came)
        coming = self._coming
        self._wanted = True
        try:
            await asyncio.wait([coming], timeout=self._patience_s if patience_s is None else patience_s)
        except asyncio.CancelledError:
            if coming.done():
                fcntl.flock(self._file, fcntl.LOCK_UN)
            raise
        finally:
            self._wanted = False
        if not coming.done():
            raise StoreUnavailable("another process keeps the database locked")
        coming.result()
        self._held = True

    def _nap(self) -> bool:
        """True where it came within a millisecond. The loop stands still meanwhile, as while a commit syncs."""
        if self._coming is not None:
            return False
        for _ in range(NAPS):
            time.sleep(NAP_S)
            if self.try_acquire():
                return True
        return False

    def _came(self, coming: asyncio.Future[None]) -> None:
        self._coming = None
        if not self._held and not self._wanted:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def release(self) -> None:
        """Nothing happens where it is not held."""
        if self._held:
            self._held = False
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)
