"""Which DNS records there are: those an identity's owner publishes, and those of the service domain.

Source: SES developer guide, "Verifying a domain", "Easy DKIM", "Using a custom MAIL FROM domain"; RFC 7208 for SPF. One
place for all who need them: the built-in DNS server, the command line, the console and the checks.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from posthouse.domain.dns_proof import dkim_name, dkim_target, feedback_host, spf_advice, txt_proofs
from posthouse.domain.identities import Identity

TTL_S = 1800
"""What SES suggests for the records of an identity; short enough that a server can move within the hour."""
MAIL_EXCHANGER_PREFERENCE = 10


class DnsRecord(NamedTuple):
    """A record as people speak of it."""

    purpose: str
    type: str
    """A, AAAA, CNAME, MX, NS or TXT."""
    name: str
    """Lower case, without a final dot."""
    value: str
    """Names without a final dot, an MX as ``10 name``, a text whole and unquoted."""


# -- what an identity's owner publishes


def identity_records(identity: Identity, region: str, service_domain: str) -> list[DnsRecord]:
    """What proves a domain, publishes its keys and sets up its MAIL FROM (ses-reference §6.4, §7, §8).

    An address has nothing to prove in DNS; a MAIL FROM domain of its own it may have.
    """
    records = []
    if identity.is_domain and identity.token:
        name, value = txt_proofs(identity)[0]
        records.append(DnsRecord("verification", "TXT", name, value))
    if identity.is_domain:
        records += [
            DnsRecord("DKIM", "CNAME", dkim_name(token, identity.name), dkim_target(token, service_domain))
            for token in identity.dkim.tokens
        ]
    if mail_from := identity.mail_from.domain:
        exchanger = f"{MAIL_EXCHANGER_PREFERENCE} {feedback_host(region, service_domain)}"
        records.append(DnsRecord("MAIL FROM", "MX", mail_from, exchanger))
        records.append(DnsRecord("SPF", "TXT", mail_from, spf_advice(service_domain)))
    return records


# -- the service domain itself


@dataclass(frozen=True, slots=True)
class ServiceDomain:
    """The operator's own domain, where SES has amazonses.com, and how the world finds this installation."""

    name: str
    nameservers: tuple[str, ...]
    addresses: tuple[str, ...]
    """IP addresses at which this installation is found, and from which its mail leaves."""
    senders: tuple[str, ...] = ()
    """Further terms of the SPF record: IP addresses, or names whose addresses count."""
    all_senders: bool = True
    """False where mail leaves through servers that nobody listed (a relay): SPF then says so."""
    hosts: tuple[str, ...] = ()
    """Names under which the installation speaks of itself; those outside the domain are somebody else's to publish."""

    def holds(self, name: str) -> bool:
        return name == self.name or name.endswith(f".{self.name}")


def delegation_records(service: ServiceDomain) -> list[DnsRecord]:
    """What the zone above publishes, so that the built-in server is asked: NS, and glue for names inside."""
    return [*_nameserver_records(service, "delegation"), *_nameserver_addresses(service, "glue")]


def service_records(service: ServiceDomain, regions: Iterable[str]) -> list[DnsRecord]:
    """Everything of the service domain but the keys."""
    records = [*_nameserver_records(service, "name server"), *_nameserver_addresses(service, "name server")]
    records += [*_hosts(service), DnsRecord("SPF", "TXT", service.name, spf(service))]
    for region in regions:
        records += _region_records(service, region)
    return records


def _nameserver_records(service: ServiceDomain, purpose: str) -> Iterator[DnsRecord]:
    return (DnsRecord(purpose, "NS", service.name, name) for name in service.nameservers)


def _nameserver_addresses(service: ServiceDomain, purpose: str) -> Iterator[DnsRecord]:
    for name in service.nameservers:
        if service.holds(name):
            yield from _address_records(service, purpose, name)


def _hosts(service: ServiceDomain) -> Iterator[DnsRecord]:
    for name in dict.fromkeys(service.hosts):
        if service.holds(name) and name not in service.nameservers:
            yield from _address_records(service, "host", name)


def _region_records(service: ServiceDomain, region: str) -> Iterator[DnsRecord]:
    """The default MAIL FROM of a region, and where mail for it and for receipt rules comes in."""
    mail_from, feedback = f"{region}.{service.name}", feedback_host(region, service.name)
    yield DnsRecord("MAIL FROM", "MX", mail_from, f"{MAIL_EXCHANGER_PREFERENCE} {feedback}")
    yield DnsRecord("SPF", "TXT", mail_from, spf(service))
    yield from _address_records(service, "feedback", feedback)
    yield from _address_records(service, "receiving", f"inbound-smtp.{region}.{service.name}")


def _address_records(service: ServiceDomain, purpose: str, name: str) -> Iterator[DnsRecord]:
    for address in service.addresses:
        yield DnsRecord(purpose, "AAAA" if ":" in address else "A", name, address)


def spf(service: ServiceDomain) -> str:
    """The policy that customers include (RFC 7208 §5): addresses cost their readers no further lookup."""
    terms = [_spf_term(sender) for sender in dict.fromkeys((*service.addresses, *service.senders))]
    return " ".join(["v=spf1", *terms, "-all" if service.all_senders else "~all"])


def _spf_term(sender: str) -> str:
    try:
        return f"ip{ipaddress.ip_address(sender).version}:{sender}"
    except ValueError:
        return f"a:{sender}"


# -- what is there already


class Presence(StrEnum):
    """How a record stands in DNS."""

    FOUND = "found"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """No resolver could tell."""


def presence(wanted: DnsRecord, found: Sequence[str]) -> Presence:
    """`found`: the values of that type at that name, written as `DnsRecord.value` is."""
    if wanted.type == "TXT":
        return _presence_of_text(wanted.value, found)
    values = [value.lower() for value in found]
    # A MAIL FROM domain has exactly one MX (developer guide); of names and addresses there may be more.
    is_there = values == [wanted.value] if wanted.type == "MX" else wanted.value in values
    return _judged(is_there, values)


def _presence_of_text(wanted: str, found: Sequence[str]) -> Presence:
    if not wanted.startswith("v=spf1"):
        texts = ["".join(text.split()) for text in found]  # RFC 6376 §3.2: a key may be folded anywhere
        return _judged("".join(wanted.split()) in texts, texts)
    policies = [text.lower().split() for text in found if text.lower().startswith("v=spf1")]
    # What the owner allows beyond ours is his own affair, and so is the end; two policies are none (RFC 7208 §4.5).
    terms = {term for term in wanted.lower().split() if not term.endswith("all")}
    return _judged(len(policies) == 1 and terms <= set(policies[0]), policies)


def _judged(is_there: bool, found: Sequence[object]) -> Presence:
    if is_there:
        return Presence.FOUND
    return Presence.DIFFERENT if found else Presence.MISSING
