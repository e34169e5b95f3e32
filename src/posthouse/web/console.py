"""The console's pages and what their buttons do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from enum import StrEnum

import msgspec
from starlette.responses import Response

from posthouse.domain.events import EventType, LoggedEvent
from posthouse.domain.messages import Direction, RecipientState, StoredMessage
from posthouse.ports.mailstore import MessageFilter
from posthouse.web import (
    admin_events,
    admin_messages,
    admin_metrics,
    admin_queue,
    admin_records,
    console_destinations,
    console_receiving,
    console_sets,
    console_statistics,
    console_suppression,
    console_topics,
    forms,
    pages,
    reading,
    sessions,
    timeline,
    views,
)
from posthouse.web.call import Call
from posthouse.web.page import AFTER, SCOPE, Page, back, picked, pretty, scoped
from posthouse.web.problems import Problem
from posthouse.web.query import Param, choice, number, pattern, text
from posthouse.web.scopes import known_scopes


class SearchIn(StrEnum):
    RECIPIENT = "recipient"
    SUBJECT = "subject"
    SENDER = "sender"


class View(StrEnum):
    """The tabs of a message."""

    HTML = "html"
    TEXT = "text"
    HEADERS = "headers"
    RAW = "raw"
    ATTACHMENTS = "attachments"
    TEMPLATE = "template"
    CALL = "call"


_SHOWN = 50
_RAW_SHOWN = 256 * 1024
_EVENT_WINDOW = 500
_EVENT_WINDOWS = 20
_EVENTS_SHOWN = 100
_FRAGMENT = Param("fragment", number(0, 1), "Only the part of the page that changes.", 0)
_INBOX = (
    Param("q", text(), "What to look for.", ""),
    Param("in", choice(SearchIn), "Where to look for it.", SearchIn.RECIPIENT),
    Param("status", choice(RecipientState), "At least one recipient is in this state."),
    Param("direction", choice(Direction), "Sent or received."),
    SCOPE,
    admin_messages.AFTER,
    _FRAGMENT,
)
_EVENTS = (
    Param("type", choice(EventType), "Events of this type only."),
    Param("before", number(1, admin_events.MAX_SEQ), "Events with a smaller seq."),
    SCOPE,
    _FRAGMENT,
)


async def inbox(call: Call) -> Response:
    query = call.query
    searched = dict.fromkeys(("recipient", "subject", "sender"), "") | {str(query["in"]): query["q"]}
    in_scope = scoped(call)
    listed = replace(in_scope, query={**in_scope.query, **searched, "since": 0})
    found, after = await admin_messages.page_of(listed, _SHOWN)
    fragment = bool(query["fragment"])
    return pages.page(
        call,
        "inbox_rows.html" if fragment else "inbox.html",
        messages=[views.message(each) for each in found],
        query=query,
        filtered=bool(query["q"] or query["status"] or query["direction"] or query["scope"]),
        next=_inbox_url(call, after) if after else None,
        states=list(RecipientState),
        scopes=[] if fragment else await known_scopes(call),
        directions=[] if fragment else _directions(call),
    )


def _inbox_url(call: Call, after: str | None = None, direction: str | None = None) -> str:
    query = call.query
    return pages.with_query(
        "/console/",
        q=query["q"],
        **({"in": str(query["in"])} if query["q"] else {}),
        status=query["status"],
        direction=query["direction"] if direction is None else direction,
        scope=query["scope"],
        after=after,
    )


def _directions(call: Call) -> list[tuple[str, str, bool]]:
    """Tabs: label, address, whether it is the one shown."""
    labels = (("All", ""), ("Sent", "out"), ("Received", "in"))
    return [(label, _inbox_url(call, None, value), (call.query["direction"] or "") == value) for label, value in labels]


async def live(call: Call) -> Response:
    """A stream that says when something changed; what, the page asks for itself."""
    return admin_events.stream(call, _changes(call))


async def _changes(call: Call) -> AsyncIterator[bytes]:
    known = None
    async for beat in admin_events.rounds(call):
        if beat:
            yield beat
        now = await _state(call)
        if known is not None and now != known:
            yield b"event: change\ndata: {}\n\n"
            # Whoever sends a thousand mails a second would have the page drawn as often.
            await asyncio.sleep(0.2)
        known = now


async def _state(call: Call) -> tuple[str, int]:
    newest = await call.ctx.stores.messages.page(call.scope(), MessageFilter(), "", 1)
    return newest[0].facts.message_id if newest else "", await call.ctx.stores.events.last_seq()


async def message(call: Call) -> Response:
    stored = await call.message()
    detail = await admin_messages.detail_of(call, stored)
    if call.query["fragment"]:
        return pages.page(call, "message_life.html", message=detail)
    available = [
        (View.HTML, "HTML", detail.html is not None),
        (View.TEXT, "Text", detail.text is not None),
        (View.TEMPLATE, "Template", detail.template is not None),
        (View.HEADERS, "Headers", bool(detail.headers)),
        (View.RAW, "Raw", detail.content_stage in ("sent", "accepted")),
        (View.ATTACHMENTS, f"Attachments ({len(detail.attachments)})", bool(detail.attachments)),
        (View.CALL, "API call" if stored.facts.direction is Direction.OUT else "Session", True),
    ]
    tabs = [(view, label) for view, label, there in available if there]
    asked = call.query["view"]
    shown = asked if asked in [view for view, _ in tabs] else tabs[0][0]
    return pages.page(
        call,
        "message.html",
        message=detail,
        scope=picked(stored.facts.scope),
        tabs=tabs,
        shown=shown,
        content=await _tab(call, stored, detail, shown),
        query=call.query,
    )


async def _tab(call: Call, stored: StoredMessage, detail: views.MessageDetail, shown: View) -> str:
    """What the tab needs besides the message's detail."""
    messages = call.ctx.stores.messages
    if shown is View.RAW:
        raw = (await reading.fetch(messages, stored)).raw or b""
        return raw[:_RAW_SHOWN].decode("utf-8", "replace")
    if shown is View.TEMPLATE and detail.template is not None:
        return pretty(detail.template.data)
    if shown is View.CALL:
        draft = (await reading.accepted(messages, stored)).draft
        return msgspec.json.format(msgspec.json.encode(draft), indent=2).decode() if draft else ""
    return ""


