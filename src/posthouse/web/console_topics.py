"""The console's pages of the embedded topics: what each was given."""

from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from posthouse.ports.topics import KeptNotification
from posthouse.web import pages
from posthouse.web.admin_topics import notification_view, topic_view
from posthouse.web.call import Call
from posthouse.web.page import AFTER, SHOWN, Page, pretty
from posthouse.web.problems import Problem
from posthouse.web.query import Param, number, text
from posthouse.web.views import Notification

ARN = Param("arn", text(), "The topic's ARN.", "")
BEFORE = Param("before", number(1, 10**15), "Older than this one.")
FRAGMENT = Param("fragment", number(0, 1), "Only the part of the page that changes.", 0)


class Shown(NamedTuple):
    """A notification, and what it is about at a glance."""

    notification: Notification
    about: str
    """The type of event that it tells of; empty for anything that is none of ours."""
    message_id: str
    """The mail it is about."""
    people: list[str]
    """Whom that one was sent to."""
    text: str


async def topics(call: Call) -> Response:
    found = await call.ctx.stores.topics.page(call.viewer.account, call.query["after"], SHOWN + 1)
    last = found[SHOWN - 1] if len(found) > SHOWN else None
    return pages.page(
        call,
        "topics.html",
        topics=[topic_view(each) for each in found[:SHOWN]],
        next=f"{last.account} {last.arn}" if last else None,
        query=call.query,
    )


async def topic(call: Call) -> Response:
    """Raises Problem (404)."""
    arn = call.query["arn"]
    found = await call.ctx.stores.topics.notifications(call.viewer.account, arn, call.query["before"], SHOWN + 1)
    if found is None:
        raise Problem(404, "There is no such topic, or nothing was published to it yet.")
    last = found[SHOWN - 1] if len(found) > SHOWN else None
    return pages.page(
        call,
        "topic_rows.html" if call.query["fragment"] else "topic.html",
        arn=arn,
        notifications=[_shown(each) for each in found[:SHOWN]],
        older=pages.with_query("/console/topic", arn=arn, before=str(last.seq)) if last else None,
        query=call.query,
    )


def _shown(kept: KeptNotification) -> Shown:
    view = notification_view(kept)
    try:
        told: Any = msgspec.json.decode(view.message)
    except (msgspec.DecodeError, RecursionError):
        told = None
    fields = told if isinstance(told, dict) else {}
    mail = fields.get("mail")
    about = mail if isinstance(mail, dict) else {}
    people = about.get("destination")
    return Shown(
        view,
        _word(fields.get("eventType")) or _word(fields.get("notificationType")),
        _word(about.get("messageId")),
        [each for each in people if isinstance(each, str)] if isinstance(people, list) else [],
        pretty(view.message),
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


PAGES = (
    Page("GET", "/console/topics", topics, (AFTER,)),
    Page("GET", "/console/topic", topic, (ARN, BEFORE, FRAGMENT)),
)
