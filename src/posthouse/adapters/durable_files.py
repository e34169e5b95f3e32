"""Files and directories that are there after a power cut too, and that nobody else may read."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, unfinished: Path) -> None:
    """Readers see the old file or the new one, whole; `unfinished`: where it is written first, on the same file system.
    The directory's own entry is the caller's to sync (`sync`)."""
    try:
        with open(unfinished, "xb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def make_directory(path: Path) -> None:
    """With what is above it."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync(path.parent)


def sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
