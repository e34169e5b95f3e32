"""django-ses and django-anymail take our notifications by their own settings alone, with signatures checked."""

import asyncio
import json
import os
import re
import smtplib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import processes
from tests.support.authority import Authority
from tests.support.front import Front
from tests.support.sdk import ses_client
from tests.support.server import Server, refusing_dns

from posthouse.adapters.local_topics import LocalTopics
from posthouse.adapters.wakeups import LocalWakeups, runtime_directory
from posthouse.assembly.context import SystemClock
from posthouse.ports.topics import Published
from posthouse.stores.open import open_stores

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:mail-events"
MESSAGE_ID = "0100018f3c2a7b10-5f0e6c1d-8a42-4c37-9b6e-2d71f0a94c55-000000"
BOUNCE = {
    "eventType": "Bounce",
    "bounce": {
        "feedbackId": "0100018f3c2a7b10-00000000-0000-0000-0000-000000000000-000000",
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [{"emailAddress": "grün@mail.example", "action": "failed", "status": "5.1.1"}],
        "timestamp": "2027-01-01T00:00:00.000Z",
    },
    "mail": {"timestamp": "2027-01-01T00:00:00.000Z", "messageId": MESSAGE_ID, "destination": ["grün@mail.example"]},
}


class Site:
    """The Django site as a process, and what its signals told."""

    def __init__(self, directory: Path, authority: Authority, certificates: str, api: str) -> None:
        self.port = processes.free_port()
        self.log, self._events = directory / "django.log", directory / "events.jsonl"
        argv = [sys.executable, "-m", "tests.support.django_site"]
        argv += [str(self.port), str(self._events), certificates, api]
        env = {**os.environ, "REQUESTS_CA_BUNDLE": str(authority.authorities)}
        self.pid = processes.start(argv, self.log, env, Path(__file__).parents[2])
        processes.wait_for_port(self.port, 30)

    def events(self) -> list[dict[str, Any]]:
        text = self._events.read_text() if self._events.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        ends = time.monotonic() + 20
        while len(found := self.events()) < count:
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.02)
        return found


