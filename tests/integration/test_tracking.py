"""Tracking from the call to the click: boto3, a real server, the mail as it was captured, the links in it."""

import http.client
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from tests.support.needs import need
from tests.support.sdk import ses_client
from tests.support.server import Server

TARGET = "https://shop.example/track?o=7741&c=2#top"
HTML = f"""<html><body><p>Hi <a ses:tags="position:footer;" href="{TARGET.replace("&", "&amp;")}">there</a>,
<a href="mailto:help@shop.example">write</a> or <a ses:no-track href="https://shop.example/out">leave</a></p></body></html>"""
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server({"http.trusted_proxies": ["127.0.0.1"]}) as found:
        yield found


@pytest.fixture(scope="module")
def ses(server: Server) -> Any:
    client = ses_client(server.url)
    client.verify_domain_identity(Domain="shop.example")
    client.create_configuration_set(ConfigurationSet={"Name": "news"})
    client.create_configuration_set_event_destination(
        ConfigurationSetName="news",
        EventDestination={
            "Name": "topic",
            "Enabled": True,
            "MatchingEventTypes": ["open", "click"],
            "SNSDestination": {"TopicARN": "arn:aws:sns:us-east-1:123456789012:events"},
        },
    )
    return client


def send(ses: Any, recipient: str) -> str:
    return str(
        ses.send_email(
            Source="orders@shop.example",
            Destination={"ToAddresses": [recipient]},
            Message={"Subject": {"Data": "Order"}, "Body": {"Html": {"Data": HTML}, "Text": {"Data": TARGET}}},
            ConfigurationSetName="news",
        )["MessageId"]
    )


def captured(server: Server, message_id: str) -> Any:
    assert server.wait_queue_empty(10)
    return server.admin(f"/messages/{message_id}")


def ask(server: Server, url: str, method: str = "GET", **headers: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=30)
    try:
        path = url.removeprefix(server.url)
        connection.request(
            method, path, headers={"User-Agent": AGENT, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        answer = connection.getresponse()
        return answer.status, answer.getheader("location"), answer.read()
    finally:
        connection.close()


def events(server: Server, message_id: str, kind: str, count: int) -> list[Any]:
    """So many events, as soon as they are logged: that happens after the answer."""
    ends = time.monotonic() + 10
    while len(found := server.admin(f"/events?type={kind}&message_id={message_id}")["events"]) < count:
        assert time.monotonic() < ends, f"no {kind} event in time"
        time.sleep(0.02)
    return [each for each in found if each["message_id"] == message_id]


def test_a_followed_link_leads_on_and_is_counted(server: Server, ses: Any) -> None:
    message_id = send(ses, "dana@mail.example")
    mail = captured(server, message_id)
    assert mail["text"].strip() == TARGET
    [link] = re.findall(rf'href="({re.escape(server.url)}/t/c/[^"]+)"', mail["html"])
    assert 'href="mailto:help@shop.example"' in mail["html"]
    assert '<a href="https://shop.example/out">' in mail["html"]
    assert ask(server, link[:-1] + ("A" if link[-1] != "A" else "B"))[:2] == (404, None)
    assert ask(server, link, "HEAD")[:2] == (302, TARGET)
    status, location, _ = ask(server, link, x_forwarded_for="6.6.6.6, 198.51.100.88", host="clicks.shop.example")
    assert (status, location) == (302, TARGET)
    [event] = events(server, message_id, "Click", 1)
    detail = event["detail"]
    assert (detail["link"], detail["link_tags"]) == (TARGET, {"position": ["footer"]})
    assert (detail["ip"], detail["user_agent"]) == ("198.51.100.88", AGENT)


def test_an_opened_mail_is_counted_each_time(server: Server, ses: Any) -> None:
    message_id = send(ses, "erin@mail.example")
    mail = captured(server, message_id)
    [pixel] = re.findall(rf'src="({re.escape(server.url)}/t/o/[^"]+)"', mail["html"])
    assert ask(server, pixel)[0] == 200
    assert ask(server, pixel)[2].startswith(b"GIF89a")
    assert len(events(server, message_id, "Open", 2)) == 2


def test_links_outlive_a_restart(server: Server, ses: Any) -> None:
    message_id = send(ses, "fred@mail.example")
    html = captured(server, message_id)["html"]
    [link] = re.findall(rf'href="({re.escape(server.url)}/t/c/[^"]+)"', html)
    server.restart()
    assert captured(server, message_id)["html"] == html
    assert ask(server, link)[:2] == (302, TARGET)
    events(server, message_id, "Click", 1)


def test_a_browser_follows_a_link_in_the_consoles_mail(server: Server, ses: Any) -> None:
    """In the console a link of a mail opens a tab: the click is counted, and the tab goes on to the target."""
    need("chromium")
    message_id = send(ses, "hugh@mail.example")
    captured(server, message_id)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            context = browser.new_context(user_agent=AGENT)
            page = context.new_page()
            page.goto(f"{server.url}/console/messages/{message_id}?view=html&remote=1")
            [opened] = events(server, message_id, "Open", 1)
            # Nobody answers there; that it was asked is enough.
            with context.expect_event("requestfailed", lambda request: request.url == TARGET.partition("#")[0]):
                page.frame_locator("iframe").get_by_text("there").click()
            [clicked] = events(server, message_id, "Click", 1)
        finally:
            browser.close()
    assert clicked["detail"]["link"] == TARGET
    assert opened["detail"]["user_agent"] == clicked["detail"]["user_agent"] == AGENT


def test_mail_that_no_destination_asks_about_is_as_it_was_written(server: Server, ses: Any) -> None:
    sent = ses.send_email(
        Source="orders@shop.example",
        Destination={"ToAddresses": ["gail@mail.example"]},
        Message={"Subject": {"Data": "Order"}, "Body": {"Html": {"Data": HTML}}},
    )
    assert captured(server, sent["MessageId"])["html"].replace("\r\n", "\n").strip() == HTML
