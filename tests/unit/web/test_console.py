"""The console's pages: what they show, and what no mail can make of them."""

import re
from html.parser import HTMLParser

import pytest
from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import HOME, House

from posthouse.domain.events import Event, EventType
from posthouse.domain.identities import Identity, Status
from posthouse.domain.messages import RecipientState
from posthouse.web import pages

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title></textarea></pre></iframe><script>alert(1)</script>",
    "javascript:alert(1)//",
    "{{7*7}}${7*7}",
    "<!--<script>",
    "\u202e<b>x</b>",
    "]]><script>alert(1)</script>",
)


class Tags(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def tags_of(answer: Answer) -> Tags:
    parsed = Tags()
    parsed.feed(answer.text)
    return parsed


def check_harmless(answer: Answer) -> None:
    """Nothing but our own elements: one script, ours; no handlers; every link relative or none of a mail's making."""
    parsed = tags_of(answer)
    scripts = [attributes for tag, attributes in parsed.found if tag == "script"]
    assert [set(each) for each in scripts] in ([], [{"src", "defer"}])
    for tag, attributes in parsed.found:
        assert tag not in ("img", "b", "object", "embed", "base", "style")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "/").startswith(("/", "?", "#"))
            assert not (attributes.get(name) or "").startswith("//")


def nasty_mail(payload: str) -> bytes:
    headers = payload.encode().replace(b"\r", b"").replace(b"\n", b"")
    quoted = headers.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return (
        b"From: " + headers + b" <eve@x.example>\r\nSubject: " + headers + b"\r\nX-" + b"Evil: " + headers + b"\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + payload.encode() + b"\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + payload.encode() + b"\r\n"
        b'--b\r\nContent-Type: image/svg+xml; name="' + quoted + b'"\r\n'
        b'Content-Disposition: attachment; filename="' + quoted + b'"\r\nContent-ID: <' + headers + b">\r\n\r\n"
        b"<svg onload=alert(1)>\r\n--b--\r\n"
    )


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_no_mail_can_add_to_a_page(house: House, client: Client, payload: str) -> None:
    address = f'"{payload}"@x.example'
    message_id = await house.send(
        nasty_mail(payload),
        (address,),
        subject=payload,
        source=payload,
        tags=((payload, payload),),
        configuration_set=payload,
        helo=payload,
        tls=payload,
        access_key=payload,
        operation=payload,
    )
    detail = {
        **dict.fromkeys(
            ("smtp_response", "remote_mta", "remote_ip", "tls", "tls_cipher", "delay_type", payload), payload
        ),
        "conversation": [payload],
        "kind": {"type": payload, "subtype": payload},
        "recipients": [
            {"recipient": payload, "diagnostic_code": payload},
            {"recipient": "b", "diagnostic_code": payload},
        ],
    }
    await house.settle(
        message_id, address, RecipientState.QUEUED, EventType.DELIVERY_DELAY, payload, detail=detail, due_ms=9**14
    )
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(HOME, "x", Identity(name=payload, status=Status.PENDING, requested_ms=0, token=payload))
    shown = 0
    paths = ["/console/", "/console/queue", "/console/events", "/console/identities", "/console/accounts"]
    paths += [f"{path}?fragment=1" for path in paths[:3]]
    paths += [
        f"/console/messages/{message_id}?view={view}"
        for view in ("html", "text", "headers", "raw", "attachments", "call")
    ]
    for path in [*paths, f"/console/messages/{message_id}?fragment=1"]:
        answer = await client.page(path)
        assert answer.status == 200
        check_harmless(answer)
        shown += payload in tags_of(answer).words
    # The payloads are there to be seen, as words.
    assert shown >= 8


@pytest.mark.parametrize(
    "query", ["q=<script>alert(1)</script>", "in=subject&q=%22%3E%3Cimg+src=x+onerror=alert(1)%3E"]
)
async def test_what_was_searched_for_is_only_words(client: Client, query: str) -> None:
    check_harmless(await client.page(f"/console/?{query}"))


