"""`posthouse queue`: outgoing recipients that wait; hastening them, or giving them up."""

from collections.abc import Awaitable, Callable, Sequence

import click

from posthouse.cli.failure import Failed
from posthouse.cli.options import MESSAGE_ID, Invocation, as_json, everywhere, limit, scoped
from posthouse.cli.session import message_of, run
from posthouse.cli.tables import moment, show, show_json, yes_no
from posthouse.domain.scope import Scope
from posthouse.operations.context import Context
from posthouse.ports.mailstore import QueuedRecipient
from posthouse.web import views

_MOST_RECIPIENTS = 100_000
"""Of one message, shown at once."""


@click.group("queue")
def command() -> None:
    """Outgoing recipients that wait."""


@command.command("list")
@click.option("--after", default="", metavar="'MESSAGE_ID RECIPIENT'", help="Go on after this row.")
@limit(100)
@everywhere
@as_json
@scoped
def list_queue(asked: Invocation, after: str, limit: int, everywhere: bool, as_json: bool) -> None:
    """Recipients that wait, by message."""
    scope = None if everywhere else asked.scope
    _show(run(asked, lambda ctx: ctx.stores.queue.page(scope, after, limit)), as_json)


@command.command("show")
@click.argument("message_id", type=MESSAGE_ID)
@as_json
@scoped
def show_queued(asked: Invocation, message_id: str, as_json: bool) -> None:
    """The recipients of one message that wait."""

    async def read(ctx: Context) -> Sequence[QueuedRecipient]:
        scope = (await message_of(asked, ctx, message_id)).facts.scope
        rows = await ctx.stores.queue.page(scope, f"{message_id} ", _MOST_RECIPIENTS)
        return [row for row in rows if row.message_id == message_id]

    rows = run(asked, read)
    if not rows:
        raise Failed(f"message {message_id} does not wait in the queue")
    _show(rows, as_json)


def _show(rows: Sequence[QueuedRecipient], as_json: bool) -> None:
    if as_json:
        show_json([views.queue_entry(row) for row in rows])
        return
    heads = ("message id", "recipient", "attempts", "queued", "due", "in hand", "last reply")
    show(heads, [_row(row) for row in rows])


def _row(row: QueuedRecipient) -> tuple[object, ...]:
    times = (moment(row.queued_ms), moment(row.due_ms))
    return (row.message_id, row.recipient, row.attempts, *times, yes_no(row.leased), row.reply)


@command.command("retry")
@click.argument("message_ids", type=MESSAGE_ID, nargs=-1, required=True)
@scoped
def retry(asked: Invocation, message_ids: tuple[str, ...]) -> None:
    """Make the waiting recipients of messages due now."""

    async def deed(ctx: Context, scope: Scope, message_id: str) -> int:
        return await ctx.stores.queue.retry(scope, message_id, ctx.clock.now_ms())

    _change(asked, message_ids, deed, "due now")


@command.command("drop")
@click.argument("message_ids", type=MESSAGE_ID, nargs=-1, required=True)
@scoped
def drop(asked: Invocation, message_ids: tuple[str, ...]) -> None:
    """End the waiting recipients of messages as dropped: they are not tried again, and no bounce is told."""

    async def deed(ctx: Context, scope: Scope, message_id: str) -> int:
        return await ctx.stores.queue.drop(scope, message_id, ctx.clock.now_ms())

    _change(asked, message_ids, deed, "dropped")


def _change(
    asked: Invocation, message_ids: tuple[str, ...], deed: Callable[[Context, Scope, str], Awaitable[int]], end: str
) -> None:
    """Does it to each message, once all of them are found."""

    async def change(ctx: Context) -> list[tuple[str, int]]:
        scopes = [(await message_of(asked, ctx, message_id)).facts.scope for message_id in message_ids]
        pairs = zip(scopes, message_ids, strict=True)
        return [(message_id, await deed(ctx, scope, message_id)) for scope, message_id in pairs]

    changes = run(asked, change)
    for message_id, count in changes:
        click.echo(f"{message_id}: {count} recipient{'' if count == 1 else 's'} {end}")
    if idle := [message_id for message_id, count in changes if not count]:
        raise Failed(f"nothing waits in the queue for {', '.join(idle)}")
