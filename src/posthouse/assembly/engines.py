"""The engines: delivery, the inbox, publishing, subscribers, upkeep. Starting one gives the way to end it."""

import asyncio
import os
import random

from posthouse.assembly.context import outgoing_ip, signing, topic_links
from posthouse.assembly.doors import feedback_addresses, receiving_context
from posthouse.assembly.outside import inspection_of, open_calls, open_mail_store, open_metric_sinks, open_virus_scanner
from posthouse.assembly.parts import GRACE_S, End, Process, key_for
from posthouse.config import Config
from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.messages import FEEDBACK
from posthouse.domain.outcomes import RetryPlan
from posthouse.domain.routing import RoutingTable, parse_hop, parse_relay
from posthouse.domain.simulator import simulator_domains
from posthouse.operations.context import Context
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.upkeep.service_keys import ensure_service_keys

SIGNING_THREADS = 2
"""RSA runs without the interpreter lock; a third thread brought nothing on two cores (docs/performance.md)."""


async def start_delivery(process: Process, ctx: Context, wakeups: Wakeups) -> End:
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

    config = process.config
    identities = config.identities
    key_ring, set_options, origin = signing(config, ctx.stores)
    settings = delivery_settings(config)
    sources = Sources(
        key_ring,
        ReturnPaths(ctx.stores.records, identities.service_domain, key_for(config, b"return paths")),
        set_options,
        TemplateContents(ctx.stores.records),
    )
    preparer = Preparer(
        sources,
        origin,
        ctx.clock,
        SIGNING_THREADS,
        settings.routing.captures_all,
        open_virus_scanner(config) if config.scan.outgoing else None,
    )
    await ensure_service_keys(ctx.stores.records, identities.service_domain, ctx.clock, os.urandom)
    mailboxes = SimulatedMailboxes(receiving_context(config, ctx))

    async def simulate(job: Job) -> None:
        facts, recipients = job.parcel.facts, [each.recipient for each in job.recipients]
        # Mail that leaves nowhere is prepared without its return path and its bytes; who answers it needs both.
        return_path = await sources.return_paths.path_for(facts)
        content = job.prepared.content or await ctx.stores.messages.sent(facts.scope, facts.message_id)
        await mailboxes.answer(facts, return_path, recipients, content or b"")

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
        metrics=process.metrics,
        simulator=simulate,
        courtesy=Courtesy(wakeups.subscribe(Topic.QUEUE)) if settings.routing.captures_all else None,
    )
    working = asyncio.get_running_loop().create_task(worker.run())
    working.add_done_callback(process.end_when_broken)

    async def end() -> None:
        worker.stop()
        await working
        preparer.close()

    return end


