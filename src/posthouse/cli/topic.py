"""`posthouse topic`: the topics of the embedded stand-in for SNS, and who is told what they are given."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from posthouse.assembly.context import subscribing
from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, as_json, everywhere, limit, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import moment, show, show_json, yes_no
from posthouse.operations.context import Context
from posthouse.ports.subscriptions import DeadLetter, KeptSubscription
from posthouse.web.admin_topics import dead_letter_view, subscription_view, topic_view

T = TypeVar("T")


@click.group("topic")
def command() -> None:
    """Topics of the embedded SNS, and their subscribers."""


@command.command("list")
@click.option("--after", default="", metavar="'ACCOUNT ARN'", help="Go on after this topic.")
@limit(1000)
@everywhere
@as_json
@scoped
def list_topics(asked: Invocation, after: str, limit: int, everywhere: bool, as_json: bool) -> None:
    """Topics by ARN, of one account; with --all, of every account."""
    account = None if everywhere else asked.scope.account
    topics = run(asked, lambda ctx: ctx.stores.topics.page(account, after, limit))
    if as_json:
        show_json([topic_view(each) for each in topics])
        return
    show(("account", "topic", "created"), [(each.account, each.arn, moment(each.created_ms)) for each in topics])


@command.command("subscribe")
@click.argument("arn")
@click.argument("url")
@click.option("--confirmed", is_flag=True, help="Deliver at once, without a SubscriptionConfirmation first.")
@click.option("--raw", is_flag=True, help="Deliver the message alone, without SNS's envelope.")
@scoped
def subscribe(asked: Invocation, arn: str, url: str, confirmed: bool, raw: bool) -> None:
    """Deliver what topic ARN is given to URL (http or https; USER:PASSWORD@ for HTTP Basic authentication)."""

    async def deed(ctx: Context) -> str:
        account = asked.scope.account
        made = await subscribing(asked.config, ctx).subscribe(account, arn, url, raw=raw, confirmed=confirmed)
        state = "confirmed" if made.confirmed else "pending confirmation"
        return f"{made.arn}: {state}"

    click.echo(_local(asked, deed, may_create=True))


@command.command("unsubscribe")
@click.argument("arns", metavar="SUBSCRIPTION_ARN...", nargs=-1, required=True)
@scoped
def unsubscribe(asked: Invocation, arns: tuple[str, ...]) -> None:
    """End subscriptions; what is on its way to them goes."""

    async def deed(ctx: Context) -> list[str]:
        manager = subscribing(asked.config, ctx)
        return [arn for arn in arns if not await manager.unsubscribe(asked.account, arn)]

    if missing := _local(asked, deed):
        raise Failed(f"there is no subscription {', '.join(missing)}{asked.named_scope}")


@command.command("subscriptions")
@click.option("--topic", metavar="ARN", help="Of this topic only.")
@click.option("--after", default="", metavar="SUBSCRIPTION_ARN", help="Go on after this subscription.")
@limit(1000)
@everywhere
@as_json
@scoped
def list_subscriptions(
    asked: Invocation, topic: str | None, after: str, limit: int, everywhere: bool, as_json: bool
) -> None:
    """Subscribers by ARN, and how each does."""
    account = None if everywhere else asked.scope.account

    async def read(ctx: Context) -> tuple[list[KeptSubscription], int]:
        return list(await ctx.stores.subscriptions.page(account, topic, after, limit)), ctx.clock.now_ms()

    found, now_ms = _local(asked, read)
    if as_json:
        show_json([subscription_view(each, now_ms) for each in found])
        return
    heads = ("subscription", "endpoint", "confirmed", "waiting", "failures", "last failure")
    show(heads, [_row(each) for each in found])


def _row(kept: KeptSubscription) -> tuple[object, ...]:
    subscription, health = kept.subscription, kept.health
    failed = f"{moment(health.last_failure_ms)} {health.last_failure}" if health.last_failure_ms else ""
    confirmed = yes_no(subscription.confirmed)
    return (subscription.arn, subscription.endpoint.url, confirmed, kept.waiting, health.failures, failed)


@command.command("dead-letters")
@click.argument("arn")
@limit(100)
@everywhere
@as_json
@scoped
def list_dead_letters(asked: Invocation, arn: str, limit: int, everywhere: bool, as_json: bool) -> None:
    """The last deliveries of topic ARN that were given up, newest first."""
    account = None if everywhere else asked.scope.account
    letters = _local(asked, lambda ctx: ctx.stores.subscriptions.dead_letters(account, arn, None, limit))
    if as_json:
        show_json([dead_letter_view(each) for each in letters])
        return
    show(("given up", "message id", "endpoint", "attempts", "reason"), [_dead_row(each) for each in letters])


def _dead_row(letter: DeadLetter) -> tuple[object, ...]:
    at, given = moment(letter.died_ms), letter.notification
    return (at, given.message_id, letter.endpoint, letter.attempts, letter.reason)


def _local(asked: Invocation, work: Callable[[Context], Awaitable[T]], *, may_create: bool = False) -> T:
    """Raises Failed where topics are AWS's: their subscribers are too."""
    if asked.config.sns.backend != "local":
        raise Failed("sns.backend = aws: subscribers of its topics are managed there")
    return run(asked, work, may_create=may_create)
