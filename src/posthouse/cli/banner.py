"""What `posthouse serve` says when it starts: where to point an AWS SDK, and where mail goes. Pure."""

from collections.abc import Collection, Iterable

from posthouse.cli.tables import table
from posthouse.config import Config, Listen
from posthouse.domain.scope import Scope
from posthouse.wire.smtp_password import smtp_password

_OUTGOING = {
    "capture": "captured: nothing leaves this machine",
    "direct": "leaves this machine, to the MX of each recipient",
}


def banner(version: str, config: Config, roles: Collection[str], scope: Scope) -> str:
    """`roles`: what this node runs; `scope`: whose keys and region to show."""
    lines = [*_doors(config, set(roles), scope), *_keys(config, scope)]
    lines += [
        ("Data", str(config.data_path)),
        ("Outgoing mail", _OUTGOING.get(config.delivery.mode) or f"leaves this machine, to {_relay(config)}"),
    ]
    head = f"posthouse {version}, {config.profile} profile, {config.auth.mode} authentication"
    return f"{head}\n\n{table((), lines)}\n"


def _doors(config: Config, roles: set[str], scope: Scope) -> list[tuple[str, str]]:
    smtp, doors = config.smtp, []
    if config.http.listen and "api" in roles:
        doors.append(("SES API", f"AWS_ENDPOINT_URL_SES={config.http.public_url}  AWS_DEFAULT_REGION={scope.region}"))
    if config.http.listen and "web" in roles:
        doors.append(("Console", f"{config.http.public_url}/console/"))
    if "smtp" in roles:
        doors += [("SMTP", f"{_said(smtp.submission_listen)}  (STARTTLS)")] if smtp.submission_listen else []
        doors += [("SMTP over TLS", _said(smtp.submission_tls_listen))] if smtp.submission_tls_listen else []
    if smtp.inbound_listen and "mx" in roles:
        doors.append(("Inbound (MX)", _said(smtp.inbound_listen)))
    if config.dns.listen and "dns" in roles:
        doors.append(("DNS", f"{_said(config.dns.listen)}  for {config.identities.service_domain}"))
    return doors


def _said(places: Iterable[Listen]) -> str:
    return ", ".join(map(str, places))


def _keys(config: Config, scope: Scope) -> list[tuple[str, str]]:
    """Secrets are shown in the dev profile only, where everybody knows them anyway."""
    auth = config.auth
    if config.profile != "dev" or not auth.access_key or not auth.secret_key:
        return [("Credentials", "posthouse credentials create")]
    if scope.account != auth.account_id and auth.mode == "strict":
        return [("Credentials", f"posthouse credentials create --account {scope.account}")]
    # In open mode an access key of 12 digits names the account (contract, auth.mode).
    key = auth.access_key if scope.account == auth.account_id else scope.account
    return [
        ("Credentials", f"AWS_ACCESS_KEY_ID={key}  AWS_SECRET_ACCESS_KEY={auth.secret_key}"),
        ("SMTP login", f"user {key}  password {smtp_password(auth.secret_key, scope.region)}"),
    ]


def _relay(config: Config) -> str:
    """Without the password that the URL may hold."""
    return f"the relay {(config.delivery.relay or '').rpartition('@')[2].rpartition('//')[2]}"
