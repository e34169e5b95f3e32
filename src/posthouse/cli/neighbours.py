"""Checks of `posthouse doctor` beyond this machine: DNS, our names in it, the way out, scanners."""

import http.client
import ipaddress
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import dns.exception
import dns.nameserver
import dns.resolver
import dns.reversename

from posthouse.cli.findings import Finding, fail, ok, warn
from posthouse.config import Config
from posthouse.ports.records import SigningKey

LOOKUP_S = 4.0
CONNECT_S = 5.0
_AT = re.compile(r"\[?([0-9A-Fa-f:.]+?)\]?(?::([0-9]{1,5}))?")
_LOST = dns.exception.DNSException


def resolver_of(config: Config, at: str = "") -> dns.resolver.Resolver:
    """The configured resolvers, or the one named. Raises DNSException where the system has none."""
    asked = [at] if at else list(config.dns.resolvers)
    found = dns.resolver.Resolver(configure=not asked)
    if asked:
        found.nameservers = [_nameserver(each) for each in asked]
    found.lifetime = LOOKUP_S
    return found


def _nameserver(at: str) -> dns.nameserver.Nameserver:
    plain = re.fullmatch(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*", at)  # an IPv6 address has no port without []
    match = None if plain else _AT.fullmatch(at)
    return dns.nameserver.Do53Nameserver(match[1] if match else at, int(match[2] or 53) if match else 53)


def resolvers(config: Config) -> list[Finding]:
    try:
        places = list(config.dns.resolvers) or [str(each) for each in dns.resolver.Resolver().nameservers]
    except _LOST as error:
        places, reason = [], str(error)
    else:
        reason = "none configured"
    if not places:
        return [_dns_trouble(config, f"the system names no resolver: {reason}")]
    return [_resolver(config, at) for at in places]


def _resolver(config: Config, at: str) -> Finding:
    try:
        resolver_of(config, at).resolve(".", "NS")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return _dns_trouble(config, f"{at} answers, and does not know the root of DNS")
    except _LOST as error:
        return _dns_trouble(config, f"{at} does not answer: {_brief(error)}")
    return ok("resolver", f"{at} answers")


def _dns_trouble(config: Config, text: str) -> Finding:
    advice = "set dns.resolvers, or run a resolver on this machine"
    # Without MX lookups nothing leaves; where mail is captured or relayed, most goes on without.
    return (fail if config.delivery.mode == "direct" else warn)("resolver", text, advice)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


# -- our names


def service_domain(config: Config, region: str, keys: Callable[[], Sequence[SigningKey]]) -> list[Finding]:
    """MX and SPF of the default MAIL FROM, and the service domain's own DKIM keys."""
    name, domain = "service domain", config.identities.service_domain
    if config.delivery.mode == "capture":
        return [ok(name, f"{domain} is not looked up: mail is captured")]
    mail_from = f"{region}.{domain}"
    found = [_published(config, mail_from, "MX", f"MX 10 {config.smtp.hostname}.", lambda texts: bool(texts))]
    found.append(_published(config, mail_from, "TXT", "TXT v=spf1 and the addresses mail leaves from", _has_spf))
    return found + [_published_key(config, f"{key.token}._domainkey.{domain}", key) for key in keys()]


def _published_key(config: Config, name: str, key: SigningKey) -> Finding:
    wanted = _squeezed(key.public_record)
    return _published(config, name, "TXT", f"TXT {key.public_record}", lambda texts: wanted in texts)


def _has_spf(texts: Sequence[str]) -> bool:
    return any(text.startswith("v=spf1") for text in texts)


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def _published(config: Config, name: str, kind: str, wanted: str, suits: Callable[[Sequence[str]], bool]) -> Finding:
    try:
        answer = resolver_of(config).resolve(name, kind)
        texts = [_squeezed(_joined(each)) for each in answer]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        texts = []
    except _LOST as error:
        return warn("service domain", f"{name} {kind} cannot be looked up: {_brief(error)}", "look again later")
    if suits(texts):
        return ok("service domain", f"{name} has its {kind} record")
    return fail("service domain", f"{name} has no right {kind} record", f"publish {wanted}")


def _joined(record: object) -> str:
    """The strings of a TXT record belong together (RFC 7208 section 3.3)."""
    strings = getattr(record, "strings", None)
    return b"".join(strings).decode("latin-1") if strings is not None else str(record)


# -- the way out


def source_addresses(config: Config) -> list[Finding]:
    """Receivers refuse mail from an address without a name that leads back to it."""
    if config.delivery.mode != "direct":
        return [ok("source address", f"not looked at: delivery.mode is {config.delivery.mode}")]
    addresses = config.delivery.source_ips or tuple(_own_addresses())
    if not addresses:
        return [fail("source address", "no route to the internet", "connect this machine")]
    return [_source_address(config, address) for address in addresses]


def _own_addresses() -> Iterator[str]:
    # Connecting UDP sends nothing; it only chooses a route, here to documentation addresses (RFC 5737, RFC 3849).
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 25))
                yield str(probe.getsockname()[0])
        except OSError:
            continue


