"""Events as values of CloudWatch metrics.

Source: API reference of CloudWatchDimensionConfiguration; developer guide, "Set up a CloudWatch event destination":
one value for each event, with all dimensions of the destination; the default where the message, its headers or the link
does not have the value.
"""

from collections.abc import Sequence

from posthouse.domain.configuration_sets import Dimension
from posthouse.domain.events import Event
from posthouse.ports.metric_sinks import MetricValue
from posthouse.publishing.original import Original, shown
from posthouse.publishing.payload import event_tags, link_tags

MAX_VALUE = 255
"""Characters; CloudWatch takes as many, of ASCII."""


def metric_value(event: Event, original: Original, dimensions: Sequence[Dimension], outgoing_ip: str) -> MetricValue:
    """The metric has the event's name: ``Send``, ``Rendering Failure`` ..."""
    tags = event_tags(event, original, outgoing_ip)
    found = [(each.name, _usable(_value(each, event, original, tags)) or each.default) for each in dimensions]
    return MetricValue(event.type.value, tuple(found), 1.0, event.at_ms)


def _value(dimension: Dimension, event: Event, original: Original, tags: dict[str, list[str]]) -> str:
    match dimension.source:
        case "messageTag":
            return next(iter(tags.get(dimension.name, ())), "")
        case "emailHeader":
            return shown(original).named(dimension.name)
        case _:
            return next(iter(link_tags(event).get(dimension.name, ())), "")


def _usable(value: str) -> str:
    """The value, or nothing where CloudWatch would refuse it."""
    return value if len(value) <= MAX_VALUE and value.isascii() and value.isprintable() and value.strip() else ""
