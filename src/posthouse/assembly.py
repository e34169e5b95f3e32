"""The composition root: configuration in, running servers out; the only file that knows every room.

Long, flat and dull on purpose: read it as the bill of materials of one process.
"""

import asyncio
import hmac
import logging
import os
import random
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import uvicorn

from posthouse import __version__, observe
from posthouse.adapters.local_topics import LocalTopics
from posthouse.adapters.wakeups import LocalWakeups, runtime_directory
from posthouse.api.connections import Crowd
from posthouse.api.server import ApiDoor, Authentication
from posthouse.config import Config
from posthouse.delivery.captured import CapturedMessages
from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.messages import FEEDBACK
from posthouse.domain.outcomes import RetryPlan
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.routing import RoutingTable, parse_hop, parse_relay
from posthouse.domain.scope import REGIONS, Caller, Scope
from posthouse.domain.simulator import simulator_domains
from posthouse.domain.subscriptions import TopicLinks
from posthouse.domain.topics import parse_topic_arn
from posthouse.domain.verification import Links
from posthouse.operations.binding import bound_operations
from posthouse.operations.context import Context
from posthouse.operations.subscriptions import Subscribing
from posthouse.ports.clock import Clock
from posthouse.ports.credentials import Credential
from posthouse.ports.data_keys import DataKeys
from posthouse.ports.functions import Functions
from posthouse.ports.http_calls import HttpCalls
from posthouse.ports.metric_sinks import MetricSinks
from posthouse.ports.objects import Objects
from posthouse.ports.receipt import ReceiptPorts
from posthouse.ports.stores import Stores, StoreUnavailable
from posthouse.ports.streams import Streams
from posthouse.ports.topics import Topics
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.smtp.envelope import Envelope, Peer
from posthouse.smtp.guests import Guests
from posthouse.smtp.listener import Door, Limits, Listener, serve_sockets
from posthouse.smtp.patience import Patience
from posthouse.stores.open import open_stores
from posthouse.stores.sealing import master_key
from posthouse.submission.context import SubmissionContext
from posthouse.submission.facts import Facts
from posthouse.submission.raw import RawSubmission, submit_raw
from posthouse.upkeep.service_keys import ensure_service_keys
from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_server import ServerProtocol

if TYPE_CHECKING:
    from posthouse.delivery.key_ring import KeyRing
    from posthouse.delivery.prepare import Origin
    from posthouse.delivery.set_options import SetOptions
    from posthouse.mail.tracking_tokens import TrackingTokens
    from posthouse.ports.clock import Clock
    from posthouse.ports.mail_stores import MailStore
    from posthouse.ports.scanners import VirusScanner
    from posthouse.receiving.accept import ReceivingContext
    from posthouse.receiving.feedback import FeedbackAddresses
    from posthouse.receiving.inspection import Inspection

log = logging.getLogger("posthouse.assembly")

MAX_SERIES_SHOWN = 1000
"""Of the CloudWatch stand-in on /metrics; the admin API has all."""
DEFAULT_REGION = "us-east-1"
SNAPSHOT_S = 2.0
SIGNING_THREADS = 2
"""RSA runs without the interpreter lock; a third thread brought nothing on two cores (docs/performance.md)."""
MOST_HTTP = 10_000
"""HTTP connections of one process; when full, idle ones make way for new ones."""
GRACE_S = 9.0
"""Within the ten seconds that the parent gives (serve.py)."""

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
End = Callable[[], Awaitable[None]]
Start = Callable[[Context, Wakeups], Awaitable[End]]
Sockets = Mapping[str, Sequence[socket.socket]]


