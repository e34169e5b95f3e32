"""Rules of event destinations: names, kinds, topics, streams, dimensions, and how many there may be."""

from dataclasses import dataclass

import msgspec
import pytest

from posthouse.domain import event_destinations as domain
from posthouse.domain.configuration_sets import ConfigurationSet, Dimension, EventDestination
from posthouse.model.errors import ServiceError

REGION = "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:111111111111:mail"
STREAM = f"arn:aws:firehose:{REGION}:111111111111:deliverystream/mail"
ROLE = "arn:aws:iam::111111111111:role/ses"
ON_TOPIC = EventDestination(name="d", event_types=("send",), sns_topic=TOPIC)
NAMES = {"ConfigurationSetName": "s", "EventDestinationName": "d"}


@dataclass
class Refusal:
    code: str
    message: str
    members: dict[str, str]


def refusal(check: object, *given: object) -> Refusal:
    with pytest.raises(ServiceError) as error:
        check(*given)  # type: ignore[operator]
    return Refusal(error.value.code, error.value.message, error.value.members)


def test_one_and_only_one_kind() -> None:
    domain.check_kinds(1)
    assert refusal(domain.check_kinds, 0) == Refusal("InvalidParameterValue", "Event destination is not provided.", {})
    two = refusal(domain.check_kinds, 2)
    assert (two.code, two.message[:57]) == (
        "InvalidParameterValue",
        "Please provide only one destination with each request. Ei",
    )


def test_names() -> None:
    domain.check_name("a_B-9" * 12)
    expected = {
        "": "The event destination name must be specified.",
        "a b": "Invalid event destination name <a b>: only alphanumeric ASCII characters, '_', and '-' are allowed.",
        "a" * 65: "Event destination name cannot exceed 64 characters.",
    }
    for name, text in expected.items():
        assert refusal(domain.check_name, name) == Refusal("InvalidParameterValue", text, {})


def test_at_least_one_event_type() -> None:
    domain.check_types(("send",))
    text = "At least one event type must be specified."
    assert refusal(domain.check_types, ()) == Refusal("InvalidParameterValue", text, {})


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "mail",
        TOPIC.replace(REGION, "us-east-1"),
        TOPIC + ".fifo",
        TOPIC + "\n",
        STREAM,
    ],
)
def test_topics_are_standard_ones_of_the_region(arn: str) -> None:
    domain.check_topic("s", ON_TOPIC, REGION)
    wrong = msgspec.structs.replace(ON_TOPIC, sns_topic=arn)
    told = refusal(domain.check_topic, "s", wrong, REGION)
    assert told == Refusal("InvalidSNSDestination", f"SNS topic <{arn}> not found.", NAMES)


def on_stream(stream: str = STREAM, role: str = ROLE) -> EventDestination:
    return EventDestination(name="d", event_types=("send",), stream_arn=stream, role_arn=role)


@pytest.mark.parametrize(
    ("stream", "role"),
    [
        (STREAM, ROLE),
        (STREAM.replace("aws:", "aws-us-gov:", 1), "arn:aws-us-gov:iam::1:role/path/to/a+role=,.@-"),
        (STREAM, f"arn:aws:iam::111111111111:role/{'p' * 2000}/x"),
    ],
)
def test_streams_and_roles(stream: str, role: str) -> None:
    domain.check_stream("s", on_stream(stream, role), REGION)


@pytest.mark.parametrize(
    "role", ["", "ses", "arn:aws:iam::1:role/", ROLE + "\n", ROLE.replace("role", "user"), ROLE + "x" * 2048]
)
def test_roles_that_are_none(role: str) -> None:
    told = refusal(domain.check_stream, "s", on_stream(role=role), REGION)
    assert told == Refusal("InvalidFirehoseDestination", f"Could not assume IAM role <{role}>.", NAMES)


@pytest.mark.parametrize(
    "stream", ["", "mail", STREAM.replace(REGION, "us-east-1"), STREAM + "/x", STREAM + "\n", STREAM + "x" * 64, TOPIC]
)
def test_streams_that_are_none(stream: str) -> None:
    told = refusal(domain.check_stream, "s", on_stream(stream=stream), REGION)
    assert told == Refusal("InvalidFirehoseDestination", f"Firehose delivery stream <{stream}> not found.", NAMES)


