"""Events as CloudWatch values."""

from tests.unit.publishing.examples import OUTGOING_IP, bounce, delivery, drafted, event, payload, raw

from posthouse.domain.configuration_sets import Dimension
from posthouse.domain.events import Event, EventType
from posthouse.publishing.metric_values import metric_value
from posthouse.publishing.original import Original
from posthouse.publishing.payload import timestamp


def value_of(happened: Event, source: str, name: str, original: Original | None = None, default: str = "none") -> str:
    dimensions = [Dimension(name=name, source=source, default=default)]
    found = metric_value(happened, original or drafted(), dimensions, OUTGOING_IP)
    ((shown, value),) = found.dimensions
    assert shown == name
    return value


def test_one_value_has_all_dimensions() -> None:
    expected = payload("cloudwatch-event-metric")["MetricData"][0]
    dimensions = [Dimension(name=each["Name"], source="messageTag", default="x") for each in expected["Dimensions"]]
    found = metric_value(delivery(), drafted(), dimensions, OUTGOING_IP)
    assert {
        "MetricName": found.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in found.dimensions],
        "Timestamp": timestamp(found.at_ms),
        "Value": found.value,
        "Unit": found.unit,
    } == expected


def test_the_metric_is_named_for_the_event() -> None:
    for type in (EventType.SEND, EventType.RENDERING_FAILURE, EventType.BOUNCE):
        assert metric_value(event(type), drafted(), (), OUTGOING_IP).name == type.value


def test_values_come_from_tags_headers_and_links() -> None:
    click = event(EventType.CLICK, link="https://x.example", link_tags={"position": ["footer", "b"]})
    assert value_of(bounce(), "messageTag", "tier") == "gold"
    assert value_of(bounce(), "messageTag", "ses:from-domain") == "shop.example"
    assert value_of(bounce(), "emailHeader", "subject", raw()) == "Order 7741 shipped"
    assert value_of(click, "linkTag", "position") == "footer"


def test_the_default_stands_in_for_what_is_not_there_or_cannot_be_a_value() -> None:
    assert value_of(bounce(), "messageTag", "nothing") == "none"
    assert value_of(bounce(), "emailHeader", "X-None") == "none"
    assert value_of(bounce(), "linkTag", "position") == "none"
    content = b"From: a@shop.example\r\nX-A: \xc3\xa9\r\nX-B: " + b"x" * 300 + b"\r\nX-C: \r\n\r\n"
    for name in ("X-A", "X-B", "X-C"):
        assert value_of(bounce(), "emailHeader", name, raw(content)) == "none"
