"""The doors of a process: HTTP (API, web), SMTP submission, the MX side, DNS. Starting one gives the way to end it."""

import asyncio
import logging
import os
import resource
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import uvicorn

from posthouse import __version__, observe
from posthouse.api.connections import Crowd
from posthouse.api.server import ApiDoor, Authentication
from posthouse.assembly.context import subscribing, tracking_tokens
from posthouse.assembly.metrics import metrics_text
from posthouse.assembly.parts import DEFAULT_REGION, GRACE_S, End, Process, key_for
from posthouse.config import Config
from posthouse.domain.scope import REGIONS, Caller, Scope
from posthouse.operations.binding import bound_operations
from posthouse.operations.context import Context
from posthouse.ports.wakeups import Wakeups
from posthouse.smtp.envelope import Envelope, Peer
from posthouse.smtp.guests import Guests
from posthouse.smtp.listener import Door, Limits, Listener, serve_sockets
from posthouse.smtp.patience import Patience
from posthouse.submission.raw import RawSubmission, submit_raw
from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_server import ServerProtocol

if TYPE_CHECKING:
    from posthouse.receiving.accept import ReceivingContext
    from posthouse.receiving.feedback import FeedbackAddresses


log = logging.getLogger("posthouse.assembly")


MOST_HTTP = 10_000
"""HTTP connections of one process; when full, idle ones make way for new ones."""


Asgi = Callable[[Any, Any, Any], Awaitable[None]]


async def start_http(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    config = process.config
    app = route_http(
        _api(process, ctx) if "api" in process.roles else None,
        _web(process, ctx, wakeups) if "web" in process.roles else None,
    )
    server = EmbeddedHttp(
        uvicorn.Config(
            app,
            http=cast(Any, Crowd(Guests(_connections(MOST_HTTP), 0), observe.new_request_id).protocol),
            loop="none",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(GRACE_S) - 1,
            ssl_certfile=config.http.tls_cert,
            ssl_keyfile=config.http.tls_key,
        )
    )
    serving = asyncio.get_running_loop().create_task(server.serve(list(process.sockets["http"])))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.005)

    async def end() -> None:
        server.should_exit = True
        await serving

    return end


def _api(process: Process, ctx: Context) -> Asgi:
    auth = process.config.auth
    return ApiDoor(
        credentials=ctx.stores.credentials,
        operations=bound_operations(ctx, process.config.accounts.api_rate_limit),
        authentication=Authentication("strict" if auth.mode == "strict" else "open", auth.account_id),
        now_ms=ctx.clock.now_ms,
        new_request_id=observe.new_request_id,
    )


def _web(process: Process, ctx: Context, wakeups: Wakeups) -> Asgi:
    from posthouse.web.app import build_app
    from posthouse.web.context import WebContext

    config = process.config
    return build_app(
        WebContext(
            stores=ctx.stores,
            wakeups=wakeups,
            clock=ctx.clock,
            ready=lambda: process.ready,
            metrics=lambda: metrics_text(process, ctx),
            version=__version__,
            login_required=config.auth.mode == "strict",
            session_key=key_for(config, b"console session"),
            subscribing=subscribing(config, ctx),
            receiving=cache(lambda: receiving_context(config, ctx)),
            max_inbound=config.receiving.max_size,
            links=ctx.links,
            tracking=tracking_tokens(config),
            keep_addresses=config.tracking.keep_addresses,
            trusted_proxies=config.http.trusted_proxies,
            default_scope=Scope(config.auth.account_id, DEFAULT_REGION),
            account_defaults=ctx.defaults,
            service_domain=config.identities.service_domain,
            forwards=True,
            public_hosts=frozenset({urlsplit(config.http.public_url).hostname or ""}),
            http_endpoint=config.http.public_url,
            smtp_endpoint=str(next(iter(config.smtp.submission_listen), "")),
            require_rule=config.receiving.require_rule,
            capturing=config.delivery.mode == "capture",
            closing=process.closing,
        )
    )


