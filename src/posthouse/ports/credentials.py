"""Who may call: access keys and their secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credential:
    """One access key of an account. The secret is in the clear here, and sealed wherever it rests."""

    access_key: str
    secret_key: str
    account: str
    session_token: str | None = None
    """Set for temporary credentials: a request must then carry exactly this token (not usable for SMTP)."""
    expires_ms: int | None = None
    console: bool = False
    """May sign in to the console and the admin API."""


class Credentials(Protocol):
    """Access keys known to this installation."""

    async def find(self, access_key: str) -> Credential | None:
        """The live credential of this access key; None where there is none or it was revoked."""
        ...


class CredentialStore(Credentials, Protocol):
    """Credentials with their keeping, for operators."""

    async def add(self, credential: Credential, now_ms: int) -> None: ...

    async def all(self, account: str | None = None) -> Sequence[Credential]:
        """By creation; those of one account where one is named."""
        ...

    async def revoke(self, access_key: str) -> bool:
        """True where it was live."""
        ...
