"""The life of one process of a node: its roles started, SIGTERM awaited, all ended in order."""

import asyncio
import signal
import sys
from collections.abc import Sequence

from posthouse.assembly import doors, engines
from posthouse.assembly.context import open_context
from posthouse.assembly.metrics import keep_snapshot
from posthouse.assembly.parts import Process, Sockets, Start
from posthouse.config import Config
from posthouse.domain.topics import parse_topic_arn
from posthouse.operations.context import Context
from posthouse.ports.credentials import Credential


def parts_of(process: Process) -> list[Start]:
    """How to start each role of this process; starting one gives the way to end it."""
    roles = process.roles
    parts: list[Start] = []
    if roles & {"api", "web"} and process.sockets.get("http"):
        parts.append(doors.start_http)
    if "smtp" in roles:
        parts.append(doors.start_submission)
    if "mx" in roles and process.sockets.get("inbound"):
        parts.append(doors.start_inbound)
    if "dns" in roles and process.sockets.get("dns"):
        parts.append(doors.start_dns)
    if "delivery" in roles:
        parts.append(engines.start_delivery)
    if "events" in roles:
        parts += [
            engines.start_identity_watch,
            engines.start_inbox,
            engines.start_publishing,
            engines.start_upkeep,
            engines.start_reputation_watch,
        ]
    if "events" in roles and process.config.sns.backend == "local":
        parts.append(engines.start_subscribers)
    return parts


async def live(process: Process) -> None:
    """Returns when the process was asked to end and has ended."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stopping.set)
    async with open_context(process.config) as (ctx, wakeups):
        await _bootstrap_credentials(process.config, ctx)
        await _preset_topics(process.config, ctx)
        ends = [await start(process, ctx, wakeups) for start in parts_of(process)]
        snapshots = loop.create_task(keep_snapshot(process))
        process.ready = True
        await process.stopping.wait()
        process.ready = False
        process.closing.set()
        snapshots.cancel()
        # Doors first: what they still accept, the engines' queue keeps.
        await asyncio.gather(*(end() for end in ends))


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


def run_process(config: Config, roles: Sequence[str], sockets: Sockets) -> int:
    """The whole life of one process; its exit status. Raises StoreUnavailable where it starts without a database."""
    import uvloop

    # A thread that comes back from the disk or from a signature waits so long for its turn; the default is 5 ms.
    sys.setswitchinterval(0.0005)

    async def main() -> None:
        await live(Process(config, frozenset(roles), sockets))

    uvloop.run(main())
    return 0
