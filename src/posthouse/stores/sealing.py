"""Secrets at rest: sealed with AES-256-GCM by a master key in the data directory.

NIST SP 800-38D; a fresh 96-bit random nonce each time. What a secret belongs to is authenticated with it, so that a
sealed value moved to another row does not open.
"""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from posthouse.ports.stores import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


class Seal:
    """Seals and opens. The key is read, or made, when it is first needed; so is the library."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._cipher: AESGCM | None = None

    def close(self, secret: bytes, belongs_to: str) -> bytes:
        """The sealed form of a secret."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + nonce + self._aes().encrypt(nonce, secret, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        """The secret. Raises StoreRefused where it was sealed by another key, for something else, or is damaged."""
        from cryptography.exceptions import InvalidTag

        nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            if sealed[:1] != VERSION or len(nonce) < NONCE_BYTES:
                raise InvalidTag
            return self._aes().decrypt(nonce, text, belongs_to.encode())
        except InvalidTag:
            raise StoreRefused(f"the secret of {belongs_to} was not sealed with the key in {self._key_file}") from None

    def _aes(self) -> "AESGCM":
        if self._cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(master_key(self._key_file))
        return self._cipher


def master_key(key_file: Path) -> bytes:
    """The key in this file, made where there is none. Whoever comes first makes it; the others read it.

    Raises StoreRefused where the file holds something else.
    """
    try:
        if not key_file.exists():
            _make(key_file)
        key = key_file.read_bytes()
    except OSError as error:
        raise StoreUnavailable(str(error)) from error
    if len(key) != KEY_BYTES:
        raise StoreRefused(f"{key_file} does not hold a master key of {KEY_BYTES} bytes")
    return key


def _make(key_file: Path) -> None:
    draft = key_file.with_name(f"{key_file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, secrets.token_bytes(KEY_BYTES))
        os.fsync(file)
        # A link never replaces: of two that make a key at once, one is kept, and whole.
        os.link(draft, key_file)
    except FileExistsError:
        return
    finally:
        os.close(file)
        os.unlink(draft)
    sync_directory(key_file.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
