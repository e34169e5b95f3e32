"""What comes back by mail after delivery: a real Postfix bounces later, a provider complains, a mail program answers;
and what we bounce ourselves is understood by the others."""

import email
import email.policy
import re
import smtplib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from tests.support.postfix import Postfix
from tests.support.processes import free_port
from tests.support.reports import sample
from tests.support.sdk import ses_client
from tests.support.server import Server

from posthouse.mail import dsn

ORIGIN = "us-east-1.posthouse.test"
"""Where return paths are: in DNS the other side would find our MX there; here it is told so."""
INCOMING = (
    b"From: Ann <ann@example.org>\r\nTo: desk@shop.example\r\nSubject: hi\r\nMessage-ID: <1@example.org>\r\n\r\nhi\r\n"
)


@dataclass
class World:
    server: Server
    postfix: Postfix

    def send(self, *to: str, key: str = "posthouse", source: str = "orders@sender.example") -> str:
        ses = ses_client(self.server.url, key=key)
        ses.verify_domain_identity(Domain=source.partition("@")[2])
        answer = ses.send_email(
            Source=f"Shop <{source}>",
            Destination={"ToAddresses": list(to)},
            Message={"Subject": {"Data": "Order 7741"}, "Body": {"Text": {"Data": "shipped"}}},
        )
        return str(answer["MessageId"])

    def message(self, message_id: str) -> Any:
        return self.server.admin(f"/messages/{message_id}")

    def wait(self, what: Callable[[], Any], timeout_s: float = 30) -> Any:
        ends = time.monotonic() + timeout_s
        while not (found := what()):
            assert time.monotonic() < ends, f"nothing came\n{self.postfix.log[-3000:]}"
            time.sleep(0.05)
        return found

    def events(self, message_id: str, type: str) -> list[Any]:
        return [each for each in self.message(message_id)["events"] if each["type"] == type]

    def wait_event(self, message_id: str, type: str, count: int = 1) -> list[Any]:
        return cast(
            list[Any], self.wait(lambda: found if len(found := self.events(message_id, type)) >= count else None)
        )

    def deliver_in(self, sender: str, recipient: str, content: bytes) -> None:
        """As some server of the world."""
        with smtplib.SMTP("127.0.0.1", self.server.inbound, timeout=20) as smtp:
            smtp.sendmail(sender, [recipient], content)

    def mail_to(self, recipient: str) -> bytes:
        """The one mail that Postfix has delivered to a recipient."""
        mark = f"\nDelivered-To: {recipient}\n".encode()
        return cast(bytes, self.wait(lambda: next((mail for mail in self.postfix.mails() if mark in mail), None)))

    def return_path(self, mail: bytes) -> str:
        """What Postfix wrote down of the envelope."""
        found = re.search(rb"^Return-Path: <([^>]*)>", mail, re.MULTILINE)
        assert found is not None
        return found[1].decode()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    port, inbound = free_port(), free_port()
    here, there = f"127.0.0.1:{inbound}", f"127.0.0.1:{port}"
    # Who sends has his own mail here, and the world's reports with it; or at the other side.
    routes = {"example.net": there, "example.org": there, "shop.example": here, "sender.example": here, ORIGIN: here}
    routes["own.example"] = here
    server = Server({"delivery.mode": "direct", "delivery.routes": routes, "smtp.inbound_listen": here})
    server.inbound = inbound
    # Postfix takes mail for late@example.net and learns afterwards, from us, that nobody of that name is there.
    ours = f"smtp:[127.0.0.1]:{inbound}"
    transports = f"{{late@example.net = {ours}}}, {{{ORIGIN} = {ours}}}"
    answers = {"gone@example.net": "550 5.1.1 no such user here"}
    with Postfix(answers, port=port, more=f"transport_maps = inline:{{{transports}}}\n") as postfix, server:
        yield World(server, postfix)


