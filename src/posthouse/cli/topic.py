"""`posthouse topic`: the topics of the embedded stand-in for SNS."""

import click

from posthouse.cli.options import Invocation, as_json, everywhere, limit, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import moment, show, show_json
from posthouse.web.admin_topics import topic_view


@click.group("topic")
def command() -> None:
    """Topics of the embedded SNS."""


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
