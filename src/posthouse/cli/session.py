"""From a verb to the stores: opens what operations work with, runs the verb's coroutine, says errors in one line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from posthouse.assembly.context import open_context
from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation
from posthouse.cli.refusals import refusals
from posthouse.config import Config
from posthouse.domain.messages import StoredMessage
from posthouse.operations.context import Context
from posthouse.stores.open import SQLITE_FILE

T = TypeVar("T")


def run(asked: Invocation, work: Callable[[Context], Awaitable[T]], *, may_create: bool = False) -> T:
    """The result of `work`. Raises Failed where the database or an operation refuses.

    Without `may_create` there has to be something already: a look into the wrong directory must not found a new
    installation there and report that it is empty.
    """
    config = asked.config
    if config.database.url == "memory":
        raise Failed("database.url = memory: what a server keeps there, only its console and its admin API can show")
    if not may_create and not exists(config):
        raise Failed(f"no database in {config.data_path}: is --data-dir right, was posthouse ever started?")

    async def opened() -> T:
        async with open_context(config) as (ctx, _):
            return await work(ctx)

    with refusals():
        return asyncio.run(opened())


def exists(config: Config) -> bool:
    """False where the SQLite file is still to be made; a database elsewhere answers for itself."""
    return config.database.url != "sqlite" or (config.data_path / SQLITE_FILE).exists()


async def message_of(asked: Invocation, ctx: Context, message_id: str) -> StoredMessage:
    """The message of this id, in whichever account and region it is. Raises Failed."""
    found = await ctx.stores.messages.find(message_id)
    if found is None or not asked.covers(found.facts.scope):
        raise Failed(f"there is no message {message_id}{asked.named_scope}")
    return found
