"""/api/v1/destinations: whom events are told to, how far behind they are, and telling them again."""

from starlette.responses import Response

from posthouse.domain.publishing import Forward, MailedInstead, Nowhere, Target, read_target_key
from posthouse.ports.publications import DeadLetter, DestinationStatus
from posthouse.publishing.endpoints import endpoint_of
from posthouse.publishing.facts import Facts
from posthouse.web import told, views
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem
from posthouse.web.query import ACCOUNT, Param, iso, number, text

MAX_SEQ = 2**62
LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    ACCOUNT,
)
DEAD = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", number(0, MAX_SEQ), "`next` of the page before.", 0),
)
REPLAY = (
    Param(
        "from",
        number(1, MAX_SEQ),
        "The seq of the first event (see /events) to be told again. Left out: the dead letters are tried again.",
    ),
)


async def list_destinations(call: Call) -> Response:
    return json_answer(await destination_page(call, call.query["after"], call.query["limit"]))


async def destination_page(call: Call, after: str, limit: int) -> views.DestinationList:
    scope = call.scope()
    account = None if scope is None else scope.account
    found = await call.ctx.stores.publications.destinations(account, after, limit + 1)
    facts, now_ms = Facts(call.ctx.stores.records), call.ctx.clock.now_ms()
    return views.DestinationList(
        destinations=[await destination_view(each, facts, now_ms) for each in found[:limit]],
        next=found[limit - 1].destination if len(found) > limit else None,
    )


async def show_destination(call: Call) -> Response:
    return json_answer(await destination_detail(call, call.request.path_params["destination"]))


async def destination_detail(call: Call, key: str) -> views.Destination:
    """Raises Problem (404), also for one that nothing was routed to yet."""
    target = named(call, key)
    status = await call.ctx.stores.publications.status(key)
    if status is None:
        raise _no_such_destination()
    return await destination_view(status, Facts(call.ctx.stores.records), call.ctx.clock.now_ms(), target)


async def list_dead(call: Call) -> Response:
    key = call.request.path_params["destination"]
    return json_answer(await dead_page(call, key, call.query["after"], call.query["limit"]))


async def dead_page(call: Call, key: str, after: int, limit: int) -> views.DeadLetterList:
    """Raises Problem (404)."""
    named(call, key)
    found = await call.ctx.stores.publications.dead(key, after, limit + 1)
    return views.DeadLetterList(
        dead_letters=[dead_view(each) for each in found[:limit]],
        next=found[limit - 1].seq if len(found) > limit else None,
    )


async def replay(call: Call) -> Response:
    return json_answer(await tell_again(call, call.request.path_params["destination"], call.query["from"]))


async def tell_again(call: Call, key: str, from_seq: int | None) -> views.Replay:
    """Raises Problem (404) for a destination that nothing leads to."""
    target, publications = named(call, key), call.ctx.stores.publications
    if not await _exists(call, key, target):
        raise _no_such_destination()
    if from_seq is None:
        revived = await publications.revive(key, call.ctx.clock.now_ms())
        return views.Replay(destination=key, revived=revived)
    await publications.replay(key, target.scope, from_seq)
    return views.Replay(destination=key, from_seq=from_seq)


async def _exists(call: Call, key: str, target: Target) -> bool:
    if not isinstance(target, Forward):
        endpoint = await endpoint_of(target, Facts(call.ctx.stores.records))
        if not isinstance(endpoint, Nowhere | MailedInstead):
            return True
    return await call.ctx.stores.publications.status(key) is not None


def named(call: Call, key: str) -> Target:
    """What the key stands for. Raises Problem (404), also for one of an account that is not yours."""
    # PostgreSQL has no NUL in its texts; a key has none either, but what it stands for might.
    target = read_target_key(key) if "%00" not in key and len(key) < 2000 else None
    if target is None or not call.may_see(target.scope):
        raise _no_such_destination()
    return target


def _no_such_destination() -> Problem:
    return Problem(404, "There is no such destination.")


async def destination_view(
    status: DestinationStatus, facts: Facts, now_ms: int, target: Target | None = None
) -> views.Destination:
    target = target or read_target_key(status.destination)
    kind, arn = told.place_of(await endpoint_of(target, facts)) if target else ("Gone", "")
    return views.Destination(
        name=told.name_of(target) if target else status.destination,
        kind=kind,
        target=arn,
        destination=status.destination,
        account=status.owner.account,
        region=status.owner.region,
        waiting=status.waiting,
        dead_letters=status.dead,
        lag_seconds=0.0 if status.oldest_ms is None else max(0, now_ms - status.oldest_ms) / 1000,
        oldest_at=_moment(status.oldest_ms),
        failures=status.failures,
        waiting_until=_moment(status.waiting_until_ms if status.waiting_until_ms > now_ms else None),
        last_error=status.last_error,
        last_failure_at=_moment(status.last_failure_ms),
        last_success_at=_moment(status.last_success_ms),
        sending=status.leased,
        replaying=status.replaying,
    )


def dead_view(letter: DeadLetter) -> views.DeadLetter:
    return views.DeadLetter(
        seq=letter.seq,
        message_id=letter.message.message_id,
        routed_at=iso(letter.routed_ms),
        given_up_at=iso(letter.died_ms),
        error=letter.error,
    )


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)
