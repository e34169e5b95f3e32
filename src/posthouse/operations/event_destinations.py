"""Event destinations of configuration sets. Source: API reference, the operations named here; answers observed on the
live service."""

from collections.abc import Callable

from posthouse.domain import event_destinations as domain
from posthouse.domain.configuration_sets import ConfigurationSet, Dimension, EventDestination
from posthouse.domain.scope import Caller
from posthouse.model import generated as model
from posthouse.operations.context import Context
from posthouse.operations.set_records import change_set, find_set
from posthouse.ports.streams import Put, RoleRefused, StreamUnknown
from posthouse.ports.topics import Published, TopicUnknown

Change = Callable[[str, ConfigurationSet, EventDestination], ConfigurationSet]


async def create_configuration_set_event_destination(
    req: model.CreateConfigurationSetEventDestinationRequest, caller: Caller, ctx: Context
) -> model.CreateConfigurationSetEventDestinationResponse:
    await _put(req.configuration_set_name, req.event_destination, domain.with_new_destination, caller, ctx)
    return model.CreateConfigurationSetEventDestinationResponse()


async def update_configuration_set_event_destination(
    req: model.UpdateConfigurationSetEventDestinationRequest, caller: Caller, ctx: Context
) -> model.UpdateConfigurationSetEventDestinationResponse:
    await _put(req.configuration_set_name, req.event_destination, domain.with_destination, caller, ctx)
    return model.UpdateConfigurationSetEventDestinationResponse()


async def _put(name: str, given: model.EventDestination, change: Change, caller: Caller, ctx: Context) -> None:
    destination = _read(name, given, caller.scope.region)
    async with ctx.stores.records.reading() as reading:
        found = await find_set(reading, caller.scope, name)
    change(name, found, destination)  # may refuse: then nobody is asked in vain
    known = found.destination(destination.name)
    # Before the transaction: topic and stream may be far away, and writers wait for each other.
    if destination.sns_topic and (known is None or known.sns_topic != destination.sns_topic):
        await _announce(name, destination, caller, ctx)
    if destination.stream_arn:
        await _try_stream(name, destination, caller, ctx)
    await change_set(name, caller, ctx, lambda found: change(name, found, destination))


def _read(set_name: str, given: model.EventDestination, region: str) -> EventDestination:
    """The destination, found good as far as one can see. Raises SES's refusals."""
    domain.check_name(given.name)
    domain.check_types(given.matching_event_types)
    topic, stream, metrics = given.sns_destination, given.kinesis_firehose_destination, given.cloud_watch_destination
    domain.check_kinds(sum(kind is not None for kind in (topic, stream, metrics)))
    destination = EventDestination(
        name=given.name,
        enabled=bool(given.enabled),
        event_types=tuple(dict.fromkeys(given.matching_event_types)),
        sns_topic=topic.topic_arn if topic else "",
        stream_arn=stream.delivery_stream_arn if stream else "",
        role_arn=stream.iam_role_arn if stream else "",
        dimensions=_dimensions(metrics) if metrics else (),
    )
    if topic:
        domain.check_topic(set_name, destination, region)
    elif stream:
        domain.check_stream(set_name, destination, region)
    else:
        domain.check_dimensions(set_name, destination)
    return destination


def _dimensions(metrics: model.CloudWatchDestination) -> tuple[Dimension, ...]:
    return tuple(
        [
            Dimension(
                name=each.dimension_name, source=each.dimension_value_source, default=each.default_dimension_value
            )
            for each in metrics.dimension_configurations
        ]
    )


async def _announce(name: str, destination: EventDestination, caller: Caller, ctx: Context) -> None:
    """Publishes the message that shows the topic takes messages; raises InvalidSNSDestination where it does not."""
    outcome = await ctx.topics.publish(caller.scope.account, destination.sns_topic, None, domain.VALIDATION_MESSAGE)
    match outcome:
        case Published():
            return
        case TopicUnknown():
            raise domain.no_such_topic(name, destination)
        case _:
            raise domain.unusable_topic(name, destination)


async def _try_stream(name: str, destination: EventDestination, caller: Caller, ctx: Context) -> None:
    outcome = await ctx.streams.check(caller.scope.account, destination.stream_arn, destination.role_arn)
    match outcome:
        case Put():
            return
        case RoleRefused():
            raise domain.refused_role(name, destination)
        case StreamUnknown():
            raise domain.no_such_stream(name, destination)
        case _:
            raise domain.unusable_stream(name, destination)


async def delete_configuration_set_event_destination(
    req: model.DeleteConfigurationSetEventDestinationRequest, caller: Caller, ctx: Context
) -> model.DeleteConfigurationSetEventDestinationResponse:
    name, gone = req.configuration_set_name, req.event_destination_name
    await change_set(name, caller, ctx, lambda found: domain.without_destination(name, found, gone))
    return model.DeleteConfigurationSetEventDestinationResponse()


def shown_destination(destination: EventDestination) -> model.EventDestination:
    """As DescribeConfigurationSet tells it."""
    firehose = model.KinesisFirehoseDestination(
        iam_role_arn=destination.role_arn, delivery_stream_arn=destination.stream_arn
    )
    metrics = model.CloudWatchDestination(dimension_configurations=tuple(map(_shown_dimension, destination.dimensions)))
    return model.EventDestination(
        name=destination.name,
        enabled=destination.enabled,
        matching_event_types=destination.event_types,
        kinesis_firehose_destination=firehose if destination.stream_arn else None,
        cloud_watch_destination=metrics if destination.dimensions else None,
        sns_destination=model.SNSDestination(topic_arn=destination.sns_topic) if destination.sns_topic else None,
    )


def _shown_dimension(dimension: Dimension) -> model.CloudWatchDimensionConfiguration:
    return model.CloudWatchDimensionConfiguration(
        dimension_name=dimension.name,
        dimension_value_source=dimension.source,
        default_dimension_value=dimension.default,
    )
