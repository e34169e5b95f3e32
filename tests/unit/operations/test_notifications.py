"""Notification settings of identities: what is set, told, refused, and left as it was."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.notifications import subscription_succeeded
from posthouse.model.errors import InvalidParameterValue, ValidationError
from posthouse.ports.topics import PublishFailed

TOPIC = "arn:aws:sns:us-east-1:111111111111:mail"
SHOP = "shop.example"


async def attributes(ses: Ses, *identities: str) -> dict[str, Any]:
    asked = {f"Identities__member__{number}": name for number, name in enumerate(identities or (SHOP,), 1)}
    found = await ses.call("GetIdentityNotificationAttributes", **asked)
    return dict(found.notification_attributes)


async def set_topic(ses: Ses, type: str, topic: str | None = TOPIC, identity: str = SHOP) -> None:
    given = {} if topic is None else {"SnsTopic": topic}
    await ses.call("SetIdentityNotificationTopic", Identity=identity, NotificationType=type, **given)


async def told(ses: Ses, topic: str = TOPIC) -> Sequence[str] | None:
    kept = await ses.ctx.stores.topics.notifications(Callers.ANN.scope.account, topic, None, 100)
    return None if kept is None else [each.notification.message for each in kept]


async def test_an_identity_starts_with_forwarding_and_nothing_else() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        shown = (await attributes(ses))[SHOP]
    assert (shown.bounce_topic, shown.complaint_topic, shown.delivery_topic) == (None, None, None)
    assert shown.forwarding_enabled is True
    assert shown.headers_in_bounce_notifications_enabled is False
    assert shown.headers_in_complaint_notifications_enabled is False
    assert shown.headers_in_delivery_notifications_enabled is False


async def test_a_topic_is_set_and_told_of_it() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        await set_topic(ses, "Delivery", TOPIC + "2")
        shown = (await attributes(ses))[SHOP]
        assert (shown.bounce_topic, shown.complaint_topic, shown.delivery_topic) == (TOPIC, None, TOPIC + "2")
        assert await told(ses) == [subscription_succeeded(TOPIC, "Bounce", SHOP)]
        assert await told(ses, TOPIC + "2") == [subscription_succeeded(TOPIC + "2", "Delivery", SHOP)]


async def test_setting_a_topic_again_tells_it_again() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        await set_topic(ses, "Bounce")
        assert len(await told(ses) or ()) == 2


@pytest.mark.parametrize("nothing", ["", None])
async def test_an_empty_or_absent_topic_clears(nothing: str | None) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        await set_topic(ses, "Bounce", nothing)
        assert (await attributes(ses))[SHOP].bounce_topic is None
        assert len(await told(ses) or ()) == 1


async def test_an_identity_that_is_still_pending_has_settings_already() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        assert (await attributes(ses))[SHOP].bounce_topic == TOPIC


async def test_settings_outlive_a_new_request_to_verify_and_go_with_the_identity() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        assert (await attributes(ses))[SHOP].bounce_topic == TOPIC
        await ses.call("DeleteIdentity", Identity=SHOP)
        assert await attributes(ses) == {}
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        assert (await attributes(ses))[SHOP].bounce_topic is None


async def test_an_identity_may_be_named_by_its_arn() -> None:
    arn = f"arn:aws:ses:us-east-1:111111111111:identity/{SHOP}"
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Complaint", identity=arn)
        shown = await attributes(ses, arn, SHOP.upper())
        assert {name: each.complaint_topic for name, each in shown.items()} == {arn: TOPIC, SHOP.upper(): TOPIC}
        assert await told(ses) == [subscription_succeeded(TOPIC, "Complaint", SHOP)]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("SetIdentityNotificationTopic", {"NotificationType": "Bounce", "SnsTopic": TOPIC}),
        ("SetIdentityNotificationTopic", {"NotificationType": "Bounce"}),
        ("SetIdentityFeedbackForwardingEnabled", {"ForwardingEnabled": "true"}),
        ("SetIdentityHeadersInNotificationsEnabled", {"NotificationType": "Bounce", "Enabled": "true"}),
    ],
)
@pytest.mark.parametrize(
    "unknown", ["Nobody.example", "a@shop.example", "arn:aws:ses:us-east-1:999:identity/x.example"]
)
async def test_an_unknown_identity_is_refused_as_it_was_named(
    operation: str, parameters: dict[str, str], unknown: str
) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        with pytest.raises(InvalidParameterValue) as refused:
            await ses.call(operation, Identity=unknown, **parameters)
        assert await told(ses) is None
    assert refused.value.message == f"Identity {unknown} is invalid. Must be a verified email address or domain."


@pytest.mark.parametrize(
    "topic",
    [
        "mail",
        "arn:aws:sns:eu-west-1:111111111111:mail",
        "arn:aws:sns:us-east-1:111111111111:mail.fifo",
        "arn:aws:sqs:us-east-1:111111111111:mail",
        " ",
    ],
)
async def test_a_topic_that_is_malformed_elsewhere_or_fifo_is_refused_and_nothing_saved(topic: str) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        with pytest.raises(InvalidParameterValue) as refused:
            await set_topic(ses, "Bounce", topic)
        assert refused.value.message == f"SNS topic {topic} is invalid."
        assert (await attributes(ses))[SHOP].bounce_topic == TOPIC


async def test_an_unknown_topic_is_refused_and_nothing_saved() -> None:
    async with open_ses(auto_create_topics=False, preset_topics=(TOPIC,)) as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        with pytest.raises(InvalidParameterValue) as refused:
            await set_topic(ses, "Bounce", TOPIC + "2")
        assert refused.value.message == f"SNS topic {TOPIC}2 is invalid."
        assert (await attributes(ses))[SHOP].bounce_topic is None
        await set_topic(ses, "Bounce", TOPIC)
        assert (await attributes(ses))[SHOP].bounce_topic == TOPIC


class Failing:
    """A topic that takes nothing, as one without a policy for SES."""

    async def publish(
        self, account: str, arn: str, subject: str | None, message: str, *, chain: str = ""
    ) -> PublishFailed:
        return PublishFailed("AuthorizationError: not permitted")

    async def close(self) -> None:
        """Nothing to close."""


async def test_a_topic_that_cannot_be_published_to_is_refused_and_nothing_saved() -> None:
    async with open_ses(topics=Failing()) as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        with pytest.raises(InvalidParameterValue, match="is invalid"):
            await set_topic(ses, "Complaint")
        assert (await attributes(ses))[SHOP].complaint_topic is None


async def test_forwarding_goes_off_only_with_both_topics_and_comes_back_with_either_cleared() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        await set_topic(ses, "Bounce")
        with pytest.raises(InvalidParameterValue, match="both bounce and complaint"):
            await ses.call("SetIdentityFeedbackForwardingEnabled", Identity=SHOP, ForwardingEnabled="false")
        assert (await attributes(ses))[SHOP].forwarding_enabled is True
        await set_topic(ses, "Complaint")
        await ses.call("SetIdentityFeedbackForwardingEnabled", Identity=SHOP, ForwardingEnabled="false")
        assert (await attributes(ses))[SHOP].forwarding_enabled is False
        await set_topic(ses, "Bounce", None)
        assert (await attributes(ses))[SHOP].forwarding_enabled is True


async def test_headers_are_switched_by_type() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        asked = {"Identity": SHOP, "NotificationType": "Complaint"}
        await ses.call("SetIdentityHeadersInNotificationsEnabled", **asked, Enabled="true")
        shown = (await attributes(ses))[SHOP]
        assert shown.headers_in_complaint_notifications_enabled is True
        assert shown.headers_in_bounce_notifications_enabled is False
        await ses.call("SetIdentityHeadersInNotificationsEnabled", **asked, Enabled="false")
        assert (await attributes(ses))[SHOP].headers_in_complaint_notifications_enabled is False


async def test_unknown_identities_are_left_out_of_the_answer() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=SHOP)
        assert set(await attributes(ses, SHOP, "nobody.example", "a@shop.example")) == {SHOP}


async def test_more_than_a_hundred_identities_are_refused() -> None:
    async with open_ses() as ses:
        assert await attributes(ses, *(f"d{number}.example" for number in range(100))) == {}
        with pytest.raises(InvalidParameterValue, match="at most 100"):
            await attributes(ses, *(f"d{number}.example" for number in range(101)))


async def test_an_unknown_notification_type_is_refused_by_the_model() -> None:
    async with open_ses() as ses:
        with pytest.raises(ValidationError, match="notificationType"):
            await set_topic(ses, "Open")
