"""Mail beyond ASCII to servers with and without 8BITMIME, and lines that are too long: what arrives verifies and reads
the same."""

import email
import email.policy
from email.message import EmailMessage

import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.signatures import published_keys, verified_domains
from tests.support.sink import Sink

TEXT = "Grüße aus dem Posthaus.\r\n.Punkt\r\n"
RAW = (
    b"From: =?utf-8?q?J=C3=B6rg?= <anne@example.com>\r\n"
    b"To: B\xc3\xa4rbel <b@example.net>\r\nSubject: id=one \xc3\xa4\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + TEXT.encode()
    + b"\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>"
    + b"long " * 400
    + b"</p>\r\n--b--\r\n"
)


def seven_bit_server(stage: str, argument: str) -> str | None:
    return "250-sink.example.net\r\n250 PIPELINING" if stage == "EHLO" else None


@pytest.mark.parametrize("eight_bit", [True, False])
def test_it_arrives_signed_and_reads_the_same(eight_bit: bool) -> None:
    with Sink(None if eight_bit else seven_bit_server) as sink:
        routes = {"*": f"127.0.0.1:{sink.port}"}
        with Server({"delivery.mode": "direct", "delivery.routes": routes}) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain="example.com")
            ses.verify_domain_dkim(Domain="example.com")
            ses.send_raw_email(RawMessage={"Data": RAW})
            arrived = sink.wait_for(1)[0].content.replace(b"\r\n..", b"\r\n.")
            keys = published_keys(server, "example.com")
    assert arrived.isascii() is not eight_bit
    assert max(map(len, arrived.split(b"\r\n"))) <= 998
    assert arrived.count(b"DKIM-Signature:") == 2
    assert verified_domains(arrived, keys) == ["example.com", "posthouse.test"]
    mail = email.message_from_bytes(arrived, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert (mail["Subject"], mail["From"]) == ("id=one ä", "Jörg <anne@example.com>")
    text, html = mail.iter_parts()
    assert text.get_payload(decode=True) == TEXT.encode()  # type: ignore[union-attr]
    assert html.get_payload(decode=True) == b"<p>" + b"long " * 400 + b"</p>"  # type: ignore[union-attr]
