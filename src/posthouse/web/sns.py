"""What subscribers of the embedded stand-in's topics call: SNS's ConfirmSubscription and Unsubscribe, and the signing
certificate.

Both actions stand at ``/``, as with SNS: by GET, where the links of notifications lead, and by POST, as SDKs speak
(django-anymail confirms that way). The token is the proof, so no signature is asked for. Source: Amazon SNS API
reference, version 2010-03-31.
"""

import asyncio
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from posthouse.observe import new_request_id
from posthouse.operations.subscriptions import Left
from posthouse.publishing.signatures import name_of
from posthouse.web import guard
from posthouse.web.call import Call
from posthouse.web.context import WebContext
from posthouse.web.problems import Problem
from posthouse.web.query import decode
from posthouse.web.routes import Endpoint

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
MAX_FIELDS = 50
NO_TOPICS = "The SES API takes POST here; people are served at /console/, programs at /api/v1/openapi.json."


async def root(ctx: WebContext, request: Request) -> Response:
    """``/``: an action of SNS, or people on their way to the console."""
    if request.method == "POST":
        return await _act(ctx, await _form(request))
    if request.scope["query_string"]:
        return await _act(ctx, _fields(request.scope["query_string"]))
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/console/", 302)
    raise Problem(404, NO_TOPICS)


async def _form(request: Request) -> dict[str, str]:
    guard.check_size(request)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > guard.MAX_BODY:
            raise Problem(413, f"A request here has at most {guard.MAX_BODY} bytes.")
    return _fields(body)


def _fields(raw: bytes) -> dict[str, str]:
    if raw.count(b"&") >= MAX_FIELDS:
        raise Problem(400, "The request has too many parameters.")
    return dict(decode(raw))


async def _act(ctx: WebContext, fields: dict[str, str]) -> Response:
    # What PostgreSQL has no place for is the token of nothing.
    fields = {name: value.replace("\0", "") for name, value in fields.items()}
    match fields.get("Action"):
        case "ConfirmSubscription":
            return await _confirm(ctx, fields)
        case "Unsubscribe":
            return await _unsubscribe(ctx, fields)
    return _error(400, "InvalidAction", "The stand-in for SNS knows ConfirmSubscription and Unsubscribe here.")


async def _confirm(ctx: WebContext, fields: dict[str, str]) -> Response:
    keeps = fields.get("AuthenticateOnUnsubscribe", "").lower() == "true"
    found = await ctx.subscribing.confirm(fields.get("TopicArn", ""), fields.get("Token", ""), keeps)
    if found is None:
        return _error(400, "InvalidParameter", "Invalid parameter: Token")
    return _answer("ConfirmSubscription", f"<SubscriptionArn>{escape(found.arn)}</SubscriptionArn>")


async def _unsubscribe(ctx: WebContext, fields: dict[str, str]) -> Response:
    match await ctx.subscribing.leave(fields.get("SubscriptionArn", ""), fields.get("Token", "")):
        case Left.FORGED:
            return _error(400, "InvalidParameter", "Invalid parameter: SubscriptionArn")
        case Left.KEPT:
            return _error(403, "AuthorizationError", "Only its owner may end this subscription.")
    return _answer("Unsubscribe", None)


def _answer(action: str, result: str | None) -> Response:
    wrapped = "" if result is None else f"<{action}Result>{result}</{action}Result>"
    body = f'<{action}Response xmlns="{NAMESPACE}">{wrapped}{_metadata("ResponseMetadata")}</{action}Response>'
    return Response(body, media_type="text/xml")


def _error(status: int, code: str, text: str) -> Response:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(text)}</Message></Error>"
    body = f'<ErrorResponse xmlns="{NAMESPACE}">{error}<RequestId>{new_request_id()}</RequestId></ErrorResponse>'
    return Response(body, status, media_type="text/xml")


def _metadata(name: str) -> str:
    return f"<{name}><RequestId>{new_request_id()}</RequestId></{name}>"


async def show_certificate(call: Call) -> Response:
    """The certificate that proves notifications, under the name that they give as SigningCertURL."""
    pair = await call.ctx.stores.subscriptions.signing_pair()
    wanted = f"SimpleNotificationService-{call.request.path_params['name']}.pem"
    if pair is None or wanted != await asyncio.to_thread(name_of, pair.certificate_pem):
        raise Problem(404, "There is no such certificate.")
    # Its name changes with its content.
    headers = {"cache-control": "public, max-age=86400", "cross-origin-resource-policy": "cross-origin"}
    return Response(pair.certificate_pem, headers=headers, media_type="application/x-pem-file")


PAGES = (Endpoint("GET", "/SimpleNotificationService-{name}.pem", show_certificate, "", login=False),)
