"""What subscribers call: confirming, leaving, and the certificate; and how the admin API manages them."""

import re

import pytest
from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import HOME, NOW_MS, House

from posthouse.domain.subscriptions import TOKEN_LIFE_MS, TopicLinks
from posthouse.ports.subscriptions import GivenUp, Health, KeptSubscription
from posthouse.ports.topics import Notification
from posthouse.publishing.signatures import name_of, new_pair
from posthouse.web.query import iso

MAIL = f"arn:aws:sns:us-east-1:{HOME.account}:mail"
THEIRS = "210987654321"
LINKS = TopicLinks(lambda: b"a key for topics", "http://mail.example.org")


async def subscribe(
    client: Client, endpoint: str = "https://hook.example/x", more: str = "", topic: str = MAIL
) -> Answer:
    body = f'{{"endpoint": "{endpoint}"{more}}}'.encode()
    path = f"/api/v1/topics/{topic}/subscriptions"
    return await client.request("POST", path, body, {"content-type": "application/json"})


async def kept(house: House) -> KeptSubscription:
    (found,) = await house.stores.subscriptions.page(None, None, "", 10)
    return found


def path_of(url: str) -> str:
    return url.removeprefix(LINKS.public_url)


async def test_a_url_is_subscribed_and_waits_to_be_confirmed(house: House, client: Client) -> None:
    answer = await subscribe(client, "https://ann:secret@hook.example/x")
    assert answer.status == 201
    assert "secret" not in answer.text
    assert answer.json == {
        "arn": answer.json["arn"],
        "topic_arn": MAIL,
        "account": HOME.account,
        "protocol": "https",
        "endpoint": "https://hook.example/x",
        "has_login": True,
        "raw": False,
        "confirmed": False,
        "created_at": iso(NOW_MS),
        "waiting": 1,
        "failures": 0,
        "last_failure": "",
        "last_failure_at": None,
        "paused_until": None,
    }
    assert re.fullmatch(re.escape(MAIL) + r":[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer.json["arn"])
    again = await subscribe(client, "https://hook.example/x")
    assert again.json["arn"] == answer.json["arn"]
    listed = (await client.get(f"/api/v1/topics/{MAIL}/subscriptions")).json
    assert (listed["subscriptions"], listed["next"]) == ([again.json], None)


async def test_following_the_link_confirms(house: House, client: Client) -> None:
    await subscribe(client)
    subscription = (await kept(house)).subscription
    answer = await client.get(path_of(LINKS.confirm(MAIL, subscription.token)))
    assert (answer.status, answer.header("content-type")) == (200, "text/xml; charset=utf-8")
    assert f"<SubscriptionArn>{subscription.arn}</SubscriptionArn>" in answer.text
    assert (await kept(house)).subscription.confirmed
    assert (await kept(house)).waiting == 0


async def test_an_sdk_confirms_by_post(house: House, client: Client) -> None:
    await subscribe(client)
    token = (await kept(house)).subscription.token
    form = f"Action=ConfirmSubscription&Version=2010-03-31&TopicArn={MAIL}&Token={token}&AuthenticateOnUnsubscribe=true"
    answer = await client.request("POST", "/", form.encode())
    assert answer.status == 200
    assert "<ConfirmSubscriptionResult>" in answer.text
    assert (await kept(house)).subscription.keeps_to_owner


async def test_a_token_that_is_none_or_too_old_confirms_nothing(house: House, client: Client) -> None:
    await subscribe(client)
    token = (await kept(house)).subscription.token
    for wrong in (token[:-1], "0" * 64, "", token.upper(), "%00" * 10, "%C3%A9"):
        answer = await client.get(f"/?Action=ConfirmSubscription&TopicArn={MAIL}&Token={wrong}")
        assert (answer.status, "<Code>InvalidParameter</Code>" in answer.text) == (400, True)
    house.clock.at_ms += TOKEN_LIFE_MS + 1
    assert (await client.get(path_of(LINKS.confirm(MAIL, token)))).status == 400
    assert not (await kept(house)).subscription.confirmed


async def test_the_link_in_a_notification_ends_its_subscription(house: House, client: Client) -> None:
    arn = (await subscribe(client, more=', "confirmed": true')).json["arn"]
    for wrong in (
        path_of(LINKS.unsubscribe(arn + "x")).replace(arn + "x", arn),
        f"/?Action=Unsubscribe&SubscriptionArn={arn}",
    ):
        assert (await client.get(wrong)).status == 400
    assert (await kept(house)).subscription.arn == arn
    for _ in range(2):
        answer = await client.get(path_of(LINKS.unsubscribe(arn)))
        assert (answer.status, "<UnsubscribeResponse" in answer.text) == (200, True)
    assert await house.stores.subscriptions.page(None, None, "", 10) == []


async def test_who_asked_for_it_is_not_unsubscribed_by_the_link(house: House, client: Client) -> None:
    arn = (await subscribe(client)).json["arn"]
    await client.get(
        path_of(LINKS.confirm(MAIL, (await kept(house)).subscription.token)) + "&AuthenticateOnUnsubscribe=true"
    )
    answer = await client.get(path_of(LINKS.unsubscribe(arn)))
    assert (answer.status, "<Code>AuthorizationError</Code>" in answer.text) == (403, True)
    assert (await client.request("DELETE", f"/api/v1/topics/{MAIL}/subscriptions/{arn}")).status == 204


@pytest.mark.parametrize(
    "query", ["Action=Subscribe", "Action=ListTopics", "a=b", "Action=%zz", "&".join(["a=b"] * 60)]
)
async def test_other_actions_are_refused(client: Client, query: str) -> None:
    assert (await client.get("/?" + query)).status == 400
    assert (await client.request("POST", "/", query.encode())).status == 400


async def test_the_certificate_is_served_under_its_name_only(house: House, client: Client) -> None:
    from datetime import UTC, datetime

    path = "/SimpleNotificationService-00000000000000000000000000000000.pem"
    assert (await client.get(path)).status == 404
    pair = new_pair("sns.posthouse.test", datetime(2027, 1, 1, tzinfo=UTC))
    await house.stores.subscriptions.offer_signing_pair(pair, NOW_MS)
    answer = await client.get("/" + name_of(pair.certificate_pem))
    assert (answer.status, answer.text) == (200, pair.certificate_pem)
    assert "PRIVATE" not in answer.text
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"endpoint": "https://hook.example/"}', "text/plain", 415),
        (b'{"endpoint": "https://hook.example/"}', "", 415),
        (b"", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"endpoint": 1}', "application/json", 400),
        (b'{"endpoint": "https://hook.example/", "surprise": 1}', "application/json", 400),
        (b'{"endpoint": "ftp://hook.example/"}', "application/json", 400),
        (b'{"endpoint": "https://hook.example/\xff"}', "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b" " * 100_000, "application/json", 413),
    ],
)
async def test_what_cannot_be_subscribed_is_refused(
    client: Client, body: bytes, content_type: str, status: int
) -> None:
    path = f"/api/v1/topics/{MAIL}/subscriptions"
    answer = await client.request("POST", path, body, {"content-type": content_type})
    assert (answer.status, answer.header("content-type")) == (status, "application/problem+json")


