"""Who was told of what happened to a message, and how each destination is called by people."""

from collections.abc import Sequence

from posthouse.domain.events import LoggedEvent
from posthouse.domain.messages import StoredMessage
from posthouse.domain.publishing import (
    Endpoint,
    EventMetrics,
    EventStream,
    EventTopic,
    FeedbackMail,
    Forward,
    IdentityTopic,
    NotificationTopic,
    SetDestination,
    Target,
    target_key,
)
from posthouse.ports.publications import Unrouted, Untold
from posthouse.publishing.endpoints import endpoint_of
from posthouse.publishing.facts import Facts
from posthouse.publishing.router import heard_by
from posthouse.web.call import Call
from posthouse.web.query import iso
from posthouse.web.views import Publication, Telling, TellingState

MAX_EVENTS = 300
"""Of a message, the newest; a mail that is opened all day has thousands."""


def name_of(target: Target) -> str:
    match target:
        case SetDestination(_, configuration_set, name):
            return f"{configuration_set} / {name}"
        case IdentityTopic(_, identity, type):
            return f"{identity} / {type.value}"
        case Forward():
            return "Mail to the sender"


def place_of(endpoint: Endpoint) -> tuple[str, str]:
    """The kind of place a destination leads to, and its ARN where it has one."""
    match endpoint:
        case EventTopic(_, arn) | NotificationTopic(_, arn):
            return "SNS", arn
        case EventStream(_, arn, _):
            return "Firehose", arn
        case EventMetrics():
            return "CloudWatch", ""
        case FeedbackMail():
            return "Mail", ""
        case _:
            return "Gone", ""


async def publications_of(call: Call, stored: StoredMessage, events: Sequence[LoggedEvent]) -> list[Publication]:
    """By the destinations as they are now: nobody keeps who was told once that it is done."""
    stores = call.ctx.stores
    facts = Facts(stores.records)
    heard: dict[Target, list[LoggedEvent]] = {}
    for logged in events[-MAX_EVENTS:]:
        unrouted = Unrouted(logged.seq, logged.event, stored.facts)
        for target in await heard_by(unrouted, facts, forwards=call.ctx.forwards):
            # Of mail sent by somebody's leave, that one hears too; how his topics do is his business.
            if call.may_see(target.scope):
                heard.setdefault(target, []).append(logged)
    routed_upto = (await stores.publications.cursor()).seq if heard else 0
    return [await _publication(call, target, facts, told, routed_upto) for target, told in heard.items()]


async def _publication(
    call: Call, target: Target, facts: Facts, events: Sequence[LoggedEvent], routed_upto: int
) -> Publication:
    publications, key = call.ctx.stores.publications, target_key(target)
    untold = {each.seq: each for each in await publications.untold(key, [each.seq for each in events])}
    waits = any(each.due_ms is not None for each in untold.values())
    status = await publications.status(key) if waits else None
    kind, arn = place_of(await endpoint_of(target, facts))
    return Publication(
        destination=key,
        name=name_of(target),
        kind=kind,
        target=arn,
        last_error=status.last_error if status and status.failures else "",
        events=[_telling(each, untold.get(each.seq), each.seq <= routed_upto) for each in events],
    )


def _telling(logged: LoggedEvent, untold: Untold | None, routed: bool) -> Telling:
    state = TellingState.TOLD if routed else TellingState.WAITING
    if untold is not None:
        state = TellingState.GIVEN_UP if untold.due_ms is None else TellingState.WAITING
    return Telling(
        seq=logged.seq,
        type=logged.event.type,
        state=state,
        attempts=untold.attempts if untold else 0,
        next_attempt_at=iso(untold.due_ms) if untold and untold.due_ms is not None else None,
        error=untold.error if untold else "",
    )
