"""Domains proven and lost by DNS while a real server runs, and the mail that leaves meanwhile."""

import asyncio
import re
import smtplib
import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
from tests.integration.dns_server import DnsServer
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.sink import Sink

FEEDBACK = "10 feedback-smtp.us-east-1.posthouse.test."
MAIL = b"From: ann@example.com\r\nTo: bob@example.net\r\nSubject: id=raw\r\n\r\nhello\r\n"


def wait_until(true: Callable[[], bool], timeout_s: float, what: str) -> None:
    ends = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < ends, f"not after {timeout_s} s: {what}"
        time.sleep(0.1)


class Domain:
    """What the API says of example.com."""

    def __init__(self, ses: Any) -> None:
        self._ses = ses

    def statuses(self) -> tuple[str, str, str]:
        asked = {"Identities": ["example.com"]}
        verification = self._ses.get_identity_verification_attributes(**asked)["VerificationAttributes"]
        dkim = self._ses.get_identity_dkim_attributes(**asked)["DkimAttributes"]
        mail_from = self._ses.get_identity_mail_from_domain_attributes(**asked)["MailFromDomainAttributes"]
        return (
            verification["example.com"]["VerificationStatus"],
            dkim["example.com"]["DkimVerificationStatus"],
            mail_from["example.com"]["MailFromDomainStatus"],
        )

    def send(self, subject: str) -> str:
        sent = self._ses.send_email(
            Source="Ann <ann@example.com>",
            Destination={"ToAddresses": ["bob@example.net"]},
            Message={"Subject": {"Data": subject}, "Body": {"Text": {"Data": "hello"}}},
        )
        return str(sent["MessageId"])


async def test_records_come_and_go_while_the_server_runs() -> None:
    async with DnsServer(negative_ttl_s=0) as dns:
        await asyncio.to_thread(_story, dns)


def _story(dns: DnsServer) -> None:
    with Sink() as sink:
        settings = {
            "identities.auto_verify": False,
            "identities.recheck_seconds": 1,
            "dns.resolvers": dns.address,
            "delivery.mode": "direct",
            "delivery.routes": {"*": sink.address},
        }
        with Server(settings) as server:
            ses = ses_client(server.url)
            domain = Domain(ses)
            token = ses.verify_domain_identity(Domain="example.com")["VerificationToken"]
            tokens = ses.verify_domain_dkim(Domain="example.com")["DkimTokens"]
            ses.set_identity_mail_from_domain(
                Identity="example.com", MailFromDomain="m.example.com", BehaviorOnMXFailure="RejectMessage"
            )
            with pytest.raises(botocore.exceptions.ClientError, match="is not verified"):
                domain.send("id=early")
            _publish_proofs(dns, token, tokens)
            wait_until(lambda: domain.statuses() == ("Success", "Success", "Pending"), 10, "verified")
            _is_refused(server, domain)
            dns.add("m.example.com", "MX", FEEDBACK)
            wait_until(lambda: domain.statuses()[2] == "Success", 10, "MAIL FROM seen")
            _leaves_under(sink, domain.send("id=one"), 1, "m.example.com")
            dns.records.clear()
            # Verified records are looked at every ten seconds here.
            wait_until(lambda: domain.statuses() == ("TemporaryFailure",) * 3, 25, "missed")
            _is_refused(server, domain)
            ses.set_identity_mail_from_domain(Identity="example.com", MailFromDomain="m.example.com")
            _leaves_under(sink, domain.send("id=two"), 2, "us-east-1.posthouse.test")
            assert "MAIL FROM of example.com (account 123456789012, us-east-1): TemporaryFailure" in server.log


async def test_the_owner_is_mailed_that_a_domain_is_verified() -> None:
    async with DnsServer(negative_ttl_s=0) as dns:
        await asyncio.to_thread(_owners_story, dns)


def _owners_story(dns: DnsServer) -> None:
    owner = "ops@house.example"
    settings = {
        "identities.auto_verify": False,
        "identities.recheck_seconds": 1,
        "dns.resolvers": dns.address,
        "accounts.owner_email": owner,
        "processes.engines": 2,
    }
    with Server(settings) as server:
        token = ses_client(server.url).verify_domain_identity(Domain="example.com")["VerificationToken"]
        dns.add("_amazonses.example.com", "TXT", f'"{token}"')

        def mails() -> list[Any]:
            found: list[Any] = server.admin(f"/messages?recipient={owner}")["messages"]
            return found

        wait_until(lambda: bool(mails()), 10, "mailed")
        assert server.wait_queue_empty(10)
        [told] = mails()
        assert told["subject"] == "Domain Verification SUCCESS for example.com in region us-east-1"
        assert told["source"] == "Posthouse <no-reply@posthouse.test>"
        assert ses_client(server.url).get_send_statistics()["SendDataPoints"] == []


def _publish_proofs(dns: DnsServer, token: str, tokens: list[str]) -> None:
    dns.add("_amazonses.example.com", "TXT", '"an older one"', f'"{token}"')
    for each in tokens:
        dns.add(f"{each}._domainkey.example.com", "CNAME", f"{each}.dkim.posthouse.test.")


def _is_refused(server: Server, domain: Domain) -> None:
    """By the API with SES's code and text, by SMTP with the text after 554."""
    text = "MAIL FROM domain not verified: DNS setup for MAIL FROM domain is invalid."
    with pytest.raises(botocore.exceptions.ClientError) as error:
        domain.send("id=refused")
    told = error.value.response
    assert (told["Error"]["Code"], told["Error"]["Message"]) == ("MailFromDomainNotVerifiedException", text)
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    with smtplib.SMTP("127.0.0.1", server.submission) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("ann@example.com", ["bob@example.net"], MAIL)
    assert (refused.value.smtp_code, refused.value.smtp_error) == (554, text.encode())


def _leaves_under(sink: Sink, message_id: str, arrivals: int, domain: str) -> None:
    mail_from = sink.wait_for(arrivals)[-1].mail_from
    assert re.fullmatch(rf"{message_id[:-6]}[a-z2-7]{{10}}@{re.escape(domain)}", mail_from), mail_from
