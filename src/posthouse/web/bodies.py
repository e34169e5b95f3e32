"""JSON that programs send to the admin API: short, of a declared type, and nothing beside it."""

from typing import TypeVar

import msgspec

from posthouse.web.call import Call
from posthouse.web.guard import MAX_BODY
from posthouse.web.problems import Problem

T = TypeVar("T")


async def read(call: Call, wanted: type[T]) -> T:
    """Raises Problem (413, 415, 400)."""
    content_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Problem(415, "This path takes application/json.")
    body = b""
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Problem(413, f"A request here has at most {MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not what this path takes: {error}") from None
