"""S3: writing mail into a bucket.

Source: Amazon S3 API reference, PutObject. SES finds out whether it may by writing an object (developer guide, "Giving
permissions"): there is no other way to ask.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """The object is there, and survives whatever happens to us."""


@dataclass(frozen=True, slots=True)
class BucketUnknown:
    """There is no such bucket."""


@dataclass(frozen=True, slots=True)
class WriteNotPermitted:
    reason: str


@dataclass(frozen=True, slots=True)
class WriterRefused:
    """The role that is to write cannot be assumed."""

    reason: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """Not reached, not taken, not now."""

    reason: str


PutOutcome = Taken | BucketUnknown | WriteNotPermitted | WriterRefused | WriteFailed


class Objects(Protocol):
    async def put(
        self, account: str, bucket: str, key: str, content: bytes, metadata: Mapping[str, str], role: str
    ) -> PutOutcome:
        """Writes on behalf of an account, by the role where one is named, over what is there under this key. Keys are
        any text of at most MAX_KEY_BYTES. Never raises for what the other side does."""
        ...

    async def close(self) -> None: ...
