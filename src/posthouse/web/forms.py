"""The console's forms: urlencoded, short, and carrying the token that only our own pages know."""

import re

from posthouse.web import sessions
from posthouse.web.call import Call
from posthouse.web.guard import MAX_BODY
from posthouse.web.problems import Problem
from posthouse.web.query import decode

# A path of the console and nothing a browser would take for another host.
NEXT = r"/console/[A-Za-z0-9_.~%+=?&/-]{0,500}"
_MAX_FIELDS = 20


async def read(call: Call) -> dict[str, str]:
    """The fields of a form of ours. Raises Problem (413, 415, 400, 403)."""
    content_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Problem(415, "The console's forms are sent as application/x-www-form-urlencoded.")
    body = b""
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Problem(413, f"A request here has at most {MAX_BODY} bytes.")
    if body.count(b"&") >= _MAX_FIELDS:
        raise Problem(400, "The form has too many fields.")
    fields = dict(decode(body))
    if not sessions.is_form_token(call.ctx.session_key, call.viewer, fields.get("token", "")):
        raise Problem(403, "This page is out of date. Go back, reload it and try again.")
    return fields


def next_of(fields: dict[str, str], otherwise: str) -> str:
    """Where a form wants to lead to, if that is a page of ours."""
    wanted = fields.get("next", "")
    return wanted if re.fullmatch(NEXT, wanted) else otherwise
