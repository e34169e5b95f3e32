"""A developer's first hour: mails by boto3, the AWS CLI, the JavaScript SDK and SMTP, and the console in Chromium."""

import base64
import json
import os
import smtplib
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from tests.support.javascript import run_node
from tests.support.needs import need
from tests.support.sdk import ses_client
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

SCRIPT = """
import { SESClient, SendEmailCommand, SendRawEmailCommand, VerifyEmailIdentityCommand } from "@aws-sdk/client-ses";
const [endpoint, accessKeyId, secretAccessKey] = process.argv.slice(2);
const credentials = { accessKeyId, secretAccessKey };
const client = new SESClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 1 });
await client.send(new VerifyEmailIdentityCommand({ EmailAddress: "js@example.com" }));
const sent = await client.send(new SendEmailCommand({
  Source: "js@example.com",
  Destination: { ToAddresses: ["bob@example.net"] },
  Message: { Subject: { Data: "composed in JavaScript ✓" }, Body: { Html: { Data: "<p>hello</p>" } } },
}));
const raw = "From: js@example.com\\r\\nTo: bob@example.net\\r\\nSubject: raw from JavaScript\\r\\n\\r\\nhi\\r\\n";
await client.send(new SendRawEmailCommand({ RawMessage: { Data: new TextEncoder().encode(raw) } }));
try {
  await client.send(new SendEmailCommand({
    Source: "stranger@elsewhere.example",
    Destination: { ToAddresses: ["bob@example.net"] },
    Message: { Subject: { Data: "x" }, Body: { Text: { Data: "x" } } },
  }));
} catch (error) {
  console.log(JSON.stringify({ id: sent.MessageId, error: error.name, text: error.message }));
}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"auth.mode": "strict"}) as running:
        ses_client(running.url).verify_domain_identity(Domain="example.com")
        yield running


def found(server: Server, subject: str) -> Any:
    """The message with this subject, as soon as it is there and in a final state."""
    login = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
    query = "&".join(("timeout=10", "status=delivered", "subject=" + subject.replace(" ", "%20")))
    status, body = server.get(f"/api/v1/messages/wait?{query}", {"Authorization": f"Basic {login}"})
    assert status == 200, body
    return server.admin(f"/messages/{json.loads(body)['message_id']}")


def test_boto3_sends_html_utf8_names_and_nine_megabytes(server: Server) -> None:
    ses = ses_client(server.url)
    attachment = base64.encodebytes(os.urandom(6_900_000)).replace(b"\n", b"\r\n")
    raw = (
        b"From: =?UTF-8?Q?=C3=84nne?= <a@example.com>\r\nTo: bob@example.net\r\nSubject: nine megabytes\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/plain\r\n\r\nsee below\r\n--b\r\nContent-Type: image/png\r\n"
        b'Content-Disposition: attachment; filename="big.png"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + attachment + b"--b--\r\n"
    )
    assert 9_000_000 < len(raw) < 10_485_760
    ses.send_raw_email(RawMessage={"Data": raw})
    shown = found(server, "nine megabytes")
    assert [(a["filename"], a["size"]) for a in shown["attachments"]] == [("big.png", 6_900_000)]
    with pytest.raises(ses.exceptions.ClientError, match="Message length is more than 10485760 bytes long"):
        ses.send_raw_email(RawMessage={"Data": raw + b"x" * 2_000_000})


def test_the_aws_command_line_sends(server: Server) -> None:
    need("aws")
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    words = ["aws", "ses", "--endpoint-url", server.url, "--region", "us-east-1", "send-email"]
    words += ["--from", "cli@example.com", "--to", "bob@example.net", "--cc", "cc@example.net"]
    words += ["--subject", "from the command line", "--text", "hello"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = found(server, "from the command line")
    assert shown["message_id"] == json.loads(done.stdout)["MessageId"]
    assert {r["recipient"] for r in shown["recipients"]} == {"bob@example.net", "cc@example.net"}


def test_the_javascript_sdk_sends_and_understands_refusals(server: Server) -> None:
    told = json.loads(run_node(SCRIPT, server.url, ACCESS_KEY, SECRET_KEY))
    assert told["error"] == "MessageRejected"
    assert told["text"].endswith("failed the check in region US-EAST-1: stranger@elsewhere.example")
    assert found(server, "composed in JavaScript")["message_id"] == told["id"]
    assert found(server, "raw from JavaScript")["text"].strip() == "hi"


def test_smtp_sends_with_the_derived_password(server: Server) -> None:
    created = json.loads(server.cli("credentials", "create", "--json").stdout)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "smtp@example.com", "bob@example.net", "over SMTP"
    message.set_content("hello")
    with smtplib.SMTP("127.0.0.1", server.submission) as client:
        client.starttls()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(created["smtp_user"], "wrong")
        client.login(created["smtp_user"], created["smtp_password"])
        client.send_message(message)
    assert found(server, "over SMTP")["operation"] == "SMTP"


def test_the_console_shows_it_in_a_real_browser(tmp_path: Path) -> None:
    need("chromium")
    from playwright.sync_api import sync_playwright

    with Server() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{server.url}/console/")
        ses = ses_client(server.url)
        ses.verify_email_identity(EmailAddress="anne@example.com")
        ses.send_email(
            Source="anne@example.com",
            Destination={"ToAddresses": ["bob@example.net"]},
            Message={
                "Subject": {"Data": "Live <script>alert(1)</script>"},
                "Body": {"Html": {"Data": "<h1 id=x>From the mail</h1><script>parent.document.title='owned'</script>"}},
            },
        )
        # It arrives in the open page by itself.
        row = page.get_by_text("Live <script>alert(1)</script>").first
        row.wait_for(timeout=10_000)
        row.click()
        page.wait_for_url("**/console/messages/**", timeout=10_000)
        inside = page.frame_locator("iframe.mail-html").locator("h1")
        inside.wait_for(timeout=10_000)
        assert inside.text_content() == "From the mail"
        assert "owned" not in page.title()
        page.get_by_text("kept here and nothing left this machine").first.wait_for(timeout=10_000)
        page.get_by_role("link", name="Headers").click()
        page.get_by_text("DKIM-Signature").first.wait_for(timeout=10_000)
        browser.close()
