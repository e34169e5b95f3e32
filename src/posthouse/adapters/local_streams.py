"""The embedded stand-in for Firehose: newline-delimited JSON in files by the hour.

``DIRECTORY/STREAM/YYYY/MM/DD/HH/STREAM-ACCOUNT-REGION-NONCE.jsonl``, in UTC, as Firehose lays out its objects. Each
process writes files of its own, a call's records with one write to the end of one, so that readers find whole lines,
however many processes there are.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from posthouse.domain.streams import StreamArn, parse_stream_arn
from posthouse.ports.clock import Clock
from posthouse.ports.streams import Put, PutOutcome, StreamFailed, StreamUnknown

log = logging.getLogger("posthouse.firehose")


class LocalStreams:
    """ports.streams.Streams without AWS. Every role may put records."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        random: Callable[[int], bytes],
        auto_create: bool,
        preset: Collection[str],
    ) -> None:
        """`auto_create`: a stream comes to exist when it is first named; else only the names and ARNs in `preset` do.
        `directory` is made when something is first put."""
        self._directory = directory
        self._clock = clock
        self._nonce = random(4).hex()
        self._auto_create = auto_create
        self._preset = frozenset(preset)
        self._turn = asyncio.Lock()

    async def check(self, account: str, stream_arn: str, role_arn: str) -> PutOutcome:
        return Put() if self._find(stream_arn) else StreamUnknown()

    async def put(self, account: str, stream_arn: str, role_arn: str, records: Sequence[bytes]) -> PutOutcome:
        stream = self._find(stream_arn)
        if stream is None:
            return StreamUnknown()
        data = b"".join(record if record.endswith(b"\n") else record + b"\n" for record in records)
        try:
            async with self._turn:
                await asyncio.to_thread(_append, self._path(account, stream), data)
        except OSError as error:
            log.warning("records for %s could not be written: %s", stream_arn, error)
            return StreamFailed(str(error))
        return Put()

    def _find(self, stream_arn: str) -> StreamArn | None:
        stream = parse_stream_arn(stream_arn)
        if stream is None:
            return None
        there = self._auto_create or stream_arn in self._preset or stream.name in self._preset
        return stream if there else None

    def _path(self, account: str, stream: StreamArn) -> Path:
        # The account is the caller's: two that name one stream write beside each other, not into each other's files.
        hour = datetime.fromtimestamp(self._clock.now_ms() // 1000, UTC).strftime("%Y/%m/%d/%H")
        name = f"{stream.name}-{account}-{stream.region}-{self._nonce}.jsonl"
        return self._directory / stream.name / hour / name

    async def close(self) -> None:
        """Nothing is held open."""


def _append(path: Path, data: bytes) -> None:
    """All of it, on disk when it returns, or nothing of it. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(file).st_size
        try:
            if os.write(file, data) < len(data):
                raise OSError(f"{path}: the disk is full")
            os.fdatasync(file)
        except OSError:
            # Nobody else writes to this file.
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)
