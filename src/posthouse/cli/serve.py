"""`posthouse serve`: takes the ports first, so that callers wait instead of being refused, then loads the rest."""

import dataclasses
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import click

from posthouse import __version__, observe
from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, scoped
from posthouse.config import ROLES, Config, Listen
from posthouse.serve import NO_DATABASE, ProcessPlan, Sockets, bind, plan_processes, raise_file_limit, supervise

log = logging.getLogger("posthouse.serve")

ALWAYS_LOADED = ("posthouse.assembly.process", "uvloop", "cryptography.hazmat.primitives.ciphers.aead")
LOADED_FOR = {
    "api": ("uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.off"),
    "web": ("posthouse.web.app",),
    "smtp": ("posthouse.smtp.submission", "posthouse.smtp.certificates"),
    "mx": ("posthouse.receiving.accept", "posthouse.smtp.inbound", "posthouse.smtp.certificates"),
    "dns": ("posthouse.dns.server", "posthouse.dns.service_zone", "posthouse.dns.settings"),
}
"""Beyond what posthouse.assembly.process imports by itself, by role. What only engines need is not among it: they load
that while the doors answer already."""


class Roles(click.ParamType[tuple[str, ...]]):
    """Some of the roles, separated by commas."""

    name = "ROLE,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        roles = value if isinstance(value, tuple) else tuple(role.strip() for role in value.split(",") if role.strip())
        if not roles or not set(roles) <= set(ROLES):
            self.fail(f"{value!r}: allowed is a list of {', '.join(ROLES)}", param, ctx)
        return roles


@click.command("serve")
@click.option("--roles", type=Roles(), default=ROLES, help="What this node does; by default everything.")
@scoped
def command(asked: Invocation, roles: tuple[str, ...]) -> None:
    """Run the server until SIGTERM.

    --account and --region choose whose keys the first lines show, nothing else.
    """
    config = asked.config
    observe.set_up_logging(config.log.format, config.log.level)
    try:
        sockets = bind(config, roles)
    except OSError as error:
        raise Failed(str(error)) from None
    # Until the processes run and see to signals themselves: there is nothing to finish yet.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    config = with_bound_ports(config, sockets)
    prepare(config, roles)
    from posthouse.cli.banner import banner

    click.echo(banner(__version__, config, roles, asked.scope))
    raise SystemExit(run_node(config, roles, sockets))


def prepare(config: Config, roles: Iterable[str]) -> None:
    """What has to be there once, before any process of the node starts. Raises Failed, OSError."""
    if config.sns.backend == "aws" and find_spec("aiobotocore") is None:
        raise Failed("sns.backend = aws needs `pip install posthouse[aws]`")
    load_rooms(roles)
    from posthouse.cli.migrate import bring_up_to_date

    if config.database.url != "memory":
        bring_up_to_date(config)


def load_rooms(roles: Iterable[str]) -> None:
    """Loads what the processes are going to need: they are forked from this one and share its pages."""
    # Modules make nothing that the collector could free; it would only look, for a tenth of the time.
    gc.disable()
    for name in [*ALWAYS_LOADED, *(name for role in roles for name in LOADED_FOR.get(role, ()))]:
        import_module(name)
    gc.enable()


def with_bound_ports(config: Config, sockets: Sockets) -> Config:
    """The configuration with the ports that were really taken where it asks for port 0, any free one."""

    def bound(places: tuple[Listen, ...], purpose: str) -> tuple[Listen, ...]:
        found = sockets.get(purpose, ())
        return tuple(Listen(at.host, one.getsockname()[1]) for at, one in zip(places, found, strict=False)) or places

    http, smtp = config.http, config.smtp
    http = dataclasses.replace(http, listen=bound(http.listen, "http"))
    url = urlsplit(http.public_url)
    if url.port == 0:
        http = dataclasses.replace(http, public_url=f"{url.scheme}://{Listen(url.hostname or '', http.listen[0].port)}")
    smtp = dataclasses.replace(
        smtp,
        submission_listen=bound(smtp.submission_listen, "submission"),
        submission_tls_listen=bound(smtp.submission_tls_listen, "submission_tls"),
        inbound_listen=bound(smtp.inbound_listen, "inbound"),
    )
    dns = dataclasses.replace(config.dns, listen=bound(config.dns.listen, "dns"))
    return dataclasses.replace(config, http=http, smtp=smtp, dns=dns)


def run_node(config: Config, roles: Sequence[str], sockets: Sockets) -> int:
    """Until SIGTERM; the exit status."""
    from posthouse.assembly.process import run_process
    from posthouse.ports.stores import StoreUnavailable

    def work(plan: ProcessPlan) -> int:
        try:
            return run_process(config, plan.roles, sockets)
        except StoreUnavailable as trouble:
            log.warning("process %s cannot start: %s", plan.name, trouble)
            return NO_DATABASE

    raise_file_limit()
    return supervise(plan_processes(config, roles, os.cpu_count() or 1), work)
