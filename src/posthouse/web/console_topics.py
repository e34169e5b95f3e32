"""The console's pages of the embedded topics: what each was given, and who is told."""

from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from posthouse.ports.topics import KeptNotification
from posthouse.web import forms, pages
from posthouse.web.admin_topics import (
    account_of,
    dead_letter_view,
    notification_view,
    subscribe_to,
    subscription_view,
    topic_view,
)
from posthouse.web.call import Call
from posthouse.web.page import AFTER, SHOWN, Page, back, pretty
from posthouse.web.problems import Problem
from posthouse.web.query import ACCOUNT, Param, number, text
from posthouse.web.views import NewSubscription, Notification

ARN = Param("arn", text(), "The topic's ARN.", "")
BEFORE = Param("before", number(1, 10**15), "Older than this one.")
FRAGMENT = Param("fragment", number(0, 1), "Only the part of the page that changes.", 0)
SUBSCRIBERS = 200
UNDELIVERED = 20
_TOPIC = (ARN, ACCOUNT, BEFORE, FRAGMENT)


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
    return await _page(call, "", "")


async def _page(call: Call, failed: str, tried: str) -> Response:
    """Raises Problem (404)."""
    arn, account, stores = call.query["arn"], account_of(call), call.ctx.stores
    found = await stores.topics.notifications(account, arn, call.query["before"], SHOWN + 1)
    if found is None:
        raise Problem(404, "There is no such topic, or nothing was published to it yet.")
    last = found[SHOWN - 1] if len(found) > SHOWN else None
    now_ms = call.ctx.clock.now_ms()
    where = {"arn": arn, "account": call.query["account"]}
    return pages.page(
        call,
        "topic_life.html" if call.query["fragment"] else "topic.html",
        400 if failed else 200,
        arn=arn,
        where=where,
        notifications=[_shown(each) for each in found[:SHOWN]],
        older=pages.with_query("/console/topic", **where, before=str(last.seq)) if last else None,
        subscriptions=[
            subscription_view(each, now_ms) for each in await stores.subscriptions.page(account, arn, "", SUBSCRIBERS)
        ],
        undelivered=[
            dead_letter_view(each) for each in await stores.subscriptions.dead_letters(account, arn, None, UNDELIVERED)
        ],
        query=call.query,
        failed=failed,
        tried=tried,
    )


async def subscribe(call: Call) -> Response:
    """The topic again; with what was wrong, where the URL is none that can be posted to."""
    form = await forms.read(call)
    endpoint = form.get("endpoint", "").strip()
    asked = NewSubscription(endpoint=endpoint, raw="raw" in form, confirmed="confirmed" in form)
    try:
        await subscribe_to(call, call.query["arn"], asked)
    except Problem as problem:
        if problem.status != 400:
            raise
        return await _page(call, problem.detail, endpoint)
    return back(_url(call))


async def unsubscribe(call: Call) -> Response:
    form = await forms.read(call)
    name = form.get("subscription", "")
    if "\0" in name or not await call.ctx.subscribing.unsubscribe(account_of(call), name):
        raise Problem(404, "There is no such subscription.")
    return back(_url(call))


def _url(call: Call) -> str:
    return pages.with_query("/console/topic", arn=call.query["arn"], account=call.query["account"])


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
    Page("GET", "/console/topic", topic, _TOPIC),
    Page("POST", "/console/topic/subscribe", subscribe, _TOPIC),
    Page("POST", "/console/topic/unsubscribe", unsubscribe, _TOPIC),
)
