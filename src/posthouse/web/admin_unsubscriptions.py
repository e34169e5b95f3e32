"""/api/v1/unsubscriptions: who has left a mailing list, and taking somebody in again."""

from starlette.responses import Response

from posthouse.domain.mailing_lists import Unsubscription, is_list_name
from posthouse.web import views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem
from posthouse.web.query import ACCOUNT, REGION, Param, iso, number, text

LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    ACCOUNT,
    REGION,
)
REMOVING = (Param("topic", text(), "The topic that he left; none: the list as a whole.", ""), ACCOUNT, REGION)


async def list_unsubscribed(call: Call) -> Response:
    """A list that nobody has left is empty. Raises Problem (404) for what is no name of one."""
    limit, name = call.query["limit"], call.request.path_params["list"]
    if not is_list_name(name):
        raise Problem(404, "There is no list of such a name.")
    found = await call.ctx.stores.unsubscriptions.page(call.one_scope(), name, call.query["after"], limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return json_answer(
        views.UnsubscriptionList(
            unsubscriptions=[_view(each) for each in found[:limit]],
            next=f"{last.topic} {last.address}" if last is not None else None,
        )
    )


def _view(left: Unsubscription) -> views.Unsubscription:
    return views.Unsubscription(
        address=left.address, topic=left.topic or None, since=iso(left.at_ms), message_id=left.message_id
    )


async def remove_unsubscription(call: Call) -> Response:
    """Raises Problem (404) for an address that has not left it."""
    given, topic = call.request.path_params, call.query["topic"]
    unsubscriptions = call.ctx.stores.unsubscriptions
    known = is_list_name(given["list"]) and (not topic or is_list_name(topic))
    if not known or not await unsubscriptions.remove(call.one_scope(), given["list"], topic, given["address"]):
        raise Problem(404, "This address has not left the list, or not this topic of it.")
    return Response(status_code=204)
