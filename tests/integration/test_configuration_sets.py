"""Configuration sets through AWS's own SDK and SMTP on a real server, and mail that must not leave in the clear."""

import json
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from botocore.exceptions import ClientError
from tests.integration.test_network import Authority
from tests.support.processes import free_port
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.sink import Sink

TOPIC = "arn:aws:sns:us-east-1:123456789012:events"
ROLE = "arn:aws:iam::123456789012:role/ses"
STREAM = "arn:aws:firehose:us-east-1:123456789012:deliverystream/events"
ALL = ["eventDestinations", "trackingOptions", "deliveryOptions", "reputationOptions"]
DIMENSION = {"DimensionName": "campaign", "DimensionValueSource": "messageTag", "DefaultDimensionValue": "none"}
ON_TOPIC = {
    "Name": "topic",
    "Enabled": True,
    "MatchingEventTypes": ["send", "renderingFailure"],
    "SNSDestination": {"TopicARN": TOPIC},
}


@dataclass
class SafeHost:
    """A mail server that offers STARTTLS: another implementation of SMTP than ours."""

    authority: Authority
    port: int = field(default_factory=free_port)
    taken: list[tuple[str, bool]] = field(default_factory=list)
    """Recipient, and whether the connection was encrypted."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken += [(recipient, session.ssl is not None) for recipient in envelope.rcpt_tos]
        return "250 2.0.0 taken"

    def __enter__(self) -> "SafeHost":
        self.controller = Controller(self, "127.0.0.1", self.port, tls_context=self.authority.context)
        self.controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.stop()


@dataclass(frozen=True)
class World:
    server: Server
    ses: Any
    plain: Sink
    """Offers no STARTTLS."""
    safe: SafeHost
    busy: set[str]
    """Recipients that the plain host puts off."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    busy: set[str] = set()

    def answer(stage: str, said: str) -> str | None:
        put_off = stage == "RCPT" and any(each in said for each in busy)
        return "450 4.2.0 come back later" if put_off else None

    with Sink(answer) as plain, SafeHost(Authority(tmp_path_factory.mktemp("tls"))) as safe:
        settings = {
            "delivery.mode": "direct",
            "delivery.routes": {"*": plain.address, "safe.test": f"127.0.0.1:{safe.port}"},
            "delivery.retry_seconds": [1],
            "local.auto_create": False,
            "local.topics": [TOPIC],
            "local.streams": ["events"],
        }
        with Server(settings) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain="shop.example")
            yield World(server, ses, plain, safe, busy)


@pytest.fixture
def news(world: World) -> Iterator[World]:
    """With a set of that name."""
    world.ses.create_configuration_set(ConfigurationSet={"Name": "news"})
    yield world
    world.ses.delete_configuration_set(ConfigurationSetName="news")


def describe(world: World) -> dict[str, Any]:
    shown = world.ses.describe_configuration_set(ConfigurationSetName="news", ConfigurationSetAttributeNames=ALL)
    return {key: value for key, value in shown.items() if key != "ResponseMetadata"}


def refusal(call: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**given)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    told = error.value.response["Error"]
    return told["Code"], told.get("Message", "")


def send(world: World, to: str, name: str = "news", subject: str = "s") -> str:
    answer = world.ses.send_email(
        Source="ann@shop.example",
        Destination={"ToAddresses": [to]},
        Message={"Subject": {"Data": f"id={subject}"}, "Body": {"Text": {"Data": "hi"}}},
        **({"ConfigurationSetName": name} if name else {}),
    )
    return str(answer["MessageId"])