class SystemClock:
    """ports.Clock of the machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


def account_defaults(config: Config) -> AccountDefaults:
    """contract: 50000 a day at 1000/s in dev; in production 50000 at 14/s, and 200 at 1/s in the sandbox."""
    asked = config.accounts

    def limits(per_day: float, per_second: float) -> SendingLimits:
        return SendingLimits(
            per_day if asked.max_24_hour_send is None else asked.max_24_hour_send,
            per_second if asked.max_send_rate is None else asked.max_send_rate,
        )

    production = config.profile == "production"
    return AccountDefaults(
        sandbox=asked.sandbox,
        production_limits=limits(50000, 14 if production else 1000),
        sandbox_limits=limits(200, 1),
    )


@asynccontextmanager
async def open_context(config: Config) -> AsyncIterator[tuple[Context, Wakeups]]:
    """Stores, and what operations work with: for a server process and for the command line alike."""
    clock = SystemClock()
    async with _open_wakeups(config) as wakeups:
        stores = await open_stores(config.database.url, config.data_path, clock, wakeups)
        topics = _topics(config, stores, clock)
        streams = _streams(config, clock)
        calls = _calls(config, clock, allow_private=True)
        receipt = _receipt_ports(config, calls)
        stores.messages = CapturedMessages(stores.messages, lambda: _signing(config, stores))
        try:
            yield _context(config, stores, clock, streams, topics, receipt), wakeups
        finally:
            await receipt.close()
            await calls.close()
            await streams.close()
            await topics.close()
            await stores.close()


@asynccontextmanager
async def _open_wakeups(config: Config) -> AsyncIterator[Wakeups]:
    """On one machine by Unix datagrams; where the database is shared between machines, through it."""
    if config.database.url.startswith("postgres"):
        from posthouse.stores.postgres_wakeups import PostgresWakeups

        shared = await PostgresWakeups.open(config.database.url)
        try:
            yield shared
        finally:
            await shared.close()
    else:
        local = LocalWakeups(runtime_directory(config.data_path))
        try:
            yield local
        finally:
            local.close()


def _topics(config: Config, stores: Stores, clock: SystemClock) -> Topics:
    if config.sns.backend == "local":
        local = config.local
        return LocalTopics(stores.topics, clock, os.urandom, local.auto_create, local.topics)
    from posthouse.adapters.aws_session import AwsService, endpoint
    from posthouse.adapters.aws_sns import AwsTopics

    return AwsTopics(AwsService("sns", endpoint(config.aws, "sns")))


def _streams(config: Config, clock: SystemClock) -> Streams:
    if config.firehose.backend == "local":
        from posthouse.adapters.local_streams import LocalStreams

        local = config.local
        return LocalStreams(config.data_path / "firehose", clock, os.urandom, local.auto_create, local.streams)
    from posthouse.adapters.aws_session import AwsService, Roles, endpoint
    from posthouse.adapters.aws_streams import AwsStreams

    return AwsStreams(AwsService("firehose", endpoint(config.aws, "firehose")), Roles(endpoint(config.aws, "sts")))


def _metric_sinks(config: Config, stores: Stores) -> MetricSinks:
    if config.cloudwatch.backend == "local":
        from posthouse.adapters.local_metrics import LocalMetrics

        return LocalMetrics(stores.metric_series)
    from posthouse.adapters.aws_metrics import AwsMetrics
    from posthouse.adapters.aws_session import AwsService, endpoint

    return AwsMetrics(AwsService("cloudwatch", endpoint(config.aws, "cloudwatch")), config.cloudwatch.namespace)


def _calls(config: Config, clock: Clock, *, allow_private: bool) -> HttpCalls:
    """A client for URLs: those of users may be kept from private addresses, the operator's own are not."""
    from posthouse.adapters.http_calls import AiohttpCalls
    from posthouse.adapters.resolver import DnsResolver

    return AiohttpCalls(DnsResolver(config.dns.resolvers, clock), allow_private=allow_private)


def _receipt_ports(config: Config, calls: HttpCalls) -> ReceiptPorts:
    """What receipt rules act on; each by its own backend. `calls`: for functions, whose URLs the operator gave."""
    from posthouse.adapters.local_data_keys import LocalDataKeys
    from posthouse.adapters.local_functions import LocalFunctions
    from posthouse.adapters.local_objects import LocalObjects

    local = config.local
    return ReceiptPorts(
        objects=LocalObjects(config.data_path / "s3", os.urandom, local.auto_create, local.buckets)
        if config.s3.backend == "local"
        else _aws_objects(config),
        functions=LocalFunctions(config.lambda_.functions, local.auto_create, calls)
        if config.lambda_.backend == "local"
        else _aws_functions(config),
        data_keys=LocalDataKeys(lambda: _key_for(config, b"data keys"), os.urandom)
        if config.kms.backend == "local"
        else _aws_data_keys(config),
    )


def _aws_objects(config: Config) -> Objects:
    from posthouse.adapters.aws_objects import AwsObjects, s3_service
    from posthouse.adapters.aws_session import Roles, endpoint

    return AwsObjects(s3_service(endpoint(config.aws, "s3")), Roles(endpoint(config.aws, "sts")), DEFAULT_REGION)


