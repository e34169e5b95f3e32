"""Templated mail from real applications: boto3, the AWS CLI, the JavaScript SDK, nodemailer and a Django project.

What arrives at a next hop is read by the standard library's parser, which is none of ours, field by field.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.javascript import run_node
from tests.support.needs import need
from tests.support.sdk import ses_client
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server
from tests.support.sink import Sink

TEMPLATE = {
    "TemplateName": "order",
    "SubjectPart": "Order {{order.id}} for {{name}}",
    "TextPart": "Dear {{name}},\n\n{{#each order.items}}{{@index}}: {{this}}\n{{/each}}"
    "{{#if gift}}A gift!{{else}}Paid.{{/if}}\n",
    "HtmlPart": "<p>Dear {{name}},</p><ul>{{#each order.items}}<li>{{this}}</li>{{/each}}</ul>",
}
DATA = {"name": "Zoë & Söhne", "order": {"id": 7, "items": ["Tea <green>", "Honig"]}}
TEXT = "Dear Zoë & Söhne,\n\n0: Tea <green>\n1: Honig\nPaid.\n"
HTML = "<p>Dear Zoë & Söhne,</p><ul><li>Tea <green></li><li>Honig</li></ul>"
"""Handlebars as SES speaks it escapes nothing."""

JAVASCRIPT = """
import { SESClient, SendTemplatedEmailCommand, SendBulkTemplatedEmailCommand } from "@aws-sdk/client-ses";
import * as aws from "@aws-sdk/client-ses";
import nodemailer from "nodemailer";
const [endpoint, accessKeyId, secretAccessKey, template, data] = process.argv.slice(2);
const credentials = { accessKeyId, secretAccessKey };
const client = new SESClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 1 });
const one = await client.send(new SendTemplatedEmailCommand({
  Source: "js@example.com", Destination: { ToAddresses: ["one@example.net"] }, Template: template, TemplateData: data,
}));
const bulk = await client.send(new SendBulkTemplatedEmailCommand({
  Source: "js@example.com", Template: template, DefaultTemplateData: data,
  Destinations: [
    { Destination: { ToAddresses: ["two@example.net"] } },
    { Destination: { ToAddresses: ["broken@@example.net"] } },
    { Destination: { ToAddresses: ["three@example.net"] },
      ReplacementTemplateData: JSON.stringify({ name: "Drei", order: { id: 3, items: [] }, gift: true }) },
  ],
}));
const transport = nodemailer.createTransport({ SES: { ses: client, aws } });
const mailed = await transport.sendMail({
  from: "Jäns <js@example.com>", to: ["node@example.net"], bcc: "hid@example.net", subject: "Grüße ✓ from nodemailer",
  text: "plain ✓", html: "<b>rich ✓</b>",
  attachments: [{ filename: "ünicode.txt", content: "attached ✓" }],
});
console.log(JSON.stringify({ one: one.MessageId, bulk: bulk.Status, mailed }));
"""

DJANGO = """
import json, sys
import django
from django.conf import settings

url, key, secret = sys.argv[1:4]
settings.configure(
    EMAIL_BACKEND="django_ses.SESBackend",
    AWS_SES_REGION_NAME="us-east-1", AWS_SES_REGION_ENDPOINT_URL=url,
    AWS_SES_ACCESS_KEY_ID=key, AWS_SES_SECRET_ACCESS_KEY=secret,
    AWS_SES_CONFIGURATION_SET="django", DEFAULT_FROM_EMAIL="Django <django@example.com>",
)
django.setup()
from django.core.mail import EmailMultiAlternatives, get_connection

mail = EmailMultiAlternatives(
    "Grüße aus Django", "plain ✓", to=["Änne <anne@example.net>"], cc=["cc@example.net"], bcc=["hid@example.net"],
    reply_to=["help@example.com"], headers={"X-Order": "7"},
)
mail.attach_alternative("<b>rich ✓</b>", "text/html")
mail.attach("report.csv", "a,b\\n1,2\\n", "text/csv")
sent = get_connection().send_messages([mail])
print(json.dumps({"sent": sent, "id": mail.extra_headers["message_id"]}))
"""


class Arrivals:
    """What the next hop was given."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def mail_for(self, recipient: str) -> EmailMessage:
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            for each in self._sink.arrivals:
                if recipient in each.rcpt_to:
                    raw = each.content.replace(b"\r\n..", b"\r\n.")
                    return cast(EmailMessage, message_from_bytes(raw, policy=default))
            time.sleep(0.02)
        raise AssertionError(f"nothing came for {recipient}")


