"""Mail comes in from a real Postfix over TLS, SPF and DKIM in a real DNS, and goes through receipt rules: into a
bucket, encrypted, to a topic, to a function, into a real Dovecot; what nobody wants goes back as a bounce."""

import base64
import json
import re
import smtplib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.support.answers import Answer, Asked, HttpAnswers
from tests.support.dovecot import Dovecot
from tests.support.postfix import Postfix
from tests.support.processes import free_port
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.unbound import Unbound

from posthouse.adapters.local_data_keys import LocalDataKeys
from posthouse.assembly.context import key_for
from posthouse.config import load

DOMAIN, PARTNER = "in.shop.example", "example.net"
HELP, NOBODY = f"help@{DOMAIN}", f"nobody@{DOMAIN}"
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
TOPIC, FUNCTION, KEY = ARN.format("sns", "mail-in"), ARN.format("lambda", "function:triage"), "alias/aws/ses"
RELAYING = """
smtp_tls_security_level = encrypt
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
"""
RULES: list[dict[str, Any]] = [
    {
        "Name": "desk",
        "Enabled": True,
        "ScanEnabled": True,
        "TlsPolicy": "Require",
        "Recipients": [HELP],
        "Actions": [
            {"AddHeaderAction": {"HeaderName": "X-Desk", "HeaderValue": "1"}},
            {"S3Action": {"BucketName": "desk", "KmsKeyArn": ARN.format("kms", KEY), "TopicArn": TOPIC}},
            {"SNSAction": {"TopicArn": TOPIC, "Encoding": "Base64"}},
            {"LambdaAction": {"FunctionArn": FUNCTION, "InvocationType": "RequestResponse"}},
            {"WorkmailAction": {"OrganizationArn": ARN.format("workmail", "organization/m-" + "0" * 32)}},
        ],
    },
    {
        "Name": "nobody",
        "Enabled": True,
        "Recipients": [NOBODY],
        "Actions": [
            {
                "BounceAction": {
                    "SmtpReplyCode": "550",
                    "StatusCode": "5.1.1",
                    "Message": "Mailbox does not exist",
                    "Sender": f"postmaster@{DOMAIN}",
                }
            },
            {"StopAction": {"Scope": "RuleSet"}},
        ],
    },
    {"Name": "rest", "Enabled": True, "Actions": [{"S3Action": {"BucketName": "rest", "ObjectKeyPrefix": "all"}}]},
]


@dataclass
class Triage:
    """The function: answers each mail with what it is told for its subject."""

    disposition: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Answer:
        event = json.loads(asked.body)
        self.events.append(event)
        subject = event["Records"][0]["ses"]["mail"]["commonHeaders"]["subject"]
        told = self.disposition.get(subject, "CONTINUE")
        return Answer(200, json.dumps({"disposition": told}).encode(), {"Content-Type": "application/json"})


