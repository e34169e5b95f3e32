"""The way out of a list at the web door."""

import pytest
from tests.unit.web.conftest import HOME, House

from posthouse.domain.events import Event, EventType
from posthouse.domain.mailing_lists import Unsubscription, left_event
from posthouse.mail.tracking_tokens import TrackedMail, TrackingTokens, WayOut
from posthouse.ports.stores import StoreUnavailable

TOKENS = TrackingTokens(lambda: b"k" * 32)
ONE_CLICK = b"List-Unsubscribe=One-Click"


def path(house: House, topic: str = "offers", address: str = "dana@mail.example") -> str:
    mail = TrackedMail(scope=HOME, message_id=house.next_id(), configuration_set="news-set")
    return "/u/" + TOKENS.leaving(WayOut(mail=mail, list_name="news", topic=topic, address=address))


async def left(house: House) -> list[tuple[str, str]]:
    return [(each.topic, each.address) for each in await house.stores.unsubscriptions.page(HOME, "news", "", 10)]


async def events(house: House) -> list[Event]:
    return [logged.event for logged in await house.stores.events.page(None, 0, 100)]


async def test_looking_changes_nothing(house: House) -> None:
    link, client = path(house, address="<b>@x.example"), house.client()
    for method in ("GET", "HEAD"):
        answer = await client.request(method, link)
        assert answer.status == 200
        assert answer.header("cache-control") == "no-store"
        assert answer.header("referrer-policy") == "no-referrer"
        assert "form-action 'self'" in answer.header("content-security-policy")
    assert (await client.request("HEAD", link)).body == b""
    page = (await client.get(link)).text
    assert '<form method="post">' in page
    assert "offers (news)" in page
    assert "<b>" not in page
    assert await left(house) == []
    assert await events(house) == []


@pytest.mark.parametrize(
    ("body", "source"),
    [
        (ONE_CLICK, "UnsubscribeHeader"),
        (b"", "UnsubscribeHeader"),
        (b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n', "UnsubscribeHeader"),
        (b"from-page=1", "UnsubscribePage"),
    ],
)
async def test_a_post_is_enough_whatever_it_says(house: House, body: bytes, source: str) -> None:
    client, link = house.client(login_required=True), path(house)
    # A stranger's server posts, without a login, from an origin of its own, by whatever name it knows us.
    headers = {"origin": "https://webmail.example", "sec-fetch-site": "cross-site", "host": "links.example.org"}
    answer = await client.request("POST", link, body, headers)
    assert answer.status == 200, "and no redirection: RFC 8058 section 3.1"
    assert "dana@mail.example" in answer.text
    assert await left(house) == [("offers", "dana@mail.example")]
    [event] = await events(house)
    assert (event.type, event.scope, event.recipients) == (EventType.SUBSCRIPTION, HOME, ("dana@mail.example",))
    assert event.configuration_set == "news-set"
    assert event.detail == {"list": "news", "topic": "offers", "source": source}
    # Once more is no second event.
    assert (await client.request("POST", link, body)).status == 200
    assert len(await events(house)) == 1


async def test_any_edit_is_nobodys_link(house: House) -> None:
    client, link = house.client(), path(house)
    tracked = TOKENS.opened(TrackedMail(scope=HOME, message_id=house.next_id(), configuration_set=""))
    for edited in (link[:-1], link + "A", link + "?x=1", link.replace("/u/", "/u/%41", 1), "/u/", f"/u/{tracked}"):
        for method in ("GET", "POST"):
            answer = await client.request(method, edited, ONE_CLICK if method == "POST" else b"")
            assert answer.status == 404, (method, edited)
    assert (await client.request("DELETE", link)).status == 405
    assert (await client.request("POST", link, b"x" * 70_000)).status == 413
    assert await left(house) == []


async def test_what_could_not_be_kept_is_not_said_to_be(house: House) -> None:
    class Down:
        async def add(self, *args: object) -> bool:
            raise StoreUnavailable("disk full")

    link, client = path(house), house.client()
    real, house.stores.unsubscriptions = house.stores.unsubscriptions, Down()  # type: ignore[misc, assignment]
    assert (await client.request("POST", link, ONE_CLICK)).status == 503
    house.stores.unsubscriptions = real  # type: ignore[misc]
    assert (await client.request("POST", link, ONE_CLICK)).status == 200


async def test_an_operator_sees_who_left_and_takes_him_in_again(house: House) -> None:
    client, at = house.client(), "/api/v1/unsubscriptions/news"
    for topic, address in (("", "a@x.example"), ("offers", "a@x.example"), ("offers", "b@x.example")):
        await client.request("POST", path(house, topic, address), ONE_CLICK)
    first = (await client.get(f"{at}?limit=2")).json
    assert [(each["topic"], each["address"]) for each in first["unsubscriptions"]] == [
        (None, "a@x.example"),
        ("offers", "a@x.example"),
    ]
    rest = (await client.get(f"{at}?after={first['next'].replace(' ', '%20')}")).json
    assert ([each["address"] for each in rest["unsubscriptions"]], rest["next"]) == (["b@x.example"], None)
    assert (await client.get(f"{at}?region=eu-west-1")).json["unsubscriptions"] == []
    assert (await client.get("/api/v1/unsubscriptions/two%20words")).status == 404
    assert (await client.request("DELETE", f"{at}/a@x.example?topic=two%20words")).status == 404
    assert (await client.request("DELETE", f"{at}/A@x.example?topic=offers")).status == 204
    assert (await client.request("DELETE", f"{at}/a@x.example?topic=offers")).status == 404
    assert await left(house) == [("", "a@x.example"), ("offers", "b@x.example")]


async def test_the_timeline_tells_of_it(house: House) -> None:
    message_id = await house.send_draft()
    entry = Unsubscription(name="news", topic="", address="dana@mail.example", at_ms=1, message_id=message_id)
    await house.stores.unsubscriptions.add(HOME, entry, left_event(HOME, entry, "", "UnsubscribePage"))
    shown = (await house.client().get(f"/api/v1/messages/{message_id}")).json
    assert [each["type"] for each in shown["events"]] == ["Subscription"]
    page = await house.client().get(f"/console/messages/{message_id}")
    assert "Unsubscribed" in page.text
