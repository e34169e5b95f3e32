"""`posthouse migrate`."""

import asyncio

import click

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, scoped
from posthouse.cli.refusals import refusals
from posthouse.config import Config


def bring_up_to_date(config: Config) -> int:
    """How many steps it took; makes the data directory where it is missing. Raises Failed, OSError."""
    from posthouse.stores.open import migrate

    config.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with refusals():
        return asyncio.run(migrate(config.database.url, config.data_path))


@click.command("migrate")
@scoped
def command(asked: Invocation) -> None:
    """Bring the database to this version's schema.

    `serve` does so by itself when it starts. Safe beside others that do the same.
    """
    if asked.config.database.url == "memory":
        raise Failed("database.url = memory: there is nothing to migrate")
    steps = bring_up_to_date(asked.config)
    click.echo(f"{steps} step{'' if steps == 1 else 's'} applied." if steps else "The schema is up to date.")
