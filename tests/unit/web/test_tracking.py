"""Tracked links and pixels at the web door."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.web.asgi_client import Answer
from tests.unit.web.conftest import HOME, House

from posthouse.domain.events import Event, EventType
from posthouse.mail.tracking_tokens import TrackedLink, TrackedMail, TrackingTokens
from posthouse.ports.stores import StoreUnavailable
from posthouse.web import tracking
from posthouse.web.tracking import COUNTED_MS, MAX_WAITING

TOKENS = TrackingTokens(lambda: b"k" * 32)
TARGET = "https://shop.example/a;b?c=d&e=%C3%A9#'(f)"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"


def mail(house: House) -> TrackedMail:
    """A mail of some time ago."""
    message_id = house.next_id()
    house.clock.at_ms += 5000
    return TrackedMail(scope=HOME, message_id=message_id, configuration_set="news")


def click_path(house: House, url: str = TARGET, tags: tuple[tuple[str, str], ...] = ()) -> str:
    return "/t/c/" + TOKENS.clicked(TrackedLink(mail=mail(house), number=2, url=url, tags=tags))


def open_path(house: House) -> str:
    return "/t/o/" + TOKENS.opened(mail(house))


async def events(house: House) -> list[Event]:
    return [logged.event for logged in await house.stores.events.page(None, 0, 100)]


def is_private(answer: Answer) -> bool:
    return (answer.header("cache-control"), answer.header("referrer-policy")) == ("no-store", "no-referrer")


async def test_a_link_leads_to_exactly_where_it_led(house: House) -> None:
    path = click_path(house, tags=(("position", "footer"), ("position", "left"), ("v", "b")))
    answer = await house.client().get(path, user_agent=FIREFOX)
    assert (answer.status, answer.header("location"), answer.body) == (302, TARGET, b"")
    assert is_private(answer)
    [event] = await events(house)
    assert (event.type, event.scope, event.at_ms) == (EventType.CLICK, HOME, house.clock.at_ms)
    assert (event.configuration_set, event.recipients) == ("news", ())
    assert event.detail == {
        "ip": "127.0.0.1",
        "user_agent": FIREFOX,
        "prefetch": False,
        "link": TARGET,
        "link_number": 2,
        "link_tags": {"position": ["footer", "left"], "v": ["b"]},
    }


async def test_every_click_counts(house: House) -> None:
    client, path = house.client(), click_path(house)
    for _ in range(3):
        await client.get(path)
    assert [event.detail["link_tags"] for event in await events(house)] == [None] * 3


async def test_the_pixel_is_a_picture_of_one_transparent_pixel(house: House) -> None:
    answer = await house.client().get(open_path(house), user_agent=FIREFOX)
    assert (answer.status, answer.header("content-type")) == (200, "image/gif")
    assert answer.header("cross-origin-resource-policy") == "cross-origin"
    assert is_private(answer)
    gif = answer.body
    assert gif.startswith(b"GIF89a\x01\x00\x01\x00")
    assert gif.endswith(b";")
    # The graphic control extension says that colour 0 is transparent.
    assert gif[gif.index(b"\x21\xf9\x04") + 3] & 1
    [event] = await events(house)
    assert (event.type, event.detail) == (
        EventType.OPEN,
        {"ip": "127.0.0.1", "user_agent": FIREFOX, "prefetch": False},
    )


@pytest.mark.parametrize("strict", [False, True])
async def test_it_works_at_any_name_and_without_a_login(house: House, strict: bool) -> None:
    client = house.client(login_required=strict).with_headers(host="clicks.shop.example")
    assert (await client.get(click_path(house))).status == 302
    assert (await client.get(open_path(house))).status == 200


async def test_head_is_answered_and_not_counted(house: House) -> None:
    client = house.client()
    answer = await client.request("HEAD", click_path(house))
    assert (answer.status, answer.header("location")) == (302, TARGET)
    answer = await client.request("HEAD", open_path(house))
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", str(len(tracking.GIF)))
    assert await events(house) == []


async def test_an_edited_link_is_dead_and_says_nothing_of_what_was_asked(house: House) -> None:
    client, path = house.client(), click_path(house)
    edits = [path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :] for at in range(len("/t/c/"), len(path), 5)]
    edits += [
        path + "=",
        path + "A",
        path[:-1],
        path + "/",
        path + "%20",
        path + "?x=<script>",
        "/t/c/",
        "/t/",
        "/t/x/y",
    ]
    edits += [
        path.replace("/c/", "/o/"),
        f"/t/c/%{ord(path[5]):02x}{path[6:]}",
        "/t/c/" + "é" * 60,
        "/t//c/" + path[5:],
    ]
    edits += [f"/t/c/{'A' * 70_000}", "/t/c/https://evil.example/", "/t/../t/c/" + path[5:]]
    for edited in edits:
        answer = await client.get(edited)
        assert (answer.status, answer.header("location")) == (404, ""), edited
        assert answer.header("content-type").startswith("text/plain")
        assert "script" not in answer.text
    assert await events(house) == []


async def test_other_methods_are_none(house: House) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await house.client().request(method, click_path(house))
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
    assert await events(house) == []


async def test_after_sixty_days_a_link_still_leads_on_and_counts_no_more(house: House) -> None:
    path = click_path(house)
    house.clock.at_ms += COUNTED_MS - 5000
    assert (await house.client().get(path)).status == 302
    house.clock.at_ms += 1
    assert (await house.client().get(path)).status == 302
    assert len(await events(house)) == 1


async def test_what_programs_fetch_is_marked(house: House) -> None:
    client = house.client()
    await client.get(open_path(house), user_agent="Mozilla/5.0")
    await client.get(click_path(house), user_agent=FIREFOX, sec_purpose="prefetch")
    found = [(event.detail["prefetch"], event.detail["prefetch_sign"]) for event in await events(house)]
    assert found == [(True, "privacy proxy"), (True, "purpose header")]


async def test_who_it_was_need_not_be_kept(house: House) -> None:
    await house.client(keep_addresses=False).get(click_path(house), user_agent="Mozilla/5.0")
    [event] = await events(house)
    assert (event.detail["ip"], event.detail["user_agent"]) == ("", "")
    assert event.detail["prefetch_sign"] == "privacy proxy"


async def test_a_user_agent_is_kept_as_far_as_it_is_one(house: House) -> None:
    await house.client().get(click_path(house), user_agent="\xe9" * 5000)
    [event] = await events(house)
    assert event.detail["user_agent"] == "\xe9" * 1024


@pytest.mark.parametrize(
    ("trusted", "forwarded", "seen"),
    [
        ((), "198.51.100.88", "127.0.0.1"),
        (("10.0.0.0/8",), "198.51.100.88", "127.0.0.1"),
        (("127.0.0.1",), "198.51.100.88", "198.51.100.88"),
        (("127.0.0.1",), "6.6.6.6, 198.51.100.88", "198.51.100.88"),
        (("127.0.0.0/8", "10.0.0.0/8"), "6.6.6.6, 198.51.100.88 ,10.1.2.3", "198.51.100.88"),
        (("127.0.0.1",), "[2001:db8::1]:4711", "2001:db8::1"),
        (("127.0.0.1",), "198.51.100.88:4711", "198.51.100.88"),
        (("127.0.0.1",), "::ffff:198.51.100.88", "198.51.100.88"),
        (("127.0.0.1",), "<script>", "127.0.0.1"),
        (("127.0.0.1",), "198.51.100.88, unknown", "127.0.0.1"),
        (("127.0.0.1",), "", "127.0.0.1"),
        (("0.0.0.0/0",), "6.6.6.6," * 5000 + "7.7.7.7", "6.6.6.6"),
    ],
)
async def test_only_our_proxies_say_who_it_was(house: House, trusted: Sequence[str], forwarded: str, seen: str) -> None:
    await house.client(trusted_proxies=trusted).get(click_path(house), x_forwarded_for=forwarded)
    [event] = await events(house)
    assert event.detail["ip"] == seen


class Broken:
    """An event log that does not serve, or takes its time."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.down = True
        self.asked = 0

    async def append(self, events: Sequence[Event]) -> None:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise StoreUnavailable("disk full")


