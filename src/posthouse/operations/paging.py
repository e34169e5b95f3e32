"""Page tokens: where a list goes on, opaque to callers and strict with what comes back."""

import base64
import binascii
from dataclasses import dataclass

from posthouse.domain.scope import Scope


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of one list as an account sees it in a region.

    A token of another list or region is refused like one that nobody ever gave (probed), and so is another account's.
    """

    of: str
    scope: Scope

    def token_after(self, name: str) -> str:
        """The NextToken of a page that ends with `name`."""
        return base64.urlsafe_b64encode(f"{self._prefix}{name}".encode()).decode()

    def name_before(self, token: str | None) -> str | None:
        """The name a token stands for (empty: from the start); None for a token that we never gave."""
        if not token:
            return ""
        try:
            text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        name = text.removeprefix(self._prefix)
        # PostgreSQL knows no NUL in texts, so no name holds one.
        return name if self.token_after(name) == token and "\0" not in name else None

    @property
    def _prefix(self) -> str:
        return f"2:{self.of}:{self.scope.account}:{self.scope.region}:"