def message_once(world: World, message_id: str, reached: Any) -> dict[str, Any]:
    """The message as the admin API shows it, as soon as `reached` says of it that it came so far."""
    deadline = time.monotonic() + 20
    while True:
        shown: dict[str, Any] = world.server.admin(f"/messages/{message_id}")
        if reached(shown):
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def test_a_set_is_described_with_all_its_settings(news: World) -> None:
    ses = news.ses
    plain = ses.describe_configuration_set(ConfigurationSetName="news")
    assert plain["ConfigurationSet"] == {"Name": "news"}
    assert not set(plain) - {"ConfigurationSet", "ResponseMetadata"}
    assert describe(news) == {
        "ConfigurationSet": {"Name": "news"},
        "EventDestinations": [],
        "DeliveryOptions": {"TlsPolicy": "Optional"},
        "ReputationOptions": {"SendingEnabled": True, "ReputationMetricsEnabled": False},
    }
    on_stream = {
        "Name": "stream",
        "MatchingEventTypes": ["click"],
        "KinesisFirehoseDestination": {"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM},
    }
    metrics = {
        "Name": "metrics",
        "MatchingEventTypes": ["bounce"],
        "CloudWatchDestination": {"DimensionConfigurations": [DIMENSION]},
    }
    for destination in (ON_TOPIC, on_stream, metrics):
        ses.create_configuration_set_event_destination(ConfigurationSetName="news", EventDestination=destination)
    ses.put_configuration_set_delivery_options(ConfigurationSetName="news", DeliveryOptions={"TlsPolicy": "Require"})
    redirect = {"CustomRedirectDomain": "links.shop.example"}
    ses.create_configuration_set_tracking_options(ConfigurationSetName="news", TrackingOptions=redirect)
    ses.update_configuration_set_reputation_metrics_enabled(ConfigurationSetName="news", Enabled=True)
    for enabled in (False, True):
        ses.update_configuration_set_sending_enabled(ConfigurationSetName="news", Enabled=enabled)
    shown = describe(news)
    fresh_start = shown["ReputationOptions"].pop("LastFreshStart")
    assert abs(fresh_start.timestamp() - time.time()) < 60
    assert shown == {
        "ConfigurationSet": {"Name": "news"},
        "EventDestinations": [ON_TOPIC, {**on_stream, "Enabled": False}, {**metrics, "Enabled": False}],
        "TrackingOptions": redirect,
        "DeliveryOptions": {"TlsPolicy": "Require"},
        "ReputationOptions": {"SendingEnabled": True, "ReputationMetricsEnabled": True},
    }

    moved = {**metrics, "Name": "stream", "Enabled": True}
    ses.update_configuration_set_event_destination(ConfigurationSetName="news", EventDestination=moved)
    ses.delete_configuration_set_event_destination(ConfigurationSetName="news", EventDestinationName="topic")
    other = {"CustomRedirectDomain": "shop.example"}
    ses.update_configuration_set_tracking_options(ConfigurationSetName="news", TrackingOptions=other)
    ses.put_configuration_set_delivery_options(ConfigurationSetName="news")
    shown = describe(news)
    assert shown["EventDestinations"] == [moved, {**metrics, "Enabled": False}]
    assert (shown["TrackingOptions"], shown["DeliveryOptions"]) == (other, {"TlsPolicy": "Optional"})
    ses.delete_configuration_set_tracking_options(ConfigurationSetName="news")
    assert "TrackingOptions" not in describe(news)


def test_the_topic_of_a_destination_hears_in_plain_text_that_it_was_taken(news: World) -> None:
    news.ses.create_configuration_set_event_destination(ConfigurationSetName="news", EventDestination=ON_TOPIC)
    newest = news.server.admin(f"/topics/{TOPIC}/notifications")["notifications"][0]
    assert newest["message"] == "Successfully validated SNS topic for Amazon SES event publishing."
    assert not newest.get("subject")


def test_lists_come_in_pages(news: World) -> None:
    for number in range(3):
        news.ses.create_configuration_set(ConfigurationSet={"Name": f"list-{number}"})
    paginated = []
    token: dict[str, str] = {}
    while True:
        page = news.ses.list_configuration_sets(MaxItems=3, **token)
        paginated += [each["Name"] for each in page["ConfigurationSets"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert paginated == ["list-0", "list-1", "list-2", "news"]
    for number in range(3):
        news.ses.delete_configuration_set(ConfigurationSetName=f"list-{number}")
    assert refusal(news.ses.list_configuration_sets, NextToken="x") == ("InvalidParameterValue", "")


def test_refusals_have_the_codes_and_members_that_the_sdk_knows(news: World) -> None:
    ses = news.ses
    ses.create_configuration_set_event_destination(ConfigurationSetName="news", EventDestination=ON_TOPIC)
    exceptions = ses.exceptions
    with pytest.raises(exceptions.ConfigurationSetAlreadyExistsException) as error:
        ses.create_configuration_set(ConfigurationSet={"Name": "news"})
    assert error.value.response["ConfigurationSetName"] == "news"
    with pytest.raises(exceptions.InvalidConfigurationSetException):
        ses.create_configuration_set(ConfigurationSet={"Name": "a b"})
    with pytest.raises(exceptions.ConfigurationSetDoesNotExistException, match="<none> does not exist"):
        ses.delete_configuration_set(ConfigurationSetName="none")
    create, update = ses.create_configuration_set_event_destination, ses.update_configuration_set_event_destination
    with pytest.raises(exceptions.EventDestinationAlreadyExistsException) as error:
        create(ConfigurationSetName="news", EventDestination=ON_TOPIC)
    assert error.value.response["EventDestinationName"] == "topic"
    with pytest.raises(exceptions.EventDestinationDoesNotExistException, match="No EventDestination found for news"):
        update(ConfigurationSetName="news", EventDestination={**ON_TOPIC, "Name": "none"})
    with pytest.raises(exceptions.EventDestinationDoesNotExistException):
        ses.delete_configuration_set_event_destination(ConfigurationSetName="news", EventDestinationName="none")
    elsewhere = {**ON_TOPIC, "Name": "other", "SNSDestination": {"TopicARN": f"{TOPIC}-not"}}
    with pytest.raises(exceptions.InvalidSNSDestinationException, match=f"SNS topic <{TOPIC}-not> not found"):
        create(ConfigurationSetName="news", EventDestination=elsewhere)
    without = {key: ON_TOPIC[key] for key in ("Enabled", "MatchingEventTypes")} | {"Name": "other"}
    firehose = {"IAMRoleARN": "x", "DeliveryStreamARN": STREAM}
    with pytest.raises(exceptions.InvalidFirehoseDestinationException, match="Could not assume IAM role <x>"):
        create(ConfigurationSetName="news", EventDestination={**without, "KinesisFirehoseDestination": firehose})
    cloudwatch = {"DimensionConfigurations": [DIMENSION, DIMENSION]}
    with pytest.raises(exceptions.InvalidCloudWatchDestinationException):
        create(ConfigurationSetName="news", EventDestination={**without, "CloudWatchDestination": cloudwatch})
    empty = {**without, "CloudWatchDestination": {"DimensionConfigurations": []}}
    assert refusal(create, ConfigurationSetName="news", EventDestination=empty) == (
        "InvalidParameterValue",
        "CloudWatch metrics dimension configuration list cannot be empty.",
    )
    text = "Event destination is not provided."
    assert refusal(create, ConfigurationSetName="news", EventDestination=without) == ("InvalidParameterValue", text)
    metrics = {**without, "CloudWatchDestination": {"DimensionConfigurations": [DIMENSION]}}
    for number in range(9):
        create(ConfigurationSetName="news", EventDestination={**metrics, "Name": f"d{number}"})
    with pytest.raises(exceptions.LimitExceededException):
        create(ConfigurationSetName="news", EventDestination=metrics)


def test_tracking_options_are_refused_as_observed(news: World) -> None:
    ses, exceptions = news.ses, news.ses.exceptions
    create, update = ses.create_configuration_set_tracking_options, ses.update_configuration_set_tracking_options
    own, foreign = {"CustomRedirectDomain": "shop.example"}, {"CustomRedirectDomain": "other.example"}
    with pytest.raises(exceptions.InvalidTrackingOptionsException, match="Domain <other.example> is not verified"):
        create(ConfigurationSetName="none", TrackingOptions=foreign)
    assert refusal(create, ConfigurationSetName="news", TrackingOptions={})[0] == "ValidationError"
    for call, given in ((update, {"TrackingOptions": own}), (ses.delete_configuration_set_tracking_options, {})):
        with pytest.raises(exceptions.TrackingOptionsDoesNotExistException):
            call(ConfigurationSetName="news", **given)
    create(ConfigurationSetName="news", TrackingOptions=own)
    with pytest.raises(exceptions.TrackingOptionsAlreadyExistsException):
        create(ConfigurationSetName="news", TrackingOptions=own)


def test_mail_by_a_missing_or_paused_set_is_refused(news: World) -> None:
    exceptions = news.ses.exceptions
    with pytest.raises(exceptions.ConfigurationSetDoesNotExistException, match="Configuration set <none> does not"):
        send(news, "bob@safe.test", "none")
    news.ses.update_configuration_set_sending_enabled(ConfigurationSetName="news", Enabled=False)
    with pytest.raises(exceptions.ConfigurationSetSendingPausedException) as error:
        send(news, "bob@safe.test")
    assert error.value.response["ConfigurationSetName"] == "news"
    news.ses.update_configuration_set_sending_enabled(ConfigurationSetName="news", Enabled=True)
    assert news.server.admin(f"/messages/{send(news, 'bob@safe.test')}")["configuration_set"] == "news"


def test_smtp_clients_name_the_set_in_a_header(news: World) -> None:
    mail = "From: ann@shop.example\r\nTo: bob@plain.test\r\nX-SES-CONFIGURATION-SET: {}\r\nSubject: id={}\r\n\r\nhi\r\n"
    with smtplib.SMTP("127.0.0.1", news.server.submission) as client:
        client.ehlo()
        for command in ("MAIL FROM:<ann@shop.example>", "RCPT TO:<bob@plain.test>"):
            client.docmd(command)
        code, text = client.data(mail.format("news", "smtp"))
        with pytest.raises(smtplib.SMTPDataError) as raised:
            client.sendmail("ann@shop.example", "bob@plain.test", mail.format("none", "no"))
    assert (raised.value.smtp_code, raised.value.smtp_error) == (
        554,
        b"Transaction failed: Configuration set <none> does not exist.",
    )
    assert code == 250
    message_id = text.decode().removeprefix("Ok ")
    shown = message_once(news, message_id, lambda shown: shown["recipients"][0]["status"] == "delivered")
    assert (shown["configuration_set"], shown["operation"]) == ("news", "SMTP")
    (arrival,) = [each for each in news.plain.arrivals if each.id == "smtp"]
    assert b"configuration-set" not in arrival.content.lower()


# -- TlsPolicy Require


def test_mail_that_must_not_leave_in_the_clear(news: World) -> None:
    require = {"TlsPolicy": "Require"}
    news.ses.put_configuration_set_delivery_options(ConfigurationSetName="news", DeliveryOptions=require)
    safe, plain = send(news, "safe@safe.test"), send(news, "bob@plain.test", subject="require")
    unbound = send(news, "bob@plain.test", "", subject="unbound")
    shown = message_once(news, plain, lambda shown: shown["recipients"][0]["status"] == "bounced")
    assert shown["recipients"][0]["reply"] == "550 5.7.10 TLS is required, but 127.0.0.1 offers none"
    (bounce,) = [each for each in shown["events"] if each["type"] == "Bounce"]
    assert bounce["detail"]["kind"] == {"type": "Permanent", "subtype": "General"}
    for each in (safe, unbound):
        message_once(news, each, lambda shown: shown["recipients"][0]["status"] == "delivered")
    assert [tls for recipient, tls in news.safe.taken if recipient == "safe@safe.test"] == [True]
    assert not news.plain.counts["require", "bob@plain.test"]
    assert news.plain.counts["unbound", "bob@plain.test"] == 1


def test_a_policy_that_is_set_while_mail_waits_binds_its_next_attempt(news: World) -> None:
    news.busy.add("late@plain.test")
    message_id = send(news, "late@plain.test", subject="late")
    message_once(news, message_id, lambda shown: any(each["type"] == "DeliveryDelay" for each in shown["events"]))
    require = {"TlsPolicy": "Require"}
    news.ses.put_configuration_set_delivery_options(ConfigurationSetName="news", DeliveryOptions=require)
    shown = message_once(news, message_id, lambda shown: shown["recipients"][0]["status"] != "queued")
    assert shown["recipients"][0]["reply"].startswith("550 5.7.10 "), json.dumps(shown)
    assert not news.plain.counts["late", "late@plain.test"]


def test_a_set_deleted_before_delivery_does_not_hold_its_mail(world: World) -> None:
    world.ses.create_configuration_set(ConfigurationSet={"Name": "gone"})
    world.busy.add("gone@plain.test")
    message_id = send(world, "gone@plain.test", "gone", "gone")
    message_once(world, message_id, lambda shown: any(each["type"] == "DeliveryDelay" for each in shown["events"]))
    world.ses.delete_configuration_set(ConfigurationSetName="gone")
    world.busy.clear()
    shown = message_once(world, message_id, lambda shown: shown["recipients"][0]["status"] == "delivered")
    assert shown["configuration_set"] == "gone"
    assert world.plain.counts["gone", "gone@plain.test"] == 1


def test_every_operation_says_when_its_set_is_missing(world: World) -> None:
    ses, none = world.ses, {"ConfigurationSetName": "none"}
    own = {"TrackingOptions": {"CustomRedirectDomain": "shop.example"}}
    calls: list[tuple[Any, dict[str, Any]]] = [
        (ses.describe_configuration_set, {}),
        (ses.delete_configuration_set, {}),
        (ses.create_configuration_set_event_destination, {"EventDestination": ON_TOPIC}),
        (ses.update_configuration_set_event_destination, {"EventDestination": ON_TOPIC}),
        (ses.delete_configuration_set_event_destination, {"EventDestinationName": "topic"}),
        (ses.create_configuration_set_tracking_options, own),
        (ses.update_configuration_set_tracking_options, own),
        (ses.delete_configuration_set_tracking_options, {}),
        (ses.put_configuration_set_delivery_options, {"DeliveryOptions": {"TlsPolicy": "Require"}}),
        (ses.update_configuration_set_reputation_metrics_enabled, {"Enabled": True}),
        (ses.update_configuration_set_sending_enabled, {"Enabled": True}),
    ]
    for call, given in calls:
        with pytest.raises(ses.exceptions.ConfigurationSetDoesNotExistException) as error:
            call(**none, **given)
        assert error.value.response["Error"]["Message"] == "Configuration set <none> does not exist."
        assert error.value.response["ConfigurationSetName"] == "none"


def test_a_tls_policy_that_is_none_is_refused(news: World) -> None:
    put = news.ses.put_configuration_set_delivery_options
    assert refusal(put, ConfigurationSetName="news", DeliveryOptions={"TlsPolicy": "Sometimes"}) == (
        "ValidationError",
        "1 validation error detected: Value at 'deliveryOptions.tlsPolicy' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Optional, Require]",
    )