async def test_errors_are_pages_and_repeat_nothing_raw(client: Client) -> None:
    for path in ("/console/<script>alert(1)</script>", "/console/?status=<script>alert(1)</script>", "/console/?<b>=1"):
        answer = await client.page(path)
        assert answer.status in (400, 404)
        assert answer.header("content-type").startswith("text/html")
        check_harmless(answer)


async def test_pages_forbid_what_they_do_not_need(house: House, client: Client) -> None:
    message_id = await house.send(b"Subject: x\r\n\r\nhello")
    for path in ("/console/", f"/console/messages/{message_id}", "/console/login", "/console/nothing"):
        answer = await client.page(path)
        policy = answer.header("content-security-policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("cache-control") == "no-store"
        assert "style=" not in answer.text


async def test_a_mails_html_is_shown_in_a_sandbox_without_scripts_or_requests(house: House, client: Client) -> None:
    raw = b"Content-Type: text/html\r\n\r\n<script>alert(1)</script><p>hi</p><img src=http://x.example/p.gif>"
    message_id = await house.send(raw)
    frames = [a for tag, a in tags_of(await client.page(f"/console/messages/{message_id}")).found if tag == "iframe"]
    allowed = "allow-popups allow-popups-to-escape-sandbox"
    assert [(each["sandbox"], each["src"]) for each in frames] == [(allowed, f"/console/messages/{message_id}/html")]
    answer = await client.page(f"/console/messages/{message_id}/html")
    policy = answer.header("content-security-policy")
    assert policy.startswith(f"sandbox {allowed}; default-src 'none'; img-src data:;")
    assert answer.header("x-dns-prefetch-control") == "off"
    assert answer.header("referrer-policy") == "no-referrer"
    asked = await client.page(f"/console/messages/{message_id}/html?remote=1")
    assert "img-src data: https: http:;" in asked.header("content-security-policy")


@pytest.mark.parametrize(
    ("html", "before"),
    [
        ("<p>x", ""),
        ("<!DOCTYPE html>\n<html>", "<!DOCTYPE html>"),
        (" <!-- a --><!-- b -->\n<!doctype html PUBLIC 'x'><p>", " <!-- a --><!-- b -->\n<!doctype html PUBLIC 'x'>"),
        ("<!-- " * 50_000, ""),
        ("<!-- -->" * 50_000, ""),
    ],
)
def test_links_of_a_mail_open_beside_it_and_its_mode_stays(html: str, before: str) -> None:
    shown = bytes(pages.frame(html, False).body).decode()
    assert shown == before + '<base target="_blank">' + html[len(before) :]


async def test_pages_keep_what_a_mail_opens_at_arms_length(client: Client) -> None:
    assert (await client.page("/console/")).header("cross-origin-opener-policy") == "same-origin"


async def test_pictures_of_the_mail_are_put_into_its_html(house: House, client: Client) -> None:
    raw = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n"
        b'--b\r\nContent-Type: text/html\r\n\r\n<img src="cid:logo@x"><img src="CID:page@x"><img src="cid:none">\r\n'
        b"--b\r\nContent-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
        b"--b\r\nContent-Type: text/html\r\nContent-ID: <page@x>\r\n\r\n<script>\r\n--b--\r\n"
    )
    message_id = await house.send(raw)
    answer = await client.page(f"/console/messages/{message_id}/html")
    assert (
        answer.text.strip()
        == '<base target="_blank"><img src="data:image/png;base64,AAEC"><img src="CID:page@x"><img src="cid:none">'
    )


async def test_a_picture_named_often_does_not_grow_the_page_without_bound(house: House, client: Client) -> None:
    picture = b"A" * 400_000
    raw = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n" + b'<img src="cid:x">' * 20_000 + b"\r\n"
        b"--b\r\nContent-Type: image/png\r\nContent-ID: <x>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + picture
        + b"\r\n"
        b"--b--\r\n"
    )
    message_id = await house.send(raw)
    answer = await client.page(f"/console/messages/{message_id}/html")
    assert b"data:image/png" in answer.body
    assert len(answer.body) < 16_000_000