async def message_frame(call: Call) -> Response:
    stored = await call.message()
    html = await reading.page(call.ctx.stores.messages, stored)
    if html is None:
        raise Problem(404, "This message has no HTML.")
    return pages.frame(html, bool(call.query["remote"]))


async def delete_all(call: Call) -> Response:
    await forms.read(call)
    await admin_messages.empty_inbox(call)
    return back("/console/")


async def delete_one(call: Call) -> Response:
    await forms.read(call)
    await admin_messages.delete_message(call)
    return back("/console/")


async def queue(call: Call) -> Response:
    found = await admin_queue.queue_page(call, call.query["after"], _SHOWN)
    template = "queue_rows.html" if call.query["fragment"] else "queue.html"
    return pages.page(call, template, rows=found.queue, next=found.next, query=call.query)


async def queue_retry(call: Call) -> Response:
    form = await forms.read(call)
    await admin_queue.retry(call)
    return back(forms.next_of(form, "/console/queue"))


async def queue_drop(call: Call) -> Response:
    form = await forms.read(call)
    await admin_queue.drop(call)
    return back(forms.next_of(form, "/console/queue"))


async def identities(call: Call) -> Response:
    found = await admin_records.identity_page(call, call.query["after"], _SHOWN)
    return pages.page(call, "identities.html", identities=found.identities, next=found.next)


async def events(call: Call) -> Response:
    """The newest first: the log is read backwards by windows of its numbers."""
    asked, query = scoped(call).scope(), call.query
    before = query["before"] or await call.ctx.stores.events.last_seq() + 1
    found: list[LoggedEvent] = []
    for _ in range(_EVENT_WINDOWS):
        if before <= 1 or len(found) >= _EVENTS_SHOWN:
            break
        after = max(0, before - 1 - _EVENT_WINDOW)
        window = await call.ctx.stores.events.page(asked, after, _EVENT_WINDOW, query["type"])
        found += [each for each in reversed(window) if each.seq < before]
        before = after + 1
    shown = found[:_EVENTS_SHOWN]
    oldest = shown[-1].seq if len(found) > len(shown) else before
    fragment = bool(query["fragment"])
    return pages.page(
        call,
        "events_rows.html" if fragment else "events.html",
        events=[_event_row(each) for each in shown],
        older=pages.with_query("/console/events", type=query["type"], scope=query["scope"], before=str(oldest))
        if oldest > 1
        else None,
        query=query,
        types=list(EventType),
        scopes=[] if fragment else await known_scopes(call),
    )


