"""Stores, and what operations work with: for a server process and for the command line alike."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from posthouse.adapters.wakeups import LocalWakeups, runtime_directory
from posthouse.assembly.outside import open_calls, open_receipt_ports, open_streams, open_topics
from posthouse.assembly.parts import SystemClock, key_for
from posthouse.config import Config
from posthouse.delivery.captured import CapturedMessages
from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.simulator import simulator_domains
from posthouse.domain.subscriptions import TopicLinks
from posthouse.domain.verification import Links
from posthouse.operations.context import Context
from posthouse.operations.subscriptions import Subscribing
from posthouse.ports.receipt import ReceiptPorts
from posthouse.ports.stores import Stores
from posthouse.ports.streams import Streams
from posthouse.ports.topics import Topics
from posthouse.ports.wakeups import Wakeups
from posthouse.stores.open import open_stores
from posthouse.submission.context import SubmissionContext
from posthouse.submission.facts import Facts

if TYPE_CHECKING:
    from posthouse.delivery.key_ring import KeyRing
    from posthouse.delivery.prepare import Origin
    from posthouse.delivery.set_options import SetOptions
    from posthouse.mail.tracking_tokens import TrackingTokens


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
        topics = open_topics(config, stores, clock)
        streams = open_streams(config, clock)
        calls = open_calls(config, clock, allow_private=True)
        receipt = open_receipt_ports(config, calls)
        stores.messages = CapturedMessages(stores.messages, lambda: signing(config, stores))
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
        links=Links(lambda: key_for(config, b"verification links"), config.http.public_url or ""),
        service_domain=config.identities.service_domain,
    )


def subscribing(config: Config, ctx: Context) -> Subscribing:
    """Managing subscribers of the embedded topics: for the web door and the command line."""
    local = config.local
    return Subscribing(
        store=ctx.stores.subscriptions,
        clock=ctx.clock,
        random=ctx.random,
        links=topic_links(config),
        creates=lambda arn: local.auto_create or arn in local.topics,
    )


def topic_links(config: Config) -> TopicLinks:
    return TopicLinks(lambda: key_for(config, b"topic links"), config.http.public_url or "")


def signing(config: Config, stores: Stores) -> "tuple[KeyRing, SetOptions, Origin]":
    from posthouse.delivery.key_ring import KeyRing
    from posthouse.delivery.prepare import Origin
    from posthouse.delivery.set_options import SetOptions
    from posthouse.delivery.tracking import TrackingLinks
    from posthouse.delivery.unsubscribing import UnsubscribeLinks

    identities = config.identities
    key_ring = KeyRing(stores.records, identities.service_domain, identities.service_signature)
    # Without a web door of our own and without http.public_url nobody could follow a link.
    tokens, public_url = tracking_tokens(config), config.http.public_url
    links = TrackingLinks(tokens, public_url) if config.tracking.enabled and public_url else None
    ways_out = UnsubscribeLinks(tokens, public_url) if public_url else None
    origin = Origin(identities.service_domain, outgoing_ip(config), links, ways_out)
    return key_ring, SetOptions(stores.records), origin


def tracking_tokens(config: Config) -> "TrackingTokens":
    from posthouse.mail.tracking_tokens import TrackingTokens

    return TrackingTokens(lambda: key_for(config, b"tracking links"))


def outgoing_ip(config: Config) -> str:
    """Shown in X-SES-Outgoing and in the tag ses:outgoing-ip."""
    return next(iter(config.delivery.source_ips), "127.0.0.1")
