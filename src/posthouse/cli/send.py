"""`posthouse send`: a test mail through the front door, by the API or by SMTP, as any application would send it."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from posthouse.cli.clients import Target, reachable, send_by_api, send_by_smtp
from posthouse.cli.failure import Failed
from posthouse.cli.options import Invocation, scoped
from posthouse.config import Config, Listen
from posthouse.domain.messages import Draft, Text

DEFAULT_TEXT = "A test mail, sent with `posthouse send`.\n"
PORTS = {"http": 80, "https": 443, "smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key and its secret."""

    access_key: str
    secret_key: str


@click.command("send")
@click.option("--from", "source", required=True, help="The sender, a verified identity.")
@click.option("--to", multiple=True, help="A recipient; may be repeated.")
@click.option("--cc", multiple=True, help="A recipient of a copy; may be repeated.")
@click.option("--bcc", multiple=True, help="A recipient nobody else sees; may be repeated.")
@click.option("--subject", default="Test of Posthouse", show_default=True)
@click.option("--text", help="The body; by default one line, where there is no --html either.")
@click.option("--html", help="The body as HTML.")
@click.option("--via", type=click.Choice(["api", "smtp"]), help="Which door; by default that of --endpoint, or api.")
@click.option("--endpoint", help="http(s)://HOST:PORT or smtp(s)://HOST:PORT; by default as configured.")
@click.option("--access-key", help="Whose key to use; by default one of the account's.")
@click.option("--secret-key", help="Its secret; by default the one kept here.")
@click.option("--insecure", is_flag=True, help="Take any TLS certificate, as is always done on loopback.")
@scoped
def command(
    asked: Invocation,
    source: str,
    to: tuple[str, ...],
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    subject: str,
    text: str | None,
    html: str | None,
    via: str | None,
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    insecure: bool,
) -> None:
    """Send a test mail through the API or SMTP; prints its message id."""
    if not to + cc + bcc:
        raise click.UsageError("name a recipient: --to, --cc or --bcc")
    if secret_key is not None and access_key is None:
        raise click.UsageError("--secret-key needs --access-key")
    scheme, at = read_endpoint(endpoint) if endpoint else default_endpoint(asked.config, via or "api")
    door = "api" if scheme.startswith("http") else "smtp"
    if via not in (None, door):
        raise click.UsageError(f"--endpoint {endpoint} is no way to send via {via}")
    keys = find_keys(asked, access_key, secret_key)
    checked = not insecure and not at.is_loopback
    target = Target(scheme, at, keys.access_key, keys.secret_key, asked.scope.region, checked)
    body = DEFAULT_TEXT if text is None and html is None else text
    draft = Draft(
        source=source, to=to, cc=cc, bcc=bcc, subject=_utf8(subject) or Text(""), text=_utf8(body), html=_utf8(html)
    )
    click.echo(send_by_api(target, draft) if door == "api" else send_by_smtp(target, draft))


def _utf8(text: str | None) -> Text | None:
    return None if text is None else Text(text, "" if text.isascii() else "UTF-8")


def default_endpoint(config: Config, via: str) -> tuple[str, Listen]:
    """Scheme and address of this installation. Raises Failed where that door is not configured."""
    smtp = config.smtp
    doors = (
        [("https" if config.http.tls_cert else "http", at) for at in config.http.listen]
        if via == "api"
        else [*(("smtp", at) for at in smtp.submission_listen), *(("smtps", at) for at in smtp.submission_tls_listen)]
    )
    if not doors:
        raise Failed(f"no listener is configured for {via}: name one with --endpoint")
    scheme, at = doors[0]
    return scheme, reachable(at)


def read_endpoint(url: str) -> tuple[str, Listen]:
    """Scheme and address of a URL. Raises UsageError."""
    wrong = click.UsageError(f"--endpoint {url!r}: allowed is http(s)://HOST:PORT or smtp(s)://HOST:PORT")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise wrong
    return parts.scheme, Listen(parts.hostname, port or PORTS[parts.scheme])


def find_keys(asked: Invocation, access_key: str | None, secret_key: str | None) -> Keys:
    """The named key, else one that the account surely has. Raises Failed where there is none."""
    auth, account = asked.config.auth, asked.scope.account
    if access_key and secret_key:
        return Keys(access_key, secret_key)
    if access_key is None and auth.access_key and auth.secret_key and account == auth.account_id:
        return Keys(auth.access_key, auth.secret_key)
    if access_key is None and auth.mode == "open":
        # Any secret will do there, and twelve digits name the account (contract, auth.mode).
        return Keys(account, auth.secret_key or account)
    return _kept_keys(asked, access_key)


def _kept_keys(asked: Invocation, access_key: str | None) -> Keys:
    from posthouse.cli.session import run

    account = None if access_key else asked.scope.account
    for each in run(asked, lambda ctx: ctx.stores.credentials.all(account)):
        # Temporary credentials have no SMTP password and end soon.
        if each.session_token is None and access_key in (None, each.access_key):
            return Keys(each.access_key, each.secret_key)
    wanted = f"{access_key} is not kept here" if access_key else f"account {account} has no access key"
    raise Failed(f"{wanted}: see `posthouse credentials create`, or name --access-key and --secret-key")
