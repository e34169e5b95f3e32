"""Event destinations of configuration sets: what one must be, and the set with one more, another or one less.

Source: API reference of EventDestination and CloudWatchDimensionConfiguration; SES developer guide, "Setting up event
destinations"; texts recorded and probed on the live service. Where a text is not known it is made like its neighbours.
"""

import re
from collections.abc import Sequence

import msgspec

from posthouse.domain.configuration_sets import ConfigurationSet, Dimension, EventDestination, why_no_name
from posthouse.domain.topics import parse_topic_arn
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    EventDestinationAlreadyExistsException,
    EventDestinationDoesNotExistException,
    InvalidCloudWatchDestinationException,
    InvalidFirehoseDestinationException,
    InvalidSNSDestinationException,
    LimitExceededException,
)

MAX_DESTINATIONS = 10
"""Of one set (SES developer guide, "Service quotas")."""
MAX_DIMENSIONS = 10
MAX_DIMENSION_TEXT = 256
"""Characters of a dimension's name and of its default value."""

VALIDATION_MESSAGE = "Successfully validated SNS topic for Amazon SES event publishing."
"""What SES publishes, without a subject, to the topic of a new destination (recorded)."""

_STREAM_ARN = re.compile(
    r"arn:aws[a-z-]{0,30}:firehose:([a-z0-9-]{1,30}):[0-9]{12}:deliverystream/[A-Za-z0-9_.-]{1,64}"
)
# IAMRoleARN of the service model, which has it for receipt actions; 20 to 2048 characters.
_ROLE_ARN = re.compile(r"arn:[\w-]+:iam::[0-9]+:role/([!-~]+/)?[\w+=,.@-]+", re.ASCII)
_DIMENSION_NAME = re.compile(r"[A-Za-z0-9_:-]+")
_DIMENSION_VALUE = re.compile(r"[A-Za-z0-9_@.-]+")
# Developer guide, "CloudWatch event destinations": headers that are no dimension.
_NO_DIMENSIONS = frozenset({"received", "to", "from", "dkim-signature", "cc", "message-id", "return-path"})


def check_kinds(given: int) -> None:
    """Of Firehose, CloudWatch and SNS there must be one, and only one."""
    if given == 0:
        raise InvalidParameterValue("Event destination is not provided.")
    if given > 1:
        raise InvalidParameterValue(
            "Please provide only one destination with each request. Either a Firehose Destination or a Cloudwatch "
            "Destination or an SNS Destination or an EventBridge Destination."
        )


def check_name(name: str) -> None:
    if text := why_no_name(name, "event destination"):
        raise InvalidParameterValue(text)


def check_types(event_types: Sequence[str]) -> None:
    """Which words are event types is the service model's business."""
    if not event_types:
        raise InvalidParameterValue("At least one event type must be specified.")


def check_topic(set_name: str, destination: EventDestination, region: str) -> None:
    """SES publishes to standard topics of its own region (developer guide); to it no other exists."""
    topic = parse_topic_arn(destination.sns_topic)
    if topic is None or topic.region != region:
        raise no_such_topic(set_name, destination)


def no_such_topic(set_name: str, destination: EventDestination) -> InvalidSNSDestinationException:
    return _no_topic(f"SNS topic <{destination.sns_topic}> not found.", set_name, destination)


def unusable_topic(set_name: str, destination: EventDestination) -> InvalidSNSDestinationException:
    """There may be such a topic, but it did not take the validation message."""
    return _no_topic(f"Could not publish to SNS topic <{destination.sns_topic}>.", set_name, destination)


def _no_topic(text: str, set_name: str, destination: EventDestination) -> InvalidSNSDestinationException:
    return InvalidSNSDestinationException(
        text, configuration_set_name=set_name, event_destination_name=destination.name
    )


def check_stream(set_name: str, destination: EventDestination, region: str) -> None:
    """The role and the stream have to be ARNs of such, the stream in the region of the set (developer guide)."""
    role = destination.role_arn
    if not 20 <= len(role) <= 2048 or not _ROLE_ARN.fullmatch(role):
        raise refused_role(set_name, destination)
    stream = _STREAM_ARN.fullmatch(destination.stream_arn)
    if stream is None or stream[1] != region:
        raise no_such_stream(set_name, destination)


