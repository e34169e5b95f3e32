"""The console in a real browser, served over a real socket: what only a browser can tell."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Dialog, Page, Route, async_playwright
from tests.unit.web.conftest import HOME, House, house  # noqa: F401 - the fixture
from tests.unit.web.furniture import furnish

from posthouse.domain.events import EventType
from posthouse.domain.messages import RecipientState
from posthouse.web.app import build_app
from posthouse.web.navigation import GROUPS

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")

HOSTILE = b"""From: Eve <eve@x.example>\r\nSubject: <script>document.title='hacked'</script>\r\n\
MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
<h1>Hello</h1><script>parent.document.title='hacked';alert(1)</script><img src=x onerror=alert(2)>\
<svg onload=alert(3)></svg><meta http-equiv=refresh content="0;url=http://outside.invalid/refresh">\
<img src=http://outside.invalid/pixel.gif><link rel=stylesheet href=http://outside.invalid/x.css>\
<iframe src=http://outside.invalid/frame></iframe><form action=http://outside.invalid/><input autofocus></form>\
<style>@import url(http://outside.invalid/y.css); body{background:url(http://outside.invalid/z.png)}</style>\r\n"""


@dataclass
class Visit:
    """A page with what it tried."""

    page: Page
    base: str
    dialogs: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    async def dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        await dialog.accept()

    async def outside(self, route: Route) -> None:
        """A request that passed every policy of the page."""
        self.left.append(route.request.url)
        await route.fulfill(status=200, body="")

    async def says(self, text: str, where: str = "main") -> None:
        """Waits until it does."""
        await self.page.locator(where, has_text=text).first.wait_for(state="attached", timeout=10_000)


@pytest.fixture
async def serving() -> AsyncIterator[list[uvicorn.Server]]:
    servers: list[uvicorn.Server] = []
    yield servers
    for server in servers:
        server.should_exit = True


async def start(servers: list[uvicorn.Server], home: House, **changes: Any) -> str:
    closing = asyncio.Event()
    app = build_app(home.context(closing=closing, **changes))
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.01)
    servers.append(server)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with async_playwright() as driver:
        found = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()


async def visit(browser: Any, base: str, scripts: bool = True) -> Visit:
    context = await browser.new_context(viewport={"width": 360, "height": 800}, java_script_enabled=scripts)
    found = Visit(await context.new_page(), base)
    found.page.on("dialog", found.dialog)
    await context.route(lambda url: not url.startswith((base, "data:")), found.outside)
    return found


