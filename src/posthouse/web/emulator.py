"""``/_aws/ses``: sent mail in the shape that local emulators of AWS made customary, for tests written against them.

Oldest first; what was sent as parts has Destination, Subject and Body, what was sent raw has RawData. The newest
MAX_MESSAGES are told of: whoever has more than that wants the admin API.
"""

from typing import Any

from starlette.responses import Response

from posthouse.domain.messages import (
    FORWARDED,
    ContentKind,
    Direction,
    Draft,
    MessageFacts,
    StoredMessage,
    TemplatedDraft,
)
from posthouse.mail import mailboxes
from posthouse.ports.mailstore import MessageFilter
from posthouse.web import reading
from posthouse.web.admin_messages import empty_inbox
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.query import ACCOUNT, REGION, Param, iso, pattern, text

MAX_MESSAGES = 1000
MAX_BYTES = 64 * 1024 * 1024
LISTING = (
    Param("id", pattern("[A-Za-z0-9_-]{1,128}", "a message id"), "This message only.", ""),
    Param("email", text(), "Sent by this address only.", ""),
    ACCOUNT,
    REGION,
)
DELETING = (LISTING[0], ACCOUNT, REGION)


async def list_sent(call: Call) -> Response:
    told: list[dict[str, Any]] = []
    room = MAX_BYTES
    for stored in await _wanted(call):
        room -= stored.facts.size
        if room < 0:
            break
        told.append(await _entry(call, stored))
    return json_answer({"messages": told[::-1]})


async def _wanted(call: Call) -> list[StoredMessage]:
    messages, email = call.ctx.stores.messages, call.query["email"]
    if call.query["id"]:
        found = await messages.find(call.query["id"])
        page = [found] if found is not None and call.may_see(found.facts.scope) else []
    else:
        page = list(await messages.page(call.scope(), MessageFilter(direction=Direction.OUT), "", MAX_MESSAGES))
    return [each for each in page if _was_sent(each.facts) and _is_from(each.facts, email)]


def _was_sent(facts: MessageFacts) -> bool:
    """By a caller: what tells him of bounces is in the inbox, and nothing that he has sent."""
    return facts.direction is Direction.OUT and facts.operation != FORWARDED


def _is_from(facts: MessageFacts, email: str) -> bool:
    if email in ("", facts.source):
        return True
    return any(each.address == email for each in mailboxes.parse(facts.source))


async def _entry(call: Call, stored: StoredMessage) -> dict[str, Any]:
    facts = stored.facts
    known = {
        "Id": facts.message_id,
        "Region": facts.scope.region,
        "Timestamp": iso(facts.accepted_ms)[:19],
        "Source": facts.source,
    }
    content = await reading.accepted(call.ctx.stores.messages, stored)
    if facts.content_kind is ContentKind.RAW:
        return {**known, "RawData": (content.raw or b"").decode("utf-8", "replace")}
    return {**known, **(_parts(content.draft) if content.draft else {})}


def _parts(draft: Draft | TemplatedDraft) -> dict[str, Any]:
    lists = {"ToAddresses": draft.to, "CcAddresses": draft.cc, "BccAddresses": draft.bcc}
    destination = {"Destination": {name: list(given) for name, given in lists.items() if given}}
    if isinstance(draft, TemplatedDraft):
        return {**destination, "Template": draft.template, "TemplateData": draft.data}
    return {
        **destination,
        "Subject": draft.subject.data,
        "Body": {
            "text_part": draft.text.data if draft.text else None,
            "html_part": draft.html.data if draft.html else None,
        },
    }


async def delete_sent(call: Call) -> Response:
    """204 whatever was there, as customary."""
    if not call.query["id"]:
        await empty_inbox(call)
        return Response(status_code=204)
    messages = call.ctx.stores.messages
    found = await messages.find(call.query["id"])
    if found is not None and call.may_see(found.facts.scope):
        await messages.delete(found.facts.scope, found.facts.message_id)
    return Response(status_code=204)
