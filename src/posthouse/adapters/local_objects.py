"""The embedded stand-in for S3: an object is a file, ``s3/BUCKET/KEY`` in the data directory.

Buckets are one name space for all accounts, as in S3, and nobody's policy keeps SES from writing: the ids in the keys
cannot be guessed, so that no account writes over another's mail. A key is any text; where a part of it would mean
something to a file system, it is spelled with percent signs, so that every key has one place, and all of them are
below their bucket's directory. Metadata lies beside the object in a hidden file.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from posthouse.adapters.durable_files import make_directory, sync, write_whole
from posthouse.domain.safe_names import spelled
from posthouse.ports.objects import MAX_KEY_BYTES, BucketUnknown, PutOutcome, Taken, WriteFailed

MAX_PART = 180
"""Characters of one directory's or file's name as it is spelled; file systems take 255 bytes, and we add to it."""

# As S3 has them, and the capitals and underscores that its oldest buckets have.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]\Z")
log = logging.getLogger("posthouse.objects")


class LocalObjects:
    """ports.objects.Objects without AWS."""

    def __init__(
        self, directory: Path, random: Callable[[int], bytes], auto_create: bool, preset: Collection[str]
    ) -> None:
        """`auto_create`: a bucket comes to exist when it is first named; else those in `preset` do, and those whose
        directory somebody made."""
        self._directory = directory
        self._random = random
        self._auto_create = auto_create
        self._preset = frozenset(preset)

    async def put(
        self, account: str, bucket: str, key: str, content: bytes, metadata: Mapping[str, str], role: str
    ) -> PutOutcome:
        if not _BUCKET.match(bucket):
            return BucketUnknown()
        parts = parts_of(key)
        if parts is None:
            return WriteFailed("the key is too long")
        return await asyncio.to_thread(self._put, bucket, parts, content, metadata)

    def _put(self, bucket: str, parts: tuple[str, ...], content: bytes, metadata: Mapping[str, str]) -> PutOutcome:
        home = self._directory / bucket
        if not (self._auto_create or bucket in self._preset or home.is_dir()):
            return BucketUnknown()
        path = home.joinpath(*parts)
        try:
            make_directory(path.parent)
            if metadata:
                # First: an object that is there has all that belongs to it.
                self._write(path.with_name(f".{path.name}.metadata"), json.dumps(dict(metadata)).encode())
            self._write(path, content)
            sync(path.parent)
        except OSError as error:
            log.warning("an object could not be written to bucket %s: %s", bucket, error)
            return WriteFailed(str(error))
        return Taken()

    def _write(self, path: Path, content: bytes) -> None:
        write_whole(path, content, path.with_name(f".{self._random(8).hex()}.part"))

    async def close(self) -> None:
        """Nothing is held open."""


def parts_of(key: str) -> tuple[str, ...] | None:
    """Where a key lies below its bucket's directory; each has its own place. None for one that is too long."""
    if not 0 < len(key.encode(errors="replace")) <= MAX_KEY_BYTES:
        return None
    parts = tuple(map(spelled, key.split("/")))
    return parts if all(len(part) <= MAX_PART for part in parts) else None
