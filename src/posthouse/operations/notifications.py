"""Notification settings of identities: topics, forwarding, headers. Source: API reference, the operations named here.

An identity may be named by its ARN as well; answers name it as the caller did.
"""

from posthouse.domain import notifications as domain
from posthouse.domain.identities import Identity, key_of
from posthouse.domain.scope import Caller
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    GetIdentityNotificationAttributesRequest,
    GetIdentityNotificationAttributesResponse,
    IdentityNotificationAttributes,
    SetIdentityFeedbackForwardingEnabledRequest,
    SetIdentityFeedbackForwardingEnabledResponse,
    SetIdentityHeadersInNotificationsEnabledRequest,
    SetIdentityHeadersInNotificationsEnabledResponse,
    SetIdentityNotificationTopicRequest,
    SetIdentityNotificationTopicResponse,
)
from posthouse.operations.context import Context
from posthouse.operations.identities import MAX_LOOKED_UP
from posthouse.ports.records import Transaction
from posthouse.ports.topics import Published


async def set_identity_notification_topic(
    req: SetIdentityNotificationTopicRequest, caller: Caller, ctx: Context
) -> SetIdentityNotificationTopicResponse:
    arn = req.sns_topic or ""
    async with ctx.stores.records.reading() as reading:
        identity = await _known(reading, req.identity, caller)
    if arn:
        # Before the transaction: the topic may be far away, and writers wait for each other.
        await _announce(arn, req.notification_type, identity.name, caller, ctx)
    async with ctx.stores.records.transaction() as tx:
        identity = await _known(tx, req.identity, caller)
        await _put(tx, caller, domain.with_topic(identity, req.notification_type, arn))
    return SetIdentityNotificationTopicResponse()


async def _announce(arn: str, notification_type: str, identity: str, caller: Caller, ctx: Context) -> None:
    """Publishes the message that shows the topic takes messages; raises InvalidParameterValue where it does not."""
    domain.check_topic(arn, caller.scope.region)
    message = domain.subscription_succeeded(arn, notification_type, identity)
    outcome = await ctx.topics.publish(caller.scope.account, arn, None, message)
    if not isinstance(outcome, Published):
        raise domain.invalid_topic(arn)


async def set_identity_feedback_forwarding_enabled(
    req: SetIdentityFeedbackForwardingEnabledRequest, caller: Caller, ctx: Context
) -> SetIdentityFeedbackForwardingEnabledResponse:
    async with ctx.stores.records.transaction() as tx:
        identity = await _known(tx, req.identity, caller)
        await _put(tx, caller, domain.with_forwarding(identity, req.forwarding_enabled))
    return SetIdentityFeedbackForwardingEnabledResponse()


async def set_identity_headers_in_notifications_enabled(
    req: SetIdentityHeadersInNotificationsEnabledRequest, caller: Caller, ctx: Context
) -> SetIdentityHeadersInNotificationsEnabledResponse:
    async with ctx.stores.records.transaction() as tx:
        identity = await _known(tx, req.identity, caller)
        await _put(tx, caller, domain.with_headers(identity, req.notification_type, req.enabled))
    return SetIdentityHeadersInNotificationsEnabledResponse()


async def _known(records: Transaction, named: str, caller: Caller) -> Identity:
    """The identity a request names; raises SES's refusal where the caller has none of that name."""
    identity = await records.identities.get(caller.scope, key_of(domain.identity_named(named, caller.scope)))
    if identity is None:
        raise domain.unknown_identity(named)
    return identity


async def _put(tx: Transaction, caller: Caller, identity: Identity) -> None:
    await tx.identities.put(caller.scope, key_of(identity.name), identity)


async def get_identity_notification_attributes(
    req: GetIdentityNotificationAttributesRequest, caller: Caller, ctx: Context
) -> GetIdentityNotificationAttributesResponse:
    if len(req.identities) > MAX_LOOKED_UP:
        raise InvalidParameterValue(f"Too many identities specified; at most {MAX_LOOKED_UP} are allowed.")
    names = {asked: key_of(domain.identity_named(asked, caller.scope)) for asked in req.identities}
    async with ctx.stores.records.reading() as reading:
        found = await reading.identities.get_many(caller.scope, names.values())
    attributes = {asked: _attributes(found[name]) for asked, name in names.items() if name in found}
    return GetIdentityNotificationAttributesResponse(notification_attributes=attributes)


def _attributes(identity: Identity) -> IdentityNotificationAttributes:
    settings = identity.notifications
    # The service model calls the topics required; SES leaves those out that are not set.
    return IdentityNotificationAttributes(
        bounce_topic=settings.bounce_topic or None,  # type: ignore[arg-type]
        complaint_topic=settings.complaint_topic or None,  # type: ignore[arg-type]
        delivery_topic=settings.delivery_topic or None,  # type: ignore[arg-type]
        forwarding_enabled=settings.forwarding,
        headers_in_bounce_notifications_enabled=settings.headers_in_bounce,
        headers_in_complaint_notifications_enabled=settings.headers_in_complaint,
        headers_in_delivery_notifications_enabled=settings.headers_in_delivery,
    )
