"""One HTTP request of the SES API, from its bytes to its answer."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from posthouse.api.patience import Patience
from posthouse.domain.scope import Caller, Scope
from posthouse.model.errors import (
    ExpiredToken,
    InternalFailure,
    InvalidAction,
    InvalidClientTokenId,
    MethodNotAllowed,
    MissingAction,
    RequestEntityTooLarge,
    RequestHeadersTooLarge,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
)
from posthouse.model.generated import OPERATIONS
from posthouse.model.shapes import Operation, Structure
from posthouse.ports.credentials import Credentials
from posthouse.ports.stores import StoreUnavailable
from posthouse.wire import query, sigv4

API_VERSION = "2010-12-01"
DEFAULT_REGION = "us-east-1"
ANONYMOUS = "anonymous"
"""The access key of a caller who showed none, in open mode."""

# SES takes 10 MB of raw message: 14 MB in base64, somewhat more as a form.
MAX_BODY = 20 * 1024 * 1024
# What long bodies may hold together, a process; whoever comes beyond that is asked to come again, as SDKs do by
# themselves. Anybody can send a body: who it is from shows only when all of it is here.
MAX_BODIES = 256 * 1024 * 1024
SMALL_BODY = 32 * 1024
"""Not counted: there are no more of them than connections."""
# SDKs send some 10; every header is looked at, and a signature may cover each.
MAX_HEADERS = 100
# The longest documented request, over a line of 2 Mbit/s.
BODY_TIMEOUT_S = 60.0

log = logging.getLogger("posthouse.api")

Event = MutableMapping[str, Any]
"""An ASGI event or connection scope."""
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

Handler = Callable[[Any, Caller], Awaitable[Structure]]
"""An operation: its own request type in, its own response type out; refusals are ServiceErrors."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who is let in. ``open``: everybody, as local emulators do. ``strict``: valid signatures of known access keys."""

    mode: Literal["open", "strict"]
    default_account: str
    """Open mode: the account of callers whose access key is not an account number itself."""


class ClientGone(Exception):
    """The client hung up before its request was complete: there is nobody to answer."""