@dataclass
class World:
    server: Server
    postfix: Postfix
    dovecot: Dovecot
    unbound: Unbound
    triage: Triage
    key: rsa.RSAPrivateKey

    def mail(self, to: str, subject: str) -> bytes:
        """Signed by the partner's domain."""
        content = f"From: Amy <amy@{PARTNER}>\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nWhere is it?\r\n".encode()
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signature: bytes = dkim.sign(content, b"s1", PARTNER.encode(), private, include_headers=[b"from", b"subject"])
        return signature + content

    def send(self, to: str, subject: str) -> None:
        """By the partner's Postfix."""
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=20) as client:
            client.sendmail(f"amy@{PARTNER}", [to], self.mail(to, subject))

    def came_in(self, subject: str) -> dict[str, Any]:
        """The mail as the admin API shows it, once all is done about it."""

        def found() -> dict[str, Any] | None:
            listed = self.server.admin(f"/messages?direction=in&subject={subject}")["messages"]
            if not listed:
                return None
            shown: dict[str, Any] = self.server.admin(f"/messages/{listed[0]['message_id']}")
            done = any(each["detail"].get("end") for each in shown["events"] if each["type"] == "Received")
            return shown if done else None

        return self.wait(found)

    def wait(self, what: Callable[[], Any]) -> Any:
        ends = time.monotonic() + 30
        while not (found := what()):
            assert time.monotonic() < ends, f"{self.server.log[-2000:]}\n{self.postfix.log[-2000:]}"
            time.sleep(0.05)
        return found

    def bucket(self, name: str) -> dict[str, bytes]:
        home = self.server.data_dir / "s3" / name
        files = [path for path in home.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {str(path.relative_to(home)): path.read_bytes() for path in files if "SETUP" not in path.name}

    def notifications(self) -> list[dict[str, Any]]:
        """Oldest first, without the setup's."""
        kept = self.server.admin(f"/topics/{TOPIC}/notifications")["notifications"]
        told = [json.loads(each["message"]) for each in reversed(kept)]
        return [each for each in told if "SETUP" not in each["mail"]["messageId"]]

    def actions(self, shown: dict[str, Any]) -> list[tuple[str, str, str]]:
        details = [each["detail"] for each in shown["events"] if each["type"] == "Received"]
        return [(each["rule"], each["action"], each["result"]) for each in details if "action" in each]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    key, triage, postfix_port = rsa.generate_private_key(65537, 2048), Triage(), free_port()
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b64encode(public).decode()
    records = [
        f'{PARTNER}. TXT "v=spf1 ip4:127.0.0.1 -all"',
        f'_dmarc.{PARTNER}. TXT "v=DMARC1; p=reject"',
        f's1._domainkey.{PARTNER}. TXT "v=DKIM1; k=rsa; p={text[:200]}" "{text[200:]}"',
        'forged.example. TXT "v=spf1 -all"',
        '_dmarc.forged.example. TXT "v=DMARC1; p=quarantine"',
    ]
    with Unbound(records=records) as unbound, Dovecot(HELP) as dovecot, HttpAnswers(triage.answer) as function:
        settings = {
            "dns.resolvers": unbound.address,
            "delivery.mode": "direct",
            "delivery.routes": {"*": f"127.0.0.1:{postfix_port}"},
            "lambda.functions": {"triage": function.url},
            "workmail.backend": f"lmtp://127.0.0.1:{dovecot.port}",
        }
        server = Server(settings)
        to_us = f"transport_maps = inline:{{{{{DOMAIN} = smtp:[127.0.0.1]:{server.inbound}}}}}"
        with Postfix(port=postfix_port, more=f"{to_us}\n{RELAYING}") as postfix, server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain=DOMAIN)
            ses.create_receipt_rule_set(RuleSetName="main")
            after: dict[str, str] = {}
            for rule in RULES:
                ses.create_receipt_rule(RuleSetName="main", Rule=rule, **after)
                after = {"After": rule["Name"]}
            ses.set_active_receipt_rule_set(RuleSetName="main")
            yield World(server, postfix, dovecot, unbound, triage, key)


def test_mail_from_a_partner_goes_through_all_actions(world: World) -> None:
    world.send(HELP, "order-1")
    shown = world.came_in("order-1")
    message_id = shown["message_id"]
    assert world.actions(shown) == [
        ("desk", "AddHeader", "done"),
        ("desk", "S3", "done"),
        ("desk", "S3", "done"),  # its topic
        ("desk", "SNS", "done"),
        ("desk", "Lambda", "done"),
        ("desk", "WorkMail", "done"),
        ("rest", "S3", "done"),
    ]
    stored, published = world.notifications()
    assert (stored["receipt"]["action"]["type"], published["receipt"]["action"]["type"]) == ("S3", "SNS")
    for notification in (stored, published):
        receipt = notification["receipt"]
        for verdict in ("spfVerdict", "dkimVerdict", "dmarcVerdict"):
            assert receipt[verdict] == {"status": "PASS"}, (verdict, shown["events"][0])
        assert receipt["spamVerdict"] == receipt["virusVerdict"] == {"status": "GRAY"}
        assert receipt["recipients"] == notification["mail"]["destination"] == [HELP]
        assert notification["mail"]["source"] == f"amy@{PARTNER}"
    mail = base64.b64decode(published["content"])
    assert b"\r\nAuthentication-Results: posthouse.test;" in mail
    assert b" dkim=pass header.i=@example.net" in mail
    assert re.search(rb"^Received: from mx\.example\.net .*\r\n.* with ESMTPS", mail, re.M)
    assert decrypted(world, message_id) == mail
    [event] = world.triage.events
    assert event["Records"][0]["ses"]["mail"]["messageId"] == message_id
    [delivered] = world.dovecot.wait_for_mail(HELP)
    assert delivered.endswith(mail.partition(b"\r\n")[2].replace(b"\r\n", b"\n"))
    rest = world.bucket("rest")[f"all/{message_id}"]
    # The header that the first rule added is still there; the verdicts of scans are not, for this rule asked for none.
    assert b"X-Desk: 1" in rest
    assert b"X-SES-Spam-Verdict" not in rest