@pytest.fixture(scope="module")
def arrivals() -> Iterator[Arrivals]:
    with Sink() as sink:
        yield Arrivals(sink)


@pytest.fixture(scope="module")
def server(arrivals: Arrivals) -> Iterator[Server]:
    routes = {"*": arrivals._sink.address}
    with Server({"auth.mode": "strict", "delivery.mode": "direct", "delivery.routes": routes}) as running:
        ses = ses_client(running.url)
        ses.verify_domain_identity(Domain="example.com")
        ses.create_template(Template=TEMPLATE)
        ses.create_configuration_set(ConfigurationSet={"Name": "django"})
        yield running


def bodies(mail: EmailMessage) -> tuple[str, str]:
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n").rstrip("\n")


def assert_rendered(mail: EmailMessage, source: str, to: str) -> None:
    assert mail["subject"] == "Order 7 for Zoë & Söhne"
    assert (mail["from"], mail["to"], mail["mime-version"]) == (source, to, "1.0")
    assert mail.get_content_type() == "multipart/alternative"
    assert bodies(mail) == (TEXT, HTML)
    assert mail.defects == []


def test_boto3_sends_one_and_many(server: Server, arrivals: Arrivals) -> None:
    ses = ses_client(server.url)
    ses.send_templated_email(
        Source="Shop <shop@example.com>",
        Destination={"ToAddresses": ["boto@example.net"], "BccAddresses": ["hidden@example.net"]},
        ReplyToAddresses=["help@example.com"],
        Template="order",
        TemplateData=json.dumps(DATA),
        Tags=[{"Name": "campaign", "Value": "spring"}],
    )
    mail = arrivals.mail_for("boto@example.net")
    assert_rendered(mail, "Shop <shop@example.com>", "boto@example.net")
    assert mail["reply-to"] == "help@example.com"
    assert "hidden@example.net" not in mail.as_string()
    assert arrivals.mail_for("hidden@example.net")["message-id"] == mail["message-id"]

    many = [{"Destination": {"ToAddresses": [f"b{number}@example.net"]}} for number in range(50)]
    many[7]["ReplacementTemplateData"] = json.dumps({**DATA, "name": "Sieben"})  # type: ignore[assignment]
    statuses = ses.send_bulk_templated_email(
        Source="shop@example.com", Template="order", DefaultTemplateData=json.dumps(DATA), Destinations=many
    )["Status"]
    assert [each["Status"] for each in statuses] == ["Success"] * 50
    assert len({each["MessageId"] for each in statuses}) == 50
    assert_rendered(arrivals.mail_for("b49@example.net"), "shop@example.com", "b49@example.net")
    assert arrivals.mail_for("b7@example.net")["subject"] == "Order 7 for Sieben"


def test_what_cannot_be_rendered_is_accepted_and_told(server: Server) -> None:
    ses = ses_client(server.url)
    sent = ses.send_templated_email(
        Source="shop@example.com",
        Destination={"ToAddresses": ["lost@example.net"]},
        Template="order",
        TemplateData=json.dumps({"name": "x", "order": {"items": []}}),
    )
    shown = server.admin("/messages/wait?recipient=lost@example.net&status=rejected&timeout=10")
    assert shown["message_id"] == sent["MessageId"]
    [event] = [each for each in shown["events"] if each["type"] == "Rendering Failure"]
    assert event["detail"] == {
        "template_name": "order",
        "error_message": "Attribute 'order.id' is not present in the rendering data.",
    }
    assert "Attribute 'order.id' is not present in the rendering data" in shown["why"]
    assert shown["template"] == {"name": "order", "data": json.dumps({"name": "x", "order": {"items": []}})}


