"""`posthouse identity`: addresses and domains that may send, and what to publish in DNS for them."""

import click

from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, as_json, everywhere, limit, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import moment, show, show_facts, show_json, yes_no
from posthouse.cli.zone import zone_line
from posthouse.domain.identities import Identity, key_of
from posthouse.domain.scope import Scope
from posthouse.operations.context import Context
from posthouse.operations.identities import verify_on_operators_word
from posthouse.ports.records import SERVICE_SCOPE, SigningKey, Transaction
from posthouse.web import views
from posthouse.web.admin_records import identity_view, records_to_publish
from posthouse.web.query import iso

PAGE = 1000


@click.group("identity")
def command() -> None:
    """Addresses and domains that may send."""


@command.command("list")
@click.option("--type", "kind", type=click.Choice(["domain", "address"]), help="Only these.")
@click.option("--after", default="", help="Go on after this identity (not with --all).")
@limit(1000)
@everywhere
@as_json
@scoped
def list_identities(
    asked: Invocation, kind: str | None, after: str, limit: int, everywhere: bool, as_json: bool
) -> None:
    """Identities by name."""

    async def read(ctx: Context) -> list[tuple[Scope, Identity]]:
        async with ctx.stores.records.reading() as records:
            if everywhere:
                known = [(scope, identity) for scope, _, identity in await records.identities.everywhere()]
                return [each for each in known if _is_of(each[1], kind)][:limit]
            return [(asked.scope, each) for each in await _page(records, asked.scope, after, limit, kind)]

    found = run(asked, read)
    if as_json:
        show_json([identity_view(scope, each, asked.config.identities.service_domain) for scope, each in found])
    else:
        heads = ("identity", "status", "dkim", "asked for", "account", "region")
        show(heads, [_row(scope, each) for scope, each in found])


async def _page(records: Transaction, scope: Scope, after: str, limit: int, kind: str | None) -> list[Identity]:
    found: list[Identity] = []
    while len(found) < limit and (page := await records.identities.page(scope, after, PAGE)):
        found += [identity for _, identity in page if _is_of(identity, kind)]
        after = page[-1][0]
    return found[:limit]


def _is_of(identity: Identity, kind: str | None) -> bool:
    return kind is None or identity.is_domain == (kind == "domain")


def _row(scope: Scope, identity: Identity) -> tuple[object, ...]:
    dkim = identity.dkim.status.value if identity.dkim.tokens else "-"
    return (identity.name, identity.status.value, dkim, moment(identity.requested_ms), *scope)


async def _find(asked: Invocation, ctx: Context, name: str) -> tuple[Identity, list[SigningKey]]:
    async with ctx.stores.records.reading() as records:
        identity = await records.identities.get(asked.scope, key_of(name))
        if identity is None:
            raise Failed(f"there is no identity {name} in account {asked.scope.account} in {asked.scope.region}")
        return identity, list(await records.signing_keys.of(asked.scope, identity.name))


@command.command("show")
@click.argument("identity")
@as_json
@scoped
def show_identity(asked: Invocation, identity: str, as_json: bool) -> None:
    """One identity with its verification and DKIM."""
    found, _ = run(asked, lambda ctx: _find(asked, ctx, identity))
    if as_json:
        show_json(identity_view(asked.scope, found, asked.config.identities.service_domain))
        return
    show_facts(
        [
            ("Identity", found.name),
            ("Account", f"{asked.scope.account} in {asked.scope.region}"),
            ("Status", found.status.value),
            ("Asked for", iso(found.requested_ms)),
            ("DKIM signing", yes_no(found.dkim.enabled)),
            ("DKIM status", found.dkim.status.value),
            ("DKIM tokens", " ".join(found.dkim.tokens) or "none"),
        ]
    )


@command.command("verify")
@click.argument("identities", nargs=-1, required=True, metavar="IDENTITY...")
@scoped
def verify_identities(asked: Invocation, identities: tuple[str, ...]) -> None:
    """Verify addresses or domains on your word: at once, without a mail or a look into DNS.

    A domain gets its DKIM keys, and they are used from now on: publish what `posthouse identity dns` lists.
    """

    async def verify(ctx: Context) -> list[Identity]:
        return [await verify_on_operators_word(asked.scope, each, ctx) for each in identities]

    for identity in run(asked, verify, may_create=True):
        click.echo(f"{identity.name} is verified in account {asked.scope.account} in {asked.scope.region}.")


@command.command("dns")
@click.argument("domain")
@click.option("--zone", "as_zone", is_flag=True, help="As lines of a zone file.")
@as_json
@scoped
def show_records(asked: Invocation, domain: str, as_zone: bool, as_json: bool) -> None:
    """The DNS records to publish for a domain.

    Those of the domain go into its own zone; those under the service domain go into the operator's. For the service
    domain itself: the keys of the signature that is on every mail.
    """
    if as_zone and as_json:
        raise click.UsageError("--zone and --json: one of them")
    service_domain = asked.config.identities.service_domain
    if domain.lower() == service_domain:
        records = run(asked, lambda ctx: _of_service_domain(ctx, service_domain))
    else:
        identity, keys = run(asked, lambda ctx: _find(asked, ctx, domain))
        if not identity.is_domain:
            raise Failed(f"{identity.name} is an address: there is nothing to publish for it, only for its domain")
        records = [*records_to_publish(identity, service_domain), *_service_side(identity, keys, service_domain)]
    if as_json:
        show_json(records)
    elif as_zone:
        click.echo("\n".join(zone_line(record) for record in records))
    else:
        show(("for", "type", "name", "value"), [(each.purpose, each.type, each.name, each.value) for each in records])


async def _of_service_domain(ctx: Context, service_domain: str) -> list[views.DnsRecord]:
    async with ctx.stores.records.reading() as reading:
        keys = await reading.signing_keys.of(SERVICE_SCOPE, service_domain)
    return [
        views.DnsRecord(
            purpose="DKIM key", type="TXT", name=f"{key.token}._domainkey.{service_domain}", value=key.public_record
        )
        for key in keys
    ]


def _service_side(identity: Identity, keys: list[SigningKey], service_domain: str) -> list[views.DnsRecord]:
    """What the CNAMEs of the domain lead to: the public keys, in the operator's zone."""
    return [
        views.DnsRecord(
            purpose="DKIM key", type="TXT", name=f"{key.token}.dkim.{service_domain}", value=key.public_record
        )
        for key in keys
        if key.token in identity.dkim.tokens
    ]
