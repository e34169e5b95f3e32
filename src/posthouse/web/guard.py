"""Who may pass: the host a request is for, the origin it came from, the login it carries.

Sources: RFC 9110 §15.5.20 (421 for a host that is not ours), Fetch Metadata (W3C), RFC 6454 (Origin).
"""

import ipaddress
import re

from starlette.requests import Request

from posthouse.web import sessions
from posthouse.web.context import WebContext
from posthouse.web.problems import Problem
from posthouse.web.sessions import ANYBODY, Viewer

NOBODY = Viewer("", "")
"""Who has not signed in: belongs to no account."""
MAX_BODY = 64 * 1024
"""Nothing this door takes is longer: forms of a few fields."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?\Z")


def host_name(header: str) -> str | None:
    """The name or address of a Host header, lower case, without port and final dot; None where it is none."""
    match = _HOST.match(header)
    return (match[1] or match[2]).lower().removesuffix(".") if match else None


def is_trusted_host(header: str, public_hosts: frozenset[str]) -> bool:
    """False for a name that a stranger's DNS may have pointed here (DNS rebinding).

    Addresses cannot be rebound. A name without dots comes from the machine's own files or its container network,
    not from the public DNS.
    """
    name = host_name(header)
    if not name:
        return False
    if name in public_hosts or name.endswith(".localhost") or "." not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_host(ctx: WebContext, request: Request) -> None:
    """Open mode has no login, so the name a browser asked for is what tells our page from a stranger's.

    Raises Problem (421).
    """
    if ctx.login_required or is_trusted_host(request.headers.get("host", ""), ctx.public_hosts):
        return
    raise Problem(421, "This server is not known by that host name. Set http.public_url to the name you use for it.")


def check_origin(request: Request) -> None:
    """Nothing is changed on behalf of a page of another origin. Raises Problem (403).

    Browsers send Origin with every such request, and Sec-Fetch-Site, which says it outright, to localhost and over
    TLS; programs send neither.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or origin.partition("://")[2].lower() == request.headers.get("host", "").lower()
    if not ours:
        raise Problem(403, "Requests that change something must come from this server's own pages.")


def check_size(request: Request, most: int = MAX_BODY) -> None:
    """Raises Problem (413) for a body that says it is too long; what says nothing is counted when it is read."""
    length = request.headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,15}", length) or int(length) > most:
        raise Problem(413, f"A request here has at most {most} bytes.")


async def viewer_of(ctx: WebContext, request: Request) -> Viewer | None:
    """Who is looking, by session cookie or HTTP Basic; None where a login is needed."""
    if not ctx.login_required:
        return ANYBODY
    credentials = ctx.stores.credentials
    now_ms = ctx.clock.now_ms()
    given = sessions.basic(request.headers.get("authorization", ""))
    if given is not None:
        return await sessions.sign_in(credentials, *given, now_ms)
    cookie = request.cookies.get(sessions.COOKIE, "")
    return await sessions.resume(credentials, ctx.session_key, cookie, now_ms)


async def admit(ctx: WebContext, request: Request, max_body: int = MAX_BODY) -> Viewer:
    """The viewer of an admitted request. Raises Problem (421, 403, 401, 413)."""
    check_host(ctx, request)
    check_size(request, max_body)
    check_origin(request)
    viewer = await viewer_of(ctx, request)
    if viewer is None:
        challenge = {"www-authenticate": 'Basic realm="Posthouse", charset="UTF-8"'}
        raise Problem(401, "Sign in with the access key and secret of a console credential.", headers=challenge)
    return viewer


async def welcome(ctx: WebContext, request: Request) -> Viewer:
    """For the login page and the looks of pages: everybody, but by a name of ours and from our own pages."""
    check_host(ctx, request)
    check_size(request)
    check_origin(request)
    return NOBODY
