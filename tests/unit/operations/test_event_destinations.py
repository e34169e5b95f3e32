"""Event destinations over the API: each kind made, shown, changed, deleted and refused; what topics hear."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.event_destinations import VALIDATION_MESSAGE
from posthouse.model import generated as model
from posthouse.model.errors import ServiceError
from posthouse.ports.streams import Put, PutOutcome, RoleRefused, StreamFailed, StreamUnknown
from posthouse.ports.topics import PublishFailed, PublishOutcome, TopicUnknown

TOPIC = "arn:aws:sns:us-east-1:111111111111:mail"
STREAM = "arn:aws:firehose:us-east-1:111111111111:deliverystream/mail"
ROLE = "arn:aws:iam::111111111111:role/ses"
CREATE, UPDATE = "CreateConfigurationSetEventDestination", "UpdateConfigurationSetEventDestination"
ON_TOPIC = {"SNSDestination.TopicARN": TOPIC}
ON_STREAM = {"KinesisFirehoseDestination.IAMRoleARN": ROLE, "KinesisFirehoseDestination.DeliveryStreamARN": STREAM}
MEASURED = {
    "CloudWatchDestination.DimensionConfigurations.member.1.DimensionName": "campaign",
    "CloudWatchDestination.DimensionConfigurations.member.1.DimensionValueSource": "messageTag",
    "CloudWatchDestination.DimensionConfigurations.member.1.DefaultDimensionValue": "none",
    "CloudWatchDestination.DimensionConfigurations.member.2.DimensionName": "X-Mailer",
    "CloudWatchDestination.DimensionConfigurations.member.2.DimensionValueSource": "emailHeader",
    "CloudWatchDestination.DimensionConfigurations.member.2.DefaultDimensionValue": "unknown",
}


class Streams:
    """ports.streams.Streams that answers as told and notes who asked."""

    def __init__(self, outcome: PutOutcome) -> None:
        self.outcome = outcome
        self.checked: list[tuple[str, str, str]] = []

    async def check(self, account: str, stream_arn: str, role_arn: str) -> PutOutcome:
        self.checked.append((account, stream_arn, role_arn))
        return self.outcome

    async def put(self, account: str, stream_arn: str, role_arn: str, records: Sequence[bytes]) -> PutOutcome:
        raise AssertionError("nothing is put to find out whether one could")

    async def close(self) -> None: ...


class Topics:
    """ports.topics.Topics that answers as told."""

    def __init__(self, outcome: PublishOutcome) -> None:
        self.outcome = outcome

    async def publish(
        self, account: str, arn: str, subject: str | None, message: str, *, chain: str = ""
    ) -> PublishOutcome:
        return self.outcome

    async def close(self) -> None: ...


async def put(ses: Ses, operation: str, kind: dict[str, str], name: str = "d", **more: str) -> None:
    given = {"ConfigurationSetName": "news", "EventDestination.Name": name}
    types = {"EventDestination.MatchingEventTypes.member.1": "send"}
    await ses.call(operation, **{**given, **types, **{f"EventDestination.{key}": kind[key] for key in kind}, **more})


async def shown(ses: Ses) -> tuple[model.EventDestination, ...]:
    asked = {"ConfigurationSetAttributeNames__member__1": "eventDestinations"}
    found: Any = await ses.call("DescribeConfigurationSet", ConfigurationSetName="news", **asked)
    listed: tuple[model.EventDestination, ...] = found.event_destinations
    return listed


async def told(ses: Ses, topic: str = TOPIC) -> list[tuple[str | None, str]]:
    kept = await ses.ctx.stores.topics.notifications(Callers.ANN.scope.account, topic, None, 100)
    return [(each.notification.subject, each.notification.message) for each in kept or ()]


def refusal(error: "pytest.ExceptionInfo[ServiceError]") -> tuple[str, str, dict[str, str]]:
    return error.value.code, error.value.message, error.value.members


NAMES = {"ConfigurationSetName": "news", "EventDestinationName": "d"}


async def test_each_kind_is_described_as_it_was_made() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        types = {"EventDestination.MatchingEventTypes.member.2": "open", "EventDestination.Enabled": "true"}
        await put(ses, CREATE, ON_TOPIC, "topic", **types)
        await put(ses, CREATE, ON_STREAM, "stream")
        again = {"EventDestination.MatchingEventTypes.member.2": "send"}
        await put(ses, CREATE, MEASURED, "metrics", **again)
        topic, stream, metrics = await shown(ses)
    assert topic == model.EventDestination(
        name="topic",
        enabled=True,
        matching_event_types=("send", "open"),
        sns_destination=model.SNSDestination(topic_arn=TOPIC),
    )
    assert stream == model.EventDestination(
        name="stream",
        enabled=False,
        matching_event_types=("send",),
        kinesis_firehose_destination=model.KinesisFirehoseDestination(iam_role_arn=ROLE, delivery_stream_arn=STREAM),
    )
    assert metrics.matching_event_types == ("send",)
    assert metrics.cloud_watch_destination == model.CloudWatchDestination(
        dimension_configurations=(
            model.CloudWatchDimensionConfiguration(
                dimension_name="campaign", dimension_value_source="messageTag", default_dimension_value="none"
            ),
            model.CloudWatchDimensionConfiguration(
                dimension_name="X-Mailer", dimension_value_source="emailHeader", default_dimension_value="unknown"
            ),
        )
    )


async def test_a_topic_hears_once_that_it_was_taken() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put(ses, CREATE, ON_TOPIC)
        assert await told(ses) == [(None, VALIDATION_MESSAGE)]
        await put(ses, UPDATE, ON_TOPIC, **{"EventDestination.Enabled": "true"})
        assert await told(ses) == [(None, VALIDATION_MESSAGE)]
        await put(ses, UPDATE, {"SNSDestination.TopicARN": TOPIC + "2"})
        assert await told(ses, TOPIC + "2") == [(None, VALIDATION_MESSAGE)]


async def test_an_update_replaces_the_whole() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put(ses, CREATE, MEASURED, **{"EventDestination.Enabled": "true"})
        await put(ses, CREATE, ON_TOPIC, "other")
        await put(ses, UPDATE, ON_STREAM)
        first, second = await shown(ses)
        assert (first.enabled, first.cloud_watch_destination) == (False, None)
        assert first.kinesis_firehose_destination is not None
        assert second.name == "other"


async def test_a_topic_that_does_not_exist_is_refused_and_nothing_changes() -> None:
    async with open_ses(auto_create_topics=False) as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put(ses, CREATE, MEASURED)
        for operation, name in ((CREATE, "e"), (UPDATE, "d")):
            for arn in (TOPIC, TOPIC.replace("us-east-1", "eu-west-1"), "mail", ""):
                with pytest.raises(ServiceError) as error:
                    await put(ses, operation, {"SNSDestination.TopicARN": arn}, name)
                names = {**NAMES, "EventDestinationName": name}
                assert refusal(error) == ("InvalidSNSDestination", f"SNS topic <{arn}> not found.", names)
        (kept,) = await shown(ses)
        assert (kept.name, kept.sns_destination) == ("d", None)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (TopicUnknown(), f"SNS topic <{TOPIC}> not found."),
        (PublishFailed("AuthorizationError"), f"Could not publish to SNS topic <{TOPIC}>."),
    ],
)
async def test_a_topic_that_takes_no_message_is_refused(outcome: PublishOutcome, text: str) -> None:
    async with open_ses(topics=Topics(outcome)) as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        with pytest.raises(ServiceError) as error:
            await put(ses, CREATE, ON_TOPIC)
        assert refusal(error) == ("InvalidSNSDestination", text, NAMES)
        assert await shown(ses) == ()


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (RoleRefused("no"), f"Could not assume IAM role <{ROLE}>."),
        (StreamUnknown(), f"Firehose delivery stream <{STREAM}> not found."),
        (StreamFailed("timed out"), f"Could not access Firehose delivery stream <{STREAM}>."),
    ],
)
async def test_a_stream_that_cannot_be_used_is_refused(outcome: PutOutcome, text: str) -> None:
    streams = Streams(outcome)
    async with open_ses(streams=streams) as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        with pytest.raises(ServiceError) as error:
            await put(ses, CREATE, ON_STREAM)
        assert refusal(error) == ("InvalidFirehoseDestination", text, NAMES)
        assert await shown(ses) == ()
        streams.outcome = Put()
        await put(ses, CREATE, ON_STREAM)
    assert streams.checked == [("111111111111", STREAM, ROLE)] * 2


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({}, "InvalidParameterValue", "Event destination is not provided."),
        ({**ON_TOPIC, **ON_STREAM}, "InvalidParameterValue", "Please provide only one destination with each request."),
        (
            {"CloudWatchDestination.DimensionConfigurations": ""},
            "InvalidParameterValue",
            "CloudWatch metrics dimension configuration list cannot be empty.",
        ),
        (
            {**MEASURED, "CloudWatchDestination.DimensionConfigurations.member.2.DimensionName": "From"},
            "InvalidCloudWatchDestination",
            "Invalid dimension name <From>",
        ),
        ({**ON_TOPIC, "Name": "a b"}, "InvalidParameterValue", "Invalid event destination name <a b>"),
        ({**ON_TOPIC, "MatchingEventTypes.member.1": "x"}, "ValidationError", "[send, bounce, click, open,"),
        (
            {**MEASURED, "CloudWatchDestination.DimensionConfigurations.member.1.DimensionValueSource": "x"},
            "ValidationError",
            "[linkTag, emailHeader, messageTag]",
        ),
        (
            {"SNSDestination.X": "y"},
            "ValidationError",
            "Value null at 'eventDestination.sNSDestination.topicARN' failed",
        ),
        ({**ON_STREAM, "KinesisFirehoseDestination.IAMRoleARN": "ses"}, "InvalidFirehoseDestination", "role <ses>."),
    ],
)
async def test_what_is_refused(changes: dict[str, str], code: str, text: str) -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        with pytest.raises(ServiceError) as error:
            await put(ses, CREATE, changes)
        assert (error.value.code, text in error.value.message) == (code, True), error.value.message
        assert await shown(ses) == ()


async def test_an_empty_list_of_types_is_refused() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        given = {f"EventDestination.{key}": value for key, value in ON_TOPIC.items()}
        with pytest.raises(ServiceError) as error:
            await ses.call(
                CREATE,
                **{"ConfigurationSetName": "news", "EventDestination.Name": "d", **given},
                EventDestination__MatchingEventTypes="",
            )
        assert refusal(error) == ("InvalidParameterValue", "At least one event type must be specified.", {})


async def test_a_taken_name_is_refused_before_the_topic_hears_anything() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put(ses, CREATE, MEASURED)
        with pytest.raises(model.EventDestinationAlreadyExistsException):
            await put(ses, CREATE, ON_TOPIC)
        with pytest.raises(model.EventDestinationDoesNotExistException):
            await put(ses, UPDATE, ON_TOPIC, "e")
        for number in range(9):
            await put(ses, CREATE, MEASURED, f"m{number}")
        with pytest.raises(model.LimitExceededException):
            await put(ses, CREATE, ON_TOPIC, "e")
        assert await told(ses) == []


async def test_destinations_are_deleted_one_by_one() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put(ses, CREATE, MEASURED)
        await put(ses, CREATE, ON_TOPIC, "e")
        gone = {"ConfigurationSetName": "news", "EventDestinationName": "d"}
        await ses.call("DeleteConfigurationSetEventDestination", **gone)
        assert [each.name for each in await shown(ses)] == ["e"]
        with pytest.raises(ServiceError) as error:
            await ses.call("DeleteConfigurationSetEventDestination", **gone)
        assert refusal(error) == ("EventDestinationDoesNotExist", "No EventDestination found for news", NAMES)


async def test_destinations_of_other_sets_and_accounts_are_their_own() -> None:
    async with open_ses() as ses:
        for caller in (Callers.ANN, Callers.BOB):
            await ses.call("CreateConfigurationSet", caller, ConfigurationSet__Name="news")
        await put(ses, CREATE, ON_TOPIC)
        asked = {"ConfigurationSetName": "news", "ConfigurationSetAttributeNames__member__1": "eventDestinations"}
        assert (await ses.call("DescribeConfigurationSet", Callers.BOB, **asked)).event_destinations == ()