async def test_the_root_leads_browsers_to_the_console(client: Client) -> None:
    answer = await client.page("/")
    assert (answer.status, answer.header("location")) == (302, "/console/")
    assert (await client.get("/", accept="*/*")).status == 404
    assert (await client.page("/console")).header("location") == "/console/"


async def test_an_empty_inbox_tells_how_to_send_here(house: House) -> None:
    client = house.client(http_endpoint="http://127.0.0.1:9925", smtp_endpoint="127.0.0.1:9125")
    answer = await client.page("/console/")
    assert "http://127.0.0.1:9925" in answer.text
    assert "127.0.0.1:9125" in answer.text
    assert "Nothing matches" in (await client.page("/console/?q=x")).text


async def test_the_inbox_is_searched_filtered_and_paged(house: House, client: Client) -> None:
    for number in range(55):
        await house.send(b"Subject: x\r\n\r\n", subject=f"Mail {number}")
    inbound = await house.receive(b"Subject: x\r\n\r\n", subject="Incoming")

    async def subjects(path: str) -> list[str]:
        words = re.findall(r'class="mail-subject">([^<]*)', (await client.page(path)).text)
        return [word.strip() for word in words]

    assert len(await subjects("/console/")) == 50
    older = next(a["href"] for t, a in tags_of(await client.page("/console/")).found if a.get("rel") == "next")
    assert (await subjects(older or ""))[-1] == "Mail 0"
    assert await subjects("/console/?in=subject&q=mail+17") == ["Mail 17"]
    assert await subjects("/console/?direction=in") == ["Incoming"]
    assert await subjects("/console/?status=received&scope=123456789012+us-east-1") == ["Incoming"]
    assert inbound in (await client.page("/console/?fragment=1")).text


async def test_buttons_do_what_the_admin_api_does(house: House, client: Client) -> None:
    queued, inbound = await house.send(b"Subject: x\r\n\r\n"), await house.receive(b"Subject: y\r\n\r\n")
    page = tags_of(await client.page("/console/queue"))
    token = next(a["value"] for tag, a in page.found if tag == "input" and a.get("name") == "token") or ""
    assert (await client.form(f"/console/queue/{queued}/retry", {"token": token})).header(
        "location"
    ) == "/console/queue"
    fields = {"token": token, "next": f"/console/messages/{queued}"}
    assert (await client.form(f"/console/queue/{queued}/drop", fields)).header("location") == fields["next"]
    assert (await client.form(f"/console/messages/{inbound}/delete", {"token": token})).status == 303
    assert (await client.get(f"/api/v1/messages/{inbound}")).status == 404
    assert (await client.form("/console/messages/delete-all", {"token": token})).status == 303
    assert (await client.get("/api/v1/messages")).json["messages"] == []


async def test_the_events_page_pages_back_to_the_first(house: House, client: Client) -> None:
    for number in range(130):
        event = Event(
            scope=HOME, message_id=f"m-{number}", type=EventType.SEND, at_ms=number, recipients=("a@b.example",)
        )
        await house.stores.events.append([event])
    first = await client.page("/console/events")
    older = next(a["href"] for t, a in tags_of(first).found if a.get("rel") == "next")
    second = await client.page(older or "")
    found = re.findall(r'/console/messages/(m-\d+)"', first.text + second.text)
    assert found == [f"m-{number}" for number in range(129, -1, -1)]


async def test_assets_are_named_by_their_content_and_kept(client: Client) -> None:
    page = tags_of(await client.page("/console/"))
    links = [a["href"] or "" for tag, a in page.found if tag == "link"]
    links += [a["src"] or "" for tag, a in page.found if tag == "script"]
    assert len(links) == 3
    for link in links:
        answer = await client.get(link)
        assert answer.status == 200
        assert "immutable" in answer.header("cache-control")
    for path in ("/console/assets/x.css", "/console/assets/..%2fpages.py", "/console/assets/console.css"):
        assert (await client.get(path)).status == 404


async def test_the_console_asks_nobody_else_for_anything(client: Client) -> None:
    page = tags_of(await client.page("/console/"))
    for link in [a["href"] or "" for tag, a in page.found if tag == "link"]:
        text = (await client.get(link)).text.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "@import" not in text