async def start_inbox(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.delivery.owner import is_known_dead, own_name
    from posthouse.receiving.actions import Actions
    from posthouse.receiving.bouncing import Bouncing
    from posthouse.receiving.feedback import FeedbackReader
    from posthouse.receiving.mail import MailHandler
    from posthouse.receiving.worker import InboxSettings, InboxWorker

    config = process.config
    simulators = simulator_domains(config.identities.service_domain)
    feedback = FeedbackReader(feedback_addresses(config, ctx), ctx.stores.events, ctx.clock, simulators)
    service_domain, owner = config.identities.service_domain, own_name(os.urandom(4).hex())
    inspection, mail_store = inspection_of(config, ctx.clock), open_mail_store(config, ctx.clock)
    bouncing = Bouncing(ctx.submission, ctx.stores.events, service_domain)
    mail = MailHandler(
        actions=Actions(ctx.receipt, mail_store, ctx.topics, bouncing, ctx.clock, os.urandom),
        inspect=inspection,
        inbox=ctx.stores.inbox,
        owner=owner,
        clock=ctx.clock,
        service_domain=service_domain,
        receipt_key=lambda: key_for(config, b"receipts"),
        metrics=process.metrics,
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
        metrics=process.metrics,
    )
    working = asyncio.get_running_loop().create_task(worker.run())
    working.add_done_callback(process.end_when_broken)

    async def end() -> None:
        worker.stop()
        await working
        await inspection.close()
        await mail_store.close()

    return end


async def start_publishing(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.delivery.owner import is_known_dead, own_name
    from posthouse.publishing.forwarding import FeedbackForwarder
    from posthouse.publishing.settings import PublishingSettings
    from posthouse.publishing.worker import PublishingWorker

    metric_sinks = open_metric_sinks(process.config, ctx.stores)
    worker = PublishingWorker(
        PublishingSettings(outgoing_ip=outgoing_ip(process.config), stop_deadline_s=GRACE_S - 1),
        owner=own_name(os.urandom(4).hex()),
        stores=ctx.stores,
        wakeups=wakeups,
        clock=ctx.clock,
        topics=ctx.topics,
        streams=ctx.streams,
        metric_sinks=metric_sinks,
        forward=FeedbackForwarder(ctx.stores.messages, ctx.submission, process.config.identities.service_domain),
        jitter=random.SystemRandom().random,
        is_known_dead=is_known_dead,
        metrics=process.metrics,
    )
    working = asyncio.get_running_loop().create_task(worker.run())
    working.add_done_callback(process.end_when_broken)

    async def end() -> None:
        worker.stop()
        await working
        await metric_sinks.close()

    return end


async def start_subscribers(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.delivery.owner import is_known_dead, own_name
    from posthouse.publishing.couriers import CourierSettings, Desk
    from posthouse.publishing.courtesy import CALLS_PACE, Courtesy
    from posthouse.publishing.envelopes import Envelopes
    from posthouse.publishing.signatures import open_signer
    from posthouse.publishing.subscribers import SUBSCRIBER_CALLS, EngineSettings, Subscribers

    config, store = process.config, ctx.stores.subscriptions
    host = f"sns.{config.identities.service_domain}"
    calls = open_calls(config, ctx.clock, allow_private=config.http.allow_private_calls)
    envelopes = Envelopes(
        lambda: open_signer(store, ctx.clock, config.sns.signature_version, host), topic_links(config)
    )
    desk = Desk(
        CourierSettings(waits_s=config.sns.retry_seconds),
        store,
        calls,
        envelopes,
        ctx.clock,
        process.metrics,
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
    working.add_done_callback(process.end_when_broken)

    async def end() -> None:
        engine.stop()
        await asyncio.wait([working])
        await calls.close()
        envelopes.close()

    return end


async def start_identity_watch(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.adapters.resolver import DnsResolver
    from posthouse.upkeep.identities import IdentityWatch
    from posthouse.upkeep.owner_mail import OwnerMail

    owner, service_domain = process.config.accounts.owner_email, process.config.identities.service_domain
    watch = IdentityWatch(
        ctx.stores.records,
        DnsResolver(process.config.dns.resolvers, ctx.clock, keep=False),
        ctx.clock,
        service_domain=service_domain,
        recheck_s=process.config.identities.recheck_seconds,
        jitter=random.SystemRandom(),
        tell=OwnerMail(owner, service_domain, ctx.submission).tell if owner else None,
    )
    watching = asyncio.get_running_loop().create_task(watch.run())
    watching.add_done_callback(process.end_when_broken)

    async def end() -> None:
        watching.cancel()
        await asyncio.wait([watching])

    return end


async def start_reputation_watch(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.upkeep.reputation import ReputationWatch

    stores = ctx.stores
    sinks = open_metric_sinks(process.config, stores)
    watch = ReputationWatch(
        stores.records,
        stores.statistics,
        sinks,
        stores.call_rates,
        ctx.clock,
        pauses=process.config.reputation.pause,
    )
    watching = asyncio.get_running_loop().create_task(watch.run())
    watching.add_done_callback(process.end_when_broken)

    async def end() -> None:
        watching.cancel()
        await asyncio.wait([watching])
        await sinks.close()

    return end


async def start_upkeep(process: Process, ctx: Context, wakeups: Wakeups) -> End:
    from posthouse.domain.templates import KEPT_MS
    from posthouse.upkeep.templates import TemplateSweep
    from posthouse.upkeep.timers import every_hour, expiring

    timers = [every_hour("contents that no mail has were removed", ctx.stores.sweep_blobs)]
    if days := process.config.suppression.days:
        timers.append(
            every_hour("addresses left the suppression list", expiring(ctx.stores.suppressions, days, ctx.clock))
        )
    kept_ms = max(KEPT_MS, 2 * int(process.config.delivery.max_age_seconds * 1000))
    timers.append(TemplateSweep(ctx.stores.records, ctx.clock, kept_ms=kept_ms).run())
    tasks = [asyncio.get_running_loop().create_task(timer) for timer in timers]
    for task in tasks:
        task.add_done_callback(process.end_when_broken)

    async def end() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    return end


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
