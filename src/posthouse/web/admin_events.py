"""/api/v1/events: the event log, as pages and as a stream (Server-sent events, WHATWG HTML §9.2)."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence

import msgspec
from starlette.responses import Response, StreamingResponse

from posthouse.domain.events import EventType, LoggedEvent
from posthouse.ports.stores import StoreUnavailable
from posthouse.web import views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem
from posthouse.web.query import ACCOUNT, REGION, Param, choice, number, pattern

log = logging.getLogger("posthouse.web")

MAX_SEQ = 2**62
LISTING = (
    Param("type", choice(EventType), "Events of this type only."),
    Param("message_id", pattern("[A-Za-z0-9_-]{1,128}", "a message id"), "Events of this message only.", ""),
    Param(
        "after",
        number(0, MAX_SEQ),
        "Events with a greater seq. Left out: a page starts at the beginning, a stream with what comes next.",
    ),
    Param("limit", number(1, 1000), "How many at most in a page; a stream has no limit.", 100),
    ACCOUNT,
    REGION,
)
HEARTBEAT_S = 15.0
POLL_S = 1.0
_BATCH = 200


async def list_events(call: Call) -> Response:
    if "text/event-stream" in call.request.headers.get("accept", ""):
        return await stream_events(call)
    after = call.query["after"] or 0
    found = await _page(call, after, call.query["limit"])
    entries = [views.log_entry(each) for each in found]
    return json_answer(views.EventList(events=entries, next=found[-1].seq if found else after))


async def _page(call: Call, after: int, limit: int) -> Sequence[LoggedEvent]:
    query = call.query
    return await call.ctx.stores.events.page(call.scope(), after, limit, query["type"], query["message_id"])


async def stream_events(call: Call) -> Response:
    """Refuses before the first byte what a stream could only break off at."""
    call.scope()
    return stream(call, _entries(call, await _start(call)))


async def _start(call: Call) -> int:
    """A browser that reconnects says what it heard last; that counts more than the address it first asked for."""
    last = call.request.headers.get("last-event-id")
    if last:
        if not re.fullmatch(r"[0-9]{1,18}", last):
            raise Problem(400, "Last-Event-ID must be the id of an event of this stream.")
        return int(last)
    after: int | None = call.query["after"]
    return await call.ctx.stores.events.last_seq() if after is None else after


async def _entries(call: Call, after: int) -> AsyncIterator[bytes]:
    async for beat in rounds(call):
        if beat:
            yield beat
        while found := await _page(call, after, _BATCH):
            for each in found:
                yield _event(each)
            after = found[-1].seq


def _event(logged: LoggedEvent) -> bytes:
    body = msgspec.json.encode(views.log_entry(logged))
    return f"id: {logged.seq}\nevent: {logged.event.type.value}\ndata: ".encode() + body + b"\n\n"


async def rounds(call: Call) -> AsyncIterator[bytes]:
    """One round at once, then one at every tap and at least every POLL_S, until the process drains.

    What comes along is to be sent first: mostly nothing, now and then a comment, since proxies cut what is silent.
    """
    clock = asyncio.get_running_loop().time
    spoke = clock()
    beat = b": welcome\n\n"
    while not call.ctx.closing.is_set():
        seen = call.taps.count
        yield beat
        await call.taps.next(seen, POLL_S)
        beat = b": still here\n\n" if clock() - spoke >= HEARTBEAT_S else b""
        spoke = clock() if beat else spoke


def stream(call: Call, chunks: AsyncIterator[bytes]) -> Response:
    """A response that goes on until either side ends it. Raises Problem (503) where too many are open."""
    call.taps.check_room()
    # X-Accel-Buffering: nginx in front would hold events back until its buffer is full.
    headers = {"x-accel-buffering": "no", "cache-control": "no-store"}
    if call.request.method == "HEAD":
        return Response(headers=headers, media_type="text/event-stream")
    return StreamingResponse(_counted(call, chunks), headers=headers, media_type="text/event-stream")


async def _counted(call: Call, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with call.taps.waiting():
        try:
            async for chunk in chunks:
                yield chunk
        except StoreUnavailable as error:
            # Too late for an answer that says so; the other side comes back with the id it heard last.
            log.warning("event stream ended: %s", error)
