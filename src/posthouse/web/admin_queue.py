"""/api/v1/queue: what waits, and hastening or ending it."""

from starlette.responses import Response

from posthouse.web import views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.query import ACCOUNT, REGION, Param, number, text

LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    ACCOUNT,
    REGION,
)


async def list_queue(call: Call) -> Response:
    return json_answer(await queue_page(call, call.query["after"], call.query["limit"]))


async def queue_page(call: Call, after: str, limit: int) -> views.QueueList:
    rows = await call.ctx.stores.queue.page(call.scope(), after, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return views.QueueList(
        queue=[views.queue_entry(each) for each in rows[:limit]],
        next=f"{last.message_id} {last.recipient}" if last else None,
    )


async def retry_message(call: Call) -> Response:
    return json_answer(await retry(call))


async def retry(call: Call) -> views.QueueChange:
    """Makes a message's queued recipients due now. Raises Problem (404)."""
    facts = (await call.message()).facts
    changed = await call.ctx.stores.queue.retry(facts.scope, facts.message_id, call.ctx.clock.now_ms())
    return views.QueueChange(message_id=facts.message_id, recipients=changed)


async def drop_message(call: Call) -> Response:
    return json_answer(await drop(call))


async def drop(call: Call) -> views.QueueChange:
    """Ends a message's queued recipients as dropped. Raises Problem (404)."""
    facts = (await call.message()).facts
    changed = await call.ctx.stores.queue.drop(facts.scope, facts.message_id, call.ctx.clock.now_ms())
    return views.QueueChange(message_id=facts.message_id, recipients=changed)
