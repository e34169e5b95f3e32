"""Queue, identities, accounts, credentials, statistics."""

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, House

from posthouse.domain.accounts import Account
from posthouse.domain.events import EventType
from posthouse.domain.identities import Dkim, Identity, Status
from posthouse.domain.messages import RecipientState
from posthouse.domain.scope import Scope
from posthouse.submission.facts import ACCOUNT

OTHER = Scope("210987654321", "eu-west-1")
RAW = b"Subject: x\r\n\r\n"


async def test_the_queue_is_listed_in_pages(house: House, client: Client) -> None:
    await house.send(RAW, to=("a@x.example", "b@x.example"))
    await house.send(RAW, to=("c@x.example",))
    first = (await client.get("/api/v1/queue?limit=2")).json
    assert [row["recipient"] for row in first["queue"]] == ["a@x.example", "b@x.example"]
    rest = (await client.get("/api/v1/queue?after=" + first["next"].replace(" ", "+"))).json
    assert [row["recipient"] for row in rest["queue"]] == ["c@x.example"]
    assert rest["next"] is None


async def test_a_queued_message_is_hastened(house: House, client: Client) -> None:
    message_id = await house.send(RAW)
    due_ms = house.clock.at_ms + 3_600_000
    await house.settle(
        message_id, "dana@mail.example", RecipientState.QUEUED, EventType.DELIVERY_DELAY, "451 later", due_ms=due_ms
    )
    answer = await client.request("POST", f"/api/v1/queue/{message_id}/retry")
    assert answer.json == {"message_id": message_id, "recipients": 1}
    next_due_ms = await house.stores.queue.next_due_ms()
    assert next_due_ms is not None
    assert next_due_ms <= house.clock.at_ms


async def test_a_dropped_message_is_final_and_says_so(house: House, client: Client) -> None:
    message_id = await house.send(RAW)
    answer = await client.request("POST", f"/api/v1/queue/{message_id}/drop")
    assert answer.json == {"message_id": message_id, "recipients": 1}
    detail = (await client.get(f"/api/v1/messages/{message_id}")).json
    assert detail["status"] == "dropped"
    assert detail["why"].startswith("An operator took it out of the queue for dana@mail.example")
    assert (await client.request("POST", f"/api/v1/queue/{message_id}/drop")).json["recipients"] == 0
    assert (await client.request("POST", "/api/v1/queue/nope/drop")).status == 404


async def test_identities_come_with_the_records_to_publish(house: House, client: Client) -> None:
    shop = Identity(
        name="shop.example",
        status=Status.PENDING,
        requested_ms=0,
        token="dG9rZW4=",
        dkim=Dkim(status=Status.PENDING, tokens=("abc", "def")),
    )
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(HOME, "shop.example", shop)
        await tx.identities.put(
            OTHER, "me@x.example", Identity(name="me@x.example", status=Status.SUCCESS, requested_ms=0)
        )
    found = (await client.get("/api/v1/identities")).json["identities"]
    assert [each["identity"] for each in found] == ["shop.example", "me@x.example"]
    assert found[0]["records"] == [
        {"purpose": "verification", "type": "TXT", "name": "_amazonses.shop.example", "value": "dG9rZW4="},
        {"purpose": "DKIM", "type": "CNAME", "name": "abc._domainkey.shop.example", "value": "abc.dkim.posthouse.test"},
        {"purpose": "DKIM", "type": "CNAME", "name": "def._domainkey.shop.example", "value": "def.dkim.posthouse.test"},
    ]
    assert found[1]["records"] == []
    only = (await client.get("/api/v1/identities?account=210987654321&region=eu-west-1")).json["identities"]
    assert [each["identity"] for each in only] == ["me@x.example"]


async def test_identities_are_paged(house: House, client: Client) -> None:
    names = [f"d{number}.example" for number in range(5)]
    async with house.stores.records.transaction() as tx:
        for name in names:
            await tx.identities.put(HOME, name, Identity(name=name, status=Status.SUCCESS, requested_ms=0))
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await client.get("/api/v1/identities?limit=2&after=" + after.replace(" ", "+"))).json
        found += [each["identity"] for each in page["identities"]]
        after = page["next"]
    assert found == names


async def test_accounts_show_the_limits_in_force(house: House, client: Client) -> None:
    async with house.stores.records.transaction() as tx:
        await tx.accounts.put(OTHER, ACCOUNT, Account(sandbox=True, paused=True, max_send_rate=7.0))
    found = (await client.get("/api/v1/accounts")).json["accounts"]
    assert [(each["account"], each["region"]) for each in found] == [HOME, OTHER]
    assert found[0]["max_24_hour_send"] == 50000.0
    assert (found[1]["max_24_hour_send"], found[1]["max_send_rate"], found[1]["paused"]) == (200.0, 7.0, True)


async def test_credentials_are_listed_without_their_secrets(house: House, client: Client) -> None:
    await house.allow("AKIAONE", "top-secret-one")
    answer = await client.get("/api/v1/credentials")
    assert [each["access_key"] for each in answer.json["credentials"]] == ["AKIAONE"]
    assert "top-secret" not in answer.text


async def test_statistics_are_points_and_totals(house: House, client: Client) -> None:
    message_id = await house.send(RAW)
    detail = {"kind": {"type": "Permanent", "subtype": "NoEmail"}}
    await house.settle(
        message_id, "dana@mail.example", RecipientState.BOUNCED, EventType.BOUNCE, "550 no", detail=detail
    )
    found = (await client.get("/api/v1/stats?since=0")).json
    assert found["totals"]["bounces"] == 1
    assert sum(point["bounces"] for point in found["points"]) == 1
    assert (found["account"], found["region"]) == HOME
