"""`posthouse version`."""

import click

from posthouse import __version__
from posthouse.cli.options import Invocation, scoped


@click.command("version")
@scoped
def command(asked: Invocation) -> None:
    """Print the version."""
    click.echo(f"posthouse {__version__}")
