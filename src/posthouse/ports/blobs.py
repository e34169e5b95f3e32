"""Large contents, kept beside the database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BlobInfo:
    key: str
    written_ms: int


class Blobs(Protocol):
    """Bytes under keys that the caller makes up, each written once (letters, digits and ``-``, at least four).

    All raise `ports.stores.StoreUnavailable` where the storage refuses.
    """

    async def put(self, key: str, data: bytes) -> None:
        """Durable when it returns: the row that names the key is written after it."""
        ...

    async def get(self, key: str) -> bytes | None: ...

    async def delete(self, key: str) -> None:
        """Nothing happens where there is none."""
        ...

    def listing(self) -> AsyncIterator[BlobInfo]:
        """All there are, in any order: for the sweep of those that no row names."""
        ...
