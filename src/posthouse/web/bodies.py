"""JSON that programs send to the admin API: short, of a declared type, and nothing beside it."""

from typing import TypeVar

import msgspec

from posthouse.web.call import Call
from posthouse.web.guard import MAX_BODY
from posthouse.web.problems import Problem

T = TypeVar("T")


async def read(call: Call, wanted: type[T]) -> T:
    """Raises Problem (413, 415, 400)."""
    if media_type(call) != "application/json":
        raise Problem(415, "This path takes application/json.")
    return decode(await read_bytes(call, MAX_BODY), wanted)


def media_type(call: Call) -> str:
    """What the body says it is, lower case, without parameters."""
    given: str = call.request.headers.get("content-type", "")
    return given.partition(";")[0].strip().lower()


async def read_bytes(call: Call, most: int) -> bytes:
    """Raises Problem (413)."""
    chunks, size = [], 0
    async for chunk in call.request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise Problem(413, f"A request here has at most {most} bytes.")
    return b"".join(chunks)


def decode(body: bytes, wanted: type[T]) -> T:
    """Raises Problem (400)."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not what this path takes: {error}") from None