def test_a_real_server_that_bounces_later(world: World) -> None:
    message_id = world.send("late@example.net", "ok@example.net")
    [bounce] = world.wait_event(message_id, "Bounce")
    assert bounce["recipients"] == ["late@example.net"]
    detail = bounce["detail"]
    assert detail["kind"] == {"type": "Permanent", "subtype": "NoEmail"}
    [recipient] = detail["recipients"]
    assert (recipient["action"], recipient["status"]) == ("failed", "5.1.1")
    assert "550 5.1.1 mailbox unavailable" in recipient["diagnostic_code"]
    assert detail["reporting_mta"] == "mx.example.net"
    assert detail["remote_ip"] == "127.0.0.1"
    shown = world.message(message_id)
    assert {each["recipient"]: each["status"] for each in shown["recipients"]} == {
        "late@example.net": "delivered",
        "ok@example.net": "delivered",
    }, "one final state, and a bounce beside it"
    assert "but a bounce came back later" in shown["why"]
    report = world.message(detail["report_message_id"])
    assert (report["direction"], report["operation"], report["source"]) == ("in", "Feedback", "")
    assert "a bounce of late@example.net" in report["why"]


def test_a_complaint_and_an_automatic_reply(world: World) -> None:
    message_id = world.send("dana@example.net")
    path = world.return_path(world.mail_to("dana@example.net"))
    assert path.endswith(f"@{ORIGIN}")
    reply = sample("auto-exchange-oof").replace(b"@mail.example", b"@example.net")
    world.deliver_in("dana@example.net", path, reply)
    [answer] = world.wait_event(message_id, "Bounce")
    assert answer["detail"]["kind"] == {"type": "Transient", "subtype": "General"}
    assert answer["detail"]["recipients"] == [{"recipient": "dana@example.net"}]
    complaint = sample("arf-yahoo").replace(b"@mail.example", b"@example.net")
    for _ in range(2):
        world.deliver_in("feedback@arf.example.net", path, complaint)
    [told] = world.wait_event(message_id, "Complaint")
    assert told["detail"]["user_agent"] == "Yahoo!-Mail-Feedback/2.0"
    assert told["recipients"] == ["dana@example.net"]
    reports = world.server.admin("/messages?direction=in&limit=50")["messages"]
    mine = [each["message_id"] for each in reports if each["operation"] == "Feedback"]
    for id in mine:
        world.wait_event(id, "Received")
    assert len(world.events(message_id, "Complaint")) == 1, "the second report tells nothing new"
    assert world.server.wait_queue_empty(10), "no report is ever answered"


def test_simulated_mailboxes_write_back(world: World) -> None:
    boxes = ("ooto@simulator.amazonses.com", "complaint@simulator.amazonses.com")
    message_id = world.send(*boxes)
    [away] = world.wait_event(message_id, "Bounce")
    [complaint] = world.wait_event(message_id, "Complaint")
    assert (away["recipients"], complaint["recipients"]) == ([boxes[0]], [boxes[1]])
    shown = world.message(message_id)
    assert {each["status"] for each in shown["recipients"]} == {"delivered"}


def test_a_return_path_that_nobody_signed_is_refused(world: World) -> None:
    world.send("eli@example.net")
    path = world.return_path(world.mail_to("eli@example.net"))
    local = path.partition("@")[0]
    edited = local[:-1] + ("a" if local[-1] != "a" else "b")
    with smtplib.SMTP("127.0.0.1", world.server.inbound, timeout=20) as smtp:
        smtp.ehlo("somebody.example")
        smtp.mail("")
        for forged in (f"{edited}@{ORIGIN}", f"{local}@elsewhere.example", f"postmaster@{ORIGIN}"):
            assert smtp.rcpt(forged)[0] == 550
        assert smtp.rcpt(path)[0] == 250


