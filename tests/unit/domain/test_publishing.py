"""Who hears of an event."""

import msgspec
import pytest
from tests.contract.values import message

from posthouse.domain.configuration_sets import ConfigurationSet, Dimension, EventDestination
from posthouse.domain.events import Event, EventType
from posthouse.domain.identities import Identity, Notifications, Status
from posthouse.domain.publishing import (
    EventMetrics,
    EventStream,
    EventTopic,
    Forward,
    IdentityTopic,
    MailedInstead,
    NotificationTopic,
    NotificationType,
    Notified,
    Nowhere,
    SetDestination,
    Target,
    backoff_ms,
    feedback_address,
    governing_identity,
    identity_endpoint,
    read_target_key,
    route,
    set_endpoint,
    target_key,
)
from posthouse.domain.scope import Scope

OURS, THEIRS = Scope("111111111111", "us-east-1"), Scope("222222222222", "us-east-1")
TOPIC = "arn:aws:sns:us-east-1:111111111111:mail"
ALL = ("send", "reject", "bounce", "complaint", "delivery", "open", "click", "renderingFailure")


def happened(type: EventType) -> Event:
    return Event(scope=OURS, message_id="m", type=type, at_ms=1, recipients=("r@x.example",), configuration_set="s")


def destination(name: str, *types: str, enabled: bool = True, **kind: str) -> EventDestination:
    return EventDestination(name=name, enabled=enabled, event_types=types, **(kind or {"sns_topic": TOPIC}))


def a_set(*destinations: EventDestination) -> ConfigurationSet:
    return ConfigurationSet(created_ms=0, destinations=destinations)


def identity(name: str = "shop.example", status: Status = Status.SUCCESS, **settings: object) -> Identity:
    notifications = msgspec.convert(settings, Notifications)
    return Identity(name=name, status=status, requested_ms=0, notifications=notifications)


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target_key(target) for target in targets]


@pytest.mark.parametrize(
    ("type", "word"),
    [
        (EventType.SEND, "send"),
        (EventType.REJECT, "reject"),
        (EventType.BOUNCE, "bounce"),
        (EventType.COMPLAINT, "complaint"),
        (EventType.DELIVERY, "delivery"),
        (EventType.OPEN, "open"),
        (EventType.CLICK, "click"),
        (EventType.RENDERING_FAILURE, "renderingFailure"),
    ],
)
def test_a_destination_hears_of_the_types_it_asked_for(type: EventType, word: str) -> None:
    others = tuple(each for each in ALL if each != word)
    found = a_set(destination("one", word), destination("two", *others), destination("three", *ALL))
    assert route(happened(type), found) == (SetDestination(OURS, "s", "one"), SetDestination(OURS, "s", "three"))


@pytest.mark.parametrize("type", [EventType.DELIVERY_DELAY, EventType.RECEIVED, EventType.DROPPED])
def test_what_version_one_cannot_subscribe_to_goes_nowhere(type: EventType) -> None:
    told = [Notified(OURS, identity(bounce_topic=TOPIC, delivery_topic=TOPIC))]
    assert route(happened(type), a_set(destination("all", *ALL)), told, may_forward=True) == ()


def test_a_disabled_destination_hears_nothing() -> None:
    assert route(happened(EventType.OPEN), a_set(destination("off", *ALL, enabled=False))) == ()
    assert route(happened(EventType.OPEN), None) == ()


def test_topics_of_an_identity_hear_of_their_own_type() -> None:
    settings = {f"{kind}_topic": f"{TOPIC}-{kind}" for kind in ("bounce", "complaint", "delivery")}
    told = [Notified(OURS, identity(**settings, forwarding=False))]
    for type in (EventType.BOUNCE, EventType.COMPLAINT, EventType.DELIVERY):
        targets = route(happened(type), None, told, may_forward=True)
        assert targets == (IdentityTopic(OURS, "shop.example", NotificationType(type.value)),)
    assert route(happened(EventType.OPEN), None, told, may_forward=True) == ()


def test_feedback_is_mailed_where_the_identity_forwards() -> None:
    told = [Notified(OURS, identity())]
    for type in (EventType.BOUNCE, EventType.COMPLAINT):
        assert route(happened(type), None, told, may_forward=True) == (Forward(OURS),)
    assert route(happened(EventType.DELIVERY), None, told, may_forward=True) == ()
    # With a topic too: both hear.
    both = [Notified(OURS, identity(bounce_topic=TOPIC))]
    assert route(happened(EventType.BOUNCE), None, both, may_forward=True)[1:] == (Forward(OURS),)
    # The identity is gone: what SES does without settings.
    assert route(happened(EventType.BOUNCE), None, [], may_forward=True) == (Forward(OURS),)


