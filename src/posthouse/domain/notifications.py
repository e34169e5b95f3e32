"""Where an identity's bounces, complaints and deliveries are told: topics, forwarding by mail, original headers.

Source: API reference of SetIdentityNotificationTopic, SetIdentityFeedbackForwardingEnabled and
SetIdentityHeadersInNotificationsEnabled; developer guide, "Receiving Amazon SES notifications using Amazon SNS".
"""

import msgspec

from posthouse.domain.identities import Identity, Notifications
from posthouse.domain.identity_arns import find_identity_arn
from posthouse.domain.scope import Scope
from posthouse.domain.topics import parse_topic_arn
from posthouse.model.errors import InvalidParameterValue

# The fields of Notifications by NotificationType of the API.
_TOPICS = {"Bounce": "bounce_topic", "Complaint": "complaint_topic", "Delivery": "delivery_topic"}
_HEADERS = {"Bounce": "headers_in_bounce", "Complaint": "headers_in_complaint", "Delivery": "headers_in_delivery"}


def identity_named(text: str, scope: Scope) -> str:
    """The identity a caller means, who may name it by its ARN too; an ARN of somebody else's stays what it is."""
    arn = find_identity_arn(text)
    return arn.name if arn is not None and arn.scope == scope else text


def unknown_identity(text: str) -> InvalidParameterValue:
    """Seen on the live service, with the value as it was given."""
    return InvalidParameterValue(f"Identity {text} is invalid. Must be a verified email address or domain.")


def invalid_topic(arn: str) -> InvalidParameterValue:
    """The text of the live service as users quote it, for an ARN of no topic and for one it cannot publish to."""
    return InvalidParameterValue(f"SNS topic {arn} is invalid.")


def check_topic(arn: str, region: str) -> None:
    """Raises InvalidParameterValue for what is no standard topic in this region: SES publishes to no other."""
    topic = parse_topic_arn(arn)
    if topic is None or topic.region != region:
        raise invalid_topic(arn)


def with_topic(identity: Identity, notification_type: str, arn: str) -> Identity:
    """The identity with the topic of one type set, or with an empty ARN cleared.

    Without a topic for both bounces and complaints nobody might hear of them, so forwarding is on again
    (API reference of SetIdentityFeedbackForwardingEnabled).
    """
    changed = msgspec.structs.replace(identity.notifications, **{_TOPICS[notification_type]: arn})
    if not _hears_of_failures(changed):
        changed = msgspec.structs.replace(changed, forwarding=True)
    return msgspec.structs.replace(identity, notifications=changed)


def with_forwarding(identity: Identity, enabled: bool) -> Identity:
    """The identity with forwarding switched; raises InvalidParameterValue where nothing stands in for it."""
    if not enabled and not _hears_of_failures(identity.notifications):
        raise InvalidParameterValue(
            f"Feedback forwarding of identity {identity.name} can be disabled only when SNS topics are set for both "
            "bounce and complaint notifications."
        )
    changed = msgspec.structs.replace(identity.notifications, forwarding=enabled)
    return msgspec.structs.replace(identity, notifications=changed)


def with_headers(identity: Identity, notification_type: str, enabled: bool) -> Identity:
    """The identity with the original headers in, or out of, the notifications of one type."""
    changed = msgspec.structs.replace(identity.notifications, **{_HEADERS[notification_type]: enabled})
    return msgspec.structs.replace(identity, notifications=changed)


def subscription_succeeded(arn: str, notification_type: str, identity: str) -> str:
    """The message that SES publishes to a topic when it is set (recorded, with the line feed at its end)."""
    text = (
        f"You have successfully subscribed your Amazon SNS topic '{arn}' to receive '{notification_type}' "
        f"notifications from Amazon SES for identity '{identity}'."
    )
    return msgspec.json.encode({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": text}).decode() + "\n"


def _hears_of_failures(settings: Notifications) -> bool:
    return bool(settings.bounce_topic and settings.complaint_topic)