class World:
    def __init__(self, server: Server, site: Site) -> None:
        self.server, self.site = server, site

    def subscribe(self, path: str, *options: str, login: str = "", topic: str = TOPIC) -> str:
        url = f"http://{login}127.0.0.1:{self.site.port}{path}"
        done = self.server.cli("topic", "subscribe", topic, url, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition(": ")[0]

    def subscription(self, arn: str) -> dict[str, Any]:
        listed = self.server.admin(f"/topics/{TOPIC}/subscriptions")["subscriptions"]
        return next(each for each in listed if each["arn"] == arn)

    def wait_confirmed(self, arn: str) -> None:
        ends = time.monotonic() + 20
        while not self.subscription(arn)["confirmed"]:
            assert time.monotonic() < ends, self.site.log.read_text()
            time.sleep(0.02)

    def publish(self, event: dict[str, Any]) -> None:
        """As the server itself does, beside it."""

        async def do() -> None:
            clock = SystemClock()
            wakeups = LocalWakeups(runtime_directory(self.server.data_dir))
            stores = await open_stores("sqlite", self.server.data_dir, clock, wakeups)
            topics = LocalTopics(stores.topics, clock, os.urandom, False, ())
            text = json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
            outcome = await topics.publish(ACCOUNT, TOPIC, "Amazon SES Email Event Notification", text)
            assert isinstance(outcome, Published)
            await stores.close()
            wakeups.close()

        asyncio.run(do())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("django")
    authority = Authority(directory, "ses.test")
    server = Server(refusing_dns())
    with Front(server.http, authority.context) as front:
        place = f"127.0.0.1:{front.port}"
        server.environment["POSTHOUSE_HTTP__PUBLIC_URL"] = f"https://{place}"
        with server:
            site = Site(directory, authority, place, server.url)
            try:
                yield World(server, site)
            finally:
                processes.stop(site.pid)


def test_django_ses_and_anymail_hear_of_a_bounce(world: World) -> None:
    world.subscribe("/ses/events/", "--confirmed")
    arn = world.subscribe("/anymail/amazon_ses/tracking/", login="ann:s3cret@")
    world.wait_confirmed(arn)  # anymail confirms by itself, with its SDK
    world.publish(BOUNCE)
    found = {each["library"]: each for each in world.site.wait_for(2)}
    for library, kind in (("django-ses", "bounce"), ("anymail", "bounced")):
        assert found[library]["kind"] == kind
        assert found[library]["recipient"] == "grün@mail.example"
        assert found[library]["message_id"] == MESSAGE_ID
    assert world.server.admin(f"/topics/{TOPIC}/dead-letters")["dead_letters"] == []


@pytest.mark.parametrize("encoding", ["UTF-8", "Base64"])
def test_anymail_takes_mail_that_came_in(world: World, encoding: str) -> None:
    ses, name = ses_client(world.server.url), encoding.lower()
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:mail-in-{name}"
    site = f"http://ann:s3cret@127.0.0.1:{world.site.port}/anymail/amazon_ses/inbound/"
    ses.verify_domain_identity(Domain=f"{name}.example")
    ses.create_receipt_rule_set(RuleSetName=name)
    rule = {"Name": "desk", "Enabled": True, "Actions": [{"SNSAction": {"TopicArn": topic, "Encoding": encoding}}]}
    ses.create_receipt_rule(RuleSetName=name, Rule=rule)
    ses.set_active_receipt_rule_set(RuleSetName=name)
    # After the rule's own setup notification, which is none of anymail's business.
    done = world.server.cli("topic", "subscribe", topic, site, "--confirmed")
    assert done.returncode == 0, done.stderr
    before = len(world.site.events())
    with smtplib.SMTP("127.0.0.1", world.server.inbound, timeout=20) as client:
        client.sendmail(
            "amy@partner.example",
            [f"help@{name}.example"],
            "From: Amy <amy@partner.example>\r\nTo: help@x.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\nWo ist sie, Jürgen?\r\n".encode(),
        )
    told = world.site.wait_for(before + 1)[-1]
    assert (told["library"], told["kind"]) == ("anymail", "inbound")
    assert told["recipient"] == f"help@{name}.example Amy <amy@partner.example> Grüße Wo ist sie, Jürgen?"


HTML = '<html><body><a href="https://shop.example/order">Order</a></body></html>'
ANYMAIL = {
    "send": "sent",
    "delivery": "delivered",
    "bounce": "bounced",
    "complaint": "complained",
    "open": "opened",
    "click": "clicked",
}
"""Anymail's word for what django-ses calls so."""
BOXES = {name: f"{name}@simulator.amazonses.com" for name in ("success", "bounce", "complaint")}


def test_both_hear_of_what_really_happens_by_events_and_by_notifications(world: World) -> None:
    server, topic = world.server, f"{TOPIC}-real"
    world.subscribe("/ses/events/", "--confirmed", topic=topic)
    world.subscribe("/anymail/amazon_ses/tracking/", "--confirmed", login="ann:s3cret@", topic=topic)
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    for kind in ("Bounce", "Complaint", "Delivery"):
        ses.set_identity_notification_topic(Identity="shop.example", NotificationType=kind, SnsTopic=topic)
    ses.create_configuration_set(ConfigurationSet={"Name": "news"})
    destination = {"Name": "topic", "Enabled": True, "SNSDestination": {"TopicARN": topic}}
    ses.create_configuration_set_event_destination(
        ConfigurationSetName="news", EventDestination={**destination, "MatchingEventTypes": list(ANYMAIL)}
    )
    sent = {
        box: ses.send_email(
            Source="orders@shop.example",
            Destination={"ToAddresses": [address]},
            Message={"Subject": {"Data": "Order"}, "Body": {"Html": {"Data": HTML}}},
            ConfigurationSetName="news",
        )["MessageId"]
        for box, address in BOXES.items()
    }
    assert server.wait_queue_empty(20)
    html = server.admin(f"/messages/{sent['success']}")["html"]
    for link in re.findall(r'(?:href|src)="https://[^/"]+(/t/[^"]+)"', html):
        assert server.get(link)[0] in (200, 302)
    happened = [
        *((box, "event", "send") for box in BOXES),
        *((box, form, "delivery") for box in ("success", "complaint") for form in ("event", "notification")),
        *((kind, form, kind) for kind in ("bounce", "complaint") for form in ("event", "notification")),
        *(("success", "event", kind) for kind in ("open", "click")),
    ]
    wanted = {
        (library, word, form, BOXES[box], sent[box])
        for box, form, kind in happened
        for library, word in (("django-ses", kind), ("anymail", ANYMAIL[kind]))
    }

    def found() -> set[tuple[str, ...]]:
        keys = ("library", "kind", "form", "recipient", "message_id")
        told = [tuple(each[key] for key in keys) for each in world.site.events()]
        return {each for each in told if each[-1] in sent.values()}

    ends = time.monotonic() + 20
    while found() != wanted and time.monotonic() < ends:
        time.sleep(0.02)
    assert found() == wanted
    assert server.admin(f"/topics/{topic}/dead-letters")["dead_letters"] == []


def test_a_wrong_login_is_a_dead_letter(world: World) -> None:
    arn = world.subscribe("/anymail/amazon_ses/tracking/?wrong", "--confirmed", login="ann:guessed@")
    before = len(world.site.events())
    world.publish(BOUNCE)
    world.site.wait_for(before + 2)
    ends = time.monotonic() + 20
    while not (letters := world.server.admin(f"/topics/{TOPIC}/dead-letters")["dead_letters"]):
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert [(each["subscription_arn"], each["reason"]) for each in letters] == [(arn, "HTTP status 400")]
    listed = world.server.cli("topic", "dead-letters", TOPIC)
    assert "HTTP status 400" in listed.stdout
    assert world.server.cli("topic", "unsubscribe", arn).returncode == 0
    again = world.server.cli("topic", "unsubscribe", arn)
    assert (again.returncode, "there is no subscription" in again.stderr) == (1, True)
    shown = world.server.cli("topic", "subscriptions", "--topic", TOPIC).stdout
    assert arn not in shown
    assert "guessed" not in shown
    assert "s3cret" not in shown
