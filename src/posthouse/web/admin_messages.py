"""/api/v1/messages: what was sent and what came in."""

import asyncio
import re
from urllib.parse import quote

from starlette.responses import Response

from posthouse.domain.messages import Direction, RecipientState, StoredMessage
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageFilter
from posthouse.web import reading, timeline, told, views, why
from posthouse.web.answers import download, json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem, no_such_message
from posthouse.web.query import ACCOUNT, REGION, Param, choice, moment, number, pattern, text
from posthouse.web.scopes import known_scopes

FILTERS = (
    Param("recipient", text(), "An envelope recipient, any case."),
    Param("sender", text(), "Who it is from, any case."),
    Param("subject", text(), "A part of the subject, any case."),
    Param("status", choice(RecipientState), "At least one recipient is in this state."),
    Param("direction", choice(Direction), "Sent mail (out) or mail that came in (in)."),
    Param("since", moment(), "Accepted at or after this time.", 0),
    ACCOUNT,
    REGION,
)
AFTER = Param("after", pattern("[A-Za-z0-9_-]{1,128}", "a message id"), "`next` of the page before.", "")
LIMIT = Param("limit", number(1, 1000), "How many at most.", 50)
TIMEOUT = Param("timeout", number(0, 60), "Seconds to wait.", 10)
LISTING = (*FILTERS, LIMIT, AFTER)
WAITING = (*FILTERS, TIMEOUT)
# RFC 6376 §3.5: the tags of a signature, d= among them.
_SIGNER = re.compile(r"(?:^|;)\s*d=\s*([A-Za-z0-9._-]{1,255})")
POLL_S = 0.25
"""Wake-ups may be lost; whoever waits also looks by itself."""


def wanted_of(call: Call) -> MessageFilter:
    query = call.query
    return MessageFilter(
        recipient=query["recipient"] or "",
        sender=query["sender"] or "",
        subject=query["subject"] or "",
        status=query["status"] or "",
        direction=query["direction"],
        since_ms=query["since"],
    )


async def page_of(call: Call, limit: int) -> tuple[list[StoredMessage], str | None]:
    """One page of what the call asks for, and the cursor of the next."""
    before = call.query["after"]
    found = await call.ctx.stores.messages.page(call.scope(), wanted_of(call), before, limit + 1)
    more = len(found) > limit
    return list(found[:limit]), found[limit - 1].facts.message_id if more else None


async def list_messages(call: Call) -> Response:
    found, after = await page_of(call, call.query["limit"])
    return json_answer(views.MessageList(messages=[views.message(each) for each in found], next=after))


async def show_message(call: Call) -> Response:
    return json_answer(await detail_of(call, await call.message()))


async def detail_of(call: Call, stored: StoredMessage) -> views.MessageDetail:
    """Everything that is known of a message."""
    facts = stored.facts
    content = await reading.read(call.ctx.stores.messages, stored)
    events = await call.ctx.stores.events.of_message(facts.scope, facts.message_id)
    asked = await reading.templated(call.ctx.stores.messages, stored)
    return views.MessageDetail(
        **views.message_fields(stored),
        why=why.sentence(stored, events, call.ctx.clock.now_ms()),
        envelope=views.Envelope(mail_from=envelope_sender(stored), recipients=recipients_of(stored)),
        content_stage=content.stage,
        template=views.TemplateUse(name=asked.template, data=asked.data) if asked else None,
        headers=[views.NamedValue(name, value) for name, value in content.headers],
        text=content.text,
        html=content.html,
        attachments=attachments_of(facts.message_id, content),
        complete=content.complete,
        from_domain=facts.from_domain,
        feedback_to=facts.feedback_to,
        source_ip=facts.source_ip,
        access_key=facts.access_key,
        helo=facts.helo,
        tls=facts.tls,
        events=[views.log_entry(each) for each in events],
        publications=await told.publications_of(call, stored, events),
        timeline=timeline.steps(stored, events, signers_of(content)),
    )


def envelope_sender(stored: StoredMessage) -> str:
    """Whom feedback goes to; for mail that came in, the MAIL FROM it came with."""
    facts = stored.facts
    return facts.source if facts.direction is Direction.IN else facts.feedback_to


def signers_of(content: reading.Reading) -> list[str]:
    """The domains that signed what left, each once."""
    signatures = [value for name, value in content.headers if name.lower() == "dkim-signature"]
    found = [_SIGNER.search(value) for value in signatures if content.stage == "sent"]
    return list(dict.fromkeys(match[1] for match in found if match))


def recipients_of(stored: StoredMessage) -> list[str]:
    return [each.recipient for each in stored.recipients]


def attachments_of(message_id: str, content: reading.Reading) -> list[views.Attachment]:
    return [
        views.Attachment(
            part=each.path,
            filename=each.name,
            content_type=each.content_type,
            content_id=each.content_id,
            inline=each.inline,
            size=each.size,
            url=f"/api/v1/messages/{message_id}/attachments/{quote(each.path)}",
        )
        for each in content.attachments
    ]


async def raw_message(call: Call) -> Response:
    stored = await call.message()
    message_id = stored.facts.message_id
    raw = (await reading.fetch(call.ctx.stores.messages, stored)).raw
    if raw is None:
        raise Problem(404, f"Message {message_id} has no bytes yet: it is composed at its first attempt.")
    return download(raw, f"{message_id}.eml", "message/rfc822")


async def attachment(call: Call) -> Response:
    stored = await call.message()
    part = call.request.path_params["part"]
    found = await reading.attachment(call.ctx.stores.messages, stored, part)
    if found is None:
        raise Problem(404, f"Message {stored.facts.message_id} has no such attachment.")
    return download(found[1], found[0].name)


async def delete_messages(call: Call) -> Response:
    return json_answer(views.Deleted(await empty_inbox(call)))


async def empty_inbox(call: Call) -> int:
    """Deletes what is in a final state, in the scope named or in every one there is to see; how many."""
    named = call.scope()
    if named is not None:
        return await call.ctx.stores.messages.delete_all(named)
    deleted, emptied = 0, set[Scope]()
    # Scopes that only messages know of come to light as newer messages go.
    while scopes := set(await known_scopes(call)) - emptied:
        deleted += sum([await call.ctx.stores.messages.delete_all(scope) for scope in sorted(scopes)])
        emptied |= scopes
    return deleted


async def delete_message(call: Call) -> Response:
    stored = await call.message()
    facts = stored.facts
    if any(each.state is RecipientState.QUEUED for each in stored.recipients):
        raise Problem(409, f"Message {facts.message_id} is still in the queue. Drop it there first.")
    if not await call.ctx.stores.messages.delete(facts.scope, facts.message_id):
        raise no_such_message(facts.message_id)
    return Response(status_code=204)


async def wait_for_message(call: Call) -> Response:
    """The newest message that matches, as soon as there is one."""
    found = await _await_match(call)
    return json_answer(await detail_of(call, found))


async def _await_match(call: Call) -> StoredMessage:
    ctx, scope, wanted = call.ctx, call.scope(), wanted_of(call)
    ends = asyncio.get_running_loop().time() + call.query["timeout"]
    call.taps.check_room()
    with call.taps.waiting():
        while True:
            seen = call.taps.count
            if found := await ctx.stores.messages.page(scope, wanted, "", 1):
                return found[0]
            left_s = ends - asyncio.get_running_loop().time()
            if ctx.closing.is_set():
                raise Problem(503, "This server is shutting down.")
            if left_s <= 0 or await call.request.is_disconnected():
                raise Problem(408, f"No message matched within {call.query['timeout']} s.")
            await call.taps.next(seen, min(left_s, POLL_S))
