"""A mailing list from the call to the click and the next mail: SMTP and boto3, a real server, a mail program."""

import email
import email.policy
import http.client
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server

MAIL = (
    "From: news@shop.example\r\nTo: {to}\r\nSubject: Offers\r\nX-SES-LIST-MANAGEMENT-OPTIONS: news; topic=offers\r\n"
    'Content-Type: text/html\r\n\r\n<p>Today only. <a href="{{{{amazonSESUnsubscribeUrl}}}}">No more</a></p>\r\n'
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"processes.doors": 1, "processes.engines": 1}) as server:
        ses_client(server.url).verify_domain_identity(Domain="shop.example")
        yield server


def send_raw(server: Server, to: str) -> str:
    raw = MAIL.format(to=to).encode()
    return str(ses_client(server.url).send_raw_email(RawMessage={"Data": raw})["MessageId"])


def ended(server: Server, message_id: str) -> Any:
    ends = time.monotonic() + 20
    while True:
        shown = server.admin(f"/messages/{message_id}")
        if all(each["status"] != "queued" for each in shown["recipients"]):
            return shown
        assert time.monotonic() < ends
        time.sleep(0.02)


def mail_of(server: Server, message_id: str) -> EmailMessage:
    ended(server, message_id)
    raw = server.get(f"/api/v1/messages/{message_id}/raw")[1]
    return cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default))


def post(server: Server, url: str) -> int:
    """As a mail provider does it: RFC 8058 section 3.2."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": "mail.example.org"}
    connection.request("POST", urlsplit(url).path, "List-Unsubscribe=One-Click", headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_one_click_is_enough(server: Server) -> None:
    first = send_raw(server, "dana@far.example")
    mail = mail_of(server, first)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = mail["List-Unsubscribe"].strip("<>")
    assert url.startswith(f"{server.url}/u/")
    assert f'href="{url}"' in mail.get_content()
    assert server.get(urlsplit(url).path)[0] == 200
    assert ended(server, send_raw(server, "dana@far.example"))["recipients"][0]["status"] == "delivered"
    assert post(server, url) == 200
    assert "Subscription" in [each["type"] for each in server.admin(f"/messages/{first}")["events"]]

    held_back = ended(server, send_raw(server, "Dana@far.example"))
    assert held_back["recipients"][0]["status"] == "bounced"
    assert "unsubscribed" in held_back["why"]
    [bounce] = [each for each in held_back["events"] if each["type"] == "Bounce"]
    assert bounce["detail"]["kind"] == {"type": "Permanent", "subtype": "UnsubscribedRecipient"}
    assert server.admin("/suppression")["suppression"] == [], "other mail still goes there"
    assert ended(server, send_raw(server, "eli@far.example"))["recipients"][0]["status"] == "delivered"


def test_many_readers_of_one_mail_have_no_link_and_may_have_left(server: Server) -> None:
    mail = mail_of(server, send_raw(server, "fay@far.example"))
    assert post(server, mail["List-Unsubscribe"].strip("<>")) == 200
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=20) as smtp:
        _, reply = (smtp.ehlo(), smtp.mail("news@shop.example"))[1]
        for to in ("fay@far.example", "gus@far.example"):
            smtp.rcpt(to)
        _, reply = smtp.data(MAIL.format(to="fay@far.example, gus@far.example"))
    message_id = reply.decode().split()[-1]
    shown = ended(server, message_id)
    assert {each["recipient"]: each["status"] for each in shown["recipients"]} == {
        "fay@far.example": "bounced",
        "gus@far.example": "delivered",
    }
    assert mail_of(server, message_id)["List-Unsubscribe"] is None
