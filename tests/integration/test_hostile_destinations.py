"""Destinations as nobody should set them up, and those that go away while events wait for them."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.sdk import ses_client
from tests.support.server import Server

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:events"
STREAM = f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/events"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses"
TYPES = ["send", "delivery", "bounce"]
BAD_TOPICS = (
    "events",
    "arn:aws:sns:us-east-1:123456789012:",
    f"{TOPIC}.fifo",
    f"{TOPIC}/../other",
    f"{TOPIC}\n",
    f"{TOPIC}'; DROP TABLE topics; --",
    TOPIC.replace("123456789012", "12345678901२"),
    TOPIC.replace(":events", ":" + "e" * 257),
    TOPIC.replace("us-east-1", "us-east-1:x"),
    f"{TOPIC}<script>",
)
BAD_STREAMS = (
    STREAM.replace("/events", "/.."),
    STREAM.replace("/events", "/../../etc"),
    STREAM.replace("/events", "/a/b"),
    STREAM.replace("/events", "/" + "e" * 65),
    STREAM + "\x00",
    TOPIC,
)
SUBSCRIBERS = (
    "http://127.0.0.1:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://169.254.169.254/latest/meta-data/",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # As in production, but for what would need certificates, DNS or a wait.
    settings = {
        "http.allow_private_calls": False,
        "sns.retry_seconds": [0.05],
        "dns.resolvers": ["127.0.0.1:9"],
        "processes.engines": 2,
    }
    with Server(settings) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        yield server
        assert "Traceback" not in server.log


def wait(is_so: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 20
    while not (found := is_so()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def refused(call: Callable[..., Any], **given: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**given)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(error.value.response["Error"]["Code"])


def add_set(ses: Any, name: str, **destination: Any) -> None:
    ses.create_configuration_set(ConfigurationSet={"Name": name})
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestination={"Name": "d", "Enabled": True, "MatchingEventTypes": TYPES, **destination},
    )


def send(ses: Any, name: str = "", to: str = "dana@mail.example") -> str:
    answer = ses.send_email(
        Source="orders@shop.example",
        Destination={"ToAddresses": [to]},
        Message={"Subject": {"Data": "Order"}, "Body": {"Text": {"Data": "Hello"}}},
        **({"ConfigurationSetName": name} if name else {}),
    )
    return str(answer["MessageId"])


def destinations(server: Server) -> dict[str, Any]:
    listed = server.admin("/destinations?limit=1000")["destinations"]
    return {each["destination"]: each for each in listed}


@pytest.mark.parametrize("arn", BAD_TOPICS)
def test_what_is_no_topic_is_refused(server: Server, arn: str) -> None:
    ses = ses_client(server.url)
    asked = {"Identity": "shop.example", "NotificationType": "Bounce", "SnsTopic": arn}
    assert refused(ses.set_identity_notification_topic, **asked) in ("InvalidParameterValue", "ValidationError")
    name = f"bad-{BAD_TOPICS.index(arn)}"
    code = refused(add_set, ses=ses, name=name, SNSDestination={"TopicARN": arn})
    assert code in ("InvalidSNSDestination", "InvalidParameterValue", "ValidationError")
    assert not server.admin("/topics")["topics"]


@pytest.mark.parametrize("arn", BAD_STREAMS)
def test_what_is_no_stream_is_refused(server: Server, arn: str) -> None:
    ses, name = ses_client(server.url), f"badstream-{BAD_STREAMS.index(arn)}"
    code = refused(
        add_set, ses=ses, name=name, KinesisFirehoseDestination={"IAMRoleARN": ROLE, "DeliveryStreamARN": arn}
    )
    assert code in ("InvalidFirehoseDestination", "InvalidParameterValue", "ValidationError")


def test_no_subscriber_leads_to_the_machine_itself(server: Server) -> None:
    """The server's own port is what would be reached: POST / there is the API."""
    topic = f"{TOPIC}-ssrf"
    for endpoint in SUBSCRIBERS:
        done = server.cli("topic", "subscribe", topic, endpoint.format(port=server.http), "--confirmed")
        assert done.returncode == 0, done.stderr
    ses_client(server.url).set_identity_notification_topic(
        Identity="shop.example", NotificationType="Bounce", SnsTopic=topic
    )
    letters = wait(
        lambda: (
            found
            if len(found := server.admin(f"/topics/{topic}/dead-letters")["dead_letters"]) == len(SUBSCRIBERS)
            else None
        )
    )
    assert {each["reason"].partition(":")[0] for each in letters} == {"not called"}, letters
    ses_client(server.url).set_identity_notification_topic(Identity="shop.example", NotificationType="Bounce")