def _aws_functions(config: Config) -> Functions:
    from posthouse.adapters.aws_functions import AwsFunctions, lambda_service
    from posthouse.adapters.aws_session import endpoint

    return AwsFunctions(lambda_service(endpoint(config.aws, "lambda")))


def _aws_data_keys(config: Config) -> DataKeys:
    from posthouse.adapters.aws_data_keys import AwsDataKeys
    from posthouse.adapters.aws_session import AwsService, Roles, endpoint

    return AwsDataKeys(AwsService("kms", endpoint(config.aws, "kms")), Roles(endpoint(config.aws, "sts")))


def subscribing(config: Config, ctx: Context) -> Subscribing:
    """Managing subscribers of the embedded topics: for the web door and the command line."""
    local = config.local
    return Subscribing(
        store=ctx.stores.subscriptions,
        clock=ctx.clock,
        random=ctx.random,
        links=_topic_links(config),
        creates=lambda arn: local.auto_create or arn in local.topics,
    )


def _topic_links(config: Config) -> TopicLinks:
    return TopicLinks(lambda: _key_for(config, b"topic links"), config.http.public_url or "")


def _context(
    config: Config, stores: Stores, clock: SystemClock, streams: Streams, topics: Topics, receipt: ReceiptPorts
) -> Context:
    defaults = account_defaults(config)
    submission = SubmissionContext(
        stores.submissions,
        Facts(stores.records),
        clock,
        os.urandom,
        defaults,
        simulator_domains(config.identities.service_domain),
    )
    return Context(
        stores=stores,
        submission=submission,
        clock=clock,
        random=os.urandom,
        defaults=defaults,
        streams=streams,
        topics=topics,
        receipt=receipt,
        auto_verify=config.identities.auto_verify,
        links=Links(lambda: _key_for(config, b"verification links"), config.http.public_url or ""),
        service_domain=config.identities.service_domain,
    )


def _key_for(config: Config, purpose: bytes) -> bytes:
    """A key of the installation for one purpose, the same in every process."""
    return hmac.digest(master_key(config.data_path / "master.key"), purpose, "sha256")


async def _bootstrap_credentials(config: Config, ctx: Context) -> None:
    """The default account's configured key is a stored credential like any other, also for the console.

    A server's business alone: a verb of the command line may see another environment, and must not change its keys.
    """
    key, secret = config.auth.access_key, config.auth.secret_key
    if key is None or secret is None:
        return
    known = await ctx.stores.credentials.find(key)
    if known is None or known.secret_key != secret or known.account != config.auth.account_id:
        wanted = Credential(access_key=key, secret_key=secret, account=config.auth.account_id, console=True)
        await ctx.stores.credentials.add(wanted, ctx.clock.now_ms())


async def _preset_topics(config: Config, ctx: Context) -> None:
    """`local.topics` exist from the start, for the accounts that their ARNs name."""
    for arn in config.local.topics if config.sns.backend == "local" else ():
        if (topic := parse_topic_arn(arn)) is not None:
            await ctx.stores.topics.create(topic.account, arn, ctx.clock.now_ms())


