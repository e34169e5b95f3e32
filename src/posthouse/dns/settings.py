"""The service domain as the configuration describes it."""

import ipaddress
from urllib.parse import urlsplit

from posthouse.config import Config
from posthouse.domain.dns_records import ServiceDomain


def service_domain(config: Config) -> ServiceDomain:
    """Who its servers are, and from where mail leaves."""
    relay = config.delivery.mode == "relay"
    return ServiceDomain(
        name=config.identities.service_domain,
        nameservers=config.dns.nameservers,
        addresses=config.dns.addresses,
        senders=(*config.delivery.source_ips, *(_relay_host(config) if relay else ())),
        # What a relay sends from need not be the address that it takes mail at.
        all_senders=not relay,
        hosts=(config.smtp.hostname, (urlsplit(config.http.public_url).hostname or "").lower()),
    )


def _relay_host(config: Config) -> tuple[str, ...]:
    host = urlsplit(config.delivery.relay or "").hostname or ""
    try:
        return () if ipaddress.ip_address(host).is_loopback else (host,)
    except ValueError:
        return (host,) if "." in host else ()
