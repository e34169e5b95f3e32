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
    Param("address", text(), "A part of the address, any case.", ""),
    *SCOPED,
)
ADDING = (Param("reason", choice(Reason), "Why it is put there.", Reason.BOUNCE), *SCOPED)


async def list_suppressed(call: Call) -> Response:
    query = call.query
    return json_answer(await suppressed_page(call, query["after"], query["limit"], query["address"]))


async def suppressed_page(call: Call, after: str, limit: int, containing: str = "") -> views.SuppressionList:
    found = await call.ctx.stores.suppressions.page(call.one_scope(), after, limit + 1, containing)
    return views.SuppressionList(
        suppression=[entry_view(each) for each in found[:limit]],
        next=found[limit - 1].address if len(found) > limit else None,
    )


def entry_view(entry: SuppressedAddress) -> views.SuppressedAddress:
    return views.SuppressedAddress(
        address=entry.address, reason=entry.reason.value, since=iso(entry.at_ms), message_id=entry.message_id or None
    )


async def put_suppressed(call: Call) -> Response:
    return json_answer(await suppress(call, call.request.path_params["address"], call.query["reason"]))


async def suppress(call: Call, address: str, reason: Reason) -> views.SuppressedAddress:
    """Raises Problem (400) for what is no address."""
    try:
        check_address(address)
    except InvalidParameterValue as error:
        raise Problem(400, error.message, parameter="address") from None
    entry = SuppressedAddress(address=address.lower(), reason=reason, at_ms=call.ctx.clock.now_ms())
    await call.ctx.stores.suppressions.add(call.one_scope(), entry)
    return entry_view(entry)


async def remove_suppressed(call: Call) -> Response:
    await unsuppress(call, call.request.path_params["address"])
    return Response(status_code=204)


async def unsuppress(call: Call, address: str) -> None:
    """Raises Problem (404) for an address that is not on the list."""
    # PostgreSQL has no NUL in its texts, and no address has one either.
    if "\0" in address or not await call.ctx.stores.suppressions.remove(call.one_scope(), address):
        raise Problem(404, "This address is not on the suppression list.")
