"""Checks of `posthouse doctor` on the built-in DNS server: does it answer, and does the world know to ask it."""

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from posthouse.cli.clients import reachable
from posthouse.cli.findings import Finding, fail, ok, warn
from posthouse.cli.published import look_up
from posthouse.cli.zone import zone_line
from posthouse.config import Config, Listen
from posthouse.dns.settings import service_domain
from posthouse.domain.dns_records import Presence, delegation_records

NAME = "dns server"
ANSWER_S = 2.0


def own_zone(config: Config) -> list[Finding]:
    if not config.dns.listen:
        return []
    found = [_answering(config, at) for at in config.dns.listen]
    if config.delivery.mode == "capture":
        return [*found, ok(NAME, "its delegation is not looked up: mail is captured")]
    return found + _delegation(config)


def _answering(config: Config, at: Listen) -> Finding:
    query = dns.message.make_query(f"{config.identities.service_domain}.", dns.rdatatype.SOA)
    host, port = reachable(at)
    try:
        for ask in (dns.query.udp, dns.query.tcp):
            if not ask(query, host, timeout=ANSWER_S, port=port).answer:
                return fail(NAME, f"{at} does not know {config.identities.service_domain}", "see who answers there")
    except (dns.exception.DNSException, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return warn(NAME, f"{at} does not answer: {reason}", "start the server, with the role dns")
    return ok(NAME, f"{at} answers for {config.identities.service_domain}, UDP and TCP")


def _delegation(config: Config) -> list[Finding]:
    records = delegation_records(service_domain(config))
    findings = []
    for record, state in zip(records, look_up(config, records), strict=True):
        text = f"{record.name} {record.type} {record.value} is {state.value}"
        match state:
            case Presence.FOUND:
                findings.append(ok(NAME, text))
            case Presence.UNKNOWN:
                findings.append(warn(NAME, f"{record.name} {record.type} cannot be looked up", "look again later"))
            case _:
                findings.append(fail(NAME, text, f"have it published in the zone above: {zone_line(record)}"))
    return findings