def decrypted(world: World, message_id: str) -> bytes:
    """By hand, with the key of this installation."""
    metadata = json.loads((world.server.data_dir / "s3" / "desk" / f".{message_id}.metadata").read_bytes())
    config = load(None, {}, {"data_dir": str(world.server.data_dir)})
    keys = LocalDataKeys(lambda: key_for(config, b"data keys"), lambda n: b"")
    context = json.loads(metadata["x-amz-matdesc"])
    opened = keys.unseal("123456789012", ARN.format("kms", KEY), base64.b64decode(metadata["x-amz-key-v2"]), context)
    assert opened is not None
    nonce = base64.b64decode(metadata["x-amz-iv"])
    return AESGCM(opened).decrypt(nonce, world.bucket("desk")[message_id], None)


def test_a_function_stops_what_it_does_not_want(world: World) -> None:
    world.triage.disposition["spam-1"] = "STOP_RULE_SET"
    world.send(HELP, "spam-1")
    shown = world.came_in("spam-1")
    assert [action for _, action, _ in world.actions(shown)] == ["AddHeader", "S3", "S3", "SNS", "Lambda"]
    assert f"all/{shown['message_id']}" not in world.bucket("rest")


def test_mail_for_nobody_goes_back_to_its_sender(world: World) -> None:
    world.send(NOBODY, "lost-1")
    shown = world.came_in("lost-1")
    assert [action for _, action, _ in world.actions(shown)] == ["Bounce", "Stop"]
    bounce = world.wait(lambda: next((each for each in world.postfix.mails() if b"Delivered-To: amy@" in each), None))
    assert bounce.startswith(b"Return-Path: <>\n")
    assert f"\nFrom: postmaster@{DOMAIN}\n".encode() in bounce
    assert f"Final-Recipient: rfc822; {NOBODY}".encode() in bounce
    assert b"Diagnostic-Code: smtp; 550 5.1.1 Mailbox does not exist" in bounce
    assert world.bucket("rest").keys().isdisjoint({f"all/{shown['message_id']}"})


def test_the_door_knows_rules_and_forged_mail_is_told_as_such(world: World) -> None:
    with smtplib.SMTP("127.0.0.1", world.server.inbound, timeout=20) as client:
        client.ehlo("evil.example")
        client.mail("boss@forged.example")
        assert client.rcpt(HELP)[0] == 530
        assert client.rcpt(f"sales@{DOMAIN}")[0] == 250
        client.data(b"From: boss@forged.example\r\nSubject: pay-1\r\n\r\nPay.\r\n")
    shown = world.came_in("pay-1")
    [kept] = [content for key, content in world.bucket("rest").items() if shown["message_id"] in key]
    assert b"Received-SPF: fail" in kept
    assert b"dmarc=fail header.from=forged.example" in kept
    verdicts = shown["events"][0]["detail"]["verdicts"]
    assert (verdicts["spf"], verdicts["dkim"], verdicts["dmarc"], verdicts["dmarc_policy"]) == (
        "FAIL", "GRAY", "FAIL", "quarantine"
    )  # fmt: skip
    assert [each["outcome"] for each in shown["events"][0]["detail"]["rules"]] == [
        "matches no recipient", "matches no recipient", "applies"
    ]  # fmt: skip


def test_what_the_console_shows(world: World) -> None:
    world.send(HELP, "seen-1")
    shown = world.came_in("seen-1")
    page = world.server.get(f"/console/messages/{shown['message_id']}", {"Accept": "text/html"})[1].decode()
    assert "Rule set main: desk applies; nobody matches no recipient; rest applies." in page
    assert "Written to s3://desk/" in page
