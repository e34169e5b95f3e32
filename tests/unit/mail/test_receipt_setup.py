"""The set-up notification, held against the payloads of real notifications."""

import email
import email.policy
import json
from typing import Any

import pytest

from posthouse.domain.receipt_rules import S3, Action, AddHeader, Bounce, Lambda, Sns, Stop, WorkMail
from posthouse.mail.receipt_setup import MESSAGE_ID, action_told, setup_mail, setup_notification

NOW_MS = 1714641600123
TOPIC = "arn:aws:sns:eu-west-1:111122223333:mail-in"
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:triage"
ORGANIZATION = "arn:aws:workmail:eu-west-1:111122223333:organization/m-1"


def test_the_mail_is_a_mail() -> None:
    read = email.message_from_string(setup_mail("S3 bucket", NOW_MS), policy=email.policy.default)
    assert (read["from"], read["to"], read["message-id"]) == (
        "Amazon Web Services <no-reply-aws@amazon.com>", "recipient@example.com", MESSAGE_ID,
    )  # fmt: skip
    assert read["date"].datetime.timestamp() == NOW_MS // 1000
    assert not read.defects


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (
            S3(bucket="b", prefix="help", topic=TOPIC),
            {"type": "S3", "topicArn": TOPIC, "bucketName": "b", "objectKeyPrefix": "help", "objectKey": "help/id"},
        ),
        (S3(bucket="b"), {"type": "S3", "bucketName": "b", "objectKey": "id"}),
        (Sns(topic=TOPIC), {"type": "SNS", "topicArn": TOPIC, "encoding": "UTF8"}),
        (Sns(topic=TOPIC, encoding="Base64"), {"type": "SNS", "topicArn": TOPIC, "encoding": "BASE64"}),
        (
            Bounce(reply_code="550", status_code="5.1.1", message="no", sender="p@x.example", topic=TOPIC),
            {
                "type": "Bounce",
                "topicArn": TOPIC,
                "smtpReplyCode": "550",
                "statusCode": "5.1.1",
                "message": "no",
                "sender": "p@x.example",
            },
        ),
        (
            Lambda(function=FUNCTION, topic=TOPIC),
            {"type": "Lambda", "topicArn": TOPIC, "functionArn": FUNCTION, "invocationType": "Event"},
        ),
        (
            Lambda(function=FUNCTION, invocation="RequestResponse"),
            {"type": "Lambda", "functionArn": FUNCTION, "invocationType": "RequestResponse"},
        ),
        (Stop(topic=TOPIC), {"type": "Stop", "topicArn": TOPIC}),
        (
            WorkMail(organization=ORGANIZATION, topic=TOPIC),
            {"type": "WorkMail", "topicArn": TOPIC, "organizationArn": ORGANIZATION},
        ),
    ],
)
def test_actions_are_told_in_the_words_and_order_of_ses(action: Action, told: dict[str, str]) -> None:
    assert list(action_told(action, "id").items()) == list(told.items())


def test_nobody_is_told_of_a_header() -> None:
    with pytest.raises(ValueError, match="AddHeader"):
        action_told(AddHeader(name="X", value="v"), "id")


def test_the_notification_has_the_shape_of_every_other() -> None:
    told: dict[str, Any] = json.loads(setup_notification(S3(bucket="b", topic=TOPIC), NOW_MS))
    assert list(told) == ["notificationType", "mail", "receipt"]
    assert told["notificationType"] == "Received"
    assert told["mail"]["timestamp"] == told["receipt"]["timestamp"] == "2024-05-02T09:20:00.123Z"
    assert told["mail"]["messageId"] == told["mail"]["commonHeaders"]["messageId"] == MESSAGE_ID
    assert told["mail"]["destination"] == told["receipt"]["recipients"] == ["recipient@example.com"]
    whole = json.loads(setup_notification(Sns(topic=TOPIC), NOW_MS))
    assert whole["content"] == setup_mail("SNS topic", NOW_MS)
    names = [field["name"] for field in whole["mail"]["headers"]]
    assert names == list(email.message_from_string(whole["content"]).keys())
