"""The other side decides: 450 is tried again, 550 bounces, a server that is down gets its mail when it is back."""

import time
from pathlib import Path
from typing import Any

from tests.support.postfix import Postfix
from tests.support.processes import free_port
from tests.support.sdk import ses_client
from tests.support.server import Server

FAST = {"delivery.mode": "direct", "delivery.retry_seconds": [1, 1, 2]}


def send(server: Server, *recipients: str) -> str:
    ses = ses_client(server.url)
    ses.verify_email_identity(EmailAddress="anne@example.com")
    answer = ses.send_email(
        Source="anne@example.com",
        Destination={"ToAddresses": list(recipients)},
        Message={"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "b"}}},
    )
    return str(answer["MessageId"])


def wait_for_states(server: Server, message_id: str, wanted: dict[str, str], timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while True:
        shown = server.admin(f"/messages/{message_id}")
        states = {r["recipient"]: r["status"] for r in shown["recipients"]}
        if states == wanted:
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)


def test_each_recipient_ends_as_its_answer_says(tmp_path: Path) -> None:
    answers = {"gone@example.net": "550 5.1.1 no such user here", "busy@example.net": "450 4.2.0 come back later"}
    with Postfix(answers) as postfix:
        routes = {"delivery.routes": {"*": f"127.0.0.1:{postfix.port}"}}
        with Server({**FAST, **routes, "delivery.max_age_seconds": 3}) as server:
            message_id = send(server, "gone@example.net", "busy@example.net", "ok@example.net")
            shown = wait_for_states(
                server,
                message_id,
                {"gone@example.net": "bounced", "busy@example.net": "expired", "ok@example.net": "delivered"},
            )
            statistics = ses_client(server.url).get_send_statistics()["SendDataPoints"]
    events = [(e["type"], tuple(e["recipients"])) for e in shown["events"]]
    assert events.count(("Delivery", ("ok@example.net",))) == 1
    assert events.count(("Bounce", ("gone@example.net",))) == 1
    assert events.count(("Bounce", ("busy@example.net",))) == 1
    assert any(kind == "DeliveryDelay" for kind, _ in events), "450 is tried again before it bounces"
    bounces = {tuple(e["recipients"]): e["detail"] for e in shown["events"] if e["type"] == "Bounce"}
    gone, busy = bounces["gone@example.net",], bounces["busy@example.net",]
    assert gone["kind"] == {"type": "Permanent", "subtype": "NoEmail"}
    assert "550 5.1.1" in str(gone)
    assert "no such user here" in str(gone)
    assert busy["kind"] == {"type": "Transient", "subtype": "General"}
    assert "4.4.7 Message expired" in str(busy)
    assert sum(point["DeliveryAttempts"] for point in statistics) == 3
    assert sum(point["Bounces"] for point in statistics) == 1, "hard bounces alone count"


def test_a_server_that_answers_450_at_first_gets_the_mail_later(tmp_path: Path) -> None:
    port = free_port()
    with Server({**FAST, "delivery.routes": {"*": f"127.0.0.1:{port}"}}) as server:
        with Postfix({"bob@example.net": "450 4.2.0 come back later"}, port=port):
            message_id = send(server, "bob@example.net")
            deadline = time.monotonic() + 20
            while not any(e["type"] == "DeliveryDelay" for e in server.admin(f"/messages/{message_id}")["events"]):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with Postfix(port=port) as postfix:
            postfix.wait_for_mail(timeout_s=30)
            wait_for_states(server, message_id, {"bob@example.net": "delivered"})
            assert len(postfix.mails()) == 1


def test_a_server_that_is_down_gets_the_mail_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    with Server({**FAST, "delivery.routes": {"*": f"127.0.0.1:{port}"}}) as server:
        message_id = send(server, "bob@example.net")
        deadline = time.monotonic() + 20
        while server.admin(f"/messages/{message_id}")["recipients"][0]["attempts"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        server.restart()
        with Postfix(port=port) as postfix:
            postfix.wait_for_mail(timeout_s=40)
            wait_for_states(server, message_id, {"bob@example.net": "delivered"})