def refused_role(set_name: str, destination: EventDestination) -> InvalidFirehoseDestinationException:
    return _no_stream(f"Could not assume IAM role <{destination.role_arn}>.", set_name, destination)


def no_such_stream(set_name: str, destination: EventDestination) -> InvalidFirehoseDestinationException:
    return _no_stream(f"Firehose delivery stream <{destination.stream_arn}> not found.", set_name, destination)


def unusable_stream(set_name: str, destination: EventDestination) -> InvalidFirehoseDestinationException:
    return _no_stream(f"Could not access Firehose delivery stream <{destination.stream_arn}>.", set_name, destination)


def _no_stream(text: str, set_name: str, destination: EventDestination) -> InvalidFirehoseDestinationException:
    return InvalidFirehoseDestinationException(
        text, configuration_set_name=set_name, event_destination_name=destination.name
    )


def check_dimensions(set_name: str, destination: EventDestination) -> None:
    """Raises InvalidCloudWatchDestination, or InvalidParameterValue where there is no dimension (probed)."""
    if not destination.dimensions:
        raise InvalidParameterValue("CloudWatch metrics dimension configuration list cannot be empty.")
    if text := _why_not(destination.dimensions):
        raise InvalidCloudWatchDestinationException(
            text, configuration_set_name=set_name, event_destination_name=destination.name
        )


def _why_not(dimensions: Sequence[Dimension]) -> str:
    if len(dimensions) > MAX_DIMENSIONS:
        return f"CloudWatch metrics dimension configuration list cannot have more than {MAX_DIMENSIONS} elements."
    for dimension in dimensions:
        text = _why_no_text(dimension.name, "dimension name", _DIMENSION_NAME, "'_', '-', and ':'")
        text = text or _why_no_text(
            dimension.default, "default dimension value", _DIMENSION_VALUE, "'_', '-', '@', and '.'"
        )
        if not text and dimension.source == "emailHeader" and dimension.name.lower() in _NO_DIMENSIONS:
            text = f"Invalid dimension name <{dimension.name}>: this header cannot be used as a dimension."
        if text:
            return text
    names = [dimension.name for dimension in dimensions]
    # CloudWatch itself: "No metric may specify the same dimension name twice."
    twice = next((name for name in names if names.count(name) > 1), None)
    return "" if twice is None else f"Dimension name <{twice}> is used more than once."


def _why_no_text(text: str, what: str, allowed: re.Pattern[str], shown: str) -> str:
    if not text:
        return f"The {what} must be specified."
    if len(text) > MAX_DIMENSION_TEXT:
        return f"{what.capitalize()} cannot exceed {MAX_DIMENSION_TEXT} characters."
    if allowed.fullmatch(text):
        return ""
    return f"Invalid {what} <{text}>: only alphanumeric ASCII characters, {shown} are allowed."


# -- the set and its destinations


def with_new_destination(name: str, found: ConfigurationSet, destination: EventDestination) -> ConfigurationSet:
    """The set with one more; `name` is the set's."""
    if found.destination(destination.name) is not None:
        raise EventDestinationAlreadyExistsException(
            f"An event destination with name <{destination.name}> already exists in configuration set <{name}>",
            configuration_set_name=name,
            event_destination_name=destination.name,
        )
    if len(found.destinations) >= MAX_DESTINATIONS:
        raise LimitExceededException(
            f"Number of event destinations for configuration set <{name}> exceeds the limit of {MAX_DESTINATIONS}."
        )
    return msgspec.structs.replace(found, destinations=(*found.destinations, destination))


def with_destination(name: str, found: ConfigurationSet, destination: EventDestination) -> ConfigurationSet:
    """The set with the destination of that name replaced, as a whole."""
    _require(name, found, destination.name)
    changed = tuple([destination if each.name == destination.name else each for each in found.destinations])
    return msgspec.structs.replace(found, destinations=changed)


def without_destination(name: str, found: ConfigurationSet, destination_name: str) -> ConfigurationSet:
    _require(name, found, destination_name)
    left = tuple([each for each in found.destinations if each.name != destination_name])
    return msgspec.structs.replace(found, destinations=left)


def _require(name: str, found: ConfigurationSet, destination_name: str) -> None:
    if found.destination(destination_name) is None:
        raise EventDestinationDoesNotExistException(
            # Recorded: it names the set, not the destination.
            f"No EventDestination found for {name}",
            configuration_set_name=name,
            event_destination_name=destination_name,
        )
