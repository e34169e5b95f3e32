"""Everything that happens to mail is told: each event from its real cause to SNS, Firehose and CloudWatch, built in and
by AWS's protocols, and bounces, complaints and deliveries to the topics of identities."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from tests.journeys.j08_everything_is_told.causes import (
    AGENT,
    FATES,
    RAW,
    SET,
    SHOP,
    SOURCES,
    TEMPLATE,
    Causes,
    Page,
    address,
)
from tests.journeys.j08_everything_is_told.outside import (
    ROLE,
    STREAM_ARN,
    TOPIC,
    Aws,
    Outside,
    StandIns,
    openssl_verifies,
)
from tests.support.moto import ACCESS, Moto
from tests.support.needs import need
from tests.support.postfix import Postfix
from tests.support.processes import free_port
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.shapes import assert_same_shape
from tests.unit.publishing.examples import payload

ORIGIN = "us-east-1.posthouse.test"
"""Where return paths are: in DNS the other side would find our MX there; here it is told so."""
TYPES = ["send", "reject", "bounce", "complaint", "delivery", "open", "click", "renderingFailure"]
BY_TAGS = (("campaign", "messageTag"), ("ses:configuration-set", "messageTag"))
BY_LINK = (("position", "linkTag"), ("Subject", "emailHeader"))

EVENTS = {
    "taken": ["Send", "Delivery", "Open", "Click"],
    "refused": ["Send", "Bounce"],
    "late": ["Send", "Delivery", "Bounce"],
    "busy": ["Send", "Bounce"],
    "lost": ["Send", "Bounce"],
    "complains": ["Send", "Delivery", "Complaint"],
    "away": ["Send", "Delivery", "Bounce"],
    "refused before": ["Send", "Bounce"],
    "complains before": ["Send", "Complaint"],
    "rejected": ["Reject"],
    "unrendered": ["Rendering Failure"],
}
"""What is told of each message of the set, in this order."""
PAYLOADS = {
    ("taken", "Send"): "event-send",
    ("taken", "Delivery"): "event-delivery",
    ("taken", "Open"): "event-open",
    ("taken", "Click"): "event-click",
    ("refused", "Bounce"): "event-bounce",
    ("late", "Bounce"): "event-bounce",
    ("busy", "Bounce"): "event-bounce",
    ("lost", "Bounce"): "event-bounce",
    ("refused before", "Bounce"): "event-bounce-account-suppressed",
    ("complains", "Complaint"): "event-complaint",
    ("rejected", "Reject"): "event-reject",
    ("unrendered", "Rendering Failure"): "event-rendering-failure",
}
NOTIFICATIONS = {
    "taken": "delivery",
    "refused": "bounce-with-dsn",
    "late": "bounce-with-dsn",
    "lost": "bounce-transient-expired",
    "busy": "bounce-with-dsn",
    "away": "bounce-out-of-office",
    "complains": "complaint-with-report",
    "refused before": "bounce-suppressed",
    "complains before": "complaint-account-suppressed",
}
"""The files that tell what topics of identities hear; some have headers and some have none, and each sender has its own
way: see `with_headers`."""


@dataclass
class World:
    server: Server
    outside: Outside
    causes: Causes

    def told(self, topic: str, count: int) -> list[dict[str, Any]]:
        """SNS's messages as JSON, once there are so many, those that are none left out."""

        def found() -> list[dict[str, Any]]:
            texts = [each["Message"] for each in self.outside.messages(topic)]
            told = [json.loads(text) for text in texts if text.startswith("{")]
            return [each for each in told if "mail" in each]

        self.causes.wait(lambda: len(found()) >= count)
        return found()

    def name(self, message_id: str) -> tuple[str, str]:
        """What the message is about, and its sender."""
        return next(key for key, each in self.causes.ids.items() if each == message_id)


