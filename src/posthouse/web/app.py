"""The web door as assembly sees it: one ASGI application that costs nothing until somebody looks.

Health, metrics and the links of mails are answered without a framework: probes and readers of mail ask often, and a
process that nobody browses should neither load nor keep what pages need (0.3 s and some 15 MB). The rest is loaded at
the first request for it, in a thread, so that callers of the SES API beside it do not wait.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from posthouse.web.asgi import App, Receive, Scope, Send
from posthouse.web.context import WebContext


def build_app(ctx: WebContext) -> App:
    """Everything of contract §4 but ``POST /``: health, metrics, links of mails, admin API, ``/_aws/ses``, console."""
    loading = asyncio.Lock()
    site: App | None = None
    tracking: App | None = None
    unsubscribing: App | None = None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal site, tracking, unsubscribing
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/t/"):
            tracking = tracking or _load_tracking(ctx)
            await tracking(scope, receive, send)
            return
        if scope["path"].startswith("/u/"):
            unsubscribing = unsubscribing or _load_unsubscribing(ctx)
            await unsubscribing(scope, receive, send)
            return
        probe = _PROBES.get(scope["path"])
        if probe is not None:
            await _answer_probe(ctx, probe, scope["method"], send)
            return
        if site is None:
            async with loading:
                site = site or (await asyncio.to_thread(_load))(ctx)
        await site(scope, receive, send)

    return app


def _load_tracking(ctx: WebContext) -> App:
    from posthouse.web.tracking import TrackingDoor

    return TrackingDoor(ctx)


def _load_unsubscribing(ctx: WebContext) -> App:
    from posthouse.web.unsubscribe import UnsubscribeDoor

    return UnsubscribeDoor(ctx)


def _load() -> Callable[[WebContext], App]:
    from posthouse.web.site import build_site

    return build_site


Answer = tuple[int, str, str]
"""Status, content type, text."""

_PLAIN = "text/plain; charset=utf-8"


async def _healthz(ctx: WebContext) -> Answer:
    return 200, _PLAIN, "ok"


async def _readyz(ctx: WebContext) -> Answer:
    return (200, _PLAIN, "ok") if ctx.ready() else (503, _PLAIN, "not ready")


async def _metrics(ctx: WebContext) -> Answer:
    text = ctx.metrics()
    return 200, "text/plain; version=0.0.4; charset=utf-8", await text if inspect.isawaitable(text) else text


_PROBES: dict[str, Callable[[WebContext], Awaitable[Answer]]] = {
    "/healthz": _healthz,
    "/readyz": _readyz,
    "/metrics": _metrics,
}


async def _answer_probe(
    ctx: WebContext, probe: Callable[[WebContext], Awaitable[Answer]], method: str, send: Send
) -> None:
    if method not in ("GET", "HEAD"):
        await _send(send, 405, _PLAIN, "method not allowed", ((b"allow", b"GET, HEAD"),))
        return
    status, media_type, text = await probe(ctx)
    await _send(send, status, media_type, text)


async def _send(
    send: Send, status: int, media_type: str, text: str, more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    body = text.encode()
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
