"""One frozen tree of settings, read once: a TOML file, then the environment on top of it.

Every field says its kind, its default in the dev profile (and in production, where that differs) and what it is for.
What is not known here, or does not fit its kind, stops the start with one line that names the key, the value and what
is allowed. May be imported by any room above the pure ground; imports none.
"""

import dataclasses
import ipaddress
import json
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ENV_PREFIX = "POSTHOUSE_"
PLACES = ("./posthouse.toml", "/etc/posthouse/posthouse.toml")
ROLES = ("api", "smtp", "mx", "delivery", "events", "web", "dns")


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line for the operator."""


class Listen(NamedTuple):
    """Where a door listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Kind(NamedTuple):
    """How a value is read and what is allowed; `read` raises ValueError for what is not."""

    allowed: str
    read: Callable[[Any], Any]


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or any(ord(c) < 32 for c in raw):
        raise ValueError
    return raw


def _boolean(raw: Any) -> bool:
    if isinstance(raw, str):
        raw = {"true": True, "false": False}.get(raw.lower(), raw)
    if not isinstance(raw, bool):
        raise ValueError
    return raw


def _number(raw: Any, low: float, high: float, whole: bool) -> Any:
    if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", raw):
        raw = float(raw) if "." in raw else int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int if whole else (int, float)) or not low <= raw <= high:
        raise ValueError
    return raw if whole else float(raw)


def _items(raw: Any) -> list[Any]:
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()]
    if not isinstance(raw, list | tuple):
        raise ValueError
    return list(raw)


def _listen(raw: Any) -> Listen:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9_.*-]+)):([0-9]{1,5})", _text(raw))
    if not match or int(match[3]) > 65535:
        raise ValueError
    return Listen(match[1] or ("0.0.0.0" if match[2] == "*" else match[2]), int(match[3]))  # noqa: S104 asked for


def _choice(raw: Any, options: tuple[str, ...]) -> str:
    if raw not in options:
        raise ValueError
    return str(raw)


def _url(raw: Any, schemes: tuple[str, ...]) -> str:
    parts = urlsplit(_text(raw))
    if parts.scheme != "file":
        _matching(raw, r"[!-~]+")  # RFC 3986 is ASCII; these stand in mails and on the wire
    if parts.scheme not in schemes or (not parts.netloc and parts.scheme != "file"):
        raise ValueError
    _ = parts.port  # raises ValueError where the port is no number
    return str(raw)


def _pairs(raw: Any, pattern: str) -> dict[str, str]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except json.JSONDecodeError:
            raise ValueError from None
    if not isinstance(raw, dict) or not all(isinstance(v, str) and re.fullmatch(pattern, v) for v in raw.values()):
        raise ValueError
    return {str(k).lower() if pattern == _HOST_PORT else str(k): v for k, v in raw.items()}


def _at_socket(raw: Any) -> str:
    if not re.fullmatch(r"/[!-~]+", _text(raw)):
        _listen(raw)
    return str(raw)


def _matching(raw: Any, pattern: str) -> str:
    if not re.fullmatch(pattern, _text(raw)):
        raise ValueError
    return str(raw)


_HOST_PORT = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}"
_TOPIC_ARN = r"arn:aws[a-z-]{0,30}:sns:[a-z]{2}[a-z0-9-]{1,30}:[0-9]{12}:[A-Za-z0-9_-]{1,256}"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"

