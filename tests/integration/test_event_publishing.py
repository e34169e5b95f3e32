"""Events through AWS's own SDK against a real server: told to topics of the embedded SNS."""

import base64
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server

TOPIC = "arn:aws:sns:us-east-1:123456789012:"
DANA = "dana@far.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"processes.doors": 1, "processes.engines": 2}) as server:
        yield server


def told(server: Server, name: str, count: int) -> list[dict[str, Any]]:
    """Messages of a topic, oldest first, once there are so many."""
    ends = time.monotonic() + 15
    while True:
        status, body = server.get(f"/api/v1/topics/{TOPIC}{name}/notifications?limit=1000")
        found = json.loads(body)["notifications"] if status == 200 else []
        if len(found) >= count or time.monotonic() > ends:
            return list(reversed(found))
        time.sleep(0.02)


def records(server: Server, name: str, count: int) -> list[dict[str, Any]]:
    return [json.loads(each["message"]) for each in told(server, name, count) if each["message"].startswith("{")]


def add_set(ses: Any, name: str, topic: str, types: list[str]) -> None:
    ses.create_configuration_set(ConfigurationSet={"Name": name})
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestination={
            "Name": "to-sns",
            "Enabled": True,
            "MatchingEventTypes": types,
            "SNSDestination": {"TopicARN": TOPIC + topic},
        },
    )


def send(ses: Any, to: str = DANA, **more: Any) -> str:
    body = {"Text": {"Data": "Hello"}, "Html": {"Data": "<p>Hello</p>"}}
    answer = ses.send_email(
        Source="Shop Desk <orders@shop.example>",
        Destination={"ToAddresses": [to]},
        Message={"Subject": {"Data": "Order 7741 shipped"}, "Body": body},
        **more,
    )
    return str(answer["MessageId"])