class Process:
    """One process of a node: starts its roles, waits for SIGTERM, ends them in order."""

    def __init__(self, config: Config, roles: Sequence[str], sockets: Sockets) -> None:
        self._config, self._roles, self._sockets = config, roles, sockets
        self._metrics = observe.Metrics()
        self._guests: Guests | None = None
        self._ready = False
        self._stopping = asyncio.Event()
        self._closing = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        async with open_context(self._config) as (ctx, wakeups):
            await _bootstrap_credentials(self._config, ctx)
            await _preset_topics(self._config, ctx)
            ends = [await start(ctx, wakeups) for start in self._parts()]
            tasks = [loop.create_task(self._keep_snapshot())]
            self._ready = True
            await self._stopping.wait()
            self._ready = False
            self._closing.set()
            for task in tasks:
                task.cancel()
            # Doors first: what they still accept, the engines' queue keeps.
            await asyncio.gather(*(end() for end in ends))

    def _parts(self) -> list[Start]:
        """How to start each role of this process; starting one gives the way to end it."""
        roles: set[str] = set(self._roles)
        parts: list[Start] = []
        if roles & {"api", "web"} and self._sockets.get("http"):
            parts.append(self._start_http)
        if "smtp" in roles:
            parts.append(self._start_submission)
        if "mx" in roles and self._sockets.get("inbound"):
            parts.append(self._start_inbound)
        if "dns" in roles and self._sockets.get("dns"):
            parts.append(self._start_dns)
        if "delivery" in roles:
            parts.append(self._start_delivery)
        if "events" in roles:
            parts += [self._start_identity_watch, self._start_inbox, self._start_publishing, self._start_upkeep]
            parts.append(self._start_reputation_watch)
        if "events" in roles and self._config.sns.backend == "local":
            parts.append(self._start_subscribers)
        return parts

    # -- doors

    async def _start_http(self, ctx: Context, wakeups: Wakeups) -> End:
        config = self._config
        app = route_http(
            self._api(ctx) if "api" in self._roles else None,
            self._web(ctx, wakeups) if "web" in self._roles else None,
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
        serving = asyncio.get_running_loop().create_task(server.serve(list(self._sockets["http"])))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.005)

        async def end() -> None:
            server.should_exit = True
            await serving

        return end

    def _api(self, ctx: Context) -> Asgi:
        auth = self._config.auth
        return ApiDoor(
            credentials=ctx.stores.credentials,
            operations=bound_operations(ctx, self._config.accounts.api_rate_limit),
            authentication=Authentication("strict" if auth.mode == "strict" else "open", auth.account_id),
            now_ms=ctx.clock.now_ms,
            new_request_id=observe.new_request_id,
        )

    def _web(self, ctx: Context, wakeups: Wakeups) -> Asgi:
        from posthouse.web.app import build_app
        from posthouse.web.context import WebContext

        config = self._config
        return build_app(
            WebContext(
                stores=ctx.stores,
                wakeups=wakeups,
                clock=ctx.clock,
                ready=lambda: self._ready,
                metrics=lambda: self._metrics_text(ctx),
                version=__version__,
                login_required=config.auth.mode == "strict",
                session_key=_key_for(config, b"console session"),
                subscribing=subscribing(config, ctx),
                receiving=cache(lambda: _receiving(config, ctx)),
                max_inbound=config.receiving.max_size,
                links=ctx.links,
                tracking=_tracking_tokens(config),
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
                closing=self._closing,
            )
        )

    async def _start_submission(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.smtp.failed_logins import FailedLogins
        from posthouse.smtp.submission import SubmissionRules, SubmissionSession, submission_offer

        config = self._config
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
            if self._sockets.get(purpose):
                offer = submission_offer(
                    config.smtp.hostname, starttls=not implicit, allow_plain_auth=config.profile == "dev"
                )
                listeners.append(await self._open_smtp(purpose, offer, new_session, implicit))
        return _draining(listeners)

    async def _start_inbound(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.receiving.accept import InboundEnvelope, receive, refusal
        from posthouse.smtp.inbound import InboundSession, inbound_offer

        config = self._config
        receiving = _receiving(config, ctx)

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

            return InboundSession(protocol, peer, accepts, accept)

        offer = inbound_offer(config.smtp.hostname, starttls=True, max_size=config.receiving.max_size)
        return _draining([await self._open_smtp("inbound", offer, new_session, False)])

    async def _start_dns(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.dns.server import serve_zone
        from posthouse.dns.service_zone import ServiceZone
        from posthouse.dns.settings import service_domain

        zone = ServiceZone(service_domain(self._config), ctx.stores.records)
        return (await serve_zone(self._sockets["dns"], self._sockets["dns_udp"], zone)).close

    async def _open_smtp(self, purpose: str, offer: Any, new_session: Any, implicit_tls: bool) -> Listener:
        smtp = self._config.smtp
        door = Door(offer, new_session, _smtp_tls(self._config), implicit_tls, smtp.proxy_protocol)
        patience = Patience(idle_s=smtp.idle_seconds, barren_s=max(900.0, 3 * smtp.idle_seconds))
        limits = Limits(connections=_connections(smtp.max_connections), patience=patience)
        if self._guests is None:
            self._guests = Guests(limits.connections, smtp.max_connections_per_client)
        return await serve_sockets(list(self._sockets[purpose]), door, limits, self._guests)

    # -- engines

    async def _start_delivery(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.adapters.certificates import TrustStore
        from posthouse.adapters.network import SocketNetwork
        from posthouse.adapters.resolver import DnsResolver
        from posthouse.delivery.owner import own_name
        from posthouse.delivery.parcel import Job
        from posthouse.delivery.prepare import Preparer, Sources
        from posthouse.delivery.return_paths import ReturnPaths
        from posthouse.delivery.worker import DeliveryWorker
        from posthouse.publishing.courtesy import Courtesy
        from posthouse.receiving.simulated_mailboxes import SimulatedMailboxes
        from posthouse.submission.template_contents import TemplateContents

        config = self._config
        identities = config.identities
        key_ring, set_options, origin = _signing(config, ctx.stores)
        settings = delivery_settings(config)
        sources = Sources(
            key_ring,
            ReturnPaths(ctx.stores.records, identities.service_domain, _key_for(config, b"return paths")),
            set_options,
            TemplateContents(ctx.stores.records),
        )
        preparer = Preparer(
            sources,
            origin,
            ctx.clock,
            SIGNING_THREADS,
            settings.routing.captures_all,
            _virus_scanner(config) if config.scan.outgoing else None,
        )
        await ensure_service_keys(ctx.stores.records, identities.service_domain, ctx.clock, os.urandom)
        mailboxes = SimulatedMailboxes(_receiving(config, ctx))

        async def simulate(job: Job) -> None:
            recipients = [each.recipient for each in job.recipients]
            await mailboxes.answer(job.parcel.facts, job.prepared.mail_from, recipients, job.prepared.content)

        worker = DeliveryWorker(
            settings,
            owner=own_name(os.urandom(4).hex()),
            queue=ctx.stores.queue,
            wakeups=wakeups,
            clock=ctx.clock,
            network=SocketNetwork(TrustStore().verify),
            resolver=DnsResolver(config.dns.resolvers, ctx.clock),
            prepare=preparer,
            random=random.SystemRandom(),
            to_seven_bit=preparer.seven_bit,
            metrics=self._metrics,
            simulator=simulate,
            courtesy=Courtesy(wakeups.subscribe(Topic.QUEUE)) if settings.routing.captures_all else None,
        )
        working = asyncio.get_running_loop().create_task(worker.run())
        working.add_done_callback(self._end_when_broken)

        async def end() -> None:
            worker.stop()
            await working
            preparer.close()

        return end

    async def _start_identity_watch(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.adapters.resolver import DnsResolver
        from posthouse.upkeep.identities import IdentityWatch
        from posthouse.upkeep.owner_mail import OwnerMail

        owner, service_domain = self._config.accounts.owner_email, self._config.identities.service_domain
        watch = IdentityWatch(
            ctx.stores.records,
            DnsResolver(self._config.dns.resolvers, ctx.clock, keep=False),
            ctx.clock,
            service_domain=service_domain,
            recheck_s=self._config.identities.recheck_seconds,
            jitter=random.SystemRandom(),
            tell=OwnerMail(owner, service_domain, ctx.submission).tell if owner else None,
        )
        watching = asyncio.get_running_loop().create_task(watch.run())
        watching.add_done_callback(self._end_when_broken)

        async def end() -> None:
            watching.cancel()
            await asyncio.wait([watching])

        return end

    async def _start_publishing(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.delivery.owner import is_known_dead, own_name
        from posthouse.publishing.forwarding import FeedbackForwarder
        from posthouse.publishing.settings import PublishingSettings
        from posthouse.publishing.worker import PublishingWorker

        metric_sinks = _metric_sinks(self._config, ctx.stores)
        worker = PublishingWorker(
            PublishingSettings(outgoing_ip=_outgoing_ip(self._config), stop_deadline_s=GRACE_S - 1),
            owner=own_name(os.urandom(4).hex()),
            stores=ctx.stores,
            wakeups=wakeups,
            clock=ctx.clock,
            topics=ctx.topics,
            streams=ctx.streams,
            metric_sinks=metric_sinks,
            forward=FeedbackForwarder(ctx.stores.messages, ctx.submission, self._config.identities.service_domain),
            jitter=random.SystemRandom().random,
            is_known_dead=is_known_dead,
            metrics=self._metrics,
        )
        working = asyncio.get_running_loop().create_task(worker.run())
        working.add_done_callback(self._end_when_broken)

        async def end() -> None:
            worker.stop()
            await working
            await metric_sinks.close()

        return end

    async def _start_reputation_watch(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.upkeep.reputation import ReputationWatch

        stores = ctx.stores
        sinks = _metric_sinks(self._config, stores)
        watch = ReputationWatch(
            stores.records,
            stores.statistics,
            sinks,
            stores.call_rates,
            ctx.clock,
            pauses=self._config.reputation.pause,
        )
        watching = asyncio.get_running_loop().create_task(watch.run())
        watching.add_done_callback(self._end_when_broken)

        async def end() -> None:
            watching.cancel()
            await asyncio.wait([watching])
            await sinks.close()

        return end

    async def _start_upkeep(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.domain.templates import KEPT_MS
        from posthouse.upkeep.suppressions import expire_suppressions
        from posthouse.upkeep.templates import TemplateSweep

        days = self._config.suppression.days
        timers = [expire_suppressions(ctx.stores.suppressions, days, ctx.clock)] if days else []
        kept_ms = max(KEPT_MS, 2 * int(self._config.delivery.max_age_seconds * 1000))
        timers.append(TemplateSweep(ctx.stores.records, ctx.clock, kept_ms=kept_ms).run())
        tasks = [asyncio.get_running_loop().create_task(timer) for timer in timers]
        for task in tasks:
            task.add_done_callback(self._end_when_broken)

        async def end() -> None:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

        return end

    async def _start_inbox(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.delivery.owner import is_known_dead, own_name
        from posthouse.receiving.actions import Actions
        from posthouse.receiving.bouncing import Bouncing
        from posthouse.receiving.feedback import FeedbackReader
        from posthouse.receiving.mail import MailHandler
        from posthouse.receiving.worker import InboxSettings, InboxWorker

        config = self._config
        simulators = simulator_domains(config.identities.service_domain)
        feedback = FeedbackReader(_feedback_addresses(config, ctx), ctx.stores.events, ctx.clock, simulators)
        service_domain, owner = config.identities.service_domain, own_name(os.urandom(4).hex())
        inspection, mail_store = inspection_of(config, ctx.clock), _mail_store(config, ctx.clock)
        bouncing = Bouncing(ctx.submission, ctx.stores.events, service_domain)
        mail = MailHandler(
            actions=Actions(ctx.receipt, mail_store, ctx.topics, bouncing, ctx.clock, os.urandom),
            inspect=inspection,
            inbox=ctx.stores.inbox,
            owner=owner,
            clock=ctx.clock,
            service_domain=service_domain,
            receipt_key=lambda: _key_for(config, b"receipts"),
            metrics=self._metrics,
        )
        worker = InboxWorker(
            InboxSettings(stop_deadline_s=GRACE_S - 1),
            owner=owner,
            inbox=ctx.stores.inbox,
            messages=ctx.stores.messages,
            wakeups=wakeups,
            clock=ctx.clock,
            handle_mail=mail.handle,
            handlers={FEEDBACK: feedback.handle},
            is_known_dead=is_known_dead,
            metrics=self._metrics,
        )
        working = asyncio.get_running_loop().create_task(worker.run())
        working.add_done_callback(self._end_when_broken)

        async def end() -> None:
            worker.stop()
            await working
            await inspection.close()
            await mail_store.close()

        return end

    async def _start_subscribers(self, ctx: Context, wakeups: Wakeups) -> End:
        from posthouse.delivery.owner import is_known_dead, own_name
        from posthouse.publishing.couriers import CourierSettings, Desk
        from posthouse.publishing.courtesy import CALLS_PACE, Courtesy
        from posthouse.publishing.envelopes import Envelopes
        from posthouse.publishing.signatures import open_signer
        from posthouse.publishing.subscribers import SUBSCRIBER_CALLS, EngineSettings, Subscribers

        config, store = self._config, ctx.stores.subscriptions
        host = f"sns.{config.identities.service_domain}"
        calls = _calls(config, ctx.clock, allow_private=config.http.allow_private_calls)
        envelopes = Envelopes(
            lambda: open_signer(store, ctx.clock, config.sns.signature_version, host), _topic_links(config)
        )
        desk = Desk(
            CourierSettings(waits_s=config.sns.retry_seconds),
            store,
            calls,
            envelopes,
            ctx.clock,
            self._metrics,
            asyncio.Semaphore(SUBSCRIBER_CALLS),
            Courtesy(wakeups.subscribe(Topic.QUEUE), pace=CALLS_PACE),
        )
        engine = Subscribers(
            EngineSettings(stop_deadline_s=GRACE_S - 1),
            desk,
            owner=own_name(os.urandom(4).hex()),
            is_known_dead=is_known_dead,
            wakeups=wakeups,
        )
        working = asyncio.get_running_loop().create_task(engine.run())
        working.add_done_callback(self._end_when_broken)

        async def end() -> None:
            engine.stop()
            await asyncio.wait([working])
            await calls.close()
            envelopes.close()

        return end

    def _end_when_broken(self, engine: "asyncio.Task[None]") -> None:
        """An engine that fell over takes its process along; the parent starts a new one."""
        if not engine.cancelled() and engine.exception() is not None:
            log.critical("an engine failed", exc_info=engine.exception())
            self._stopping.set()

    # -- metrics

    async def _metrics_text(self, ctx: Context) -> str:
        observe.write_snapshot(self._metrics, metrics_directory(self._config))
        try:
            kept = await _kept_metrics(ctx)
        except StoreUnavailable as trouble:
            # What the processes counted is worth the more while the database is away.
            log.warning("metrics without those of the database: %s", trouble)
            kept = _database_up(0)
        return observe.render(
            [*observe.read_snapshots(metrics_directory(self._config)), (kept.samples(), dict(kept.kinds))]
        )

    async def _keep_snapshot(self) -> None:
        while True:
            observe.write_snapshot(self._metrics, metrics_directory(self._config))
            await asyncio.sleep(SNAPSHOT_S)


async def _kept_metrics(ctx: Context) -> observe.Metrics:
    """What the database says: told by whoever is asked, not added up over processes."""
    metrics, totals = _database_up(1), await ctx.stores.publications.totals()
    lag_ms = 0 if totals.oldest_ms is None else max(0, ctx.clock.now_ms() - totals.oldest_ms)
    for name, text, value in (
        ("posthouse_queue_recipients", "outgoing recipients that wait", await ctx.stores.queue.depth()),
        ("posthouse_events_unrouted", "events that nobody has looked at yet", totals.unrouted),
        ("posthouse_publications_waiting", "events that a destination has not heard of", totals.waiting),
        ("posthouse_publications_dead", "events that were given up, as long as they are kept", totals.dead),
        ("posthouse_publications_lag_seconds", "how long the first of them has waited", lag_ms / 1000),
        ("posthouse_publication_destinations_failing", "destinations that took nothing last time", totals.failing),
    ):
        metrics.describe(name, "gauge", text)
        metrics.set(name, value)
    metrics.describe(
        "posthouse_cloudwatch_total", "counter", "sum of what was put to a metric of the CloudWatch stand-in"
    )
    metrics.describe("posthouse_cloudwatch_samples_total", "counter", "how many values that were")
    metrics.describe("posthouse_cloudwatch_latest", "gauge", "the youngest of them")
    for each in await ctx.stores.metric_series.page(None, None, 0, MAX_SERIES_SHOWN):
        labels = {
            "account": each.scope.account,
            "region": each.scope.region,
            "metric": each.name,
            "dimensions": ",".join(f"{name}={value}" for name, value in each.dimensions),
        }
        metrics.set("posthouse_cloudwatch_total", each.total, **labels)
        metrics.set("posthouse_cloudwatch_samples_total", each.samples, **labels)
        metrics.set("posthouse_cloudwatch_latest", each.latest, **labels)
    return metrics


def _database_up(value: int) -> observe.Metrics:
    metrics = observe.Metrics()
    metrics.describe("posthouse_database_up", "gauge", "whether the database answers")
    metrics.set("posthouse_database_up", value)
    return metrics


class EmbeddedHttp(uvicorn.Server):
    """uvicorn as one server among others: signals are this process's business, not its."""

    @contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def _signing(config: Config, stores: Stores) -> "tuple[KeyRing, SetOptions, Origin]":
    from posthouse.delivery.key_ring import KeyRing
    from posthouse.delivery.prepare import Origin
    from posthouse.delivery.set_options import SetOptions
    from posthouse.delivery.tracking import TrackingLinks
    from posthouse.delivery.unsubscribing import UnsubscribeLinks

    identities = config.identities
    key_ring = KeyRing(stores.records, identities.service_domain, identities.service_signature)
    # Without a web door of our own and without http.public_url nobody could follow a link.
    tokens, public_url = _tracking_tokens(config), config.http.public_url
    links = TrackingLinks(tokens, public_url) if config.tracking.enabled and public_url else None
    ways_out = UnsubscribeLinks(tokens, public_url) if public_url else None
    origin = Origin(identities.service_domain, _outgoing_ip(config), links, ways_out)
    return key_ring, SetOptions(stores.records), origin


def _tracking_tokens(config: Config) -> "TrackingTokens":
    from posthouse.mail.tracking_tokens import TrackingTokens

    return TrackingTokens(lambda: _key_for(config, b"tracking links"))


def _virus_scanner(config: Config) -> "VirusScanner | None":
    from posthouse.adapters.clamd import ClamdScanner

    scan = config.scan
    return ClamdScanner(scan.clamd, scan.timeout_seconds) if scan.clamd else None


def inspection_of(config: Config, clock: "Clock") -> "Inspection":
    """What finds out about mail that comes in; to be made inside the loop that uses it, and closed."""
    from posthouse.adapters.resolver import DnsResolver
    from posthouse.adapters.rspamd import RspamdScanner
    from posthouse.receiving.inspection import Inspection

    scan = config.scan
    spam = RspamdScanner(scan.rspamd_url, scan.timeout_seconds) if scan.rspamd_url else None
    resolver = DnsResolver(config.dns.resolvers, clock)
    return Inspection(resolver, clock, config.smtp.hostname, spam, _virus_scanner(config))


def _outgoing_ip(config: Config) -> str:
    """Shown in X-SES-Outgoing and in the tag ses:outgoing-ip."""
    return next(iter(config.delivery.source_ips), "127.0.0.1")


def _receiving(config: Config, ctx: Context) -> "ReceivingContext":
    from posthouse.receiving.accept import ReceivingContext
    from posthouse.receiving.recipients import Recipients

    return ReceivingContext(
        ctx.stores.inbox,
        Recipients(ctx.stores.records, config.receiving.require_rule),
        _feedback_addresses(config, ctx),
        ctx.clock,
        os.urandom,
        config.smtp.hostname,
    )


def _feedback_addresses(config: Config, ctx: Context) -> "FeedbackAddresses":
    from posthouse.receiving.feedback import FeedbackAddresses

    return FeedbackAddresses(
        ctx.stores.messages,
        ctx.stores.records,
        ctx.clock,
        service_domain=config.identities.service_domain,
        key=_key_for(config, b"return paths"),
    )


def _mail_store(config: Config, clock: Clock) -> "MailStore":
    """What WorkMail actions deliver to."""
    url = config.workmail.backend
    if url is None or url.startswith("file:"):
        from posthouse.adapters.maildir import Maildirs

        parts = urlsplit(url or "")
        return Maildirs(Path(unquote(parts.netloc + parts.path)) if url else config.data_path / "maildir")
    from posthouse.adapters.certificates import TrustStore
    from posthouse.adapters.mail_servers import MailServer
    from posthouse.adapters.network import SocketNetwork
    from posthouse.adapters.resolver import DnsResolver

    network, resolver = SocketNetwork(TrustStore().verify), DnsResolver(config.dns.resolvers, clock)
    return MailServer(network, resolver, parse_relay(url), config.smtp.hostname)


def delivery_settings(config: Config) -> DeliverySettings:
    delivery = config.delivery
    table = RoutingTable(
        delivery.mode,
        {domain: parse_hop(to) for domain, to in delivery.routes.items()},
        parse_relay(delivery.relay) if delivery.relay else None,
        simulator_domains(config.identities.service_domain),
    )
    return DeliverySettings(
        hostname=config.smtp.hostname,
        routing=table,
        service_domain=config.identities.service_domain,
        holds_back=config.suppression.enabled,
        retry=RetryPlan(delivery.retry_seconds, int(delivery.max_age_seconds * 1000)),
        own_hosts=frozenset() if config.smtp.inbound_listen else frozenset({config.smtp.hostname}),
        concurrency=delivery.concurrency,
        per_domain_concurrency=delivery.per_domain_concurrency,
        per_domain_rate=delivery.per_domain_rate,
        source_ips=delivery.source_ips,
        backoff_s=min(30.0, delivery.retry_seconds[0]),
        stop_deadline_s=GRACE_S - 1,
    )


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


def metrics_directory(config: Config) -> Path:
    return config.data_path / "run" / "metrics"


def run_process(config: Config, roles: Sequence[str], sockets: Sockets) -> int:
    """The whole life of one process; its exit status."""
    import uvloop

    # A thread that comes back from the disk or from a signature waits so long for its turn; the default is 5 ms.
    sys.setswitchinterval(0.0005)

    async def main() -> None:
        await Process(config, roles, sockets).run()

    uvloop.run(main())
    return 0
