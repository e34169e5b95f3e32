"""The console's pages of whom events are told to."""

from starlette.responses import Response

from posthouse.web import forms, pages
from posthouse.web.admin_destinations import MAX_SEQ, dead_page, destination_detail, destination_page, tell_again
from posthouse.web.call import Call
from posthouse.web.page import AFTER, SHOWN, Page, back
from posthouse.web.problems import Problem
from posthouse.web.query import Param, number, read_one, text

KEY = Param("key", text(), "The destination's key.", "")
FRAGMENT = Param("fragment", number(0, 1), "Only the part of the page that changes.", 0)
_DEAD_AFTER = Param("after", number(0, MAX_SEQ), "The last one of the page before.", 0)
_FROM = Param("from", number(1, MAX_SEQ), "The number of an event.")


async def destinations(call: Call) -> Response:
    found = await destination_page(call, call.query["after"], SHOWN)
    template = "destinations_rows.html" if call.query["fragment"] else "destinations.html"
    return pages.page(call, template, destinations=found.destinations, next=found.next, query=call.query)


async def destination(call: Call) -> Response:
    return await _shown(call, "")


async def _shown(call: Call, failed: str) -> Response:
    key = call.query["key"]
    detail = await destination_detail(call, key)
    dead = await dead_page(call, key, call.query["after"], SHOWN)
    return pages.page(
        call,
        "destination_life.html" if call.query["fragment"] else "destination.html",
        400 if failed else 200,
        found=detail,
        dead=dead.dead_letters,
        older=pages.with_query("/console/destination", key=key, after=str(dead.next)) if dead.next else None,
        again_url=pages.with_query("/console/destination", key=key),
        failed=failed,
    )


async def again(call: Call) -> Response:
    """Tells it again: of the events from a number on, or of its dead letters where none is given."""
    form = await forms.read(call)
    wanted = form.get("from", "").strip()
    try:
        from_seq = read_one(_FROM, wanted) if wanted else None
    except Problem as problem:
        return await _shown(call, problem.detail)
    await tell_again(call, call.query["key"], from_seq)
    return back(pages.with_query("/console/destination", key=call.query["key"]))


PAGES = (
    Page("GET", "/console/destinations", destinations, (AFTER, FRAGMENT)),
    Page("GET", "/console/destination", destination, (KEY, _DEAD_AFTER, FRAGMENT)),
    Page("POST", "/console/destination", again, (KEY, _DEAD_AFTER, FRAGMENT)),
)