async def test_a_topic_that_does_not_exist_and_is_not_created_has_no_subscribers(client: Client) -> None:
    answer = await subscribe(client, topic=MAIL.replace("mail", "unknown"))
    assert (answer.status, "There is no topic" in answer.json["detail"]) == (400, True)
    assert (await subscribe(client, topic="mail")).status == 400


async def test_a_subscription_is_ended_by_the_last_part_of_its_arn_too(house: House, client: Client) -> None:
    arn = (await subscribe(client)).json["arn"]
    path = f"/api/v1/topics/{MAIL}/subscriptions/"
    assert (await client.request("DELETE", path + arn.rpartition(":")[2])).status == 204
    assert (await client.request("DELETE", path + arn)).status == 404


async def test_dead_letters_are_listed_newest_first_in_pages(house: House, client: Client) -> None:
    await subscribe(client, more=', "confirmed": true')
    for number in range(3):
        note = Notification(message_id=f"id-{number}", subject=None, message="m", published_ms=NOW_MS)
        await house.stores.topics.add(HOME.account, MAIL, note, create=False)
    (claimed,) = await house.stores.subscriptions.claim("me", NOW_MS, 1000, 1)
    due = await house.stores.subscriptions.due(claimed.number, NOW_MS, 10)
    failing = Health(failures=9, resume_ms=NOW_MS + 1000, last_failure="no", last_failure_ms=NOW_MS)
    await house.stores.subscriptions.settle(
        claimed.number, [GivenUp(each.number, "HTTP status 410") for each in due], failing, NOW_MS + 1
    )
    first = (await client.get(f"/api/v1/topics/{MAIL}/dead-letters?limit=2")).json
    assert [row["message_id"] for row in first["dead_letters"]] == ["id-2", "id-1"]
    assert first["dead_letters"][0]["reason"] == "HTTP status 410"
    rest = (await client.get(f"/api/v1/topics/{MAIL}/dead-letters?before={first['next']}")).json
    assert ([row["message_id"] for row in rest["dead_letters"]], rest["next"]) == (["id-0"], None)
    (row,) = (await client.get(f"/api/v1/topics/{MAIL}/subscriptions")).json["subscriptions"]
    assert (row["failures"], row["last_failure"], row["paused_until"]) == (9, "no", iso(NOW_MS + 1000))


async def test_who_is_signed_in_manages_subscribers_of_one_account(house: House) -> None:
    theirs = (await subscribe(house.client(), topic=MAIL, more="")).json
    assert theirs["account"] == HOME.account
    await house.allow("AKIATWO", "s3cret", account=THEIRS)
    client = house.client(login_required=True).with_headers(authorization="Basic QUtJQVRXTzpzM2NyZXQ=")
    assert (await client.get(f"/api/v1/topics/{MAIL}/subscriptions")).status == 404
    assert (await client.get(f"/api/v1/topics/{MAIL}/dead-letters")).status == 404
    assert (await client.request("DELETE", f"/api/v1/topics/{MAIL}/subscriptions/{theirs['arn']}")).status == 404
    assert (await subscribe(client)).json["account"] == THEIRS
    path = f"/api/v1/topics/{MAIL}/subscriptions?account={HOME.account}"
    assert (
        await client.request("POST", path, b'{"endpoint": "https://x.example/"}', {"content-type": "application/json"})
    ).status == 403
    assert (await house.client(login_required=True).get(f"/api/v1/topics/{MAIL}/subscriptions")).status == 401
