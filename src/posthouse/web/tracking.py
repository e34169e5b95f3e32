"""``/t/o/TOKEN`` and ``/t/c/TOKEN``: the pixel of a mail that is opened, and the links that are followed.

Answered at once and at any host name, without a login, a database read or a framework: a link has to lead on whatever
happens here. What it leads to is in the token, sealed, so that nobody but us can make one (CWE-601), and a token
that was edited is nobody's. The event is written after the answer; where the store does not serve, it is lost.
Source: SES developer guide, "Metrics FAQs": every opening and every click counts, for 60 days.
"""

import logging
from collections.abc import Iterable
from typing import Any

from posthouse.domain.events import Event, EventType
from posthouse.domain.prefetch import Hit, sign_of_a_program
from posthouse.mail.tracking_tokens import TrackedLink, TrackedMail
from posthouse.ports.stores import StoreUnavailable
from posthouse.web.asgi import Receive, Scope, Send
from posthouse.web.client_address import ClientAddresses
from posthouse.web.context import WebContext

log = logging.getLogger("posthouse.web")

PREFIX = "/t/"
OPEN, CLICK = PREFIX + "o/", PREFIX + "c/"
COUNTED_MS = 60 * 24 * 60 * 60 * 1000
MAX_WAITING = 1000
"""Events on their way to a store that is slow; what comes on top is not counted."""
MAX_USER_AGENT = 1024
GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""One transparent pixel."""

Headers = tuple[tuple[bytes, bytes], ...]

_HEADERS: Headers = (
    (b"cache-control", b"no-store"),
    # Where a link leads is not told from which mail somebody comes.
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-robots-tag", b"noindex"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# Web mail shows the pixel on a page of its own.
_PIXEL_HEADERS: Headers = (
    *((name, value) for name, value in _HEADERS if name != b"content-security-policy"),
    (b"content-type", b"image/gif"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
_TEXT_HEADERS: Headers = (*_HEADERS, (b"content-type", b"text/plain; charset=utf-8"))
_PURPOSES = frozenset({b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"})


class TrackingDoor:
    """The ASGI application for paths under PREFIX."""

    def __init__(self, ctx: WebContext) -> None:
        self._ctx = ctx
        self._clients = ClientAddresses(ctx.trusted_proxies)
        self._waiting = 0
        self._losing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(scope, send, 405, (*_TEXT_HEADERS, (b"allow", b"GET, HEAD")), b"method not allowed")
            return
        event = await self._open(scope, send)
        # A mail program that only asks whether there is something has shown nobody anything.
        if event is not None and scope["method"] == "GET":
            await self._keep(event)

    async def _open(self, scope: Scope, send: Send) -> Event | None:
        """Answers; what happened by that, if anything did that counts."""
        path: str = scope["path"]
        if _is_as_written(scope):
            tokens = self._ctx.tracking
            if path.startswith(OPEN) and (mail := tokens.read_opened(path.removeprefix(OPEN))) is not None:
                await _answer(scope, send, 200, _PIXEL_HEADERS, GIF)
                return self._event(scope, mail, None)
            if path.startswith(CLICK) and (link := tokens.read_clicked(path.removeprefix(CLICK))) is not None:
                await _answer(scope, send, 302, (*_HEADERS, (b"location", link.url.encode("ascii"))), b"")
                return self._event(scope, link.mail, link)
        await _answer(scope, send, 404, _TEXT_HEADERS, b"This link is not one of ours: it was cut off or changed.")
        return None

    def _event(self, scope: Scope, mail: TrackedMail, link: TrackedLink | None) -> Event | None:
        now_ms = self._ctx.clock.now_ms()
        age_ms = now_ms - mail.accepted_ms
        if age_ms > COUNTED_MS:
            return None
        agent = _header(scope["headers"], b"user-agent")[:MAX_USER_AGENT]
        sign = sign_of_a_program(Hit(agent, _purpose(scope["headers"]), age_ms))
        keep = self._ctx.keep_addresses
        detail: dict[str, Any] = {
            "ip": self._clients.of(scope) if keep else "",
            "user_agent": agent if keep else "",
            "prefetch": bool(sign),
        }
        if sign:
            detail["prefetch_sign"] = sign
        if link is not None:
            detail |= {"link": link.url, "link_number": link.number, "link_tags": _by_key(link.tags)}
        return Event(
            scope=mail.scope,
            message_id=mail.message_id,
            type=EventType.OPEN if link is None else EventType.CLICK,
            at_ms=now_ms,
            detail=detail,
            configuration_set=mail.configuration_set,
        )

    async def _keep(self, event: Event) -> None:
        if self._waiting >= MAX_WAITING:
            self._lost("too many wait for the store")
            return
        self._waiting += 1
        try:
            await self._ctx.stores.events.append([event])
            self._losing = False
        except StoreUnavailable as error:
            self._lost(str(error))
        finally:
            self._waiting -= 1

    def _lost(self, why: str) -> None:
        """Said once, until the store serves again: a newsletter has many readers."""
        if not self._losing:
            log.warning("openings and clicks are answered and not counted: %s", why)
        self._losing = True


def _is_as_written(scope: Scope) -> bool:
    """A link has one spelling: no percent-encoding, and no query that somebody put behind it."""
    return not scope["query_string"] and bool(scope["raw_path"] == scope["path"].encode(errors="replace"))


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("iso-8859-1") for key, value in headers if key == name), "")


def _purpose(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return " ".join(value.decode("iso-8859-1") for key, value in headers if key in _PURPOSES)


def _by_key(tags: Iterable[tuple[str, str]]) -> dict[str, list[str]] | None:
    """As SES's linkTags: lists by key, null where there are none."""
    found: dict[str, list[str]] = {}
    for key, value in tags:
        found.setdefault(key, []).append(value)
    return found or None


async def _answer(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