def _event_row(logged: LoggedEvent) -> tuple[views.LogEntry, str, str]:
    """A row with its summary and its detail as text."""
    detail = logged.event.detail
    pretty = msgspec.json.format(msgspec.json.encode(detail), indent=2).decode() if detail else ""
    return views.log_entry(logged), timeline.reply_of(logged.event)[:160], pretty


async def metrics(call: Call) -> Response:
    found = await admin_metrics.metric_page(call, call.query["after"], _SHOWN)
    shown = sorted(
        found.metrics, key=lambda each: (each.account, each.region, each.name, sorted(each.dimensions.items()))
    )
    return pages.page(call, "metrics.html", metrics=shown, next=found.next)


async def accounts(call: Call) -> Response:
    found = await admin_records.accounts_of(call)
    credentials = await admin_records.credentials_of(call)
    return pages.page(call, "accounts.html", accounts=found, credentials=credentials)


async def login_page(call: Call) -> Response:
    return pages.page(call, "login.html", next=call.query["next"], failed=False)


async def sign_in(call: Call) -> Response:
    ctx = call.ctx
    form = await forms.read(call)
    now_ms = ctx.clock.now_ms()
    given = form.get("access_key", ""), form.get("secret_key", "")
    viewer = await sessions.sign_in(ctx.stores.credentials, *given, now_ms)
    if viewer is None:
        return pages.page(call, "login.html", 401, next=form.get("next", ""), failed=True)
    answer = back(forms.next_of(form, "/console/"))
    answer.set_cookie(
        sessions.COOKIE,
        sessions.cookie_for(ctx.session_key, viewer.name, now_ms),
        max_age=sessions.LIFETIME_MS // 1000,
        secure=call.request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


async def sign_out(call: Call) -> Response:
    await forms.read(call)
    answer = back("/console/login")
    answer.delete_cookie(sessions.COOKIE, httponly=True, samesite="strict")
    return answer


async def asset(call: Call) -> Response:
    return pages.asset(call.request.path_params["name"])


async def slashed(call: Call) -> Response:
    return back("/console/")


_NEXT = Param("next", pattern(forms.NEXT, "a page of the console"), "Where to go after signing in.", "")
_VIEW = Param("view", choice(View), "The tab to show.")
_REMOTE = Param("remote", number(0, 1), "Load images from elsewhere.", 0)
_AFTER_NUMBER = Param("after", number(0, 10**15), "The last one of the page before.", 0)

PAGES = (
    Page("GET", "/console", slashed, login=False),
    Page("GET", "/console/", inbox, _INBOX),
    Page("GET", "/console/live", live),
    Page("POST", "/console/messages/delete-all", delete_all),
    Page("GET", "/console/messages/{message_id}", message, (_VIEW, _REMOTE, _FRAGMENT)),
    Page("GET", "/console/messages/{message_id}/html", message_frame, (_REMOTE,)),
    Page("POST", "/console/messages/{message_id}/delete", delete_one),
    Page("GET", "/console/queue", queue, (AFTER, _FRAGMENT)),
    Page("POST", "/console/queue/{message_id}/retry", queue_retry),
    Page("POST", "/console/queue/{message_id}/drop", queue_drop),
    Page("GET", "/console/identities", identities, (AFTER,)),
    Page("GET", "/console/events", events, _EVENTS),
    Page("GET", "/console/metrics", metrics, (_AFTER_NUMBER,)),
    Page("GET", "/console/accounts", accounts),
    *console_destinations.PAGES,
    *console_receiving.PAGES,
    *console_sets.PAGES,
    *console_statistics.PAGES,
    *console_suppression.PAGES,
    *console_topics.PAGES,
    Page("GET", "/console/login", login_page, (_NEXT,), login=False),
    Page("POST", "/console/login", sign_in, login=False),
    Page("POST", "/console/logout", sign_out),
    Page("GET", "/console/assets/{name}", asset, login=False),
)
