"""Subscribers: their addresses, what they are sent, what follows from their answers."""

import json
from random import Random

import pytest

from posthouse.domain.subscriptions import (
    DOWN,
    TRUST,
    Again,
    Answer,
    Arrived,
    Dead,
    Endpoint,
    Envelope,
    MessageType,
    TopicLinks,
    Window,
    headers,
    judge,
    moment,
    patience_ms,
    pause_ms,
    read_endpoint,
    render,
    text_to_sign,
)

TOPIC = "arn:aws:sns:eu-west-1:111122223333:mail-events"
LINKS = TopicLinks(lambda: b"key", "https://ses.example/")
NOTE = Envelope(
    type=MessageType.NOTIFICATION,
    message_id="3b0f5a7e",
    topic_arn=TOPIC,
    subject="Amazon SES Email Event Notification",
    message='{"a": "✓"}\n',
    timestamp="2024-05-02T09:15:31.040Z",
)
WAITS = (0.0, 1.0, 20.0)


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("http://hook.example", "http://hook.example/", ""),
        ("https://Hook.Example:8443/a/B?c=D", "https://hook.example:8443/a/B?c=D", ""),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x", ""),
        ("http://[::1]:8000/x", "http://[::1]:8000/x", ""),
        ("https://ann:s%40cret@hook.example/x", "https://hook.example/x", "ann:s@cret"),
        ("https://ann@hook.example/x", "https://hook.example/x", "ann:"),
    ],
)
def test_endpoints_are_read_with_their_logins(text: str, url: str, login: str) -> None:
    endpoint = read_endpoint(text)
    assert endpoint == Endpoint(url=url, login=login)
    assert endpoint.protocol == url.partition(":")[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hook.example",
        "ftp://hook.example/",
        "mailto:a@b.example",
        "http:///x",
        "http://hook.example:0/",
        "http://hook.example:99999/",
        "http://hook.example/a b",
        "http://hook.example/\n",
        "http://hook.example/ü",
        "http://hook.example/#part",
        "http://hook.example\\@other.example/",
        "http://[::1/",
        "http://hook.example/" + "a" * 2048,
    ],
)
def test_what_cannot_be_posted_to_is_no_endpoint(text: str) -> None:
    assert read_endpoint(text) is None


def test_a_notification_is_signed_field_by_field_and_without_what_it_has_not() -> None:
    assert text_to_sign(NOTE).decode() == (
        'Message\n{"a": "✓"}\n\nMessageId\n3b0f5a7e\nSubject\nAmazon SES Email Event Notification\n'
        f"Timestamp\n2024-05-02T09:15:31.040Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    )
    bare = Envelope(type=NOTE.type, message_id="1", topic_arn=TOPIC, message="m", timestamp="t")
    assert b"Subject" not in text_to_sign(bare)


def test_a_confirmation_is_signed_with_its_link() -> None:
    envelope = Envelope(
        type=MessageType.CONFIRMATION,
        message_id="1",
        topic_arn=TOPIC,
        message="m",
        timestamp="t",
        token="abc",
        subscribe_url="https://ses.example/?Action=ConfirmSubscription",
    )
    assert text_to_sign(envelope).decode() == (
        "Message\nm\nMessageId\n1\nSubscribeURL\nhttps://ses.example/?Action=ConfirmSubscription\n"
        f"Timestamp\nt\nToken\nabc\nTopicArn\n{TOPIC}\nType\nSubscriptionConfirmation\n"
    )


def test_the_body_has_the_fields_of_sns_in_their_order() -> None:
    arn = f"{TOPIC}:5f1f6d1e"
    body = render(NOTE, "1", b"CANGEME", "https://ses.example/a.pem", LINKS.unsubscribe(arn))
    found = json.loads(body)
    assert list(found) == [
        *("Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp"),
        *("SignatureVersion", "Signature", "SigningCertURL", "UnsubscribeURL"),
    ]
    assert found["Message"] == NOTE.message
    assert found["UnsubscribeURL"].startswith(f"https://ses.example/?Action=Unsubscribe&SubscriptionArn={arn}&Token=")
    assert body.startswith(b'{\n  "Type" : "Notification",\n  "MessageId" : "3b0f5a7e",\n')


def test_headers_say_what_sns_says() -> None:
    found = headers(NOTE.type, "1", TOPIC, f"{TOPIC}:2", raw=False, login="")
    assert found == {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": "1",
        "x-amz-sns-topic-arn": TOPIC,
        "x-amz-sns-subscription-arn": f"{TOPIC}:2",
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    raw = headers(NOTE.type, "1", TOPIC, f"{TOPIC}:2", raw=True, login="ann:s@cret")
    assert raw["x-amz-sns-rawdelivery"] == "true"
    assert raw["Authorization"] == "Basic YW5uOnNAY3JldA=="
    asked = headers(MessageType.CONFIRMATION, "1", TOPIC, f"{TOPIC}:2", raw=True, login="")
    assert "x-amz-sns-subscription-arn" not in asked
    assert "x-amz-sns-rawdelivery" not in asked


def test_an_unsubscribe_link_is_for_one_subscription_of_one_installation() -> None:
    token = LINKS.unsubscribe("arn:1").rpartition("Token=")[2]
    assert LINKS.unsubscribes("arn:1", token)
    assert not LINKS.unsubscribes("arn:2", token)
    assert not LINKS.unsubscribes("arn:1", token[:-1] + "ü")
    assert not TopicLinks(lambda: b"other", "").unsubscribes("arn:1", token)


def test_moments_have_milliseconds() -> None:
    assert moment(1_714_641_331_040) == "2024-05-02T09:15:31.040Z"
    assert moment(1_714_641_331_000) == "2024-05-02T09:15:31.000Z"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_success_is_success(status: int) -> None:
    assert judge(Answer(status), 9, WAITS, 0) == Arrived()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
def test_trouble_of_the_server_is_retried_with_growing_waits(status: int) -> None:
    reason = f"HTTP status {status}"
    assert judge(Answer(status), 1, WAITS, 1000) == Again(1000, reason)
    assert judge(Answer(status), 2, WAITS, 1000) == Again(2000, reason)
    assert judge(Answer(status), 3, WAITS, 1000) == Again(21_000, reason)
    assert judge(Answer(status), 4, WAITS, 1000) == Dead(reason)


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 410])
def test_other_refusals_are_final(status: int) -> None:
    assert judge(Answer(status), 1, WAITS, 0) == Dead(f"HTTP status {status}")


