"""Feedback by mail through AWS's own SDK against a real server: the simulator answers, and the sender is told."""

import email
import email.policy
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any, cast

import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server

from posthouse.mail import arf, dsn

TOPIC = "arn:aws:sns:us-east-1:123456789012:"
BOUNCE, COMPLAINT, AWAY = (f"{box}@simulator.amazonses.com" for box in ("bounce", "complaint", "ooto"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"processes.doors": 1, "processes.engines": 1}) as server:
        yield server


def send(server: Server, source: str, *to: str, **more: Any) -> str:
    ses = ses_client(server.url)
    ses.verify_email_identity(EmailAddress=source)
    answer = ses.send_email(
        Source=source,
        Destination={"ToAddresses": list(to)},
        Message={"Subject": {"Data": "Order 7741"}, "Body": {"Text": {"Data": "It has been shipped."}}},
        **more,
    )
    return str(answer["MessageId"])


def wait(what: Callable[[], Any], timeout_s: float = 20) -> Any:
    ends = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < ends, "nothing came"
        time.sleep(0.02)
    return found


def mails_to(server: Server, address: str) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], server.admin(f"/messages?recipient={address}")["messages"])


def settled(server: Server) -> None:
    """Every event is routed and told, and nothing waits to be sent."""
    assert server.wait_queue_empty(20)

    def idle() -> bool:
        last = server.admin("/events?limit=1000")["events"]
        shown = dict(
            line.rsplit(" ", 1) for line in server.get("/metrics")[1].decode().splitlines() if not line.startswith("#")
        )
        quiet = ("posthouse_events_unrouted", "posthouse_publications_waiting", "posthouse_queue_recipients")
        return bool(last) and all(float(shown[name]) == 0 for name in quiet)

    wait(idle)


def raw(server: Server, message_id: str) -> bytes:
    status, content = server.get(f"/api/v1/messages/{message_id}/raw")
    assert status == 200
    return content


def read(content: bytes) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(content, policy=email.policy.default))


def test_a_bounce_comes_to_the_sender(server: Server) -> None:
    message_id = send(server, "bounced@shop.example", BOUNCE, BOUNCE.replace("@", "+two@"))
    [told] = wait(lambda: mails_to(server, "bounced@shop.example"))
    assert (told["source"], told["operation"]) == ("MAILER-DAEMON@posthouse.test", "FeedbackForwarding")
    content = raw(server, told["message_id"])
    mail = read(content)
    assert mail["Subject"] == "Delivery Status Notification (Failure)"
    assert mail["X-Posthouse-Message-ID"] == message_id
    assert mail["In-Reply-To"] == f"<{message_id}@email.posthouse.test>"
    assert "d=posthouse.test" in mail["DKIM-Signature"]
    report = dsn.read(content)
    assert report is not None
    assert {each.final_recipient for each in report.status.recipients} == {BOUNCE, BOUNCE.replace("@", "+two@")}
    assert {each.status for each in report.status.recipients} == {"5.1.1"}
    assert any(field.key == b"message-id" for field in report.returned), "the header section as it left"
    settled(server)
    assert len(mails_to(server, "bounced@shop.example")) == 1, "one notice for one request"
    # It is no sending of the account's.
    points = ses_client(server.url).get_send_statistics()["SendDataPoints"]
    assert [each["DeliveryAttempts"] for each in points] in ([], [0])


def test_a_complaint_comes_to_the_return_path(server: Server) -> None:
    ses_client(server.url).verify_email_identity(EmailAddress="abuse@shop.example")
    message_id = send(server, "offers@shop.example", COMPLAINT, ReturnPath="abuse@shop.example")
    [told] = wait(lambda: mails_to(server, "abuse@shop.example"))
    content = raw(server, told["message_id"])
    mail = read(content)
    assert (mail["From"], mail["Subject"]) == ("complaints@email-abuse.posthouse.test", "Order 7741")
    assert mail["X-Posthouse-Message-ID"] == message_id
    complaint = arf.read(content)
    assert complaint is not None
    assert complaint.report.feedback_type == "abuse"
    assert complaint.report.original_recipients == (COMPLAINT,)
    assert b"It has been shipped." in content
    settled(server)
    assert mails_to(server, "offers@shop.example") == []


def test_an_automatic_reply_is_handed_on(server: Server) -> None:
    message_id = send(server, "desk@shop.example", AWAY)
    [told] = wait(lambda: mails_to(server, "desk@shop.example"))
    mail = read(raw(server, told["message_id"]))
    assert mail["From"] == AWAY
    assert mail["Subject"] == "Out of the office: Order 7741"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["X-Posthouse-Message-ID"] == message_id
    assert "nobody is in the office" in mail.get_content()


def test_with_topics_and_forwarding_off_nothing_is_mailed_until_one_is_gone(server: Server) -> None:
    ses = ses_client(server.url)
    source = "quiet@shop.example"
    ses.verify_email_identity(EmailAddress=source)
    for kind in ("Bounce", "Complaint"):
        ses.set_identity_notification_topic(Identity=source, NotificationType=kind, SnsTopic=TOPIC + kind)
    ses.set_identity_feedback_forwarding_enabled(Identity=source, ForwardingEnabled=False)
    for box in (BOUNCE, COMPLAINT):
        send(server, source, box)
    for kind in ("Bounce", "Complaint"):
        path = f"/topics/{TOPIC}{kind}/notifications"
        wait(lambda path=path: len(server.admin(path)["notifications"]) >= 2)
    settled(server)
    assert mails_to(server, source) == []
    ses.set_identity_notification_topic(Identity=source, NotificationType="Bounce")
    send(server, source, BOUNCE)
    assert wait(lambda: mails_to(server, source))


def test_where_a_set_tells_of_bounces_forwarding_is_still_the_identitys_word(server: Server) -> None:
    ses = ses_client(server.url)
    ses.create_configuration_set(ConfigurationSet={"Name": "told"})
    ses.create_configuration_set_event_destination(
        ConfigurationSetName="told",
        EventDestination={
            "Name": "to-sns",
            "Enabled": True,
            "MatchingEventTypes": ["bounce"],
            "SNSDestination": {"TopicARN": TOPIC + "set"},
        },
    )
    send(server, "both@shop.example", BOUNCE, ConfigurationSetName="told")
    assert wait(lambda: mails_to(server, "both@shop.example"))


def test_feedback_to_an_address_that_bounces_is_the_end_of_it(server: Server) -> None:
    message_id = send(server, BOUNCE, BOUNCE)
    [first] = wait(lambda: [each for each in mails_to(server, BOUNCE) if each["operation"] == "FeedbackForwarding"])
    settled(server)
    shown = server.admin(f"/messages/{first['message_id']}")
    assert [each["status"] for each in shown["recipients"]] == ["bounced"]
    assert shown["message_id"] != message_id
    feedback = [each for each in mails_to(server, BOUNCE) if each["operation"] == "FeedbackForwarding"]
    assert len(feedback) == 1
