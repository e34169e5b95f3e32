"""Where the bytes of a message stand: small ones in the row, large ones in the blob store.

Accepted content is in `messages`, what left is in `sent`; both have the columns blob and data.
"""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from posthouse.domain.scope import Scope
from posthouse.ports.blobs import Blobs
from posthouse.stores.database import Row, Session

INLINE_BYTES = 256 << 10

KEEP_SENT = (
    "INSERT INTO sent (account, region, message_id, blob, data) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (account, region, message_id) DO UPDATE SET blob = excluded.blob, data = excluded.data"
)
KEY = "account = ? AND region = ? AND message_id = ?"


class Content(NamedTuple):
    """Bytes ready to be named by a row: either the key of a blob or the data itself."""

    blob: str | None
    data: bytes | None


async def set_down(blobs: Blobs, data: bytes) -> Content:
    """Writes large bytes to the blob store, before the transaction whose row will name them."""
    if len(data) <= INLINE_BYTES:
        return Content(None, data)
    key = uuid.uuid4().hex
    await blobs.put(key, data)
    return Content(key, None)


async def pick_up(blobs: Blobs, content: Content) -> bytes | None:
    """The bytes; None where there are none, or the blob is gone."""
    return content.data if content.blob is None else await blobs.get(content.blob)


async def find(session: Session, table: str, scope: Scope, message_id: str) -> Content:
    """The content in ``messages`` or ``sent``; one without bytes where there is no row."""
    rows = await session.rows(f"SELECT blob, data FROM {table} WHERE {KEY}", (*scope, message_id))
    return Content(*rows[0]) if rows else Content(None, None)


async def named(session: Session, *, keys: Sequence[str]) -> set[str]:
    """Those of the keys that a row names."""
    wanted = [(key,) for key in keys]
    rows: list[Row] = []
    for table in ("messages", "sent"):
        rows += await session.rows_of_many(f"SELECT blob FROM {table} WHERE blob = ?", wanted)
    return {blob for (blob,) in rows}