@pytest.fixture(scope="module", params=["built in", "AWS"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need("postfix", "openssl", "chromium")
    port, inbound = free_port(), free_port()
    here, there = f"127.0.0.1:{inbound}", f"127.0.0.1:{port}"
    # Postfix learns from us, who know nobody there, that mail it has taken for these cannot be delivered.
    ours = f"smtp:[127.0.0.1]:{inbound}"
    late = ", ".join(f"{{{address('late', sender)} = {ours}}}" for sender in SOURCES)
    answers = {address("refused", sender): "550 5.1.1 user unknown" for sender in SOURCES}
    answers |= {address("busy", sender): "450 4.2.0 wait" for sender in SOURCES}
    more = f"transport_maps = inline:{{{late}, {{{ORIGIN} = {ours}}}}}\n"
    with ExitStack() as stack:
        outside: Outside
        if request.param == "AWS":
            outside = Aws(stack.enter_context(Moto(tmp_path_factory.mktemp("moto"))))
        else:
            outside = stack.enter_context(StandIns())
        server = Server(
            {
                "delivery.mode": "direct",
                "delivery.routes": {"example.net": there, ORIGIN: here},
                "delivery.retry_seconds": [0.2],
                "delivery.max_age_seconds": 1,
                # Nobody answers there: what is in no route cannot be looked up.
                "dns.resolvers": ["127.0.0.1:9"],
                "smtp.inbound_listen": here,
                **outside.settings,
            }
        )
        server.inbound = inbound
        server.environment |= ACCESS
        postfix = stack.enter_context(Postfix(answers, port=port, more=more))
        page = stack.enter_context(Page())
        stack.enter_context(server)
        outside.prepare(server)
        set_up(server)
        causes = Causes(server, postfix, page)
        causes.run()
        yield World(server, outside, causes)


def set_up(server: Server) -> None:
    """All that an application would have set up with AWS's SDK."""
    ses = ses_client(server.url)
    for sender, source in SOURCES.items():
        domain = source.rpartition("@")[2].rstrip(">")
        ses.verify_domain_identity(Domain=domain)
        for kind in ("Bounce", "Complaint", "Delivery"):
            ses.set_identity_notification_topic(
                Identity=domain, NotificationType=kind, SnsTopic=f"{TOPIC}mail-notifications"
            )
            ses.set_identity_headers_in_notifications_enabled(
                Identity=domain, NotificationType=kind, Enabled=sender == RAW
            )
        ses.set_identity_feedback_forwarding_enabled(Identity=domain, ForwardingEnabled=False)
    ses.create_configuration_set(ConfigurationSet={"Name": SET})
    destinations: list[dict[str, Any]] = [
        {"SNSDestination": {"TopicARN": f"{TOPIC}mail-events"}},
        {"KinesisFirehoseDestination": {"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM_ARN}},
        {"CloudWatchDestination": {"DimensionConfigurations": dimensions(*BY_TAGS)}},
        {
            "CloudWatchDestination": {"DimensionConfigurations": dimensions(*BY_LINK)},
            "MatchingEventTypes": ["click"],
        },
    ]
    for number, destination in enumerate(destinations):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=SET,
            EventDestination={"Name": f"d{number}", "Enabled": True, "MatchingEventTypes": TYPES, **destination},
        )
    parts = {"SubjectPart": "Order {{number}} shipped", "TextPart": "by {{carrier}}"}
    ses.create_template(Template={"TemplateName": TEMPLATE, **parts})


def dimensions(*named: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"DimensionName": name, "DimensionValueSource": source, "DefaultDimensionValue": "none"}
        for name, source in named
    ]


def check_events(world: World, told: list[dict[str, Any]], ordered: bool = True) -> None:
    """Each event of each message of the set, in the order of its cause, in SES's shape."""
    order: dict[str, list[str]] = {}
    for event in told:
        kinds = order.setdefault(world.name(event["mail"]["messageId"])[0], [])
        # Told again, after an answer that did not come in time, is told all the same.
        kinds += [event["eventType"]] if event["eventType"] not in kinds else []
    if ordered:
        assert order == EVENTS
    assert {what: sorted(kinds) for what, kinds in order.items()} == {
        what: sorted(kinds) for what, kinds in EVENTS.items()
    }
    by_name = {(world.name(each["mail"]["messageId"])[0], each["eventType"]): each for each in told}
    for key, file in PAYLOADS.items():
        assert_same_shape(payload(file), by_name[key], file)
    check_what_it_says(world, by_name)


def check_what_it_says(world: World, told: dict[tuple[str, str], dict[str, Any]]) -> None:
    def bounce(what: str) -> tuple[str, str, Any]:
        found = told[what, "Bounce"]["bounce"]
        return found["bounceType"], found["bounceSubType"], found["bouncedRecipients"][0]

    assert bounce("refused")[0] == "Permanent"
    assert bounce("refused")[2]["diagnosticCode"] == (
        "smtp; 550 5.1.1 <refused.shop@example.net>: Recipient address rejected: user unknown"
    )
    assert bounce("late")[0] == "Permanent"
    assert told["late", "Bounce"]["bounce"]["reportingMTA"] == "dns; mx.example.net"
    for what, reply in (("busy", "450 4.2.0"), ("lost", "421 4.4.0 Unable to lookup DNS for nowhere.example")):
        assert bounce(what)[:2] == ("Transient", "General")
        assert bounce(what)[2]["status"] == "4.4.7"
        assert "Message expired" in bounce(what)[2]["diagnosticCode"]
        assert reply in bounce(what)[2]["diagnosticCode"]
    assert bounce("away") == ("Transient", "General", {"emailAddress": address("away", SHOP)})
    assert bounce("refused before")[:2] == ("Permanent", "OnAccountSuppressionList")
    complaint = told["complains", "Complaint"]["complaint"]
    assert (complaint["complaintSubType"], complaint["complaintFeedbackType"]) == (None, "abuse")
    assert told["complains before", "Complaint"]["complaint"]["complaintSubType"] == "OnAccountSuppressionList"
    assert "queued as" in told["taken", "Delivery"]["delivery"]["smtpResponse"]
    click, open_ = told["taken", "Click"]["click"], told["taken", "Open"]["open"]
    assert (click["link"], click["linkTags"]) == (
        world.causes.page.target,
        {"position": ["footer"], "variant": ["b"]},
    )
    assert click["userAgent"] == open_["userAgent"] == AGENT
    assert click["ipAddress"] == open_["ipAddress"] == "127.0.0.1"
    assert world.causes.page.landed == ["/landed?o=7741&c=2"], "the link led where it was written to"
    assert told["unrendered", "Rendering Failure"]["failure"] == {
        "templateName": TEMPLATE,
        "errorMessage": "Attribute 'carrier' is not present in the rendering data.",
    }


def test_a_topic_hears_every_event(world: World) -> None:
    check_events(world, world.told("mail-events", sum(map(len, EVENTS.values()))))
    validation, *rest = world.outside.messages("mail-events")
    assert validation["Message"] == payload("sns-envelope-event-destination-validation")["Message"]
    assert "Subject" not in validation
    assert {each["Subject"] for each in rest} == {"Amazon SES Email Event Notification"}
    assert all(each["Message"].endswith("}\n") for each in rest)


def test_a_stream_hears_every_event(world: World) -> None:
    world.causes.wait(lambda: len(world.outside.records()) >= sum(map(len, EVENTS.values())))
    lines = world.outside.records()
    assert all(line.endswith("}\n") for line in lines)
    # moto's bucket has an object for each call, in no order that could be seen.
    check_events(world, [json.loads(line) for line in lines], ordered=isinstance(world.outside, StandIns))


def test_metrics_count_every_event(world: World) -> None:
    # Recorded: the event of what could not be rendered has no tags but the set's.
    wanted = Counter(
        (kind, "none" if what == "unrendered" else "shipping") for what, kinds in EVENTS.items() for kind in kinds
    )

    def counted() -> Counter[tuple[str, str]]:
        return Counter(
            {
                key: int(world.outside.total(key[0], {"campaign": key[1], "ses:configuration-set": SET}))
                for key in wanted
            }
        )

    world.causes.wait(lambda: all(counted()[key] >= count for key, count in wanted.items()))
    assert counted() == wanted
    assert world.outside.total("Click", {"position": "footer", "Subject": "Order 7741 shipped"}) == 1


def test_topics_of_identities_hear_of_bounces_complaints_and_deliveries(world: World) -> None:
    # Of what Postfix took there is a delivery too.
    taken = ("taken", "late", "complains", "away")
    of_shop = {key: file for key, file in NOTIFICATIONS.items() if key != "taken"}
    count = 2 * len(taken) + 2 * len(FATES) + len(of_shop) - len(FATES) - 1
    told = world.told("mail-notifications", count)
    found = {(*world.name(each["mail"]["messageId"]), each["notificationType"]): each for each in told}
    for (what, sender, kind), each in found.items():
        if kind == "Delivery":
            check_notification(sender, "delivery", each)
            assert what in taken
        else:
            check_notification(sender, NOTIFICATIONS[what], each)
    assert {(what, sender) for what, sender, kind in found if kind == "Delivery"} == {
        (what, sender) for what in taken for sender in SOURCES
    }
    assert {(what, sender) for what, sender, kind in found if kind != "Delivery"} == {
        *((what, sender) for what in FATES if what != "taken" for sender in SOURCES),
        ("refused before", SHOP),
        ("complains before", SHOP),
    }
    confirmed = [each["Message"] for each in world.outside.messages("mail-notifications")]
    assert sum("AmazonSnsSubscriptionSucceeded" in each for each in confirmed) == 3 * len(SOURCES)
    assert_same_shape(payload("identity-notification-subscription-succeeded"), json.loads(confirmed[0]))
    assert not any("Subject" in each for each in world.outside.messages("mail-notifications"))


def check_notification(sender: str, file: str, told: dict[str, Any]) -> None:
    """In the shape of its file, with headers for the one sender and without for the other."""
    expected = payload(f"identity-notification-{file}")
    headers = payload("identity-notification-delivery")["mail"]
    shown = {name: headers[name] for name in ("headersTruncated", "headers", "commonHeaders")}
    mail = {name: value for name, value in expected["mail"].items() if name not in shown}
    expected["mail"] = {**mail, **(shown if sender == RAW else {})}
    assert_same_shape(expected, told, f"{file} of {sender}")
    if sender == RAW:
        assert told["mail"]["commonHeaders"]["messageId"] == "<7741.a@raw.example>"


def test_a_subscriber_gets_signed_envelopes(world: World) -> None:
    outside = world.outside
    envelopes = outside.messages("mail-events")
    for each in envelopes:
        file = "sns-envelope-event" if "Subject" in each else "sns-envelope-event-destination-validation"
        assert_same_shape(payload(file), each)
    if not isinstance(outside, StandIns):
        return  # moto's signatures are none
    certificates = {each["SigningCertURL"] for each in envelopes}
    assert len(certificates) == 1
    with urllib.request.urlopen(certificates.pop(), timeout=10) as answer:
        certificate = answer.read()
    assert all(openssl_verifies(each, certificate) for each in envelopes)
    assert not openssl_verifies({**envelopes[-1], "Message": "forged"}, certificate)
    for headers, told in outside.posted:
        assert headers["x-amz-sns-message-type"] == told["Type"]
        assert headers["x-amz-sns-topic-arn"] == told["TopicArn"]
    shown = world.server.admin(f"/topics/{TOPIC}mail-events/notifications?limit=1000")["notifications"]
    assert {each["message_id"] for each in shown} == {each["MessageId"] for each in envelopes}
    assert {each["message"] for each in shown} == {each["Message"] for each in envelopes}


def test_statistics_and_the_suppression_list_say_the_same(world: World) -> None:
    points = ses_client(world.server.url).get_send_statistics()["SendDataPoints"]
    columns = ("DeliveryAttempts", "Bounces", "Complaints", "Rejects")
    counted = {column: sum(point[column] for point in points) for column in columns}
    sends = len(SOURCES) * len(FATES) + 2
    assert counted == {"DeliveryAttempts": sends, "Bounces": 4, "Complaints": 2, "Rejects": 1}
    [account, *_] = world.server.admin("/reputation")["reputation"]
    assert (account["configuration_set"], account["sends"]) == (None, sends)
    assert (account["bounces"]["count"], account["complaints"]["count"]) == (4, 2)
    assert {(each["address"], each["reason"]) for each in world.causes.suppressed()} == {
        *((address(fate, sender), "BOUNCE") for fate in ("refused", "late") for sender in SOURCES),
        *((address("complains", sender), "COMPLAINT") for sender in SOURCES),
    }
    quota = ses_client(world.server.url).get_send_quota()
    assert quota["SentLast24Hours"] == sends + 2, "what was rejected and what could not be rendered was charged too"


def test_nothing_waits_and_nothing_failed(world: World) -> None:
    listed = world.server.admin("/destinations?limit=1000")["destinations"]
    assert {(each["waiting"], each["dead_letters"], each["last_error"]) for each in listed} == {(0, 0, "")}, listed
    assert "Traceback" not in world.server.log