def test_a_set_hears_of_its_mail_in_order(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    add_set(ses, "transactional", "events", ["send", "delivery", "bounce"])
    tags = [{"Name": "campaign", "Value": "shipping"}]
    sent = [send(ses, ConfigurationSetName="transactional", Tags=tags) for _ in range(20)]
    found = told(server, "events", 41)
    assert found[0]["message"] == "Successfully validated SNS topic for Amazon SES event publishing."
    assert {each["subject"] for each in found[1:]} == {"Amazon SES Email Event Notification"}
    told_of: dict[str, list[str]] = {}
    for record in records(server, "events", 41):
        told_of.setdefault(record["mail"]["messageId"], []).append(record["eventType"])
    assert told_of == {message_id: ["Send", "Delivery"] for message_id in sent}
    delivery = next(each for each in records(server, "events", 41) if each["eventType"] == "Delivery")
    assert delivery["mail"]["tags"] == {
        "ses:operation": ["SendEmail"],
        "ses:configuration-set": ["transactional"],
        "ses:source-ip": ["127.0.0.1"],
        "ses:from-domain": ["shop.example"],
        "ses:caller-identity": ["posthouse"],
        "campaign": ["shipping"],
        "ses:outgoing-ip": ["127.0.0.1"],
    }
    assert delivery["mail"]["commonHeaders"]["subject"] == "Order 7741 shipped"
    assert delivery["mail"]["sourceArn"] == "arn:aws:ses:us-east-1:123456789012:identity/shop.example"
    (status,) = [
        each for each in server.admin("/destinations")["destinations"] if each["destination"].startswith("set:")
    ]
    assert (status["waiting"], status["failures"], status["last_error"]) == (0, 0, "")


def test_an_identity_hears_of_bounces_and_deliveries(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_email_identity(EmailAddress="orders@shop.example")
    for kind in ("Bounce", "Delivery"):
        ses.set_identity_notification_topic(
            Identity="orders@shop.example", NotificationType=kind, SnsTopic=TOPIC + f"identity-{kind}"
        )
    ses.set_identity_headers_in_notifications_enabled(
        Identity="orders@shop.example", NotificationType="Bounce", Enabled=True
    )
    bounced = send(ses, "bounce@simulator.amazonses.com")
    delivered = send(ses)
    bounce = records(server, "identity-Bounce", 2)[-1]
    assert (bounce["notificationType"], bounce["mail"]["messageId"]) == ("Bounce", bounced)
    assert bounce["bounce"]["bouncedRecipients"] == [
        {
            "emailAddress": "bounce@simulator.amazonses.com",
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown",
        }
    ]
    assert bounce["mail"]["headers"][0] == {"name": "From", "value": "Shop Desk <orders@shop.example>"}
    delivery = records(server, "identity-Delivery", 2)[-1]
    assert delivery["mail"]["messageId"] == delivered
    assert "headers" not in delivery["mail"]
    ses.delete_identity(Identity="orders@shop.example")


def test_templated_mail_is_told_of_before_and_after_it_was_rendered(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    add_set(ses, "templated", "templated", ["send", "delivery", "renderingFailure"])
    template = {"TemplateName": "order", "SubjectPart": "Order {{number}}", "TextPart": "Hello"}
    ses.create_template(Template=template)

    def send_with(data: str) -> str:
        answer = ses.send_templated_email(
            Source="orders@shop.example",
            Destination={"ToAddresses": [DANA]},
            Template="order",
            TemplateData=data,
            ConfigurationSetName="templated",
        )
        return str(answer["MessageId"])

    good, bad = send_with('{"number": 7741}'), send_with("{}")
    found = {(each["mail"]["messageId"], each["eventType"]): each for each in records(server, "templated", 4)}
    assert set(found) == {(good, "Send"), (good, "Delivery"), (bad, "Rendering Failure")}
    first, then = found[good, "Send"]["mail"], found[good, "Delivery"]["mail"]
    assert [each["name"] for each in first["headers"]] == ["From", "To", "MIME-Version"]
    assert "sourceArn" not in first
    assert then["commonHeaders"]["subject"] == "Order 7741"
    assert "Feedback-ID" not in [each["name"] for each in then["headers"]]
    assert found[bad, "Rendering Failure"]["failure"] == {
        "templateName": "order",
        "errorMessage": "Attribute 'number' is not present in the rendering data.",
    }


def test_what_was_told_to_nobody_can_be_told_later(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    ses.create_configuration_set(ConfigurationSet={"Name": "later"})
    before = server.admin("/events?limit=1000")["next"]
    sent = send(ses, ConfigurationSetName="later")
    assert server.wait_queue_empty(10)
    ses.create_configuration_set_event_destination(
        ConfigurationSetName="later",
        EventDestination={
            "Name": "to-sns",
            "Enabled": True,
            "MatchingEventTypes": ["send", "delivery"],
            "SNSDestination": {"TopicARN": TOPIC + "later"},
        },
    )
    key = "set:123456789012:us-east-1:later:to-sns"
    assert replay(server, key, before + 1) == 200
    found = records(server, "later", 3)
    assert [(each["eventType"], each["mail"]["messageId"]) for each in found] == [("Send", sent), ("Delivery", sent)]
    assert replay(server, key.replace("later", "none"), 1) == 404


def replay(server: Server, key: str, from_seq: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=10)
    login = base64.b64encode(b"posthouse:posthouse-secret").decode()
    path = f"/api/v1/destinations/{key}/replay?from={from_seq}"
    connection.request("POST", path, headers={"Authorization": f"Basic {login}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_events_survive_the_death_of_everything(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    add_set(ses, "hardy", "hardy", ["send", "delivery"])
    sent = [send(ses, ConfigurationSetName="hardy") for _ in range(30)]
    assert server.kill9() == []
    server.start()
    assert server.wait_queue_empty(30)
    ends = time.monotonic() + 30
    wanted = {(kind, message_id) for message_id in sent for kind in ("Send", "Delivery")}
    while time.monotonic() < ends:
        found = [(each["eventType"], each["mail"]["messageId"]) for each in records(server, "hardy", 61)]
        if set(found) >= wanted:
            break
    assert set(found) == wanted


def test_metrics_tell_of_publishing(server: Server) -> None:
    counter = 'posthouse_publications_total{outcome="sent",to="topic"}'
    ends = time.monotonic() + 10
    shown: dict[str, str] = {}
    # Engines leave their numbers for the door every two seconds.
    while counter not in shown and time.monotonic() < ends:
        lines = server.get("/metrics")[1].decode().splitlines()
        shown = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        time.sleep(0.05)
    assert shown["posthouse_publications_waiting"] == shown["posthouse_publications_dead"] == "0"
    assert shown["posthouse_events_unrouted"] == "0"
    assert float(shown[counter]) > 0
