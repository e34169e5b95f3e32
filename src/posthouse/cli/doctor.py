"""`posthouse doctor`: checks this installation; one line for each thing looked at, with what to do about it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import click

from posthouse.cli import machine, neighbours
from posthouse.cli.failure import Failed
from posthouse.cli.findings import Finding, State
from posthouse.cli.options import Invocation, as_json, scoped
from posthouse.cli.own_zone import own_zone
from posthouse.cli.session import exists, run
from posthouse.cli.tables import show_json, table
from posthouse.operations.context import Context
from posthouse.ports.records import SERVICE_SCOPE, SigningKey

Check = Callable[[], list[Finding]]

AT_ONCE = 16


@click.command("doctor")
@click.option(
    "--port-25-host",
    default="gmail-smtp-in.l.google.com",
    show_default=True,
    help="A mail server outside, to see whether port 25 is open.",
)
@as_json
@scoped
def command(asked: Invocation, port_25_host: str, as_json: bool) -> None:
    """Check this installation; the exit status is 1 when anything fails. Changes nothing."""
    findings = examine(checks(asked, port_25_host))
    if as_json:
        show_json(findings)
    else:
        rows = [(each.state, each.check, f"{each.text}{'; ' if each.advice else ''}{each.advice}") for each in findings]
        click.echo(table((), rows))
    if failed := [each for each in findings if each.state is State.FAIL]:
        raise Failed(f"{len(failed)} of {len(findings)} checks failed")


def checks(asked: Invocation, port_25_host: str) -> list[Check]:
    """In the order of the report."""
    config = asked.config
    return [
        partial(machine.configuration, config),
        partial(machine.data_directory, config),
        partial(machine.disk, config),
        partial(machine.database, config),
        partial(machine.clock, config),
        partial(machine.ports, config),
        partial(machine.certificates, config),
        partial(neighbours.resolvers, config),
        partial(neighbours.service_domain, config, asked.scope.region, partial(service_keys, asked)),
        partial(own_zone, config),
        partial(neighbours.source_addresses, config),
        partial(neighbours.way_out, config, port_25_host),
        partial(neighbours.scanners, config),
    ]


def examine(wanted: Sequence[Check]) -> list[Finding]:
    """Side by side, since most of them wait; each ends by itself within seconds."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [finding for found in threads.map(lambda check: check(), wanted) for finding in found]


def service_keys(asked: Invocation) -> Sequence[SigningKey]:
    """The service domain's own keys; none where the database cannot be read, which is another check's finding."""
    domain = asked.config.identities.service_domain

    async def read(ctx: Context) -> Sequence[SigningKey]:
        async with ctx.stores.records.reading() as records:
            return await records.signing_keys.of(SERVICE_SCOPE, domain)

    try:
        return run(asked, read) if exists(asked.config) else ()
    except Failed:
        return ()
