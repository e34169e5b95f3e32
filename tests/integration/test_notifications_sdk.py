"""Notification settings through AWS's own SDK against a real server with the embedded SNS."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.sdk import ses_client
from tests.support.server import Server

PRESET = "arn:aws:sns:us-east-1:123456789012:preset"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {"local.auto_create": False, "local.topics": [PRESET], "processes.doors": 2, "processes.engines": 1}
    with Server(settings) as server:
        yield server


def refusal(error: Any) -> tuple[str, str]:
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def test_settings_are_set_and_read(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_email_identity(EmailAddress="ann@shop.example")
    plain = {
        "ForwardingEnabled": True,
        "HeadersInBounceNotificationsEnabled": False,
        "HeadersInComplaintNotificationsEnabled": False,
        "HeadersInDeliveryNotificationsEnabled": False,
    }

    def shown() -> dict[str, Any]:
        answer = ses.get_identity_notification_attributes(Identities=["ann@shop.example", "nobody@shop.example"])
        assert list(answer["NotificationAttributes"]) == ["ann@shop.example"]
        found: dict[str, Any] = answer["NotificationAttributes"]["ann@shop.example"]
        return found

    assert shown() == plain
    for kind in ("Bounce", "Complaint"):
        ses.set_identity_notification_topic(Identity="ann@shop.example", NotificationType=kind, SnsTopic=PRESET)
    ses.set_identity_feedback_forwarding_enabled(Identity="ann@shop.example", ForwardingEnabled=False)
    ses.set_identity_headers_in_notifications_enabled(
        Identity="ann@shop.example", NotificationType="Bounce", Enabled=True
    )
    changed = {"ForwardingEnabled": False, "HeadersInBounceNotificationsEnabled": True}
    assert shown() == {**plain, **changed, "BounceTopic": PRESET, "ComplaintTopic": PRESET}
    ses.set_identity_notification_topic(Identity="ann@shop.example", NotificationType="Complaint")
    assert shown() == {**plain, "HeadersInBounceNotificationsEnabled": True, "BounceTopic": PRESET}

    told = server.admin(f"/topics/{PRESET}/notifications")["notifications"]
    messages = [json.loads(each["message"])["message"] for each in reversed(told)]
    assert [message.split("receive ")[1][:11] for message in messages] == ["'Bounce' no", "'Complaint'"]


def test_a_topic_that_does_not_exist_is_refused(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    with pytest.raises(ClientError) as error:
        ses.set_identity_notification_topic(
            Identity="shop.example", NotificationType="Delivery", SnsTopic=PRESET + "-not"
        )
    assert refusal(error) == ("InvalidParameterValue", f"SNS topic {PRESET}-not is invalid.")


def test_the_preset_topic_exists_from_the_start(server: Server) -> None:
    assert [each["arn"] for each in server.admin("/topics")["topics"]] == [PRESET]
    listed = json.loads(server.cli("topic", "list", "--json").stdout)
    assert [each["arn"] for each in listed] == [PRESET]
    assert PRESET in server.cli("topic", "list").stdout


def test_what_is_no_identity_of_the_account_has_no_settings(server: Server) -> None:
    ses, nobody = ses_client(server.url), {"Identity": "nobody.example"}
    calls: list[tuple[Any, dict[str, Any]]] = [
        (ses.set_identity_notification_topic, {"NotificationType": "Bounce", "SnsTopic": PRESET}),
        (ses.set_identity_feedback_forwarding_enabled, {"ForwardingEnabled": True}),
        (ses.set_identity_headers_in_notifications_enabled, {"NotificationType": "Bounce", "Enabled": True}),
    ]
    for call, given in calls:
        with pytest.raises(ClientError) as error:
            call(**nobody, **given)
        assert refusal(error) == (
            "InvalidParameterValue",
            "Identity nobody.example is invalid. Must be a verified email address or domain.",
        )


def test_forwarding_stays_on_where_nobody_else_would_hear(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="quiet.example")
    with pytest.raises(ClientError) as error:
        ses.set_identity_feedback_forwarding_enabled(Identity="quiet.example", ForwardingEnabled=False)
    assert refusal(error)[0] == "InvalidParameterValue"
    shown = ses.get_identity_notification_attributes(Identities=["quiet.example"])["NotificationAttributes"]
    assert shown["quiet.example"]["ForwardingEnabled"] is True
    with pytest.raises(ClientError) as error:
        ses.set_identity_notification_topic(Identity="quiet.example", NotificationType="Send", SnsTopic=PRESET)
    assert refusal(error)[0] == "ValidationError"
