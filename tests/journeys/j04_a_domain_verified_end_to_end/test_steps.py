"""A domain is verified end to end on loopback, as an operator would do it.

Our DNS server answers for the service domain, a real unbound delegates to it, the records of `posthouse identity dns`
are copied into the customer's zone: every status turns to Success without a restart. A mail from that domain then
arrives at a real Postfix, OpenDKIM finds its signature good, and rspamd judges SPF, DKIM and DMARC: aligned and passed.
"""

import json
import re
import smtplib
import time
from pathlib import Path
from typing import Any

from tests.support.opendkim import OpenDkim
from tests.support.postfix import Postfix
from tests.support.processes import free_port
from tests.support.rspamd import Rspamd
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.unbound import Unbound

DOMAIN, MAIL_FROM = "example.com", "bounce.example.com"


def statuses(ses: Any) -> tuple[str, str, str]:
    verification = ses.get_identity_verification_attributes(Identities=[DOMAIN])["VerificationAttributes"][DOMAIN]
    dkim = ses.get_identity_dkim_attributes(Identities=[DOMAIN])["DkimAttributes"][DOMAIN]
    mail_from = ses.get_identity_mail_from_domain_attributes(Identities=[DOMAIN])["MailFromDomainAttributes"][DOMAIN]
    return verification["VerificationStatus"], dkim["DkimVerificationStatus"], mail_from["MailFromDomainStatus"]


def customers_records(server: Server) -> list[str]:
    """What `posthouse identity dns` says to publish in the customer's own zone, as zone lines."""
    listed = server.cli("identity", "dns", DOMAIN, "--zone")
    assert listed.returncode == 0, listed.stderr
    lines = [re.sub(r"^(\S+)\s+\d+\s+IN\s+", r"\1 ", line) for line in listed.stdout.splitlines()]
    return [line for line in lines if line.split(" ")[0].endswith(f"{DOMAIN}.")]


def published_keys(server: Server) -> dict[str, str]:
    found: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for domain in (DOMAIN, "posthouse.test"):
        for record in json.loads(server.cli("identity", "dns", domain, "--json").stdout):
            if record["type"] in ("TXT", "CNAME"):
                (found if record["type"] == "TXT" else aliases)[record["name"]] = record["value"]
    return found | {name: found[target] for name, target in aliases.items() if target in found}


def test_a_domain_is_verified_and_its_mail_passes_dmarc(tmp_path: Path) -> None:
    dns_port = free_port()
    with Unbound(stubs={"posthouse.test": dns_port}) as unbound, Postfix() as postfix:
        settings = {
            "identities.auto_verify": False,
            "identities.recheck_seconds": 1,
            "dns.listen": f"127.0.0.1:{dns_port}",
            "dns.addresses": "127.0.0.1",
            "dns.resolvers": unbound.address,
            "delivery.mode": "direct",
            "delivery.routes": {"*": f"127.0.0.1:{postfix.port}"},
        }
        with Server(settings) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain=DOMAIN)
            ses.verify_domain_dkim(Domain=DOMAIN)
            ses.set_identity_mail_from_domain(Identity=DOMAIN, MailFromDomain=MAIL_FROM)
            assert statuses(ses) == ("Pending", "Pending", "Pending")
            unbound.publish([*customers_records(server), f'_dmarc.{DOMAIN}. TXT "v=DMARC1; p=reject; aspf=r; adkim=s"'])
            deadline = time.monotonic() + 40
            while statuses(ses) != ("Success", "Success", "Success"):
                assert time.monotonic() < deadline, statuses(ses)
                time.sleep(0.2)
            ses.send_email(
                Source=f"anne@{DOMAIN}",
                Destination={"ToAddresses": ["bob@example.net"]},
                Message={"Subject": {"Data": "proven"}, "Body": {"Text": {"Data": "hello"}}},
            )
            raw = postfix.wait_for_mail()[0]
            keys = published_keys(server)
            return_path = re.search(rb"^Return-Path: <(.*)>", raw)
            assert return_path
            mail_from = return_path[1].decode()
            assert mail_from.endswith(f"@{MAIL_FROM}")
            leaving = raw[raw.index(b"DKIM-Signature") :]
            with Rspamd(unbound.address) as rspamd:
                symbols = rspamd.judge(
                    leaving.replace(b"\n", b"\r\n"),
                    client_ip="127.0.0.1",
                    mail_from=mail_from,
                    helo="mx.posthouse.test",
                )
    assert "R_SPF_ALLOW" in symbols, symbols
    assert any(option.startswith(f"{DOMAIN}:") for option in symbols["R_DKIM_ALLOW"]), symbols
    assert "DMARC_POLICY_ALLOW" in symbols, symbols
    with OpenDkim(tmp_path / "opendkim", keys) as opendkim, Postfix(milter_port=opendkim.port) as verifying:
        with smtplib.SMTP("127.0.0.1", verifying.port) as client:
            client.sendmail(mail_from, ["bob@example.net"], leaving)
        results = re.findall(rb"^Authentication-Results:(?:.*\n(?:[ \t].*\n)*)", verifying.wait_for_mail()[0], re.M)
    assert any(b"dkim=pass" in result and b"header.d=example.com" in result for result in results), results
