"""Return paths that name their message and prove that this installation wrote them (VERP, signed).

A bounce that comes back days later is told by its recipient alone: the message id, its last six zeros replaced by a
signature, at a MAIL FROM domain. Without the signature anybody could write a bounce for any message. RFC 5321
§4.5.3.1.1: a local part has at most 64 octets; 54 of the id and 10 of the signature are exactly that. Pure.
"""

import base64
import hmac
import re

TAIL = "000000"
"""How message ids end; it tells nothing, so the signature takes its place."""
_SIGNATURE = 10
"""Characters of base32: 50 bits. A guess is a whole SMTP transaction."""
_PURPOSE = b"posthouse return path\0"
_LOCAL_PART = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-[a-z2-7]{10}\Z")


def sign(message_id: str, key: bytes) -> str:
    """The local part of the return path of a message. Raises ValueError for what is no id of an outgoing message."""
    if not message_id.endswith(f"-{TAIL}"):
        raise ValueError(f"not the id of an outgoing message: {message_id!r}")
    return message_id[: -len(TAIL)] + _signature(message_id, key)


def is_shaped(local_part: str) -> bool:
    """Whether it looks like one of ours, signed or not."""
    return local_part.isascii() and bool(_LOCAL_PART.match(local_part.lower()))


def read(local_part: str, key: bytes) -> str | None:
    """The message id that `sign` put in; None for every other text. Upper case is forgiven: some servers make it so."""
    if not local_part.isascii():
        return None  # lower() makes a plain k of the sign for kelvin
    local_part = local_part.lower()
    if not _LOCAL_PART.match(local_part):
        return None
    message_id = local_part[:-_SIGNATURE] + TAIL
    whole = hmac.compare_digest(local_part[-_SIGNATURE:], _signature(message_id, key))
    return message_id if whole else None


def _signature(message_id: str, key: bytes) -> str:
    digest = hmac.digest(key, _PURPOSE + message_id.encode(), "sha256")
    return base64.b32encode(digest[:10]).decode()[:_SIGNATURE].lower()
