"""`posthouse account`: what an operator grants an account in a region."""

import re
import secrets
from typing import Any

import click
import msgspec

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, as_json, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import show, show_facts, show_json, yes_no
from posthouse.domain.accounts import Account, in_sandbox, limits_of
from posthouse.domain.quotas import UNLIMITED
from posthouse.domain.scope import Scope
from posthouse.operations.context import Context
from posthouse.ports.mailstore import MessageFilter
from posthouse.submission.facts import ACCOUNT as ACCOUNT_RECORD
from posthouse.web import views

_NEWEST = 200
"""Messages that are looked through for accounts of which nothing else is known."""


class Allowance(click.ParamType[float | str]):
    """A number, `unlimited`, or `default`: back to what the configuration says."""

    name = "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == "default" or isinstance(value, float):
            return value  # type: ignore[no-any-return]
        if value in ("unlimited", "-1"):
            return UNLIMITED
        if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,6})?", value):
            self.fail(f"{value!r}: allowed is a number, unlimited or default", param, ctx)
        return float(value)


def _granting(verb: Any) -> Any:
    """The options of what can be granted."""
    for option in (
        click.option("--rate", type=Allowance(), help="Recipients per second; unlimited; default."),
        click.option("--quota", type=Allowance(), help="Recipients in 24 hours; unlimited; default."),
        click.option("--sandbox/--production", default=None, help="In the sandbox, or out of it."),
    ):
        verb = option(verb)
    return verb


@click.group("account")
def command() -> None:
    """Sandbox, quota, rate and pause of accounts."""


@command.command("list")
@as_json
@scoped
def list_accounts(asked: Invocation, as_json: bool) -> None:
    """Every account and region that anything is known of; with --account or --region, those."""

    async def read(ctx: Context) -> list[views.Account]:
        known = await _known_scopes(ctx, asked.scope)
        return [await _view(ctx, scope) for scope in known if asked.covers(scope)]

    accounts = run(asked, read)
    if as_json:
        show_json(accounts)
        return
    heads = ("account", "region", "sandbox", "may send", "quota", "rate", "sent in 24 h")
    show(heads, [_row(account) for account in accounts])


def _row(account: views.Account) -> tuple[object, ...]:
    limits = (_limit(account.max_24_hour_send), _limit(account.max_send_rate))
    may_send = "paused" if account.paused else yes_no(account.sending_enabled)
    return (account.account, account.region, yes_no(account.sandbox), may_send, *limits, account.sent_last_24_hours)


def _limit(number: float) -> str:
    return "unlimited" if number == UNLIMITED else f"{number:.15g}"


async def _known_scopes(ctx: Context, asked: Scope) -> list[Scope]:
    """Nobody keeps a list of accounts: it is gathered from what is kept in them."""
    async with ctx.stores.records.reading() as records:
        kept = [*await records.accounts.everywhere(), *await records.identities.everywhere()]
    recent = await ctx.stores.messages.page(None, MessageFilter(), "", _NEWEST)
    return sorted({asked, *(scope for scope, *_ in kept), *(each.facts.scope for each in recent)})


async def _view(ctx: Context, scope: Scope) -> views.Account:
    async with ctx.stores.records.reading() as records:
        account = await records.accounts.get(scope, ACCOUNT_RECORD) or Account()
    limits = limits_of(account, ctx.defaults)
    return views.Account(
        account=scope.account,
        region=scope.region,
        sandbox=in_sandbox(account, ctx.defaults),
        sending_enabled=account.sending_enabled,
        paused=account.paused,
        paused_why=account.paused_why,
        max_24_hour_send=limits.max_24_hour_send,
        max_send_rate=limits.max_send_rate,
        sent_last_24_hours=await ctx.stores.submissions.sent_last_24_hours(scope, ctx.clock.now_ms()),
    )


@command.command("show")
@as_json
@scoped
def show_account(asked: Invocation, as_json: bool) -> None:
    """One account in one region."""
    _show(run(asked, lambda ctx: _view(ctx, asked.scope)), as_json)


def _show(account: views.Account, as_json: bool) -> None:
    if as_json:
        show_json(account)
        return
    show_facts(
        [
            ("Account", account.account),
            ("Region", account.region),
            ("Sandbox", yes_no(account.sandbox)),
            ("Sending enabled", yes_no(account.sending_enabled)),
            ("Paused", f"yes: {account.paused_why}" if account.paused_why else yes_no(account.paused)),
            ("Recipients in 24 hours", _limit(account.max_24_hour_send)),
            ("Recipients per second", _limit(account.max_send_rate)),
            ("Sent in the last 24 hours", account.sent_last_24_hours),
        ]
    )


@command.command("create")
@_granting
@as_json
@scoped
def create_account(
    asked: Invocation, sandbox: bool | None, quota: float | str | None, rate: float | str | None, as_json: bool
) -> None:
    """Set up an account in a region; without --account its id is drawn."""
    scope = Scope(asked.account or _new_account_id(), asked.scope.region)

    async def create(ctx: Context) -> views.Account:
        async with ctx.stores.records.transaction() as tx:
            if await tx.accounts.get(scope, ACCOUNT_RECORD) is not None:
                raise Failed(
                    f"account {scope.account} is set up in {scope.region} already: see `posthouse account set`"
                )
            await tx.accounts.put(scope, ACCOUNT_RECORD, _granted(Account(), sandbox, quota, rate))
        return await _view(ctx, scope)

    _show(run(asked, create, may_create=True), as_json)
    if not as_json:
        click.echo(f"\nNext: posthouse credentials create --account {scope.account} --region {scope.region}")


def _new_account_id() -> str:
    """Twelve digits, none of them a leading zero that a spreadsheet would eat."""
    return str(10**11 + secrets.randbelow(9 * 10**11))


def _granted(account: Account, sandbox: bool | None, quota: float | str | None, rate: float | str | None) -> Account:
    """The account with what was asked for; None changes nothing, `default` takes back what was set."""
    asked = {"sandbox": sandbox, "max_24_hour_send": quota, "max_send_rate": rate}
    changes = {name: None if value == "default" else value for name, value in asked.items() if value is not None}
    return msgspec.structs.replace(account, **changes)


@command.command("set")
@_granting
@click.option("--pause/--resume", "paused", default=None, help="By the operator: no mail is accepted while paused.")
@click.option("--enable-sending/--disable-sending", "enabled", default=None, help="The account's own switch.")
@as_json
@scoped
def set_account(
    asked: Invocation,
    sandbox: bool | None,
    quota: float | str | None,
    rate: float | str | None,
    paused: bool | None,
    enabled: bool | None,
    as_json: bool,
) -> None:
    """Change what an account may do in a region; in force at once, also for a running server."""
    if all(asked_for is None for asked_for in (sandbox, quota, rate, paused, enabled)):
        raise click.UsageError("name at least one thing to set")

    async def change(ctx: Context) -> views.Account:
        async with ctx.stores.records.transaction() as tx:
            account = await tx.accounts.get(asked.scope, ACCOUNT_RECORD) or Account()
            account = _granted(account, sandbox, quota, rate)
            if paused is not None:
                account = account.with_paused(paused, ctx.clock.now_ms())
            if enabled is not None:
                account = account.with_sending_enabled(enabled)
            await tx.accounts.put(asked.scope, ACCOUNT_RECORD, account)
        return await _view(ctx, asked.scope)

    _show(run(asked, change, may_create=True), as_json)