def measured(*dimensions: Dimension) -> EventDestination:
    return EventDestination(name="d", event_types=("send",), dimensions=dimensions)


def dimension(name: str = "campaign", default: str = "none", source: str = "messageTag") -> Dimension:
    return Dimension(name=name, source=source, default=default)


@pytest.mark.parametrize(
    "dimensions",
    [
        (dimension("ses:configuration-set", "a_@.-9"),),
        (dimension("x" * 256, "y" * 256),),
        (dimension("From", source="messageTag"), dimension("X-Mailer", source="emailHeader")),
        tuple(dimension(f"d{number}") for number in range(10)),
    ],
)
def test_dimensions(dimensions: tuple[Dimension, ...]) -> None:
    domain.check_dimensions("s", measured(*dimensions))


@pytest.mark.parametrize(
    ("dimensions", "text"),
    [
        ((dimension(""),), "The dimension name must be specified."),
        ((dimension("x" * 257),), "Dimension name cannot exceed 256 characters."),
        (
            (dimension("a b"),),
            "Invalid dimension name <a b>: only alphanumeric ASCII characters, '_', '-', and ':' are allowed.",
        ),
        ((dimension(default=""),), "The default dimension value must be specified."),
        ((dimension(default="x" * 257),), "Default dimension value cannot exceed 256 characters."),
        (
            (dimension(default="a:b"),),
            "Invalid default dimension value <a:b>: only alphanumeric ASCII characters, '_', '-', '@', and '.' are "
            "allowed.",
        ),
        *(
            (
                (dimension(), dimension(header, source="emailHeader")),
                f"Invalid dimension name <{header}>: this header cannot be used as a dimension.",
            )
            for header in ("Received", "To", "FROM", "dkim-signature", "Cc", "Message-ID", "return-path")
        ),
        ((dimension("a"), dimension("a")), "Dimension name <a> is used more than once."),
        (
            tuple(dimension(f"d{number}") for number in range(11)),
            "CloudWatch metrics dimension configuration list cannot have more than 10 elements.",
        ),
    ],
)
def test_dimensions_that_are_refused(dimensions: tuple[Dimension, ...], text: str) -> None:
    told = refusal(domain.check_dimensions, "s", measured(*dimensions))
    assert told == Refusal("InvalidCloudWatchDestination", text, NAMES)


def test_no_dimension_at_all() -> None:
    text = "CloudWatch metrics dimension configuration list cannot be empty."
    assert refusal(domain.check_dimensions, "s", measured()) == Refusal("InvalidParameterValue", text, {})


PLAIN = ConfigurationSet(created_ms=0)


def named(name: str) -> EventDestination:
    return msgspec.structs.replace(ON_TOPIC, name=name)


def test_destinations_come_change_in_place_and_go() -> None:
    found = PLAIN
    for name in ("a", "b", "c"):
        found = domain.with_new_destination("s", found, named(name))
    assert [each.name for each in found.destinations] == ["a", "b", "c"]
    other = EventDestination(name="b", event_types=("click",), stream_arn=STREAM, role_arn=ROLE)
    changed = domain.with_destination("s", found, other)
    assert changed.destinations == (named("a"), other, named("c"))
    assert domain.without_destination("s", changed, "b").destinations == (named("a"), named("c"))


def test_an_unknown_destination_is_told_by_the_name_of_its_set() -> None:
    expected = Refusal("EventDestinationDoesNotExist", "No EventDestination found for s", NAMES)
    assert refusal(domain.with_destination, "s", PLAIN, named("d")) == expected
    assert refusal(domain.without_destination, "s", PLAIN, "d") == expected


def test_a_taken_name_and_the_eleventh_are_refused() -> None:
    full = msgspec.structs.replace(PLAIN, destinations=tuple(named(f"d{number}") for number in range(10)))
    taken = refusal(domain.with_new_destination, "s", full, named("d3"))
    assert taken.code == "EventDestinationAlreadyExists"
    assert taken.message == "An event destination with name <d3> already exists in configuration set <s>"
    assert taken.members == {"ConfigurationSetName": "s", "EventDestinationName": "d3"}
    assert refusal(domain.with_new_destination, "s", full, named("d")).code == "LimitExceeded"
