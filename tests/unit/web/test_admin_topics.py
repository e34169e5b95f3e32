"""The embedded SNS's topics as the admin API shows them."""

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, NOW_MS, House

from posthouse.ports.topics import Notification
from posthouse.web.query import iso

MAIL = f"arn:aws:sns:us-east-1:{HOME.account}:mail"
THEIRS = "210987654321"


async def publish(house: House, number: int, account: str = HOME.account, arn: str = MAIL) -> None:
    given = Notification(message_id=f"id-{number}", subject=None, message=f"{number}", published_ms=NOW_MS)
    assert await house.stores.topics.add(account, arn, given, create=True)


async def test_topics_are_listed_in_pages(house: House, client: Client) -> None:
    for arn in (MAIL, MAIL + "2", MAIL + "3"):
        await publish(house, 1, arn=arn)
    first = (await client.get("/api/v1/topics?limit=2")).json
    assert [row["arn"] for row in first["topics"]] == [MAIL, MAIL + "2"]
    rest = (await client.get("/api/v1/topics?after=" + first["next"].replace(" ", "+"))).json
    assert [(row["arn"], row["account"]) for row in rest["topics"]] == [(MAIL + "3", HOME.account)]
    assert rest["next"] is None


async def test_notifications_are_listed_newest_first_in_pages(house: House, client: Client) -> None:
    for number in range(3):
        await publish(house, number)
    first = (await client.get(f"/api/v1/topics/{MAIL}/notifications?limit=2")).json
    assert [row["message"] for row in first["notifications"]] == ["2", "1"]
    assert first["notifications"][0] == {
        "seq": 3,
        "message_id": "id-2",
        "account": HOME.account,
        "subject": None,
        "message": "2",
        "published_at": iso(NOW_MS),
    }
    rest = (await client.get(f"/api/v1/topics/{MAIL}/notifications?before={first['next']}")).json
    assert ([row["message"] for row in rest["notifications"]], rest["next"]) == (["0"], None)


async def test_a_topic_that_is_none_is_not_found(client: Client) -> None:
    for arn in ("none", "a\0b", "x" * 2000, "arn%3Aaws%3Asns"):
        answer = await client.get(f"/api/v1/topics/{arn}/notifications")
        assert (answer.status, answer.header("content-type")) == (404, "application/problem+json")


async def test_who_is_signed_in_sees_the_topics_of_one_account(house: House) -> None:
    await publish(house, 1)
    await publish(house, 2, account=THEIRS)
    await publish(house, 3, account=THEIRS, arn=MAIL + "2")
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(authorization="Basic QUtJQU9ORTpzM2NyZXQ=")
    listed = (await client.get("/api/v1/topics")).json
    assert [row["account"] for row in listed["topics"]] == [HOME.account]
    kept = (await client.get(f"/api/v1/topics/{MAIL}/notifications")).json
    assert [row["message"] for row in kept["notifications"]] == ["1"]
    assert (await client.get(f"/api/v1/topics/{MAIL}2/notifications")).status == 404
    assert (await client.get(f"/api/v1/topics?account={THEIRS}")).status == 403