TEXT = Kind("a text", _text)
BOOLEAN = Kind("true or false", _boolean)
LISTEN = Kind(
    "a list of host:port",
    lambda raw: tuple(_listen(item) for item in _items(raw)),
)
TEXTS = Kind("a list of texts", lambda raw: tuple(_text(item) for item in _items(raw)))
TOPIC_ARNS = Kind(
    "a list of ARNs of standard SNS topics",
    lambda raw: tuple(_matching(item, _TOPIC_ARN) for item in _items(raw)),
)
DOMAIN = Kind("a domain name", lambda raw: _matching(raw, _DOMAIN).lower())
DOMAINS = Kind("a list of domain names", lambda raw: tuple(_matching(item, _DOMAIN).lower() for item in _items(raw)))
ADDRESSES = Kind(
    "a list of IP addresses",
    lambda raw: tuple(str(ipaddress.ip_address(_text(item))) for item in _items(raw)),
)
MAILBOX = Kind("an e-mail address", lambda raw: _matching(raw, rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@{_DOMAIN}"))
NETWORKS = Kind(
    "a list of IP addresses and networks like 10.0.0.0/8",
    lambda raw: tuple(str(ipaddress.ip_network(_text(item))) for item in _items(raw)),
)
ROUTES = Kind('a map of recipient domain (or "*") to "host:port"', partial(_pairs, pattern=_HOST_PORT))
CLAMD = Kind("host:port, or the path of a socket", _at_socket)
URLS_BY_NAME = Kind("a map of name to http(s) URL", partial(_pairs, pattern=r"https?://\S+"))


def choice(*options: str) -> Kind:
    return Kind(" or ".join(f'"{option}"' for option in options), partial(_choice, options=options))


def whole(low: int, high: int) -> Kind:
    return Kind(f"a whole number from {low} to {high}", partial(_number, low=low, high=high, whole=True))


def number(low: float, high: float) -> Kind:
    return Kind(f"a number from {low:g} to {high:g}", partial(_number, low=low, high=high, whole=False))


def numbers(low: float, high: float) -> Kind:
    read = partial(_number, low=low, high=high, whole=False)
    return Kind(f"a list of numbers from {low:g} to {high:g}", lambda raw: _not_empty(tuple(map(read, _items(raw)))))


def _not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise ValueError
    return items


def url(*schemes: str) -> Kind:
    return Kind("a URL that begins with " + ", ".join(f"{s}://" for s in schemes), partial(_url, schemes=schemes))


def matching(pattern: str, allowed: str) -> Kind:
    return Kind(allowed, partial(_matching, pattern=pattern))


_SAME: Any = object()


def setting(kind: Kind, default: Any, why: str, production: Any = _SAME) -> Any:
    """A key of the configuration; None as default: not set."""
    meta = {"kind": kind, "default": default, "production": default if production is _SAME else production, "why": why}
    return field(metadata=meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    listen: tuple[Listen, ...] = setting(LISTEN, ["127.0.0.1:8025"], "API, console, tracking, verification, admin")
    public_url: str = setting(url("http", "https"), None, "base of every link put into a mail; derived when not set")
    tls_cert: str | None = setting(TEXT, None, "PEM file")
    tls_key: str | None = setting(TEXT, None, "PEM file")
    trusted_proxies: tuple[str, ...] = setting(
        NETWORKS, [], "networks of proxies whose X-Forwarded-For says who opened a mail or followed a link"
    )
    allow_private_calls: bool = setting(
        BOOLEAN, True, "URLs that users give (topic subscribers) may lead to loopback and private addresses", False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    submission_listen: tuple[Listen, ...] = setting(LISTEN, ["127.0.0.1:1025"], "submission: STARTTLS and AUTH")
    submission_tls_listen: tuple[Listen, ...] = setting(LISTEN, [], "submission under implicit TLS")
    inbound_listen: tuple[Listen, ...] = setting(LISTEN, ["127.0.0.1:2525"], "the MX side")
    hostname: str = setting(DOMAIN, None, "greeting, HELO, Received; the machine's name when not set")
    tls_cert: str | None = setting(TEXT, None, "PEM file; self-signed and made at first start when not set")
    tls_key: str | None = setting(TEXT, None, "PEM file")
    proxy_protocol: bool = setting(BOOLEAN, False, "expect a PROXY protocol header on every SMTP connection")
    max_connections: int = setting(
        whole(1, 1_000_000), 20_000, "SMTP sessions of one process; when full, idle ones make way for new ones"
    )
    max_connections_per_client: int = setting(
        whole(1, 1_000_000), 1000, "of these, from one address (one /64 of IPv6); loopback may have all", 100
    )
    idle_seconds: float = setting(number(1, 3600), 300, "a silent session is ended after so long (RFC 5321 4.5.3.2)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    mode: str = setting(choice("open", "strict"), "open", "open: everybody is somebody; strict: SigV4", "strict")
    allow_open: bool = setting(BOOLEAN, False, "open mode on a listener that is not loopback, on your own word")
    account_id: str = setting(matching(r"[0-9]{12}", "12 digits"), "123456789012", "the default account")
    access_key: str | None = setting(
        matching(r"[A-Za-z0-9_.@=+-]{1,128}", "1 to 128 characters of A-Z a-z 0-9 _ . @ = + -"),
        "posthouse",
        "bootstrap credentials of the default account",
        None,
    )
    secret_key: str | None = setting(TEXT, "posthouse-secret", "their secret", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    sandbox: bool = setting(BOOLEAN, False, "new accounts start in the sandbox", True)
    max_24_hour_send: float | None = setting(
        number(-1, 1e15), None, "recipients in 24 hours; -1: no limit; not set: 50000, in the production sandbox 200"
    )
    max_send_rate: float | None = setting(
        number(-1, 1e9), None, "recipients per second; -1: no limit; not set: 1000, in production 14, its sandbox 1"
    )
    owner_email: str | None = setting(
        MAILBOX, None, "who is mailed when DNS verifies or loses a domain, its DKIM or MAIL FROM; not set: nobody"
    )
    api_rate_limit: float = setting(number(0, 1e6), 0, "calls per second of each rate-limited operation; 0: any", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    auto_verify: bool = setting(BOOLEAN, True, "a verification asked for succeeds at once", False)
    service_domain: str = setting(DOMAIN, "posthouse.test", "the operator's own domain, where SES has amazonses.com")
    recheck_seconds: float = setting(number(1, 86400), 60, "how often pending DNS records are looked for")
    service_signature: str = setting(
        choice("auto", "rsa", "ed25519", "none"),
        "auto",
        "the service domain's DKIM signature; auto: RSA where it stands alone, Ed25519 beside the identity's own",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    mode: str = setting(choice("capture", "direct", "relay"), "capture", "where outgoing mail goes", "direct")
    relay: str | None = setting(url("smtp", "smtps", "lmtp"), None, "where everything goes in relay mode")
    routes: dict[str, str] = setting(ROUTES, {}, "next hops ahead of MX, in every mode")
    max_age_seconds: float = setting(number(1, 1e7), 50400, "then the bounce (SES: 14 hours)")
    retry_seconds: tuple[float, ...] = setting(
        numbers(0.05, 1e6), [60, 300, 600, 1200, 2400, 3600, 7200], "waits between attempts; the last one repeats"
    )
    concurrency: int = setting(whole(1, 100_000), 200, "outgoing connections of one process")
    per_domain_concurrency: int = setting(whole(1, 10_000), 20, "of these, to one destination")
    per_domain_rate: float = setting(number(0, 1e6), 0, "messages per second to one destination; 0: any")
    source_ips: tuple[str, ...] = setting(TEXTS, [], "local addresses to send from, in turn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    enabled: bool = setting(BOOLEAN, True, "mail to addresses that bounced for good or complained is not sent")
    days: float = setting(number(0, 36500), 0, "how long an address stays on the list; 0: until it is removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reputation:
    pause: bool = setting(
        BOOLEAN,
        False,
        "accounts, and configuration sets with reputation metrics, are paused at SES's lines: "
        "a bounce rate of 10 %, a complaint rate of 0.5 %",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    client_rate: float = setting(number(0, 1e6), 0, "messages per second of one client at the MX side; 0: any")
    max_size: int = setting(whole(1024, 1 << 30), 41943040, "bytes of one inbound message (SES: 40 MB)")
    require_rule: bool = setting(
        BOOLEAN,
        False,
        "SES: without an active receipt rule set no mail is taken; off: all for verified identities is",
        True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    resolvers: tuple[str, ...] = setting(TEXTS, [], "ip[:port] of the resolvers to ask; the system's when empty")
    listen: tuple[Listen, ...] = setting(LISTEN, [], "the authoritative server for the service domain, UDP and TCP")
    addresses: tuple[str, ...] = setting(
        ADDRESSES,
        [],
        "where the world finds this installation, and where its mail leaves from; "
        "empty: delivery.source_ips, else the addresses of smtp.inbound_listen",
    )
    nameservers: tuple[str, ...] = setting(DOMAINS, [], "of the service domain; empty: ns1 in it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    url: str = setting(
        matching(r"sqlite|memory|postgres(ql)?://\S+", "sqlite, memory or a postgresql:// URL"),
        "sqlite",
        "sqlite: in data_dir; memory: gone at the end",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blobs:
    url: str | None = setting(url("file", "s3"), None, "where large bodies lie; data_dir when not set")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    endpoint_url: str | None = setting(url("http", "https"), None, "one endpoint for every AWS service called out to")
    sns_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for SNS")
    s3_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for S3")
    firehose_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for Firehose")
    cloudwatch_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for CloudWatch")
    lambda_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for Lambda")
    kms_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for KMS")
    sts_endpoint_url: str | None = setting(url("http", "https"), None, "overrides it for STS")


_BACKEND = choice("local", "aws")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sns:
    backend: str = setting(_BACKEND, "local", "the embedded stand-in or the real protocol")
    retry_seconds: tuple[float, ...] = setting(
        numbers(0, 1e6),
        [0, 1, 5, 20, 20, 60, 120, 300, 600, 600, 600, 1200],
        "stand-in: waits between attempts to deliver to a subscriber; after the last one it is a dead letter",
    )
    signature_version: str = setting(
        choice("1", "2"), "1", "stand-in: what notifications are signed with; 1: SHA1, as SNS by default, 2: SHA256"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    backend: str = setting(_BACKEND, "local", "the embedded stand-in or the real protocol")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firehose:
    backend: str = setting(_BACKEND, "local", "the embedded stand-in or the real protocol")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatch:
    backend: str = setting(_BACKEND, "local", "the embedded stand-in or the real protocol")
    namespace: str = setting(
        matching(r"[A-Za-z0-9._/#:-]{1,255}", "1 to 255 characters of A-Z a-z 0-9 . - _ / # :"),
        "AWS/SES",
        "real protocol: where metrics go; Amazon itself keeps AWS/... to its own services",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lambda:
    backend: str = setting(_BACKEND, "local", "the embedded stand-in or the real protocol")
    functions: dict[str, str] = setting(URLS_BY_NAME, {}, "local backend: function ARN or name to an HTTP URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kms:
    backend: str = setting(_BACKEND, "local", "the embedded stand-in or the real protocol")


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    auto_create: bool = setting(BOOLEAN, True, "topics, buckets ... come to exist when first named", False)
    topics: tuple[str, ...] = setting(TOPIC_ARNS, [], "topic ARNs that exist from the start")
    buckets: tuple[str, ...] = setting(TEXTS, [], "buckets that exist from the start")
    streams: tuple[str, ...] = setting(TEXTS, [], "delivery streams that exist from the start")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkMail:
    backend: str | None = setting(url("lmtp", "smtp", "file"), None, "a Maildir in data_dir when not set")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    rspamd_url: str | None = setting(url("http", "https"), None, "rspamd's normal worker: spam verdicts")
    clamd: str | None = setting(CLAMD, None, "where clamd listens: virus verdicts")
    timeout_seconds: float = setting(number(0.1, 600), 30, "of one scan; then its verdict is PROCESSING_FAILED")
    outgoing: bool = setting(
        BOOLEAN, True, "clamd sees outgoing mail with attachments too; while it is down, that mail waits"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    enabled: bool = setting(BOOLEAN, True, "rewrite links and add the pixel where a destination asks for it")
    keep_addresses: bool = setting(
        BOOLEAN, True, "events of openings and clicks have the reader's IP address and user agent; false: empty"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    format: str = setting(choice("console", "json"), "console", "")
    level: str = setting(choice("debug", "info", "warning", "error"), "info", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    doors: int = setting(whole(0, 256), 0, "processes for api, smtp, mx, web and dns; 0: by the number of cores")
    engines: int = setting(whole(0, 256), 0, "processes for delivery and events; 0: by the number of cores")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one node."""

    profile: str = setting(choice("dev", "production"), "dev", "only chooses the defaults of other keys")
    data_dir: str = setting(TEXT, "./posthouse-data", "everything embedded lives here")
    http: Http
    smtp: Smtp
    auth: Auth
    accounts: Accounts
    identities: Identities
    delivery: Delivery
    suppression: Suppression
    reputation: Reputation
    receiving: Receiving
    dns: Dns
    database: Database
    blobs: Blobs
    aws: Aws
    sns: Sns
    s3: S3
    firehose: Firehose
    cloudwatch: CloudWatch
    lambda_: Lambda
    kms: Kms
    local: Local
    workmail: WorkMail
    scan: Scan
    tracking: Tracking
    log: Log
    processes: Processes

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir).resolve()


def _section_name(attribute: str) -> str:
    return attribute.rstrip("_")


SECTIONS: dict[str, Any] = {_section_name(f.name): f.type for f in fields(Config) if "kind" not in f.metadata}


def keys() -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Every key with its kind, defaults and reason, in the order of the tree: what the reference page is made from."""
    found = [(f.name, f.metadata) for f in fields(Config) if "kind" in f.metadata]
    for name, section in SECTIONS.items():
        found += [(f"{name}.{f.name}", f.metadata) for f in fields(section)]
    return found


def load(path: str | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads file and environment (and what the command line overrides, by key); raises ConfigError."""
    values = _from_file(path or environ.get("POSTHOUSE_CONFIG"))
    values.update(_from_environment(environ))
    values.update({key: value for key, value in (overrides or {}).items() if value is not None})
    known = dict(keys())
    for key in values:
        if key not in known:
            raise ConfigError(f"{key}: unknown key{_nearest(key, known)}")
    profile = _read("profile", known["profile"], values.get("profile", "dev"))
    default = "production" if profile == "production" else "default"
    tree = {key: _read(key, meta, values.get(key, meta[default])) for key, meta in known.items()}
    return _checked(_derived(_build(tree)))


def _read(key: str, meta: Mapping[str, Any], raw: Any) -> Any:
    if raw is None or (raw == "" and meta["default"] is None):
        return None
    try:
        return meta["kind"].read(raw)
    except (ValueError, TypeError):
        raise ConfigError(f"{key} = {raw!r}: allowed is {meta['kind'].allowed}") from None


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    tail = key.rpartition(".")[2]
    near = [other for other in known if other.rpartition(".")[2] == tail]
    return f" (did you mean {near[0]}?)" if near else ""


def _from_file(path: str | None) -> dict[str, Any]:
    places = [path] if path else [place for place in PLACES if os.path.exists(place)]
    if not places:
        return {}
    try:
        with open(places[0], "rb") as file:
            table = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{places[0]}: {' '.join(str(error).split())}") from None
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(f"{name} = {value!r}: allowed is a table of its keys")
            values.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            values[name] = value
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if name.startswith(ENV_PREFIX) and name != "POSTHOUSE_CONFIG":
            section, separator, key = name[len(ENV_PREFIX) :].lower().partition("__")
            values[f"{section}.{key}" if separator else section] = value
    return values


def _build(tree: Mapping[str, Any]) -> Config:
    sections = {
        f.name: f.type(**{part.name: tree[f"{_section_name(f.name)}.{part.name}"] for part in fields(f.type)})  # type: ignore[operator,arg-type]
        for f in fields(Config)
        if "kind" not in f.metadata
    }
    return Config(profile=tree["profile"], data_dir=tree["data_dir"], **sections)


def _derived(config: Config) -> Config:
    """Fills in what follows from other keys or from the machine."""
    http, smtp = config.http, config.smtp
    if http.public_url is None and http.listen:
        host, port = http.listen[0]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 compared, not bound
        scheme = "https" if http.tls_cert else "http"
        http = dataclasses.replace(http, public_url=f"{scheme}://{Listen(shown, port)}")
    if smtp.hostname is None:
        smtp = dataclasses.replace(smtp, hostname=_machine_name())
    dns = dataclasses.replace(
        config.dns,
        addresses=config.dns.addresses or _found_at(config),
        nameservers=config.dns.nameservers or (f"ns1.{config.identities.service_domain}",),
    )
    return dataclasses.replace(config, http=http, smtp=smtp, dns=dns)


def _found_at(config: Config) -> tuple[str, ...]:
    """Addresses of this installation as far as other keys name them."""
    for places in (config.delivery.source_ips, [at.host for at in config.smtp.inbound_listen]):
        if named := dict.fromkeys(place for place in places if _is_one_address(place)):
            return tuple(named)
    return ("127.0.0.1",) if config.profile == "dev" else ()


def _is_one_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _machine_name() -> str:
    name = socket.gethostname().lower()
    return name if re.fullmatch(_DOMAIN, name) else "localhost"


def _checked(config: Config) -> Config:
    """Refuses what each key allows by itself but not together."""
    exposed = [str(at) for at in (*config.http.listen, *config.smtp.submission_listen) if not at.is_loopback]
    if config.auth.mode == "open" and exposed and not config.auth.allow_open:
        raise ConfigError(
            f'auth.mode = "open": refused on {exposed[0]}, which is not loopback; '
            'allowed is "strict", or auth.allow_open = true'
        )
    for section, table in (("http", config.http), ("smtp", config.smtp)):
        if bool(table.tls_cert) != bool(table.tls_key):
            raise ConfigError(f"{section}.tls_cert, {section}.tls_key: allowed is both or none")
    if config.delivery.mode == "relay" and not config.delivery.relay:
        raise ConfigError('delivery.relay is not set: with delivery.mode = "relay" allowed is a URL')
    cloudwatch, elsewhere = config.cloudwatch, config.aws.cloudwatch_endpoint_url or config.aws.endpoint_url
    if cloudwatch.backend == "aws" and cloudwatch.namespace.startswith("AWS/") and not elsewhere:
        raise ConfigError(
            f'cloudwatch.namespace = "{cloudwatch.namespace}": Amazon keeps AWS/... to itself; '
            'allowed is another, such as "Posthouse/SES", or an endpoint of your own'
        )
    if bool(config.auth.access_key) != bool(config.auth.secret_key):
        raise ConfigError("auth.access_key, auth.secret_key: allowed is both or none")
    if config.dns.listen and not config.dns.addresses:
        raise ConfigError("dns.addresses is not set: with dns.listen allowed is a list of IP addresses")
    for at in config.dns.resolvers:
        if not re.fullmatch(r"[0-9.]+(:[0-9]{1,5})?|[0-9A-Fa-f:]+|\[[0-9A-Fa-f:]+\]:[0-9]{1,5}", at):
            raise ConfigError(f"dns.resolvers = {at!r}: allowed is a list of ip[:port]")
    return config
