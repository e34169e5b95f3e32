"""The real causes of every event: what is sent, by whom, to whom, and what then happens to it out there.

A recipient's local part says what becomes of its mail and who wrote it: ``refused.shop@example.net``.
"""

import email
import email.policy
import http.server
import re
import shutil
import smtplib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast

from playwright.sync_api import sync_playwright
from tests.support.clamd import EICAR
from tests.support.postfix import Postfix
from tests.support.reports import sample
from tests.support.sdk import ses_client
from tests.support.server import Server

CHROMIUM = shutil.which("chromium")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"
SET, TEMPLATE = "transactional", "order-shipped"
TAGS = [{"Name": "campaign", "Value": "shipping"}, {"Name": "tier", "Value": "gold"}]
SHOP, RAW = "shop", "raw"
"""Two senders: one by SendEmail under the set, one by SendRawEmail without any, with headers in its notifications."""
SOURCES = {SHOP: "Shop Desk <orders@shop.example>", RAW: "Shop Desk <orders@raw.example>"}
FATES = ("taken", "refused", "late", "busy", "lost", "complains", "away")


def address(fate: str, sender: str) -> str:
    return f"{fate}.{sender}@{'nowhere.example' if fate == 'lost' else 'example.net'}"


@dataclass
class Page:
    """The delivered mail as a web mailer would show it, and where its link leads; on a port of its own."""

    html: str = ""
    landed: list[str] = field(default_factory=list)

    def __enter__(self) -> "Page":
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/landed"):
                    outer.landed.append(self.path)
                body = outer.html.encode() if self.path == "/mail" else b"<title>Landed</title>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def target(self) -> str:
        return f"{self.url}/landed?o=7741&c=2"


@dataclass
class Causes:
    """Everything that happens, once. `ids`: message ids by what happened and sender."""

    server: Server
    postfix: Postfix
    page: Page
    ids: dict[tuple[str, str], str] = field(default_factory=dict)

    def run(self) -> None:
        self._send()
        for fate in ("complains", "away"):
            for sender in SOURCES:
                self._write_back(fate, sender)
        self._read()
        self._write_to_the_suppressed()

    # -- what is sent

    def _send(self) -> None:
        ses = ses_client(self.server.url)
        for fate in FATES:
            self._send_from_shop(fate, fate)
            mail = self._written(address(fate, RAW))
            self.ids[fate, RAW] = ses.send_raw_email(RawMessage={"Data": mail})["MessageId"]
        self.ids["rejected", SHOP] = ses.send_raw_email(
            RawMessage={"Data": _infected()}, ConfigurationSetName=SET, Tags=TAGS
        )["MessageId"]
        self.ids["unrendered", SHOP] = ses.send_templated_email(
            Source=SOURCES[SHOP],
            Destination={"ToAddresses": [address("unrendered", SHOP)]},
            Template=TEMPLATE,
            TemplateData='{"number": 7741}',
            ConfigurationSetName=SET,
        )["MessageId"]

    def _send_from_shop(self, what: str, fate: str) -> None:
        link = self.page.target.replace("&", "&amp;")
        html = f'<html><body><p>Order <a href="{link}" ses:tags="position:footer;variant:b;">7741</a></p></body></html>'
        answer = ses_client(self.server.url).send_email(
            Source=SOURCES[SHOP],
            Destination={"ToAddresses": [address(fate, SHOP)]},
            Message={
                "Subject": {"Data": "Order 7741 shipped"},
                "Body": {"Text": {"Data": "Hello"}, "Html": {"Data": html}},
            },
            ConfigurationSetName=SET,
            Tags=TAGS,
        )
        self.ids[what, SHOP] = answer["MessageId"]

    def _written(self, recipient: str) -> bytes:
        return (
            f"From: {SOURCES[RAW]}\r\nTo: {recipient}\r\nMessage-ID: <7741.a@raw.example>\r\n"
            "Subject: Order 7741 shipped\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
            "Content-Transfer-Encoding: 7bit\r\nDate: Thu, 2 May 2024 09:15:29 +0000\r\n\r\nHello\r\n"
        ).encode()

    # -- what comes of it

    def _write_back(self, fate: str, sender: str) -> None:
        """A complaint of the provider, or an automatic reply, to the return path of the mail that arrived."""
        recipient = address(fate, sender).encode()
        mail = self.arrived(recipient.decode())
        path = re.search(rb"^Return-Path: <([^>]+)>", mail, re.MULTILINE)
        assert path is not None
        name = "arf-yahoo" if fate == "complains" else "auto-exchange-oof"
        report = re.sub(rb"(?i)dana@mail\.example", recipient, sample(name))
        with smtplib.SMTP("127.0.0.1", self.server.inbound, timeout=20) as smtp:
            smtp.sendmail("somebody@example.net", [path[1].decode()], report)

    def _read(self) -> None:
        """Somebody opens the mail and follows its link."""
        assert CHROMIUM is not None
        raw = self.arrived(address("taken", SHOP))
        mail = cast(EmailMessage, email.message_from_bytes(raw, policy=email.policy.default))
        part = mail.get_body(("html",))
        assert part is not None
        self.page.html = part.get_content()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            try:
                seen = browser.new_page(user_agent=AGENT)
                seen.goto(f"{self.page.url}/mail")
                seen.get_by_role("link", name="7741").click()
                seen.wait_for_url(self.page.target)
            finally:
                browser.close()

    def _write_to_the_suppressed(self) -> None:
        """Mail to an address that bounced for good, and to one that complained."""
        for fate in ("refused", "complains"):
            wanted = address(fate, SHOP)
            self.wait(lambda a=wanted: any(each["address"] == a for each in self.suppressed()))  # type: ignore[misc]
            self._send_from_shop(f"{fate} before", fate)

    # -- looking

    def suppressed(self) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], self.server.admin("/suppression?limit=1000")["suppression"])

    def arrived(self, recipient: str) -> bytes:
        """The one mail that Postfix has delivered to a recipient."""
        mark = f"\nDelivered-To: {recipient}\n".encode()
        return cast(bytes, self.wait(lambda: next((mail for mail in self.postfix.mails() if mark in mail), None)))

    def wait(self, what: Callable[[], Any], timeout_s: float = 30) -> Any:
        ends = time.monotonic() + timeout_s
        while not (found := what()):
            assert time.monotonic() < ends, f"nothing came\n{self.postfix.log[-3000:]}\n{self.server.log[-3000:]}"
            time.sleep(0.02)
        return found


def _infected() -> bytes:
    head = f"From: {SOURCES[SHOP]}\r\nTo: {address('rejected', SHOP)}\r\nSubject: Order 7741 shipped\r\n"
    return (
        f'{head}MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name="file.bin"\r\n\r\n'.encode()
        + EICAR
        + b"\r\n"
    )