async def start_submission(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.smtp.failed_logins import FailedLogins
    from posthouse.smtp.submission import SubmissionRules, SubmissionSession, submission_offer

    config = process.config
    rules = SubmissionRules(
        default_scope=Scope(config.auth.account_id, DEFAULT_REGION),
        regions=REGIONS,
        auth_required=config.auth.mode == "strict",
    )

    async def submit(
        caller: Caller, mail_from: str, rcpt_to: tuple[str, ...], content: bytes, envelope: Envelope
    ) -> str:
        raw = RawSubmission(
            caller=caller,
            operation="SMTP",
            content=content,
            source=mail_from,
            destinations=rcpt_to,
            helo=envelope.client_name,
            tls=envelope.cipher,
        )
        return await submit_raw(raw, ctx.submission)

    failed_logins = FailedLogins()

    def new_session(protocol: ServerProtocol, peer: Peer) -> SubmissionSession:
        return SubmissionSession(protocol, peer, rules, ctx.stores.credentials, submit, failed_logins)

    listeners = []
    for purpose, implicit in (("submission", False), ("submission_tls", True)):
        if process.sockets.get(purpose):
            offer = submission_offer(
                config.smtp.hostname, starttls=not implicit, allow_plain_auth=config.profile == "dev"
            )
            listeners.append(await _open_smtp(process, purpose, offer, new_session, implicit))
    return _draining(listeners)


async def start_inbound(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.receiving.accept import InboundEnvelope, receive, refusal
    from posthouse.smtp.inbound import InboundSession, inbound_offer
    from posthouse.smtp.paces import Paces

    config = process.config
    receiving = receiving_context(config, ctx)
    paces = Paces(config.receiving.client_rate, asyncio.get_running_loop().time)

    async def accept(envelope: Envelope, content: bytes) -> str:
        inbound = InboundEnvelope(
            client_ip=envelope.client_ip,
            helo=envelope.client_name,
            mail_from=envelope.mail_from,
            recipients=envelope.rcpt_to,
            protocol=envelope.protocol,
            tls=envelope.cipher,
        )
        return await receive(inbound, content, receiving)

    def new_session(protocol: ServerProtocol, peer: Peer) -> InboundSession:
        async def accepts(client_ip: str, mail_from: str, recipient: str) -> Reply | None:
            return await refusal(recipient, client_ip, bool(peer.cipher), receiving)

        return InboundSession(protocol, peer, accepts, accept, paces)

    offer = inbound_offer(config.smtp.hostname, starttls=True, max_size=config.receiving.max_size)
    return _draining([await _open_smtp(process, "inbound", offer, new_session, False)])


async def start_dns(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.dns.server import serve_zone
    from posthouse.dns.service_zone import ServiceZone
    from posthouse.dns.settings import service_domain

    zone = ServiceZone(service_domain(process.config), ctx.stores.records)
    return (await serve_zone(process.sockets["dns"], process.sockets["dns_udp"], zone)).close


async def _open_smtp(process: Process, purpose: str, offer: Any, new_session: Any, implicit_tls: bool) -> Listener:
    smtp = process.config.smtp
    door = Door(offer, new_session, _smtp_tls(process.config), implicit_tls, smtp.proxy_protocol)
    patience = Patience(idle_s=smtp.idle_seconds, barren_s=max(900.0, 3 * smtp.idle_seconds))
    limits = Limits(connections=_connections(smtp.max_connections), patience=patience)
    if process.guests is None:
        process.guests = Guests(limits.connections, smtp.max_connections_per_client)
    return await serve_sockets(list(process.sockets[purpose]), door, limits, process.guests)


class EmbeddedHttp(uvicorn.Server):
    """uvicorn as one server among others: signals are this process's business, not its."""

    @contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def route_http(api: Asgi | None, web: Asgi | None) -> Asgi:
    """The API lives at ``POST /`` and at ``GET /`` with a query; everything else is the web door's."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        is_call = (
            scope["path"] == "/" and (scope["method"] != "GET" or scope["query_string"]) and not _is_for_sns(scope)
        )
        chosen = api if api is not None and (is_call or web is None) else web
        if chosen is None:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await chosen(scope, receive, send)

    return app


def _is_for_sns(scope: Any) -> bool:
    """Links in notifications, and SDKs that confirm a subscription: SNS's own form is ``/`` too."""
    if scope["method"] == "GET":
        query: bytes = scope["query_string"]
        return b"Action=ConfirmSubscription" in query or b"Action=Unsubscribe" in query
    # The service an SDK means stands in its signature, ahead of the body.
    return any(name == b"authorization" and b"/sns/aws4_request" in value for name, value in scope["headers"])


def _draining(listeners: Sequence[Listener]) -> End:
    async def end() -> None:
        await asyncio.gather(*(listener.drain(GRACE_S) for listener in listeners))

    return end


def _connections(asked: int) -> int:
    """As many SMTP sessions as asked for, and as the files allow that a process may have open: a part of them stays
    for the database, blobs, deliveries and HTTP."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = asked if files == resource.RLIM_INFINITY else files - min(2000, files // 4)
    if room < asked:
        log.info("smtp.max_connections is %d, but no more than %d fit the open files allowed", asked, room)
    return min(asked, room)


def _smtp_tls(config: Config) -> ssl.SSLContext:
    from posthouse.smtp.certificates import self_signed, server_context

    if config.smtp.tls_cert and config.smtp.tls_key:
        return server_context(Path(config.smtp.tls_cert), Path(config.smtp.tls_key))
    return server_context(self_signed(config.data_path / "tls", config.smtp.hostname))


def receiving_context(config: Config, ctx: Context) -> "ReceivingContext":
    from posthouse.receiving.accept import ReceivingContext
    from posthouse.receiving.recipients import Recipients

    return ReceivingContext(
        ctx.stores.inbox,
        Recipients(ctx.stores.records, config.receiving.require_rule),
        feedback_addresses(config, ctx),
        ctx.clock,
        os.urandom,
        config.smtp.hostname,
    )


def feedback_addresses(config: Config, ctx: Context) -> "FeedbackAddresses":
    from posthouse.receiving.feedback import FeedbackAddresses

    return FeedbackAddresses(
        ctx.stores.messages,
        ctx.stores.records,
        ctx.clock,
        service_domain=config.identities.service_domain,
        key=key_for(config, b"return paths"),
    )
