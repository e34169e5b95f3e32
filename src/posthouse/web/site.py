"""Routes to handlers: the part of this door that needs Starlette, loaded at the first request that needs it."""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.wakeups import Topic
from posthouse.web import console, emulator, guard, pages, sns, verification
from posthouse.web.answers import problem_answer
from posthouse.web.call import Call
from posthouse.web.context import WebContext
from posthouse.web.problems import Problem
from posthouse.web.query import Param, parse
from posthouse.web.routes import ADMIN, PREFIX, Endpoint
from posthouse.web.taps import Taps

log = logging.getLogger("posthouse.web")

# Set where a handler did not say otherwise: everything here is private, of the moment, and nobody's to embed.
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    # Not no-referrer: under that, browsers send "Origin: null" with our own forms (Fetch standard, "append a request
    # `Origin` header").
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


class Routed(Protocol):
    """What a row of a route table says."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def handle(self) -> Callable[[Call], Awaitable[Response]]: ...
    @property
    def params(self) -> Sequence[Param]: ...
    @property
    def login(self) -> bool: ...
    @property
    def max_body(self) -> int: ...


def build_site(ctx: WebContext) -> ASGIApp:
    """The console, the admin API, the emulators' endpoint and verification links as one ASGI application."""
    taps = Taps(ctx.wakeups.subscribe(Topic.EVENTS))
    table: list[Routed] = [
        *(replace(each, path=PREFIX + each.path) for each in ADMIN),
        Endpoint("GET", "/_aws/ses", emulator.list_sent, "", emulator.LISTING),
        Endpoint("DELETE", "/_aws/ses", emulator.delete_sent, "", emulator.DELETING),
        *console.PAGES,
        *sns.PAGES,
        *verification.PAGES,
    ]
    by_path: dict[str, list[Routed]] = {}
    for each in table:
        by_path.setdefault(each.path, []).append(each)
    routes = [_route(ctx, taps, path, rows) for path, rows in by_path.items()]
    app = Starlette(
        routes=[Route("/", _root(ctx), methods=["GET", "POST"]), *routes],
        exception_handlers={
            Problem: _on_problem,
            HTTPException: _on_refusal,
            StoreUnavailable: _on_no_store,
            Exception: _on_bug,
        },
    )
    # A redirect made from the Host header would lead wherever the asker says.
    app.router.redirect_slashes = False
    return _with_safe_headers(app)


def _route(ctx: WebContext, taps: Taps, path: str, rows: Iterable[Routed]) -> Route:
    by_method = {each.method: each for each in rows}

    async def endpoint(request: Request) -> Response:
        row = by_method["GET" if request.method == "HEAD" else request.method]
        viewer = await (guard.admit(ctx, request, row.max_body) if row.login else guard.welcome(ctx, request))
        query = parse(request.scope["query_string"], row.params)
        return await row.handle(Call(ctx, taps, request, viewer, query))

    # Names of templates may hold a slash.
    return Route(path.replace("{name}", "{name:path}"), endpoint, methods=list(by_method))


def _with_safe_headers(app: ASGIApp) -> ASGIApp:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        await app(scope, receive, send_safe)

    return wrapped


def _add_headers(message: MutableMapping[str, Any]) -> None:
    given = {name.lower() for name, _ in message["headers"]}
    message["headers"] = [*message["headers"], *((n, v) for n, v in _HEADERS.items() if n not in given)]


def _root(ctx: WebContext) -> Callable[[Request], Awaitable[Response]]:
    async def root(request: Request) -> Response:
        return await sns.root(ctx, request)

    return root


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _shown(request, error)


async def _on_refusal(request: Request, error: Exception) -> Response:
    """What the router itself refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    detail = {404: "There is nothing at this path.", 405: "This path does not take that method."}
    return _shown(request, Problem(error.status_code, detail.get(error.status_code, ""), headers=error.headers))


async def _on_no_store(request: Request, error: Exception) -> Response:
    log.warning("no store for %s %s: %s", request.method, request.scope["path"], error)
    return _shown(request, Problem(503, "The database does not serve just now.", headers={"retry-after": "5"}))


async def _on_bug(request: Request, error: Exception) -> Response:
    """Told little; the error itself goes on to the server's log."""
    return _shown(request, Problem(500, "Something went wrong here. The log of this server says what."))


def _shown(request: Request, problem: Problem) -> Response:
    # Not request.url: that is put together with the Host header, whatever it holds.
    path: str = request.scope["path"]
    wants_page = "text/html" in request.headers.get("accept", "") and path.startswith("/console")
    if not wants_page:
        return problem_answer(problem)
    if problem.status == 401 and request.method == "GET":
        return pages.to_login(path)
    return pages.problem_page(problem)