@pytest.fixture
def broken_stream(server: Server) -> Iterator[None]:
    """A stream that takes nothing."""
    place = server.data_dir / "firehose"
    place.parent.mkdir(exist_ok=True)
    place.touch()
    yield
    place.unlink()


@pytest.mark.parametrize("going", ["destination", "set", "disabled"])
def test_what_waits_for_a_destination_goes_with_it(server: Server, broken_stream: None, going: str) -> None:
    ses = ses_client(server.url)
    add_set(ses, going, KinesisFirehoseDestination={"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM})
    send(ses, going)
    key = f"set:{ACCOUNT}:us-east-1:{going}:d"
    wait(lambda: (each := destinations(server).get(key)) and each["failures"] and each["waiting"] == 2)
    if going == "destination":
        ses.delete_configuration_set_event_destination(ConfigurationSetName=going, EventDestinationName="d")
    elif going == "set":
        ses.delete_configuration_set(ConfigurationSetName=going)
    else:
        stream = {"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM}
        off = {"Name": "d", "Enabled": False, "MatchingEventTypes": TYPES, "KinesisFirehoseDestination": stream}
        ses.update_configuration_set_event_destination(ConfigurationSetName=going, EventDestination=off)
    wait(lambda: key not in destinations(server))


def test_a_stream_that_waits_is_told_by_the_topic_that_takes_its_place(server: Server, broken_stream: None) -> None:
    ses = ses_client(server.url)
    add_set(ses, "moved", KinesisFirehoseDestination={"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM})
    message_id = send(ses, "moved")
    key = f"set:{ACCOUNT}:us-east-1:moved:d"
    wait(lambda: (each := destinations(server).get(key)) and each["failures"])
    moved = {"Name": "d", "Enabled": True, "MatchingEventTypes": TYPES, "SNSDestination": {"TopicARN": f"{TOPIC}-new"}}
    ses.update_configuration_set_event_destination(ConfigurationSetName="moved", EventDestination=moved)

    def told() -> list[tuple[str, str]]:
        found = server.admin(f"/topics/{TOPIC}-new/notifications")["notifications"]
        events = [json.loads(each["message"]) for each in found if each["message"].startswith("{")]
        return [(each["eventType"], each["mail"]["messageId"]) for each in reversed(events)]

    wait(lambda: len(told()) == 2)
    assert told() == [("Send", message_id), ("Delivery", message_id)]


def test_an_identity_that_goes_takes_its_topics_along(server: Server) -> None:
    ses = ses_client(server.url)
    ses.verify_email_identity(EmailAddress="gone@shop.example")
    asked = {"NotificationType": "Delivery", "SnsTopic": f"{TOPIC}-gone"}
    ses.set_identity_notification_topic(Identity="gone@shop.example", **asked)
    ses.delete_identity(Identity="gone@shop.example")
    message_id = send(ses)
    wait(lambda: any(each["type"] == "Delivery" for each in server.admin(f"/messages/{message_id}")["events"]))
    found = server.admin(f"/topics/{TOPIC}-gone/notifications")["notifications"]
    assert len(found) == 1, "the confirmation alone"
