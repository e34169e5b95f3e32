"""`posthouse message`: what was sent and what came in, from the stores."""

import click

from posthouse.cli.failure import Failed
from posthouse.cli.options import MESSAGE_ID, Invocation, as_json, everywhere, limit, scoped
from posthouse.cli.session import message_of, run
from posthouse.cli.story import told
from posthouse.cli.tables import moment, show, show_json
from posthouse.domain.events import LoggedEvent
from posthouse.domain.messages import Direction, RecipientState, StoredMessage
from posthouse.operations.context import Context
from posthouse.ports.mailstore import MessageFilter
from posthouse.web import reading, timeline, views, why
from posthouse.web.admin_messages import signers_of
from posthouse.web.query import moment_ms


@click.group("message")
def command() -> None:
    """What was sent and what came in."""


class Moment(click.ParamType[int]):
    """ISO 8601 or epoch milliseconds, as the admin API takes them."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else moment_ms(str(value))
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r}: allowed is {error}", param, ctx)


@command.command("list")
@click.option("--recipient", default="", help="An envelope recipient.")
@click.option("--sender", default="", help="Who it is from.")
@click.option("--subject", default="", help="A part of the subject.")
@click.option(
    "--status", type=click.Choice([each.value for each in RecipientState]), help="A recipient is in this state."
)
@click.option("--direction", type=click.Choice([each.value for each in Direction]), help="Sent (out) or received (in).")
@click.option("--since", "since_ms", type=Moment(), default=0, help="Accepted at or after this time (UTC).")
@click.option("--before", default="", help="Go on after this message id.")
@limit(50)
@everywhere
@as_json
@scoped
def list_messages(
    asked: Invocation,
    recipient: str,
    sender: str,
    subject: str,
    status: str | None,
    direction: str | None,
    since_ms: int,
    before: str,
    limit: int,
    everywhere: bool,
    as_json: bool,
) -> None:
    """Messages, the newest first. Texts match in any case."""
    wanted = MessageFilter(
        recipient=recipient,
        sender=sender,
        subject=subject,
        status=status or "",
        direction=Direction(direction) if direction else None,
        since_ms=since_ms,
    )
    scope = None if everywhere else asked.scope
    found = run(asked, lambda ctx: ctx.stores.messages.page(scope, wanted, before, limit))
    if as_json:
        show_json([views.message(each) for each in found])
    else:
        show(("message id", "accepted", "", "status", "from", "to", "subject"), [_row(each) for each in found])


def _row(stored: StoredMessage) -> tuple[str, ...]:
    facts, recipients = stored.facts, stored.recipients
    more = f" +{len(recipients) - 1}" if len(recipients) > 1 else ""
    return (
        facts.message_id,
        moment(facts.accepted_ms),
        facts.direction.value,
        views.common_status(stored),
        facts.source,
        f"{recipients[0].recipient}{more}" if recipients else "",
        facts.subject,
    )


@command.command("show")
@click.argument("message_id", type=MESSAGE_ID)
@click.option("--conversation", is_flag=True, help="With what was said on the wire.")
@as_json
@scoped
def show_message(asked: Invocation, message_id: str, conversation: bool, as_json: bool) -> None:
    """One message: what became of it in a sentence, and its life step by step."""

    async def read(ctx: Context) -> tuple[StoredMessage, list[views.Step], str]:
        stored, events = await _with_events(asked, ctx, message_id)
        signers = signers_of(await reading.read(ctx.stores.messages, stored))
        return stored, timeline.steps(stored, events, signers), why.sentence(stored, events, ctx.clock.now_ms())

    stored, steps, sentence = run(asked, read)
    if as_json:
        show_json({"why": sentence, "timeline": steps, **views.message_fields(stored)})
    else:
        click.echo(told(stored, steps, sentence, conversation))


async def _with_events(asked: Invocation, ctx: Context, message_id: str) -> tuple[StoredMessage, list[LoggedEvent]]:
    stored = await message_of(asked, ctx, message_id)
    return stored, list(await ctx.stores.events.of_message(stored.facts.scope, stored.facts.message_id))


@command.command("raw")
@click.argument("message_id", type=MESSAGE_ID)
@click.option("--accepted", is_flag=True, help="As it was handed in, before signing.")
@scoped
def raw_message(asked: Invocation, message_id: str, accepted: bool) -> None:
    """The exact bytes that left or came in; before the first attempt, those that were handed in."""

    async def read(ctx: Context) -> reading.Stored:
        stored = await message_of(asked, ctx, message_id)
        if accepted:
            return await reading.accepted(ctx.stores.messages, stored)
        return await reading.fetch(ctx.stores.messages, stored)

    content = run(asked, read)
    if content.raw is None:
        draft = "it was handed in as parts" if accepted else "it is composed at its first attempt"
        reason = draft if content.stage == "draft" else "its content is gone"
        raise Failed(f"message {message_id} has no bytes: {reason}")
    click.echo(content.raw, nl=False)


@command.command("events")
@click.argument("message_id", type=MESSAGE_ID)
@as_json
@scoped
def message_events(asked: Invocation, message_id: str, as_json: bool) -> None:
    """What the event log says of a message, in order."""
    _, events = run(asked, lambda ctx: _with_events(asked, ctx, message_id))
    if as_json:
        show_json([views.log_entry(each) for each in events])
        return
    rows = [
        (each.seq, moment(event.at_ms), event.type.value, ", ".join(event.recipients), timeline.reply_of(event))
        for each in events
        for event in (each.event,)
    ]
    show(("seq", "at", "event", "recipients", "reply"), rows)
