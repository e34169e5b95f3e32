"""Rules of notification settings: what a topic must be, and when forwarding may be off."""

import pytest

from posthouse.domain.identities import Identity, Status
from posthouse.domain.notifications import (
    check_topic,
    identity_named,
    subscription_succeeded,
    with_forwarding,
    with_headers,
    with_topic,
)
from posthouse.domain.scope import Scope
from posthouse.model.errors import InvalidParameterValue

TOPIC = "arn:aws:sns:eu-west-1:111122223333:mail-bounces"
SCOPE = Scope("111122223333", "eu-west-1")
SHOP = Identity(name="shop.example", status=Status.SUCCESS, requested_ms=0)


def test_forwarding_may_be_off_once_both_topics_are_set() -> None:
    half = with_topic(SHOP, "Bounce", TOPIC)
    for identity in (SHOP, half, with_topic(half, "Delivery", TOPIC)):
        with pytest.raises(InvalidParameterValue, match="both bounce and complaint"):
            with_forwarding(identity, False)
    whole = with_topic(half, "Complaint", TOPIC)
    assert not with_forwarding(whole, False).notifications.forwarding


@pytest.mark.parametrize("cleared", ["Bounce", "Complaint"])
def test_a_topic_that_goes_brings_forwarding_back(cleared: str) -> None:
    off = with_forwarding(with_topic(with_topic(SHOP, "Bounce", TOPIC), "Complaint", TOPIC), False)
    assert with_topic(off, cleared, "").notifications.forwarding
    assert not with_topic(with_topic(off, "Delivery", TOPIC), "Delivery", "").notifications.forwarding
    assert not with_topic(off, cleared, TOPIC + "2").notifications.forwarding


def test_headers_are_switched_for_each_type() -> None:
    changed = with_headers(with_headers(SHOP, "Bounce", True), "Delivery", True).notifications
    assert (changed.headers_in_bounce, changed.headers_in_complaint, changed.headers_in_delivery) == (True, False, True)


@pytest.mark.parametrize("arn", ["x", TOPIC.replace("eu-west-1", "us-east-1"), TOPIC + ".fifo"])
def test_only_a_standard_topic_of_the_region_will_do(arn: str) -> None:
    check_topic(TOPIC, "eu-west-1")
    with pytest.raises(InvalidParameterValue) as refused:
        check_topic(arn, "eu-west-1")
    assert refused.value.message == f"SNS topic {arn} is invalid."


def test_an_identity_may_be_named_by_its_own_arn() -> None:
    arn = "arn:aws:ses:eu-west-1:111122223333:identity/Ann@shop.example"
    assert identity_named(arn, SCOPE) == "Ann@shop.example"
    for other in (Scope("111122223333", "us-east-1"), Scope("444455556666", "eu-west-1")):
        assert identity_named(arn, other) == arn
    assert identity_named("shop.example", SCOPE) == "shop.example"


def test_the_confirmation_is_the_recorded_one() -> None:
    message = subscription_succeeded(TOPIC, "Bounce", "shop.example")
    assert message == (
        '{"notificationType":"AmazonSnsSubscriptionSucceeded","message":"You have successfully subscribed your Amazon '
        "SNS topic 'arn:aws:sns:eu-west-1:111122223333:mail-bounces' to receive 'Bounce' notifications from Amazon SES "
        "for identity 'shop.example'.\"}\n"
    )
