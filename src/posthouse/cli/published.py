"""How records that ought to be published stand in DNS, as the configured resolvers see it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.exception
import dns.resolver

from posthouse.cli.neighbours import resolver_of
from posthouse.config import Config
from posthouse.domain.dns_records import DnsRecord, Presence, presence

LOOKUP_S = 2.5
"""A person is waiting; a resolver that takes longer has not answered."""
AT_ONCE = 32


def look_up(config: Config, records: Sequence[DnsRecord]) -> list[Presence]:
    """In the order of the records; all at once, so that a dead resolver costs its patience a few times at most."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda record: look_for(config, record), records))


def look_for(config: Config, record: DnsRecord) -> Presence:
    try:
        resolver = resolver_of(config)
        resolver.lifetime = LOOKUP_S
        found = [_value(each) for each in resolver.resolve(f"{record.name}.", record.type, search=False)]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        found = []
    except dns.exception.DNSException:
        return Presence.UNKNOWN
    return presence(record, found)


def _value(record: Any) -> str:
    """As `DnsRecord.value` writes it; the strings of a text belong together (RFC 7208 section 3.3)."""
    strings = getattr(record, "strings", None)
    return b"".join(strings).decode("latin-1") if strings is not None else str(record).removesuffix(".")
