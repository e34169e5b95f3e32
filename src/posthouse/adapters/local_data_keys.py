"""The embedded stand-in for KMS: data keys sealed with AES-256-GCM by a key of the installation.

Every key ARN of every account has a sealing key of its own, derived from the one in the data directory (HMAC-SHA-256),
so what one account had sealed does not open for another. The encryption context is authenticated, as by KMS.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from posthouse.ports.data_keys import DataKey, DataKeyOutcome

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


class LocalDataKeys:
    """ports.data_keys.DataKeys without AWS: every key that is named exists."""

    def __init__(self, master_key: Callable[[], bytes], random: Callable[[int], bytes]) -> None:
        """`master_key`: asked for when it is needed."""
        self._master_key = master_key
        self._random = random

    async def generate(self, account: str, key_arn: str, context: Mapping[str, str], role: str) -> DataKeyOutcome:
        plaintext, nonce = self._random(KEY_BYTES), self._random(NONCE_BYTES)
        sealed = self._cipher(account, key_arn).encrypt(nonce, plaintext, _authenticated(context))
        return DataKey(plaintext, VERSION + nonce + sealed)

    def unseal(self, account: str, key_arn: str, sealed: bytes, context: Mapping[str, str]) -> bytes | None:
        """The data key; None where it was sealed by another key or with another context, or was damaged."""
        from cryptography.exceptions import InvalidTag

        nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != VERSION or len(nonce) < NONCE_BYTES:
            return None
        try:
            return self._cipher(account, key_arn).decrypt(nonce, text, _authenticated(context))
        except InvalidTag:
            return None

    def _cipher(self, account: str, key_arn: str) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._master_key(), f"{account} {key_arn}".encode(), "sha256"))

    async def close(self) -> None:
        """Nothing is held open."""


def _authenticated(context: Mapping[str, str]) -> bytes:
    return json.dumps(sorted(context.items())).encode()
