"""`posthouse suppression`: whom an account's mail is no longer sent to."""

import click

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, as_json, limit, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import moment, show, show_json
from posthouse.domain.addresses import check_address
from posthouse.domain.suppression import Reason, SuppressedAddress
from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.context import Context
from posthouse.web.admin_suppression import entry_view


@click.group("suppression")
def command() -> None:
    """Addresses that mail is no longer sent to."""


@command.command("list")
@click.option("--after", default="", metavar="ADDRESS", help="Go on after this address.")
@limit(1000)
@as_json
@scoped
def list_suppressed(asked: Invocation, after: str, limit: int, as_json: bool) -> None:
    """The list of one account in one region, by address."""
    entries = run(asked, lambda ctx: ctx.stores.suppressions.page(asked.scope, after, limit))
    if as_json:
        show_json([entry_view(each) for each in entries])
        return
    rows = [(each.address, each.reason.value, moment(each.at_ms), each.message_id or "-") for each in entries]
    show(("address", "reason", "since", "message id"), rows)


@command.command("add")
@click.argument("address")
@click.option("--reason", type=click.Choice(tuple(Reason)), default=Reason.BOUNCE.value, help="Why.")
@scoped
def add(asked: Invocation, address: str, reason: str) -> None:
    """Put an address on the list: mail to it is accepted and bounces at once."""
    try:
        check_address(address)
    except InvalidParameterValue as error:
        raise click.BadParameter(error.message, param_hint="ADDRESS") from None

    async def put(ctx: Context) -> None:
        entry = SuppressedAddress(address=address.lower(), reason=Reason(reason), at_ms=ctx.clock.now_ms())
        await ctx.stores.suppressions.add(asked.scope, entry)

    run(asked, put)


@command.command("remove")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@scoped
def remove(asked: Invocation, addresses: tuple[str, ...]) -> None:
    """Take addresses off the list."""

    async def take_off(ctx: Context) -> list[str]:
        return [each for each in addresses if not await ctx.stores.suppressions.remove(asked.scope, each)]

    if missing := run(asked, take_off):
        raise Failed(f"not on the list: {', '.join(missing)}")