class WithBrokenLog:
    """Stores whose event log is broken; nothing else of them is asked for."""

    def __init__(self) -> None:
        self.events = Broken()


async def test_a_link_leads_on_where_the_store_does_not_serve(house: House, caplog: Any) -> None:
    stores = WithBrokenLog()
    client = house.client(stores=stores)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert (await client.get(click_path(house))).status == 302
            assert (await client.get(open_path(house))).status == 200
        assert [record.getMessage() for record in caplog.records] == [
            "openings and clicks are answered and not counted: disk full"
        ]
        stores.events.down = False
        await client.get(open_path(house))
        stores.events.down = True
        await client.get(open_path(house))
    assert len(caplog.records) == 2, "said again after it served in between"


async def test_a_store_that_hangs_holds_up_no_answer_and_gathers_no_crowd(house: House) -> None:
    stores = WithBrokenLog()
    stores.events.gate, stores.events.down = asyncio.Event(), False
    app, path = house.client(stores=stores), click_path(house)
    answered: list[int] = []

    async def follow() -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        await app.app(app.scope("GET", path, {}), None, send)

    following = [asyncio.ensure_future(follow()) for _ in range(MAX_WAITING + 5)]
    done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
    assert answered == [302] * (MAX_WAITING + 5)
    assert (len(done), stores.events.asked) == (5, MAX_WAITING)
    stores.events.gate.set()
    await asyncio.gather(*following)
