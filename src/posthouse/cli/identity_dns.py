"""`posthouse identity dns`: the records to publish, and which of them the world sees already."""

import click
import msgspec

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, as_json, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import show, show_json
from posthouse.cli.terraform import terraform
from posthouse.cli.zone import zone_line
from posthouse.config import Config
from posthouse.domain.dns_proof import dkim_name, dkim_target
from posthouse.domain.dns_records import (
    DnsRecord,
    Presence,
    delegation_records,
    identity_records,
    service_records,
)
from posthouse.domain.identities import key_of
from posthouse.operations.context import Context
from posthouse.ports.records import SERVICE_SCOPE


class PublishedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the admin API, and how it stands."""

    purpose: str
    type: str
    name: str
    value: str
    state: str


@click.command("dns")
@click.argument("domain")
@click.option("--zone", "as_zone", is_flag=True, help="As lines of a zone file.")
@click.option("--terraform", "as_terraform", is_flag=True, help="As a Terraform map.")
@as_json
@scoped
def show_records(asked: Invocation, domain: str, as_zone: bool, as_terraform: bool, as_json: bool) -> None:
    """The DNS records to publish for a domain, and how each stands: found, missing, different or unknown.

    Those of the domain go into its own zone; those under the service domain go into the operator's, unless the
    built-in DNS server (dns.listen) answers for it. For the service domain itself: all it needs in the regions in use,
    with the built-in server also what the zone above has to say (delegation, glue).
    """
    if as_zone + as_terraform + as_json > 1:
        raise click.UsageError("--zone, --terraform and --json: one of them")
    records = run(asked, lambda ctx: _records(asked, ctx, domain))
    if as_zone:
        click.echo("\n".join(map(zone_line, records)))
    elif as_terraform:
        click.echo(terraform(records), nl=False)
    else:
        _show(asked.config, records, as_json)


def _show(config: Config, records: list[DnsRecord], as_json: bool) -> None:
    from posthouse.cli.published import look_up

    states = look_up(config, records)
    if as_json:
        show_json([_published(record, state) for record, state in zip(records, states, strict=True)])
    else:
        rows = [(state.value, *record) for record, state in zip(records, states, strict=True)]
        show(("state", "for", "type", "name", "value"), rows)


def _published(record: DnsRecord, state: Presence) -> PublishedRecord:
    return PublishedRecord(
        purpose=record.purpose, type=record.type, name=record.name, value=record.value, state=state.value
    )


async def _records(asked: Invocation, ctx: Context, domain: str) -> list[DnsRecord]:
    name = key_of(domain).removesuffix(".")
    if name == asked.config.identities.service_domain:
        return await _of_service_domain(asked, ctx)
    return await _of_identity(asked, ctx, name)


async def _of_identity(asked: Invocation, ctx: Context, name: str) -> list[DnsRecord]:
    """The owner's side, and what its CNAMEs lead to: the public keys, in the operator's zone."""
    service_domain = asked.config.identities.service_domain
    async with ctx.stores.records.reading() as records:
        identity = await records.identities.get(asked.scope, name)
        if identity is None:
            raise Failed(f"there is no identity {name} in account {asked.scope.account} in {asked.scope.region}")
        keys = await records.signing_keys.of(asked.scope, identity.name)
    found = identity_records(identity, asked.scope.region, service_domain)
    found += [
        DnsRecord("DKIM key", "TXT", dkim_target(key.token, service_domain), key.public_record)
        for key in keys
        if key.token in identity.dkim.tokens
    ]
    if not found:
        raise Failed(f"{name} is an address: there is nothing to publish for it, only for its domain")
    return found


async def _of_service_domain(asked: Invocation, ctx: Context) -> list[DnsRecord]:
    from posthouse.dns.settings import service_domain

    service = service_domain(asked.config)
    async with ctx.stores.records.reading() as records:
        keys = await records.signing_keys.of(SERVICE_SCOPE, service.name)
        used = {scope.region for scope, _, _ in await records.identities.everywhere()}
    own = service_records(service, sorted(used | {asked.scope.region}))
    # Without the built-in server the domain is served by others, whose names are not ours to say.
    found = delegation_records(service) if asked.config.dns.listen else []
    found += [each for each in own if each.purpose != "name server"]
    return found + [DnsRecord("DKIM key", "TXT", dkim_name(key.token, service.name), key.public_record) for key in keys]