async def test_new_mail_appears_without_reloading(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    seen = await visit(browser, base)
    await seen.page.goto(base)
    await seen.says("No mail yet")
    await house.send(b"Subject: x\r\n\r\n", subject="Fresh from the press")
    await seen.says("Fresh from the press")
    await seen.says("1 new message", "#news")


async def test_a_status_changes_while_one_looks(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    message_id = await house.send(b"Subject: x\r\n\r\nhello")
    seen = await visit(browser, base)
    await seen.page.goto(f"{base}/console/messages/{message_id}")
    await seen.says("It waits", ".verdict")
    await house.settle(message_id, "dana@mail.example", RecipientState.DELIVERED, EventType.DELIVERY, "250 ok")
    await seen.says("Delivered", ".verdict")


async def test_a_hostile_mail_runs_nothing_and_reaches_nobody(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    message_id = await house.send(HOSTILE, subject="<script>document.title='hacked'</script>")
    seen = await visit(browser, base)
    paths = ["", *(f"messages/{message_id}?view={view}" for view in ("html", "headers", "raw", "call"))]
    for path in [*paths, f"messages/{message_id}/html"]:
        await seen.page.goto(f"{base}/console/{path}")
        await seen.page.wait_for_timeout(300)
        assert await seen.page.title() != "hacked"
    assert (seen.dialogs, seen.left) == ([], [])
    await seen.page.goto(f"{base}/console/messages/{message_id}?view=html&remote=1")
    await seen.page.wait_for_timeout(300)
    # Asked for, so they come: the images, and nothing else.
    assert sorted(seen.left) == ["http://outside.invalid/pixel.gif", "http://outside.invalid/z.png"]


LINKS = b"""Content-Type: text/html\r\n\r\n<!doctype html>\
<p><a id=far href="http://outside.invalid/far" rel=opener>far</a>\
<a id=self target=_self href="http://outside.invalid/self">self</a>\
<a id=top target=_top href="http://outside.invalid/top">top</a> <a id=js href="javascript:alert(1)">js</a>\r\n"""


async def test_a_link_of_a_mail_opens_its_target_beside_the_console(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    message_id = await house.send(LINKS)
    seen = await visit(browser, base)
    where = f"{base}/console/messages/{message_id}?view=html"
    await seen.page.goto(where)
    frame = seen.page.frame_locator("iframe.mail-html")
    async with seen.page.context.expect_page() as opening:
        await frame.locator("#far").click()
    opened = await opening.value
    await opened.wait_for_load_state()
    # It is a page like any other: its scripts run, and it does not know where it came from.
    assert await opened.evaluate("[location.href, document.referrer, window.opener]") == [
        "http://outside.invalid/far",
        "",
        None,
    ]
    await opened.close()
    for name in ("#js", "#top", "#self"):
        await frame.locator(name).click(no_wait_after=True)
        await seen.page.wait_for_timeout(200)
    assert (seen.page.url, seen.dialogs, seen.left) == (where, [], ["http://outside.invalid/far"])


async def test_pages_fit_a_narrow_screen(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    long = "a" * 60 + "@" + "b" * 60 + ".example"
    message_id = await house.send(b"X-Long: " + b"y" * 300 + b"\r\n\r\nhello", (long,), subject="w" * 200, source=long)
    seen = await visit(browser, base)
    await furnish(house, "thing", text="z" * 200)
    named = f"?scope={HOME.account}+{HOME.region}&name=thing"
    pages = [entry.path.removeprefix("/console/") for group in GROUPS for entry in group.entries]
    pages += [f"{page}{named}" for page in ("set", "template", "rule-set")]
    for path in (*pages, f"trial?recipients={long}", f"messages/{message_id}?view=headers"):
        await seen.page.goto(f"{base}/console/{path}")
        assert await seen.page.evaluate("document.documentElement.scrollWidth") <= 360, path


async def test_buttons_work_from_a_browser(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    await house.send(b"Subject: x\r\n\r\n")
    await house.receive(b"Subject: y\r\n\r\n")
    seen = await visit(browser, base)
    await seen.page.goto(f"{base}/console/queue")
    await seen.page.click("text=Try now")
    await seen.page.wait_for_url("**/console/queue")
    await seen.page.click("text=Drop")
    await seen.says("The queue is empty")
    await seen.page.goto(f"{base}/console/")
    await seen.page.click("text=Delete all")
    await seen.says("No mail yet")
    assert len(seen.dialogs) == 2


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_template_is_tried_and_what_it_makes_is_shown_in_a_sandbox(
    house: House,  # noqa: F811
    serving: Any,
    browser: Any,
    scripts: bool,
) -> None:
    base = await start(serving, house)
    await furnish(house, "welcome")
    seen = await visit(browser, base, scripts)
    await seen.page.goto(f"{base}/console/templates")
    await seen.page.click("main >> text=welcome")
    script = "<script>parent.document.title='hacked';alert(1)</script>"
    await seen.page.fill("#data", f'{{"who": "Ann <img src=x onerror=alert(2)>{script}"}}')
    await seen.page.click("text=Render")
    await seen.says("Hi Ann")
    if not scripts:
        await seen.page.click("text=Show the HTML")
    await seen.page.frame_locator("iframe[name=rendered]").locator("p", has_text="Ann").wait_for()
    await seen.page.wait_for_timeout(200)
    assert (await seen.page.title(), seen.dialogs, seen.left) == ("welcome · Posthouse", [], [])


async def test_addresses_are_suppressed_and_let_go(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    base = await start(serving, house)
    seen = await visit(browser, base)
    await seen.page.goto(f"{base}/console/suppression")
    await seen.page.fill("[name=address]", "ann@a.example")
    await seen.page.select_option("[name=reason]", "COMPLAINT")
    await seen.page.click("text=Add address")
    await seen.says("ann@a.example", "td")
    await seen.page.click("text=Remove")
    await seen.says("Nobody is suppressed")


async def test_signing_in_and_out(house: House, serving: Any, browser: Any) -> None:  # noqa: F811
    await house.allow("AKIAONE", "s3cret")
    base = await start(serving, house, login_required=True)
    seen = await visit(browser, base)
    await seen.page.goto(f"{base}/console/accounts")
    await seen.page.fill("[name=access_key]", "AKIAONE")
    await seen.page.fill("[name=secret_key]", "s3cret")
    await seen.page.click("button")
    await seen.page.wait_for_url("**/console/accounts")
    await seen.page.click("text=Sign out")
    await seen.page.wait_for_url("**/console/login")
    await seen.page.goto(f"{base}/console/accounts")
    assert "/console/login" in seen.page.url
