"""``/u/TOKEN``: the way out of a mailing list.

A mail program's own button posts (RFC 8058), whatever the reader has or has not: no cookie, no login, no redirection. A
person who follows the link (GET) sees a page with a button that posts the same, since programs that look at mail follow
links too, and must not unsubscribe anybody. What is left is in the token, sealed; one that was edited is nobody's.
"""

import logging
from html import escape

from posthouse.domain.mailing_lists import Unsubscription, left_event
from posthouse.mail.tracking_tokens import WayOut
from posthouse.ports.stores import StoreUnavailable
from posthouse.web.asgi import Receive, Scope, Send
from posthouse.web.context import WebContext

log = logging.getLogger("posthouse.web")

PREFIX = "/u/"
MAX_BODY = 64 * 1024
ONE_CLICK, PAGE = "UnsubscribeHeader", "UnsubscribePage"
_FROM_PAGE = b"from-page=1"

_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # The path is a secret of the reader's.
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{heading}</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1rem }}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
{content}
</main>
</body>
</html>
"""


class UnsubscribeDoor:
    """The ASGI application for paths under PREFIX."""

    def __init__(self, ctx: WebContext) -> None:
        self._ctx = ctx

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD", "POST"):
            await _answer(scope, send, 405, _said("Not here", "This address takes GET and POST."))
            return
        way_out = self._read(scope)
        if way_out is None:
            text = "It may have been cut off or changed on its way. Open it from the mail once more, or copy all of it."
            await _answer(scope, send, 404, _said("This link is not one of ours", text))
            return
        if scope["method"] != "POST":
            await _answer(scope, send, 200, _question(way_out))
            return
        body = await _body(receive)
        if body is None:
            await _answer(scope, send, 413, _said("Too long", "A request here has a few bytes."))
            return
        try:
            await self._leave(way_out, PAGE if body == _FROM_PAGE else ONE_CLICK)
        except StoreUnavailable as error:
            log.warning("an unsubscription could not be kept: %s", error)
            await _answer(scope, send, 503, _said("Not just now", "That could not be kept. Please try again soon."))
            return
        text = f"{way_out.address} gets no more mail of {_what(way_out)}."
        await _answer(scope, send, 200, _said("You are unsubscribed", text))

    def _read(self, scope: Scope) -> WayOut | None:
        path: str = scope["path"]
        # A link has one spelling: no percent-encoding, and no query that somebody put behind it.
        if scope["query_string"] or scope["raw_path"] != path.encode(errors="replace"):
            return None
        return self._ctx.tracking.read_leaving(path.removeprefix(PREFIX))

    async def _leave(self, way_out: WayOut, by: str) -> None:
        mail = way_out.mail
        left = Unsubscription(
            name=way_out.list_name,
            topic=way_out.topic,
            address=way_out.address,
            at_ms=self._ctx.clock.now_ms(),
            message_id=mail.message_id,
        )
        event = left_event(mail.scope, left, mail.configuration_set, by)
        await self._ctx.stores.unsubscriptions.add(mail.scope, left, event)


def _what(way_out: WayOut) -> str:
    return f"{way_out.topic} ({way_out.list_name})" if way_out.topic else way_out.list_name


def _question(way_out: WayOut) -> bytes:
    text = f"{way_out.address} will get no more mail of {_what(way_out)}."
    name, _, value = _FROM_PAGE.decode().partition("=")
    button = f'<button name="{name}" value="{value}">Unsubscribe</button>'
    return _page("Unsubscribe?", f'<p>{escape(text)}</p>\n<form method="post">{button}</form>')


def _said(heading: str, text: str) -> bytes:
    return _page(heading, f"<p>{escape(text)}</p>")


def _page(heading: str, content: str) -> bytes:
    return _PAGE.format(heading=escape(heading), content=content).encode()


async def _body(receive: Receive) -> bytes | None:
    """None where it is too long, or its sender is gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        piece: bytes = message.get("body", b"")
        body += piece
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body


async def _answer(scope: Scope, send: Send, status: int, page: bytes) -> None:
    more = ((b"allow", b"GET, HEAD, POST"),) if status == 405 else ()
    headers = [*_HEADERS, *more, (b"content-length", b"%d" % len(page))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page})
