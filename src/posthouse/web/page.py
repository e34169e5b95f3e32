"""What a page of the console is made of: a row of its route table, the scope picked on it, the way back to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec
from starlette.responses import RedirectResponse, Response

from posthouse.domain.scope import Scope
from posthouse.web.call import Call
from posthouse.web.guard import MAX_BODY
from posthouse.web.query import Param, pattern, text

SHOWN = 50
"""Rows of a page."""
AFTER = Param("after", text(), "The last one of the page before.", "")
NAME = Param("name", text(), "Which one.", "")
SCOPE = Param("scope", pattern("[0-9]{12} [a-z0-9-]{1,32}", "an account and a region"), "One account and region.", "")


@dataclass(frozen=True, slots=True)
class Page:
    """A row of the console's route table."""

    method: str
    path: str
    handle: Callable[[Call], Awaitable[Response]]
    params: tuple[Param, ...] = ()
    login: bool = True
    max_body: int = MAX_BODY


def scoped(call: Call) -> Call:
    """The call with the scope picked on the page as the account and region the admin API reads."""
    account, _, region = call.query["scope"].partition(" ")
    return replace(call, query={**call.query, "account": account or None, "region": region or None})


def picked(scope: Scope) -> str:
    """The scope as `SCOPE` reads it."""
    return f"{scope.account} {scope.region}"


def pretty(json: str) -> str:
    """JSON as people read it; what is none, or nests too deeply, as it is."""
    try:
        return msgspec.json.format(json, indent=2) if json.strip() else json
    except (msgspec.DecodeError, RecursionError):
        return json


def back(path: str) -> Response:
    """After a change: the page again, so that reloading it changes nothing twice."""
    return RedirectResponse(path, 303)