def test_what_we_bounce_is_a_report_to_others(world: World) -> None:
    ses = ses_client(world.server.url)
    ses.verify_domain_identity(Domain="shop.example")
    world.deliver_in("ann@example.org", "desk@shop.example", INCOMING)
    [incoming] = world.wait(
        lambda: [
            each
            for each in world.server.admin("/messages?direction=in&recipient=desk@shop.example")["messages"]
            if each["source"] == "ann@example.org"
        ]
    )
    answer = ses.send_bounce(
        OriginalMessageId=incoming["message_id"],
        BounceSender="MAILER-DAEMON@shop.example",
        Explanation="Nobody here.",
        MessageDsn={"ReportingMta": "dns; mx.shop.example", "ExtensionFields": [{"Name": "X-Desk", "Value": "closed"}]},
        BouncedRecipientInfoList=[
            {
                "Recipient": "desk@shop.example",
                "RecipientDsnFields": {"Action": "failed", "Status": "5.1.1", "DiagnosticCode": "550 5.1.1 nobody"},
            }
        ],
    )
    raw = world.mail_to("ann@example.org")
    assert world.return_path(raw) == ""
    mail = cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default))
    assert (mail["To"], mail["From"]) == ("ann@example.org", "MAILER-DAEMON@shop.example")
    assert mail["In-Reply-To"] == "<1@example.org>"
    text, status, returned = mail.iter_parts()
    assert cast(EmailMessage, text).get_content().strip() == "Nobody here."
    assert status.get_content_type() == "message/delivery-status"
    assert "X-Desk: closed" in status.as_string()
    assert "Diagnostic-Code: smtp; 550 5.1.1 nobody" in status.as_string()
    assert returned.get_content_type() == "text/rfc822-headers"
    assert any(each["type"] == "BounceSent" for each in world.message(incoming["message_id"])["events"])
    bounce = world.message(answer["MessageId"])
    assert [each["recipient"] for each in bounce["recipients"]] == ["ann@example.org"]
    with pytest.raises(ClientError) as refused:
        ses.send_bounce(
            OriginalMessageId="nothing",
            BounceSender="MAILER-DAEMON@shop.example",
            BouncedRecipientInfoList=[{"Recipient": "desk@shop.example", "BounceType": "DoesNotExist"}],
        )
    assert refused.value.response["Error"]["Code"] == "MessageRejected"


def test_what_one_account_bounces_the_other_reads_as_a_late_bounce(world: World) -> None:
    ses_client(world.server.url).verify_domain_identity(Domain="shop.example")
    message_id = world.send("orders@shop.example", key="222222222222")
    [incoming] = world.wait(
        lambda: world.server.admin("/messages?direction=in&recipient=orders@shop.example")["messages"]
    )
    ses_client(world.server.url).send_bounce(
        OriginalMessageId=incoming["message_id"],
        BounceSender="MAILER-DAEMON@shop.example",
        BouncedRecipientInfoList=[{"Recipient": "orders@shop.example", "BounceType": "ExceededQuota"}],
    )
    [bounce] = world.wait_event(message_id, "Bounce")
    assert bounce["detail"]["kind"] == {"type": "Transient", "subtype": "MailboxFull"}
    assert bounce["recipients"] == ["orders@shop.example"]
    assert bounce["detail"]["reporting_mta"] == f"inbound-smtp.{ORIGIN}"


def test_a_refusal_comes_to_the_sender_by_mail(world: World) -> None:
    message_id = world.send("gone@example.net", "fine@example.net", source="sales@example.org")
    raw = world.mail_to("sales@example.org")
    assert world.return_path(raw) == ""
    mail = cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default))
    assert (mail["From"], mail["To"]) == ("MAILER-DAEMON@posthouse.test", "sales@example.org")
    assert mail["Subject"] == "Delivery Status Notification (Failure)"
    assert mail["X-Posthouse-Message-ID"] == message_id
    text, status, returned = mail.iter_parts()
    assert "gone@example.net" in cast(EmailMessage, text).get_content()
    message, recipient = cast(list[EmailMessage], status.get_payload())
    assert message["Reporting-MTA"] == "dns; mx.posthouse.test"
    assert recipient["Final-Recipient"] == "rfc822; gone@example.net"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Diagnostic-Code"].startswith("smtp; 550 5.1.1 <gone@example.net>: Recipient address rejected")
    assert "Subject: Order 7741" in cast(EmailMessage, returned).get_content()
    report = dsn.read(raw)
    assert report is not None
    assert [each.addresses for each in report.status.recipients] == [("gone@example.net",)]
    assert report.status.recipients[0].remote_mta.startswith("dns; ")


def test_feedback_that_comes_in_here_goes_no_further(world: World) -> None:
    message_id = world.send("gone@example.net", source="desk@own.example")
    recipient = "/messages?recipient=desk@own.example"
    incoming = world.wait(lambda: world.server.admin(f"{recipient}&direction=in")["messages"])
    [outgoing] = world.server.admin(f"{recipient}&direction=out")["messages"]
    assert [(each["operation"], each["source"]) for each in incoming] == [("Inbound", "")]
    assert outgoing["operation"] == "FeedbackForwarding"
    world.wait_event(incoming[0]["message_id"], "Received")
    assert world.server.wait_queue_empty(10)
    assert len(world.events(message_id, "Bounce")) == 1
    assert len(world.server.admin(recipient)["messages"]) == 2, "one leaves, one comes in"
