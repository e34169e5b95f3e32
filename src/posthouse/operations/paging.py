"""Page tokens: where a list goes on, opaque to callers and strict with what comes back."""

import base64
import binascii


def token_after(name: str) -> str:
    """The NextToken of a page that ends with `name`."""
    return base64.urlsafe_b64encode(b"1:" + name.encode()).decode()


def name_before(token: str | None) -> str | None:
    """The name a token stands for (empty: from the start); None for a token that we never gave."""
    if not token:
        return ""
    try:
        kind, _, name = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    # PostgreSQL knows no NUL in texts, so no name holds one.
    return name if kind == "1" and token_after(name) == token and "\0" not in name else None