def test_the_aws_command_line_keeps_templates_and_sends(server: Server, arrivals: Arrivals, tmp_path: Path) -> None:
    need("aws")

    def aws(verb: str, **given: Any) -> Any:
        asked = tmp_path / "asked.json"
        asked.write_text(json.dumps(given))
        words = ["aws", "ses", "--endpoint-url", server.url, "--region", "us-east-1", verb]
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        command = [*words, "--cli-input-json", f"file://{asked}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    aws("create-template", Template={**TEMPLATE, "TemplateName": "from-the-command-line"})
    shown = aws("get-template", TemplateName="from-the-command-line")["Template"]
    assert shown == {**TEMPLATE, "TemplateName": "from-the-command-line"}
    rendered = aws("test-render-template", TemplateName="order", TemplateData=json.dumps(DATA))["RenderedTemplate"]
    mail = cast(EmailMessage, message_from_bytes(rendered.encode(), policy=default))
    assert mail["subject"] == "Order 7 for Zoë & Söhne"
    assert bodies(mail) == (TEXT, HTML)
    aws(
        "send-templated-email",
        Source="cli@example.com",
        Destination={"ToAddresses": ["cli@example.net"]},
        Template="from-the-command-line",
        TemplateData=json.dumps(DATA),
    )
    assert_rendered(arrivals.mail_for("cli@example.net"), "cli@example.com", "cli@example.net")
    bulk = aws(
        "send-bulk-templated-email",
        Source="cli@example.com",
        Template="order",
        DefaultTemplateData=json.dumps(DATA),
        Destinations=[{"Destination": {"ToAddresses": ["cli2@example.net"]}}, {"Destination": {"ToAddresses": ["x"]}}],
    )["Status"]
    assert [each["Status"] for each in bulk] == ["Success", "InvalidParameterValue"]


def test_javascript_sends_by_templates_and_by_nodemailers_transport(server: Server, arrivals: Arrivals) -> None:
    told = json.loads(run_node(JAVASCRIPT, server.url, ACCESS_KEY, SECRET_KEY, "order", json.dumps(DATA)))
    assert_rendered(arrivals.mail_for("one@example.net"), "js@example.com", "one@example.net")
    assert [each["Status"] for each in told["bulk"]] == ["Success", "InvalidParameterValue", "Success"]
    assert told["bulk"][1]["Error"]
    assert_rendered(arrivals.mail_for("two@example.net"), "js@example.com", "two@example.net")
    third = arrivals.mail_for("three@example.net")
    assert third["subject"] == "Order 3 for Drei"
    assert bodies(third) == ("Dear Drei,\n\nA gift!\n", "<p>Dear Drei,</p><ul></ul>")

    mail = arrivals.mail_for("node@example.net")
    assert mail["message-id"].startswith("<" + told["mailed"]["response"])
    assert (mail["subject"], mail["from"]) == ("Grüße ✓ from nodemailer", "Jäns <js@example.com>")
    assert mail["bcc"] is None
    text, html = bodies(mail)
    assert (text.strip(), html) == ("plain ✓", "<b>rich ✓</b>")
    [attachment] = mail.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content().strip()) == ("ünicode.txt", "attached ✓")
    assert arrivals.mail_for("hid@example.net")["message-id"] == mail["message-id"]


def test_a_django_project_sends_through_django_ses(server: Server, arrivals: Arrivals, tmp_path: Path) -> None:
    script = tmp_path / "project.py"
    script.write_text(DJANGO)
    environment = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true"}
    words = [sys.executable, str(script), server.url, ACCESS_KEY, SECRET_KEY]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["sent"] == 1
    mail = arrivals.mail_for("anne@example.net")
    assert (mail["subject"], mail["from"]) == ("Grüße aus Django", "Django <django@example.com>")
    assert (mail["to"], mail["cc"], mail["bcc"]) == ("Änne <anne@example.net>", "cc@example.net", None)
    assert (mail["reply-to"], mail["x-order"]) == ("help@example.com", "7")
    assert mail["x-ses-configuration-set"] is None
    text, html = bodies(mail)
    assert (text.strip(), html) == ("plain ✓", "<b>rich ✓</b>")
    [report] = mail.iter_attachments()
    assert (report.get_filename(), report.get_content_type()) == ("report.csv", "text/csv")
    stored = server.admin(f"/messages/{told['id']}")
    assert stored["configuration_set"] == "django"
    assert {each["recipient"] for each in stored["recipients"]} == {
        "anne@example.net",
        "cc@example.net",
        "hid@example.net",
    }
