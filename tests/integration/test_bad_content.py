"""Mail with malware through AWS's own SDK: accepted, charged, and then sent to nobody."""

import time
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from tests.support.clamd import EICAR, OTHER_MALWARE, Clamd
from tests.support.sdk import ses_client
from tests.support.server import Server

FAST = {"processes.doors": 1, "processes.engines": 1, "delivery.retry_seconds": [0.2]}


def mail_with(data: bytes) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@shop.example", "bob@mail.example", "A file"
    mail.set_content("See the attachment.")
    mail.add_attachment(data, maintype="application", subtype="octet-stream", filename="file.bin")
    return mail.as_bytes()


def send(ses: Any, data: bytes) -> str:
    ses.verify_email_identity(EmailAddress="ann@shop.example")
    return str(ses.send_raw_email(RawMessage={"Data": mail_with(data)})["MessageId"])


def story(server: Server, message_id: str, until: str) -> list[dict[str, Any]]:
    """The events of a message, once there is one of this type."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        events: list[dict[str, Any]] = server.admin(f"/messages/{message_id}")["events"]
        if any(event["type"] == until for event in events):
            return events
        time.sleep(0.02)
    raise TimeoutError(f"no {until}: {events}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(FAST) as running:
        yield running


def test_the_eicar_test_file_makes_a_reject_without_a_scanner(server: Server) -> None:
    ses = ses_client(server.url)
    message_id = send(ses, EICAR)
    [event] = story(server, message_id, "Reject")
    assert event["detail"] == {"reason": "Bad content"}
    shown = server.admin(f"/messages/{message_id}")
    [recipient] = shown["recipients"]
    assert (recipient["status"], recipient["reply"]) == ("rejected", "Bad content: the EICAR anti-virus test file")
    assert ses.get_send_quota()["SentLast24Hours"] == 1, "as at SES, it has cost its quota"
    assert [point["Rejects"] for point in ses.get_send_statistics()["SendDataPoints"]] == [1]


def test_a_scanner_that_is_down_makes_mail_wait_and_one_that_is_up_lets_it_go() -> None:
    clamd = Clamd()
    with Server({**FAST, "scan.clamd": clamd.address}) as server:
        ses = ses_client(server.url)
        waiting = send(ses, b"PK nothing")
        [delay, *_] = story(server, waiting, "DeliveryDelay")
        assert "clamd cannot be reached" in delay["detail"]["recipients"][0]["diagnostic_code"]
        with clamd:
            assert [event["type"] for event in story(server, waiting, "Delivery")][-2:] == ["Send", "Delivery"]
            infected = send(ses, OTHER_MALWARE)
            assert len(story(server, infected, "Reject")) == 1
        [recipient] = server.admin(f"/messages/{infected}")["recipients"]
        assert recipient["reply"] == "Bad content: Other-Test.UNOFFICIAL"
