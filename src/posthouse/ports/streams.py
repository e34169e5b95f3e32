"""Firehose: records into a delivery stream.

Source: Amazon Data Firehose API reference, PutRecordBatch (at most 500 records and 4 MiB a call; records fail singly).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_RECORDS = 500
MAX_BYTES = 4 * 1024 * 1024
"""Of one call, all records together."""


@dataclass(frozen=True, slots=True)
class Put:
    """The stream took the call."""

    failed: tuple[int, ...] = ()
    """Positions of the records that it did not take: they are to be put again."""


@dataclass(frozen=True, slots=True)
class StreamUnknown:
    """There is no such stream for this account."""


@dataclass(frozen=True, slots=True)
class RoleRefused:
    """The role cannot be assumed, or may not put records."""

    reason: str


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """Not reached, not taken, not now."""

    reason: str


PutOutcome = Put | StreamUnknown | RoleRefused | StreamFailed


class Streams(Protocol):
    async def check(self, account: str, stream_arn: str, role_arn: str) -> PutOutcome:
        """Whether records could be put: the role assumed, the stream there. Puts nothing. Never raises for what the
        other side does."""
        ...

    async def put(self, account: str, stream_arn: str, role_arn: str, records: Sequence[bytes]) -> PutOutcome:
        """At most MAX_RECORDS, at most MAX_BYTES. Never raises for what the other side does."""
        ...

    async def close(self) -> None: ...