def test_somebody_hears_of_feedback_whatever_the_settings_say() -> None:
    silent = [Notified(OURS, identity(forwarding=False))]
    assert route(happened(EventType.BOUNCE), None, silent, may_forward=True) == (Forward(OURS),)
    heard = a_set(destination("d", "bounce"))
    assert names(route(happened(EventType.BOUNCE), heard, silent, may_forward=True)) == [
        "set:111111111111:us-east-1:s:d"
    ]


def test_mail_of_the_installation_itself_has_nobody_to_be_told_by_mail() -> None:
    assert route(happened(EventType.BOUNCE), None, [], may_forward=False) == ()


def test_owner_and_sender_both_hear_and_the_owners_settings_say_whether_it_is_mailed() -> None:
    owner = Notified(THEIRS, identity(bounce_topic="t1", complaint_topic="t2", forwarding=False))
    delegate = Notified(OURS, identity("orders@shop.example", bounce_topic=TOPIC))
    assert names(route(happened(EventType.BOUNCE), None, [owner, delegate], may_forward=True)) == [
        "identity:222222222222:us-east-1:shop.example:Bounce",
        "identity:111111111111:us-east-1:orders@shop.example:Bounce",
    ]


def test_the_owners_forwarding_mails_the_sender_whatever_he_has_set_himself() -> None:
    owner = Notified(THEIRS, identity())
    quiet = {"bounce_topic": TOPIC, "complaint_topic": TOPIC, "forwarding": False}
    delegate = Notified(OURS, identity("orders@shop.example", **quiet))
    assert names(route(happened(EventType.BOUNCE), None, [owner, delegate], may_forward=True)) == [
        "identity:111111111111:us-east-1:orders@shop.example:Bounce",
        "forward:111111111111:us-east-1",
    ]


def test_a_channel_of_either_side_is_enough_where_the_owner_does_not_forward() -> None:
    owner = Notified(THEIRS, identity(forwarding=False))
    for delegates, heard in (
        ({}, ["forward:111111111111:us-east-1"]),
        ({"bounce_topic": TOPIC}, ["identity:111111111111:us-east-1:orders@shop.example:Bounce"]),
        # Of another type: nobody would hear of this bounce.
        ({"complaint_topic": TOPIC}, ["forward:111111111111:us-east-1"]),
    ):
        delegate = Notified(OURS, identity("orders@shop.example", forwarding=False, **delegates))
        assert names(route(happened(EventType.BOUNCE), None, [owner, delegate], may_forward=True)) == heard


@pytest.mark.parametrize(
    ("destinations", "mailed"),
    [
        ([destination("d", "bounce")], False),
        ([destination("d", "bounce", enabled=False)], True),
        ([destination("d", "complaint", "send", "delivery")], True),
        ([], True),
    ],
)
def test_an_event_destination_counts_as_a_channel_while_it_hears_of_this(
    destinations: list[EventDestination], mailed: bool
) -> None:
    silent = [Notified(OURS, identity(forwarding=False))]
    targets = route(happened(EventType.BOUNCE), a_set(*destinations), silent, may_forward=True)
    assert (Forward(OURS) in targets) is mailed


def test_with_both_topics_and_forwarding_off_nothing_is_mailed() -> None:
    quiet = identity(bounce_topic=TOPIC, complaint_topic=TOPIC, forwarding=False)
    for type in (EventType.BOUNCE, EventType.COMPLAINT):
        assert Forward(OURS) not in route(happened(type), None, [Notified(OURS, quiet)], may_forward=True)
    with_forwarding = identity(bounce_topic=TOPIC, complaint_topic=TOPIC)
    for type in (EventType.BOUNCE, EventType.COMPLAINT):
        assert Forward(OURS) in route(happened(type), None, [Notified(OURS, with_forwarding)], may_forward=True)


