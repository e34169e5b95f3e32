"""/api/v1/suppression: whom an account's mail is no longer sent to."""

from starlette.responses import Response

from posthouse.domain.addresses import check_address
from posthouse.domain.suppression import Reason, SuppressedAddress
from posthouse.model.errors import InvalidParameterValue
from posthouse.web import views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem
from posthouse.web.query import ACCOUNT, REGION, Param, choice, iso, number, text

SCOPED = (ACCOUNT, REGION)
LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    *SCOPED,
)
ADDING = (Param("reason", choice(Reason), "Why it is put there.", Reason.BOUNCE), *SCOPED)


async def list_suppressed(call: Call) -> Response:
    return json_answer(await suppressed_page(call, call.query["after"], call.query["limit"]))


async def suppressed_page(call: Call, after: str, limit: int) -> views.SuppressionList:
    found = await call.ctx.stores.suppressions.page(call.one_scope(), after, limit + 1)
    return views.SuppressionList(
        suppression=[entry_view(each) for each in found[:limit]],
        next=found[limit - 1].address if len(found) > limit else None,
    )


def entry_view(entry: SuppressedAddress) -> views.SuppressedAddress:
    return views.SuppressedAddress(
        address=entry.address, reason=entry.reason.value, since=iso(entry.at_ms), message_id=entry.message_id or None
    )


async def put_suppressed(call: Call) -> Response:
    """Raises Problem (400) for what is no address."""
    address = call.request.path_params["address"]
    try:
        check_address(address)
    except InvalidParameterValue as error:
        raise Problem(400, error.message, parameter="address") from None
    entry = SuppressedAddress(address=address.lower(), reason=call.query["reason"], at_ms=call.ctx.clock.now_ms())
    await call.ctx.stores.suppressions.add(call.one_scope(), entry)
    return json_answer(entry_view(entry))


async def remove_suppressed(call: Call) -> Response:
    """Raises Problem (404) for an address that is not on the list."""
    if not await call.ctx.stores.suppressions.remove(call.one_scope(), call.request.path_params["address"]):
        raise Problem(404, "This address is not on the suppression list.")
    return Response(status_code=204)