def test_no_answer_is_retried() -> None:
    assert judge(Answer(None, "connection refused"), 1, WAITS, 0) == Again(0, "connection refused")
    assert judge(Answer(None, "connection refused"), 4, WAITS, 0) == Dead("connection refused")


def test_a_subscriber_is_waited_for_as_long_as_all_tries_take() -> None:
    assert patience_ms(WAITS) == (21 + 4 * 15) * 1000


def test_who_answers_fast_gets_more_calls_and_who_does_not_fewer() -> None:
    window = Window()
    for _ in range(50):
        window = window.after(True, 0.01, 20)
    assert (window.size, window.failures) == (20, 0)
    for _ in range(50):
        window = window.after(True, 5.0, 20)
    assert (window.size, window.failures) == (4, 0)
    for size, failures in ((2, 1), (1, 2), (1, 3)):
        window = window.after(False, 0.1, 20)
        assert (window.size, window.failures) == (size, failures)
    window = window.after(True, 0.1, 20)
    assert (window.size, window.failures) == (2, 0)
    assert Window(1).after(True, 5.0, 1).size == 1


def rows_of_failures(window: Window, took_s: float) -> int:
    """How many calls have failed when the subscriber counts as down."""
    calls = 0
    while window.failures < DOWN:
        window = window.after(False, took_s, 20)
        calls += 1
    return calls


def test_who_answered_well_so_far_is_not_given_up_for_a_moment_of_failures() -> None:
    stranger, trusted = Window(), Window()
    for _ in range(100):
        trusted = trusted.after(True, 0.001, 20)
    assert rows_of_failures(stranger, 0.001) == DOWN
    assert rows_of_failures(trusted, 0.001) == DOWN + TRUST
    assert rows_of_failures(trusted, 15.0) == DOWN, "one that hangs has cost enough by then"
    assert rows_of_failures(trusted, 0.02) < DOWN + 10


def test_who_fails_half_the_time_is_never_down() -> None:
    random, window = Random(1), Window()
    for _ in range(100_000):
        window = window.after(random.random() < 0.5, 0.001, 20)
        assert window.failures < DOWN


def test_who_fails_often_is_left_alone_for_longer_and_longer_up_to_a_limit() -> None:
    assert [pause_ms(failures) for failures in range(DOWN)] == [0] * DOWN
    assert [pause_ms(DOWN + more) for more in range(8)] == [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]
    assert pause_ms(10**9) == 20_000