def test_the_most_specific_verified_identity_governs() -> None:
    address, sub, domain = identity("a@sub.shop.example"), identity("sub.shop.example"), identity()
    known = {each.name: each for each in (address, sub, domain)}
    assert governing_identity("a@Sub.shop.example", {**known, "a@Sub.shop.example": identity("a@Sub.shop.example")})
    assert governing_identity("a@sub.shop.example", known) == address
    assert governing_identity("b@sub.shop.example", known) == sub
    assert governing_identity("b@other.shop.example", known) == domain
    pending = {**known, "a@sub.shop.example": identity("a@sub.shop.example", Status.PENDING)}
    assert governing_identity("a@sub.shop.example", pending) == sub
    # Revoked since: its settings still count.
    failed = {"shop.example": identity(status=Status.FAILED)}
    assert governing_identity("a@shop.example", failed) == failed["shop.example"]
    assert governing_identity("a@x.example", known) is None


@pytest.mark.parametrize(
    "target",
    [
        SetDestination(OURS, "set_1", "dest-2"),
        IdentityTopic(OURS, "shop.example", NotificationType.BOUNCE),
        IdentityTopic(OURS, 'o:d/d%"x"@shop.example', NotificationType.DELIVERY),
        Forward(THEIRS),
    ],
)
def test_a_key_names_one_target(target: Target) -> None:
    key = target_key(target)
    assert read_target_key(key) == target
    assert key.isascii()
    assert not set(key) & set(" /?#")


@pytest.mark.parametrize(
    "text",
    [
        "", "set", "set:1:2:3", "set:1:2:3:4:5", "identity:1:2:x:Open", "forward:1", "nothing:1:2", "set:1:2:a%2d:b",
        "identity:1:2:a b:Bounce", "forward:1:2:", "Set:1:2:3:4", "set:1:2:%zz:b",
    ],
)  # fmt: skip
def test_what_is_no_key_is_none(text: str) -> None:
    assert read_target_key(text) is None


def test_a_key_leads_where_the_set_says_now() -> None:
    target = SetDestination(OURS, "s", "d")
    dims = (Dimension(name="campaign", source="messageTag", default="none"),)
    for made, expected in (
        ({"sns_topic": TOPIC}, EventTopic(OURS.account, TOPIC)),
        ({"stream_arn": "a", "role_arn": "r"}, EventStream(OURS.account, "a", "r")),
        ({"dimensions": dims}, EventMetrics(OURS, dims)),
    ):
        given = EventDestination(name="d", enabled=True, event_types=ALL, **made)
        assert set_endpoint(target, a_set(given)) == expected
    assert set_endpoint(target, None) == Nowhere()
    assert set_endpoint(target, a_set(destination("other", *ALL))) == Nowhere()
    assert set_endpoint(target, a_set(destination("d", *ALL, enabled=False))) == Nowhere()


def test_a_key_leads_where_the_identity_says_now() -> None:
    bounce = IdentityTopic(OURS, "shop.example", NotificationType.BOUNCE)
    delivery = IdentityTopic(OURS, "shop.example", NotificationType.DELIVERY)
    assert identity_endpoint(bounce, identity(bounce_topic=TOPIC, headers_in_bounce=True)) == NotificationTopic(
        OURS.account, TOPIC, headers=True
    )
    assert identity_endpoint(delivery, identity(delivery_topic=TOPIC, headers_in_bounce=True)) == NotificationTopic(
        OURS.account, TOPIC, headers=False
    )
    for found in (identity(), None):
        assert identity_endpoint(bounce, found) == MailedInstead(Forward(OURS))
        assert identity_endpoint(delivery, found) == Nowhere()


def test_waits_double_from_a_second_to_five_minutes() -> None:
    assert [backoff_ms(n, 0.0) // 1000 for n in (0, 1, 2, 3, 9, 10, 10**6)] == [1, 1, 2, 4, 256, 300, 300]
    assert backoff_ms(2, 1.0) == 1500


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "back@shop.example"),
        *[
            ({"operation": name}, "back@shop.example")
            for name in ("SendRawEmail", "SMTP", "SendBulkTemplatedEmail", "SendCustomVerificationEmail")
        ],
        ({"operation": "SendBounce"}, ""),
        ({"operation": "FeedbackForwarding"}, ""),
        ({"null_sender": True}, ""),
        ({"system": True}, ""),
        ({"feedback_to": ""}, ""),
    ],
)
def test_only_what_an_account_sent_is_told_of_by_mail(changes: dict[str, object], told: str) -> None:
    facts = message(1).facts
    facts = msgspec.structs.replace(facts, feedback_to="back@shop.example")
    assert feedback_address(msgspec.structs.replace(facts, **changes)) == told
