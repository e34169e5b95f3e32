"""`posthouse identity`: addresses and domains that may send, and what to publish in DNS for them."""

import click

from posthouse.cli.failure import Failed
from posthouse.cli.identity_dns import show_records
from posthouse.cli.options import Invocation, as_json, everywhere, limit, scoped
from posthouse.cli.session import run
from posthouse.cli.tables import moment, show, show_facts, show_json, yes_no
from posthouse.domain.identities import Identity, key_of
from posthouse.domain.scope import Scope
from posthouse.operations.context import Context
from posthouse.operations.dkim_rotation import renew_next_key, sign_with_next_key
from posthouse.operations.identities import verify_on_operators_word
from posthouse.ports.records import Transaction
from posthouse.web.admin_records import identity_view
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


async def _find(asked: Invocation, ctx: Context, name: str) -> Identity:
    async with ctx.stores.records.reading() as records:
        identity = await records.identities.get(asked.scope, key_of(name))
    if identity is None:
        raise Failed(f"there is no identity {name} in account {asked.scope.account} in {asked.scope.region}")
    return identity


@command.command("show")
@click.argument("identity")
@as_json
@scoped
def show_identity(asked: Invocation, identity: str, as_json: bool) -> None:
    """One identity with its verification and DKIM."""
    found = run(asked, lambda ctx: _find(asked, ctx, identity))
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
            ("DKIM signer", found.dkim.signer or "none"),
            ("MAIL FROM", _mail_from(found)),
        ]
    )


def _mail_from(identity: Identity) -> str:
    setting = identity.mail_from
    return f"{setting.domain}, {setting.status.value}, {setting.behavior}" if setting.domain else "the default"


@command.command("rotate")
@click.argument("domain")
@click.option("--new-key", is_flag=True, help="Make a new key for the token that signs next; nothing else changes.")
@scoped
def rotate_key(asked: Invocation, domain: str, new_key: bool) -> None:
    """Let the next of a domain's three DKIM keys sign.

    The names that are published stay as they are, and so does the key that signed so far: mail under way verifies.
    With --new-key first, and some hours between for resolvers to notice, the key that takes over is a fresh one.
    """
    if new_key:
        key = run(asked, lambda ctx: renew_next_key(asked.scope, domain, ctx))
        click.echo(f"{key.token} has a new key; publish what `posthouse identity dns {key.domain}` lists, then rotate.")
        return
    identity = run(asked, lambda ctx: sign_with_next_key(asked.scope, domain, ctx))
    click.echo(f"{identity.dkim.signer} signs for {identity.name} from now on.")


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


command.add_command(show_records)
