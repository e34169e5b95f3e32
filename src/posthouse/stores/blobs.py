"""Large contents as files: ``blobs/ab/abcdef...``, each written once, synced before a row names it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from posthouse.ports.blobs import BlobInfo
from posthouse.ports.stores import StoreUnavailable
from posthouse.stores.sealing import sync_directory


class FileBlobs:
    """Blobs in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, key: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, self._path(key), data)

    async def get(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._read, self._path(key))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._remove, self._path(key))

    async def listing(self) -> AsyncIterator[BlobInfo]:
        for shelf in await asyncio.to_thread(self._shelves):
            for info in await asyncio.to_thread(self._on, shelf):
                yield info

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / key

    def _write(self, path: Path, data: bytes) -> None:
        try:
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_directory(self._directory)
                sync_directory(self._directory.parent)
            with open(path, "xb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            sync_directory(path.parent)
        except OSError as error:
            raise StoreUnavailable(f"blob not written: {error}") from error

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"blob not read: {error}") from error

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"blob not removed: {error}") from error

    def _shelves(self) -> list[Path]:
        return sorted(self._directory.iterdir()) if self._directory.exists() else []

    def _on(self, shelf: Path) -> list[BlobInfo]:
        with os.scandir(shelf) as entries:
            return [BlobInfo(entry.name, entry.stat().st_mtime_ns // 1_000_000) for entry in entries]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