class ApiDoor:
    """An ASGI application.

    ``operations`` maps names of the service model to what does them; ``now_ms`` tells the time in milliseconds since
    1970; ``new_request_id`` makes a lower-case UUID.
    """

    def __init__(
        self,
        credentials: Credentials,
        operations: Mapping[str, Handler],
        authentication: Authentication,
        now_ms: Callable[[], int],
        new_request_id: Callable[[], str],
        *,
        max_body: int = MAX_BODY,
        max_bodies: int = MAX_BODIES,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._credentials = credentials
        self._operations = operations
        self._authentication = authentication
        self._now_ms = now_ms
        self._new_request_id = new_request_id
        self._max_body, self._max_bodies = max_body, max_bodies
        self._held: dict[int, int] = {}
        self._held_together = 0
        self._patience = Patience(body_timeout_s)
        self._keys = sigv4.SigningKeys()

    async def __call__(self, connection: Event, receive: Receive, send: Send) -> None:
        if connection["type"] != "http":
            raise ValueError(f"the API speaks http, not {connection['type']}")
        request_id = self._new_request_id()
        try:
            status, xml = 200, await self._answer(connection, receive, request_id)
        except ClientGone:
            return
        except ServiceError as error:
            status, xml = error.http_status, query.render_error(error, request_id)
        except StoreUnavailable as trouble:
            log.error("request %s: the store cannot serve: %s", request_id, trouble)
            unavailable = ServiceUnavailable()
            status, xml = unavailable.http_status, query.render_error(unavailable, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            failure = InternalFailure()
            status, xml = failure.http_status, query.render_error(failure, request_id)
        finally:
            self._held_together -= self._held.pop(id(connection), 0)
        await _send(send, status, xml, request_id)

    async def _answer(self, connection: Event, receive: Receive, request_id: str) -> bytes:
        request = await self._read(connection, receive)
        caller = await self._authenticate(request, _where(connection, request))
        form = _form(request)
        operation = _operation(form)
        handler = self._handler(operation)
        response = await handler(query.parse(form, operation.request), caller)
        return query.render(response, operation, request_id)

    async def _read(self, connection: Event, receive: Receive) -> sigv4.Request:
        """The whole request, within limits."""
        method: str = connection["method"]
        if method not in ("POST", "GET"):
            raise MethodNotAllowed(f"The API is called with GET or POST, not {method[:16]}")
        if len(connection["headers"]) > MAX_HEADERS:
            raise RequestHeadersTooLarge(f"More than {MAX_HEADERS} headers")
        headers = sigv4.fold(connection["headers"])
        self._check_length(headers.get(b"content-length", b""))
        try:
            body = await self._patience.wait(self._read_body(receive, id(connection)))
        except TimeoutError:
            raise RequestTimeout(f"The request did not arrive within {self._patience.limit_s:g} seconds") from None
        return sigv4.Request(method, connection["raw_path"], connection["query_string"], headers, body)

    def _check_length(self, announced: bytes) -> None:
        # More digits than the limit has are too many, whatever they say.
        if len(announced) > 12 or (announced.isdigit() and int(announced) > self._max_body):
            raise self._too_large()

    async def _read_body(self, receive: Receive, request: int) -> bytes:
        parts: list[bytes] = []
        room = self._max_body
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = event.get("body", b"")
            parts.append(part)
            room -= len(part)
            if room < 0:
                raise self._too_large()
            if self._max_body - room > SMALL_BODY:
                self._hold(request, self._max_body - room)
            if not event.get("more_body"):
                return b"".join(parts)

    def _hold(self, request: int, octets: int) -> None:
        """Until the request is answered."""
        self._held_together += octets - self._held.get(request, 0)
        self._held[request] = octets
        if self._held_together > self._max_bodies:
            raise ServiceUnavailable

    def _too_large(self) -> ServiceError:
        return RequestEntityTooLarge(f"The request is longer than {self._max_body} bytes")

    async def _authenticate(self, request: sigv4.Request, where: tuple[str, bool, str]) -> Caller:
        if self._authentication.mode == "open":
            return self._trust(request, where)
        claim = sigv4.read(request)
        credential = await self._credentials.find(claim.access_key)
        if credential is None:
            raise InvalidClientTokenId
        now_ms = self._now_ms()
        sigv4.verify(claim, request, credential.secret_key, credential.session_token, now_ms, self._keys)
        if credential.expires_ms is not None and credential.expires_ms <= now_ms:
            raise ExpiredToken
        return Caller(Scope(credential.account, claim.region), claim.access_key, *where)

    def _trust(self, request: sigv4.Request, where: tuple[str, bool, str]) -> Caller:
        access_key, region = sigv4.claimed_credential(request) or (ANONYMOUS, DEFAULT_REGION)
        names_account = len(access_key) == 12 and access_key.isascii() and access_key.isdigit()
        account = access_key if names_account else self._authentication.default_account
        return Caller(Scope(account, region), access_key, *where)

    def _handler(self, operation: Operation) -> Handler:
        handler = self._operations.get(operation.name)
        if handler is None:
            raise InvalidAction(f"The operation {operation.name} is known but not built yet")
        return handler


def _where(connection: Event, request: sigv4.Request) -> tuple[str, bool, str]:
    """From where and how the request came: client address, whether over TLS, user agent."""
    client = connection.get("client")
    agent = request.headers.get(b"user-agent", b"").decode("iso-8859-1")
    return client[0] if client else "", connection.get("scheme") == "https", agent


def _form(request: sigv4.Request) -> dict[str, str]:
    """The parameters of the body and of the query; where both name one, the query's."""
    form = query.parse_form(request.body) if request.body else {}
    if request.query:
        form |= query.parse_form(request.query, unique=True)
    return form


def _operation(form: Mapping[str, str]) -> Operation:
    """The operation named. Without a version it is that of 2010-12-01: samples of the developer guide give none."""
    action = form.get("Action")
    if not action:
        raise MissingAction
    version = form.get("Version") or API_VERSION
    operation = OPERATIONS.get(action)
    if operation is None or version != API_VERSION:
        raise InvalidAction(f"Could not find operation {action[:256]} for version {version[:256]}")
    return operation


async def _send(send: Send, status: int, xml: bytes, request_id: str) -> None:
    headers = [
        (b"x-amzn-requestid", request_id.encode()),
        (b"content-type", b"text/xml"),
        (b"content-length", b"%d" % len(xml)),
    ]
    if status in (408, 413, 431, 503):
        # The rest of the request is still on its way; it must not be taken for the next one.
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": xml})
