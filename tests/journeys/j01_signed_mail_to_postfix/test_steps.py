"""SendEmail by boto3, delivered over STARTTLS to a real Postfix, its signatures verified by OpenDKIM and dkimpy.

What stands in the mailbox is what SES sends: Message-ID and Date of our own, no Bcc, both signatures, the headers of
the SES developer guide ("Header fields").
"""

import base64
import email
import email.policy
import re
import smtplib
from email.message import EmailMessage
from pathlib import Path

from tests.support.opendkim import OpenDkim
from tests.support.postfix import Postfix
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.signatures import published_keys, verified_domains


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_signed_mail_lies_in_the_mailbox_of_a_real_postfix(tmp_path: Path) -> None:
    direct = {"delivery.mode": "direct", "auth.mode": "strict", "identities.auto_verify": True}
    with Postfix() as postfix:
        with Server({**direct, "delivery.routes": {"*": f"127.0.0.1:{postfix.port}"}}) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain="example.com")
            ses.verify_domain_dkim(Domain="example.com")
            sent = ses.send_email(
                Source="Anne Sender <anne@example.com>",
                Destination={
                    "ToAddresses": ["=?UTF-8?Q?B=C3=B6b?= <bob@example.net>"],
                    "CcAddresses": ["cc@example.net"],
                    "BccAddresses": ["hidden@example.net"],
                },
                Message={
                    "Subject": {"Data": "Grüße aus dem Posthaus ✉", "Charset": "UTF-8"},
                    "Body": {
                        "Text": {"Data": "Hallo Böb,\nzwei Zeilen.\n", "Charset": "UTF-8"},
                        "Html": {"Data": "<p>Hallo <b>Böb</b></p>", "Charset": "UTF-8"},
                    },
                },
                ReplyToAddresses=["reply@example.com"],
                ReturnPath="bounces@example.com",
            )
            message_id = sent["MessageId"]
            assert re.fullmatch(r"0100[0-9a-f]{12}-[0-9a-f-]{36}-000000", message_id)
            raw = postfix.wait_for_mail()[0]
            keys = published_keys(server, "example.com")
            shown = server.admin(f"/messages/{message_id}")

    assert {r["recipient"]: r["status"] for r in shown["recipients"]} == dict.fromkeys(
        ("bob@example.net", "cc@example.net", "hidden@example.net"), "delivered"
    )
    delivery = next(e for e in shown["events"] if e["type"] == "Delivery")
    assert delivery["detail"]["tls"].startswith("TLSv1."), "STARTTLS was offered and must be taken"
    mail = parsed(raw)
    # Postfix itself notes each mailbox on top of its own copy; what came over the wire begins at our signature.
    assert b"hidden@example.net" not in raw[raw.index(b"DKIM-Signature") :]
    assert mail["Bcc"] is None
    assert mail["Message-ID"] == f"<{message_id}@email.posthouse.test>"
    # The message id, its last zeros replaced by a signature: 64 octets, the most a local part may have.
    assert re.fullmatch(rf"<{message_id[:-6]}[a-z2-7]{{10}}@us-east-1\.posthouse\.test>", mail["Return-Path"])
    assert mail["Subject"] == "Grüße aus dem Posthaus ✉"
    assert mail["To"] == "Böb <bob@example.net>"
    assert mail["Reply-To"] == "reply@example.com"
    assert re.fullmatch(r"\d{4}\.\d\d\.\d\d-[0-9.]+", mail["X-SES-Outgoing"])
    assert re.fullmatch(r"::1\.us-east-1\.[A-Za-z0-9+/]{43}=:AmazonSES", mail["Feedback-ID"])
    assert re.fullmatch(r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000", str(mail["Date"]))
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert mail.get_body(("plain",)).get_content() == "Hallo Böb,\nzwei Zeilen.\n"  # type: ignore[union-attr]
    # What Postfix wrote has its own trace fields on top, and bare LF.
    assert verified_domains(raw.replace(b"\n", b"\r\n"), keys) == ["example.com", "posthouse.test"]
    assert_opendkim_agrees(tmp_path, raw, keys)


def assert_opendkim_agrees(tmp_path: Path, raw: bytes, keys: dict[str, str]) -> None:
    """A second Postfix takes the same bytes through an OpenDKIM milter and writes what it found on top."""
    bare = raw[raw.index(b"DKIM-Signature") :]
    with OpenDkim(tmp_path / "opendkim", keys) as opendkim:
        with Postfix(milter_port=opendkim.port) as postfix:
            with smtplib.SMTP("127.0.0.1", postfix.port) as client:
                client.sendmail("x@example.org", ["bob@example.net"], bare)
            results = parsed(postfix.wait_for_mail()[0]).get_all("Authentication-Results")
    assert results is not None
    assert any("dkim=pass" in str(r) and "header.d=example.com" in str(r) for r in results), results


def test_raw_mail_arrives_byte_for_byte_below_what_ses_changes(tmp_path: Path) -> None:
    attachment = base64.encodebytes(bytes(range(256)) * 26_000).replace(b"\n", b"\r\n")  # 9 MB once encoded
    body = b"--b\r\nContent-Type: text/plain\r\n\r\n.leading dot\r\n..two\r\n--b\r\n" + (
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + attachment
        + b"--b--\r\n"
    )
    head = (
        b"From: anne@example.com\r\nTo: bob@example.net\r\nBcc: bob@example.net\r\nMessage-ID: <mine@example.com>\r\n"
        b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\nX-SES-MESSAGE-TAGS: a=b\r\nX-Custom:  odd\t spacing \r\n"
        b'Subject: raw\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
    )
    with Postfix() as postfix:
        with Server({"delivery.mode": "direct", "delivery.routes": {"*": f"127.0.0.1:{postfix.port}"}}) as server:
            ses = ses_client(server.url)
            ses.verify_email_identity(EmailAddress="anne@example.com")
            ses.send_raw_email(RawMessage={"Data": head + b"\r\n" + body})
            raw = postfix.wait_for_mail(timeout_s=40)[0]
    arrived_head, _, arrived_body = raw.replace(b"\n", b"\r\n").partition(b"\r\n\r\n")
    assert arrived_body == body
    assert b"X-Custom:  odd\t spacing \r\n" in arrived_head
    for gone in (b"<mine@example.com>", b"2001 00:00:00", b"X-SES-MESSAGE-TAGS", b"\r\nBcc:"):
        assert gone not in arrived_head
