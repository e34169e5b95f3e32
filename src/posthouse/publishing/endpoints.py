"""Where a destination's key leads to, as the records stand now; and what follows from a topic that is gone."""

import logging

from posthouse.domain.notifications import with_topic
from posthouse.domain.publishing import (
    Endpoint,
    FeedbackMail,
    IdentityTopic,
    SetDestination,
    Target,
    identity_endpoint,
    set_endpoint,
    topic_of,
)
from posthouse.ports.records import RecordStore
from posthouse.publishing.facts import Facts

log = logging.getLogger("posthouse.publishing")


async def endpoint_of(target: Target, facts: Facts) -> Endpoint:
    match target:
        case SetDestination(scope, name, _):
            return set_endpoint(target, await facts.configuration_set(scope, name))
        case IdentityTopic(scope, name, _):
            return identity_endpoint(target, await facts.identity(scope, name))
        case _:
            return FeedbackMail()


async def remove_topic(target: IdentityTopic, arn: str, records: RecordStore) -> bool | None:
    """Takes the topic that is gone from its identity; feedback is mailed again then (developer guide). True where it
    was not mailed before: who is told by mail has what the topic did not get. None where it is the identity's topic
    no more."""
    async with records.transaction() as tx:
        identity = await tx.identities.get(target.scope, target.identity)
        if identity is None or topic_of(identity.notifications, target.type) != arn:
            return None
        mailed = identity.notifications.forwarding
        await tx.identities.put(target.scope, target.identity, with_topic(identity, target.type.value, ""))
    log.warning(
        "topic %s does not exist: removed from identity %s (account %s, %s)", arn, target.identity, *target.scope
    )
    return not mailed
