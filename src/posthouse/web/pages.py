"""Console pages: templates, assets, and the headers that keep a mail's content from becoming a page of ours.

Every text of a mail goes through Jinja's escaping; there is no ``safe`` filter in any template, and no script but
our own file may run (Content-Security-Policy).
"""

import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from posthouse.web import charts, navigation, sessions, views
from posthouse.web.call import Call
from posthouse.web.problems import Problem

_HERE = Path(__file__).parent
_MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# What a link of a mail opens is a page like any other, without ties to the one it came from (pages: opener policy).
FRAME_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_FRAME_POLICY = (
    f"sandbox {FRAME_SANDBOX}; "
    "default-src 'none'; img-src {images}; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
# Behind it a <base> leaves the mail in the mode it asks for. Possessive: comments without end take one pass.
_DOCTYPE = re.compile(r"(?:\s++|<!--(?>.*?-->))*+<!doctype[^>]*+>", re.IGNORECASE | re.DOTALL)
_VISITOR_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'",
    # The path of such a page is a secret of the visitor's.
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}


def _assets() -> tuple[dict[str, tuple[bytes, str]], dict[str, str]]:
    """Files by the name they are served under, which changes with their content; and that name by the file's own."""
    files, names = {}, {}
    for path in sorted((_HERE / "assets").iterdir()):
        data = path.read_bytes()
        served = f"{path.stem}.{hashlib.sha256(data).hexdigest()[:12]}{path.suffix}"
        files[served] = (data, _MEDIA[path.suffix])
        names[path.name] = f"/console/assets/{served}"
    return files, names


_FILES, _NAMES = _assets()

# States of recipients, then of identities, then types of events; what is not here is plain.
_TONES = {
    "delivered": "good",
    "queued": "waiting",
    "received": "info",
    "bounced": "bad",
    "expired": "bad",
    "rejected": "bad",
    "Success": "good",
    "Pending": "waiting",
    "TemporaryFailure": "waiting",
    "Failed": "bad",
    "Delivery": "good",
    "Open": "good",
    "Click": "good",
    "Bounce": "bad",
    "Complaint": "bad",
    "Reject": "bad",
    "Rendering Failure": "bad",
    "DeliveryDelay": "waiting",
    "Received": "info",
    "healthy": "good",
    "review": "waiting",
    "pause": "bad",
    "BOUNCE": "bad",
    "COMPLAINT": "bad",
    "Allow": "good",
    "Block": "bad",
}

# How a reputation stands, to people.
_STANDINGS = {
    "healthy": "Healthy",
    "review": "Under review",
    "pause": "May be paused",
    "unjudged": "Too little mail to judge",
}


def tone(word: str) -> str:
    """Which colour a status, a verification status or an event type has."""
    return _TONES.get(word, "plain")


def worst_tone(message: views.Message) -> str:
    """The colour of a message whose recipients may differ: trouble first."""
    tones = {tone(each.status) for each in message.recipients}
    return next((each for each in ("bad", "waiting", "good", "info") if each in tones), "plain")


def human_size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    if size < 1000 * 1000:
        return f"{size / 1000:.1f} kB"
    return f"{size / 1000 / 1000:.1f} MB"


def percent(rate: float) -> str:
    """With as many places as tell a complaint rate from its line."""
    return f"{100 * rate:.2f} %"


def line_text(rate: float) -> str:
    """One of SES's lines, as SES writes it."""
    return f"{100 * rate:g} %"


def limit_text(number: float) -> str:
    """A sending limit; -1 is unlimited."""
    return "unlimited" if number < 0 else f"{number:,.0f}" if number == int(number) else f"{number:,}"


def with_query(path: str, **values: str | None) -> str:
    """A path of ours with those parameters that have a value."""
    given = {name: value for name, value in values.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {
        "tone": tone,
        "worst_tone": worst_tone,
        "size": human_size,
        "limit": limit_text,
        "percent": percent,
        "line": line_text,
        "standing": _STANDINGS.__getitem__,
        "meter": charts.meter,
    }
    found.globals |= {
        "asset": _NAMES,
        "with_query": with_query,
        "groups": navigation.GROUPS,
        "group_of": navigation.group_of,
        "frame_sandbox": FRAME_SANDBOX,
    }
    # Compiled now, in the thread that loads this module, and not while a first visitor's page holds up the loop.
    for name in found.list_templates():
        found.get_template(name)
    return found


_ENVIRONMENT = _environment()


def page(call: Call, template: str, status: int = 200, **values: Any) -> Response:
    """A page of the console, or the part of it that was asked for."""
    ctx = call.ctx
    shared = {
        "ctx": ctx,
        "viewer": call.viewer,
        "token": sessions.form_token(ctx.session_key, call.viewer),
        "version": ctx.version,
    }
    return _html(_ENVIRONMENT.get_template(template).render(**shared, **values), status)


def problem_page(problem: Problem) -> Response:
    body = _ENVIRONMENT.get_template("problem.html").render(problem=problem)
    return _html(body, problem.status, problem.headers)


def _html(body: str, status: int, headers: dict[str, str] | None = None) -> Response:
    given = {
        **(headers or {}),
        "content-security-policy": PAGE_POLICY,
        # A page opened from a mail's frame gets no hold of this one, not even where the mail asks for it (rel=opener).
        "cross-origin-opener-policy": "same-origin",
    }
    return HTMLResponse(body, status, given)


def visitor_page(template: str, status: int, **values: Any) -> Response:
    """A page for people who came by a link in a mail: no script, no form, no search engine."""
    body = _ENVIRONMENT.get_template(template).render(**values)
    return HTMLResponse(body, status, _VISITOR_HEADERS)


def visitor_headers(status: int = 200, more: dict[str, str] | None = None) -> Response:
    """As `visitor_page`, without a page: for HEAD, and for redirects."""
    return Response(status_code=status, headers={**_VISITOR_HEADERS, **(more or {})})


def frame(html: str, remote_images: bool) -> Response:
    """A mail's HTML for the sandboxed frame: no script, no form, no origin, no request but for images asked for, and
    links that open beside the console."""
    images = "data: https: http:" if remote_images else "data:"
    doctype = _DOCTYPE.match(html)
    at = doctype.end() if doctype else 0
    policy = {
        "content-security-policy": _FRAME_POLICY.format(images=images),
        "referrer-policy": "no-referrer",
        # Looking up the hosts of its links would tell the sender that the mail is open.
        "x-dns-prefetch-control": "off",
    }
    return HTMLResponse(f'{html[:at]}<base target="_blank">{html[at:]}', headers=policy)


def asset(name: str) -> Response:
    """Raises Problem (404)."""
    if name not in _FILES:
        raise Problem(404, "There is no such file.")
    data, media_type = _FILES[name]
    # Its name changes with its content.
    return Response(data, headers={"cache-control": "public, max-age=31536000, immutable"}, media_type=media_type)


def to_login(path: str) -> Response:
    return RedirectResponse(with_query("/console/login", next=path if path != "/console/" else None), 303)
