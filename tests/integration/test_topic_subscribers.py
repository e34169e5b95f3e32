"""Subscribers of a running server: confirmed by following the link, told, waited for, told after a crash."""

import http.server
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import processes
from tests.support.sdk import ses_client
from tests.support.server import Server

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:bounces"


class Hook:
    """A subscriber that follows the link of a SubscriptionConfirmation, as SNS's manual asks."""

    def __init__(self) -> None:
        self.port = processes.free_port()
        self.heard: list[dict[str, Any]] = []
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def open(self) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["x-amz-sns-message-type"] == told["Type"]
                if told["Type"] == "SubscriptionConfirmation":
                    urllib.request.urlopen(told["SubscribeURL"], timeout=10).read()
                outer.heard.append(told)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def wait(is_so: Callable[[], object], server: Server) -> None:
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends, server.log[-3000:]
        time.sleep(0.02)


def subscribe(server: Server, url: str) -> int:
    request = urllib.request.Request(
        f"{server.url}/api/v1/topics/{TOPIC}/subscriptions",
        json.dumps({"endpoint": url}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def tell(server: Server) -> None:
    """Setting a topic publishes to it."""
    ses_client(server.url).set_identity_notification_topic(
        Identity="shop.example", NotificationType="Bounce", SnsTopic=TOPIC
    )


def test_a_subscriber_confirms_itself_and_hears_what_is_published_also_after_a_crash(hook: Hook) -> None:
    with Server({"sns.retry_seconds": "0.1,0.1,0.2,0.5,1,1,1,1,1,1,1,1,1,1"}) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        hook.open()
        assert subscribe(server, hook.url) == 201
        wait(lambda: hook.heard, server)
        assert hook.heard[0]["Type"] == "SubscriptionConfirmation"
        tell(server)
        wait(lambda: len(hook.heard) == 2, server)
        assert json.loads(hook.heard[1]["Message"])["notificationType"] == "AmazonSnsSubscriptionSucceeded"

        hook.close()
        tell(server)
        path = f"/topics/{TOPIC}/subscriptions"
        wait(lambda: server.admin(path)["subscriptions"][0]["failures"], server)
        server.kill9()
        hook.open()
        server.start()
        wait(lambda: len(hook.heard) == 3, server)
        wait(lambda: server.admin(path)["subscriptions"][0]["waiting"] == 0, server)
        assert server.admin(path)["subscriptions"][0]["failures"] == 0
        # The certificate stays the same: it is kept with the key, and both outlive the process.
        assert len({told["SigningCertURL"] for told in hook.heard}) == 1

        with urllib.request.urlopen(hook.heard[2]["SigningCertURL"], timeout=10) as answer:
            assert answer.read().startswith(b"-----BEGIN CERTIFICATE-----")
        with urllib.request.urlopen(hook.heard[2]["UnsubscribeURL"], timeout=10) as answer:
            assert b"UnsubscribeResponse" in answer.read()
        assert server.admin(path)["subscriptions"] == []
        assert b"posthouse_subscriber_deliveries_total" in server.get("/metrics")[1]


def test_private_addresses_are_not_called_where_they_are_not_allowed(hook: Hook) -> None:
    with Server({"http.allow_private_calls": False, "sns.retry_seconds": "0"}) as server:
        hook.open()
        assert subscribe(server, hook.url) == 201
        path = f"/topics/{TOPIC}/dead-letters"
        wait(lambda: server.admin(path)["dead_letters"], server)
        (letter,) = server.admin(path)["dead_letters"]
        assert letter["reason"] == "not called: 127.0.0.1 is not a public address"
        assert letter["attempts"] == 2
        assert hook.heard == []


def test_subscribers_of_topics_of_aws_are_managed_there() -> None:
    with Server({"sns.backend": "aws"}) as server:
        done = server.cli("topic", "subscribe", TOPIC, "http://127.0.0.1:1/")
        assert (done.returncode, "managed there" in done.stderr) == (1, True)
