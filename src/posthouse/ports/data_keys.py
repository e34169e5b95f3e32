"""KMS: keys for the data of one object, sealed by a key that does not leave KMS.

Source: AWS KMS API reference, GenerateDataKey and Decrypt; SES encrypts mail before it writes it to S3 with AES-256-GCM
under such a key (developer guide, "Deliver to S3 bucket action").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DataKey:
    plaintext: bytes = field(repr=False)
    """256 bits: used once, and forgotten."""
    sealed: bytes
    """Kept beside what it encrypts."""


@dataclass(frozen=True, slots=True)
class KeyUnknown:
    """There is no such key."""


@dataclass(frozen=True, slots=True)
class KeyNotPermitted:
    reason: str


@dataclass(frozen=True, slots=True)
class KeyFailed:
    """Not reached, not now."""

    reason: str


DataKeyOutcome = DataKey | KeyUnknown | KeyNotPermitted | KeyFailed


class DataKeys(Protocol):
    async def generate(self, account: str, key_arn: str, context: Mapping[str, str], role: str) -> DataKeyOutcome:
        """A new data key; whoever wants it unsealed must give the same encryption context. Never raises for what the
        other side does."""
        ...

    async def close(self) -> None: ...