def _source_address(config: Config, address: str) -> Finding:
    name = "source address"
    try:
        ip = ipaddress.ip_address(address)
        with socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET) as trial:
            trial.bind((address, 0))
    except (ValueError, OSError):
        return fail(name, f"{address} is no address of this machine", "correct delivery.source_ips")
    if is_private(ip):
        advice = "see to the PTR record of the public address it leaves from"
        return warn(name, f"{address} is private: the world sees another one", advice)
    try:
        host = str(resolver_of(config).resolve(dns.reversename.from_address(address), "PTR")[0]).rstrip(".")
        back = [str(each) for each in resolver_of(config).resolve(host, "AAAA" if ip.version == 6 else "A")]
    except _LOST as error:
        advice = f"have its owner set it to {config.smtp.hostname}, and that name's address record to it"
        return fail(name, f"{address} has no PTR record that leads back: {_brief(error)}", advice)
    if ip not in {ipaddress.ip_address(each) for each in back}:
        return fail(name, f"{address} is named {host}, which leads elsewhere", f"set an address record for {host}")
    return ok(name, f"{address} is {host}, and back")


def is_private(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Somebody on the way gives it another one."""
    return ip.is_private


def way_out(config: Config, port_25_host: str) -> list[Finding]:
    delivery = config.delivery
    if delivery.mode == "relay":
        relay = urlsplit(delivery.relay or "")
        port = relay.port or {"smtps": 465, "lmtp": 24}.get(relay.scheme, 25)
        return [_reaches("relay", relay.hostname or "", port, "see to delivery.relay")]
    if delivery.mode != "direct":
        return [ok("port 25", "not tried: mail is captured")]
    advice = "many providers block it: ask them to open it, or set delivery.mode = relay"
    return [_reaches("port 25", port_25_host, 25, advice)]


def _reaches(name: str, host: str, port: int, advice: str) -> Finding:
    try:
        with socket.create_connection((host, port), CONNECT_S):
            return ok(name, f"{host}:{port} can be reached")
    except OSError as error:
        return fail(name, f"{host}:{port} cannot be reached: {error.strerror or error}", advice)


# -- scanners


def scanners(config: Config) -> list[Finding]:
    scan = config.scan
    if not scan.rspamd_url and not scan.clamd:
        return [ok("scanner", "none configured: verdicts are GRAY")]
    found = [_rspamd(scan.rspamd_url)] if scan.rspamd_url else []
    return [*found, *([_clamd(scan.clamd)] if scan.clamd else [])]


def _rspamd(url: str) -> Finding:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/ping")
        answer = connection.getresponse().read(64)
    except (OSError, http.client.HTTPException) as error:
        return fail("rspamd", f"{url} does not answer: {error}", "start it, or see to scan.rspamd_url")
    finally:
        connection.close()
    if answer.strip() == b"pong":
        return ok("rspamd", f"{url} answers")
    return fail("rspamd", f"{url} is something else", "see to scan.rspamd_url")


def _clamd(at: str) -> Finding:
    try:
        with _connect_clamd(at) as peer:
            peer.sendall(b"zPING\0")
            answer = peer.recv(64)
    except (OSError, ValueError) as error:
        return fail("clamd", f"{at} does not answer: {error}", "start it, or see to scan.clamd")
    if answer.startswith(b"PONG"):
        return ok("clamd", f"{at} answers")
    return fail("clamd", f"{at} is something else", "see to scan.clamd")


def _connect_clamd(at: str) -> socket.socket:
    """``host:port``, or the path of a socket."""
    if "/" not in at:
        host, _, port = at.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), CONNECT_S)
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(CONNECT_S)
    try:
        peer.connect(at)
    except OSError:
        peer.close()
        raise
    return peer
