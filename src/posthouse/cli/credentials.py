"""`posthouse credentials`: access keys, with the SMTP password that follows from each. Secrets are shown once."""

import base64
import secrets

import click

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, as_json, everywhere, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import show, show_facts, show_json, yes_no
from posthouse.domain.scope import REGIONS
from posthouse.operations.context import Context
from posthouse.ports.credentials import Credential
from posthouse.web import views
from posthouse.web.query import iso
from posthouse.wire.smtp_password import smtp_password


@click.group("credentials")
def command() -> None:
    """Access keys and SMTP passwords."""


@command.command("create")
@click.option("--console", is_flag=True, help="It may also sign in to the console and the admin API.")
@as_json
@scoped
def create_credentials(asked: Invocation, console: bool, as_json: bool) -> None:
    """Make an access key. The secrets are shown this once."""
    made = Credential(_new_access_key(), _new_secret_key(), asked.scope.account, console=console)
    run(asked, lambda ctx: ctx.stores.credentials.add(made, ctx.clock.now_ms()), may_create=True)
    region = asked.scope.region
    # An SMTP password does not name its region: the door tries those it knows.
    password = smtp_password(made.secret_key, region) if region in REGIONS else None
    if as_json:
        show_json(
            {
                "account": made.account,
                "access_key": made.access_key,
                "secret_key": made.secret_key,
                "region": region,
                "smtp_user": made.access_key,
                "smtp_password": password,
                "console": made.console,
            }
        )
        return
    show_facts(
        [
            ("Account", made.account),
            ("Access key id", made.access_key),
            ("Secret access key", made.secret_key),
            ("SMTP user", made.access_key),
            ("SMTP password", f"{password}  (for {region})" if password else f"none: {region} is no region of AWS"),
            ("Console", f"yes: {asked.config.http.public_url}/console/, with this key and secret" if console else "no"),
        ]
    )
    click.echo("\nWrite the secrets down: they are not shown again.")


def _new_access_key() -> str:
    """Twenty characters, as AWS's; the first four tell whose kind it is."""
    return "AKPH" + base64.b32encode(secrets.token_bytes(10)).decode()


def _new_secret_key() -> str:
    """Forty characters of base64, as AWS's, without those that need escaping in a URL."""
    return base64.b64encode(secrets.token_bytes(30), altchars=b"ab").decode()


@command.command("list")
@everywhere
@as_json
@scoped
def list_credentials(asked: Invocation, everywhere: bool, as_json: bool) -> None:
    """Access keys of the account, never a secret."""
    account = None if everywhere else asked.scope.account
    found = run(asked, lambda ctx: ctx.stores.credentials.all(account))
    rows = [
        views.Credential(
            access_key=each.access_key,
            account=each.account,
            console=each.console,
            expires_at=None if each.expires_ms is None else iso(each.expires_ms),
        )
        for each in found
    ]
    if as_json:
        show_json(rows)
    else:
        cells = [(row.access_key, row.account, yes_no(row.console), row.expires_at or "never") for row in rows]
        show(("access key", "account", "console", "expires"), cells)


@command.command("revoke")
@click.argument("access_key")
@scoped
def revoke_credentials(asked: Invocation, access_key: str) -> None:
    """End an access key: in force at once, also for SMTP and the console."""

    async def revoke(ctx: Context) -> None:
        found = await ctx.stores.credentials.find(access_key)
        wrong_account = found is not None and asked.account not in (None, found.account)
        if wrong_account or not await ctx.stores.credentials.revoke(access_key):
            raise Failed(f"there is no access key {access_key}{asked.named_scope}")

    if access_key == asked.config.auth.access_key:
        raise Failed(f"{access_key} is configured as auth.access_key and would come back: take it out there")
    run(asked, revoke)
    click.echo(f"{access_key} is revoked.")
