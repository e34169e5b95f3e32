"""What names an SNS topic, and what may be published to one."""

import pytest

from posthouse.domain.topics import MAX_MESSAGE, TopicArn, parse_topic_arn, why_not_publishable


def test_the_arn_of_a_standard_topic_is_read() -> None:
    assert parse_topic_arn("arn:aws:sns:eu-west-1:111122223333:mail-bounces_1") == TopicArn(
        "aws", "eu-west-1", "111122223333", "mail-bounces_1"
    )
    assert parse_topic_arn("arn:aws-cn:sns:cn-north-1:111122223333:x") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail-bounces",
        "arn:aws:sns:eu-west-1:111122223333",
        "arn:aws:sns:eu-west-1:111122223333:",
        "arn:aws:sns:eu-west-1:111122223333:orders.fifo",
        "arn:aws:sns:eu-west-1:111122223333:a:b",
        "arn:aws:sns:eu-west-1:111122223333:mail\n",
        "arn:aws:sns:eu-west-1:11112222333:mail",
        "arn:aws:sns:eu-west-1:١١١١22223333:mail",
        "arn:aws:sns::111122223333:mail",
        "arn:aws:sqs:eu-west-1:111122223333:mail",
        "arn:aws:sns:eu-west-1:111122223333:" + "a" * 257,
        "arn:aws:sns:eu-west-1:111122223333:ümlaut",
    ],
)
def test_what_names_no_standard_topic_is_none(text: str) -> None:
    assert parse_topic_arn(text) is None


@pytest.mark.parametrize("subject", ["", " leading blank", "a\nb", "a\tb", "Grüße", "x" * 101])
def test_subjects_that_sns_refuses(subject: str) -> None:
    assert why_not_publishable(subject, "m") == "Invalid parameter: Subject"


def test_subjects_that_sns_takes() -> None:
    for subject in (None, "x" * 100, "Amazon SES Email Event Notification", "(1) new"):
        assert why_not_publishable(subject, "m") == ""


def test_a_message_is_measured_in_octets() -> None:
    assert why_not_publishable(None, "") == "Invalid parameter: Empty message"
    assert why_not_publishable(None, "é" * (MAX_MESSAGE // 2)) == ""
    assert why_not_publishable(None, "é" * (MAX_MESSAGE // 2) + "x") == "Invalid parameter: Message too long"
    assert why_not_publishable(None, "x" * (MAX_MESSAGE + 1)) == "Invalid parameter: Message too long"


def test_a_message_holds_nothing_that_utf_8_and_xml_have_no_place_for() -> None:
    for text in ("a\0b", "a\ud800b"):
        assert why_not_publishable(None, text) == "Invalid parameter: Message"
