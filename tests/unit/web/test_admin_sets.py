"""Configuration sets and reputations in the admin API."""

import msgspec
from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, NOW_MS, House
from tests.unit.web.furniture import TOPIC, furnish, happened

from posthouse.domain.accounts import Account
from posthouse.domain.events import EventType
from posthouse.domain.scope import Scope
from posthouse.submission.facts import ACCOUNT
from posthouse.web.query import iso

AT, REPUTATION = "/api/v1/configuration-sets", "/api/v1/reputation"
OTHER = Scope("210987654321", "eu-west-1")
SIGNED_IN = {"authorization": "Basic QUtJQU9ORTpzM2NyZXQ="}


async def test_sets_of_every_scope_are_listed_in_pages(house: House, client: Client) -> None:
    for scope, name in ((OTHER, "a"), (HOME, "b"), (HOME, "a")):
        await furnish(house, name, scope)
    first = (await client.get(f"{AT}?limit=2")).json
    assert [(each["account"], each["name"]) for each in first["configuration_sets"]] == [
        (HOME.account, "a"),
        (HOME.account, "b"),
    ]
    rest = (await client.get(f"{AT}?after=" + first["next"].replace(" ", "+"))).json
    assert [each["account"] for each in rest["configuration_sets"]] == [OTHER.account]
    assert rest["next"] is None
    named = (await client.get(f"{AT}?account={OTHER.account}&region={OTHER.region}")).json
    assert len(named["configuration_sets"]) == 1


async def test_a_set_is_shown_with_destinations_statistics_and_reputation(house: House, client: Client) -> None:
    await furnish(house, "news")
    await happened(house, EventType.SEND, 100, set_name="news")
    await happened(house, EventType.BOUNCE, 7, set_name="news")
    await happened(house, EventType.SEND, 100)
    shown = (await client.get(f"{AT}/news")).json
    assert shown["destinations"] == [
        {
            "name": "topic",
            "enabled": True,
            "kind": "SNS",
            "target": TOPIC,
            "role_arn": "",
            "dimensions": [],
            "event_types": ["send", "bounce"],
        },
        {
            "name": "word",
            "enabled": False,
            "kind": "CloudWatch",
            "target": "",
            "role_arn": "",
            "dimensions": [{"name": "word", "source": "messageTag", "default": "word"}],
            "event_types": ["click"],
        },
    ]
    assert shown["totals"] == {"delivery_attempts": 100, "bounces": 7, "complaints": 0, "rejects": 0}
    assert shown["reputation"]["bounces"] == {
        "count": 7,
        "rate": 0.07,
        "review_at": 0.05,
        "pause_at": 0.1,
        "state": "review",
    }
    assert (await client.get(f"{AT}/none")).status == 404
    assert (await client.get(f"{AT}/no%00ne")).status == 404
    assert (await client.get(f"{AT}/news?region=eu-west-1")).status == 404


async def test_reputations_are_those_of_accounts_and_of_sets_that_measure_it(house: House, client: Client) -> None:
    await furnish(house, "news")
    await happened(house, EventType.SEND, 2000, set_name="news")
    await happened(house, EventType.COMPLAINT, 10, set_name="news")
    await happened(house, EventType.SEND, 50, scope=OTHER)
    paused = Account(fresh_start_ms=NOW_MS - 5).with_paused(True, NOW_MS)
    async with house.stores.records.transaction() as tx:
        await tx.accounts.put(OTHER, ACCOUNT, paused)
        news = await tx.configuration_sets.get(HOME, "news")
        assert news is not None
        await tx.configuration_sets.put(HOME, "silent", msgspec.structs.replace(news, reputation_metrics=False))
    found = (await client.get(REPUTATION)).json["reputation"]
    assert [(each["account"], each["configuration_set"], each["state"]) for each in found] == [
        (HOME.account, None, "pause"),
        (HOME.account, "news", "pause"),
        (OTHER.account, None, "unjudged"),
    ]
    assert [each["sending"] for each in found] == [True, True, False]
    assert found[2]["fresh_start"] == iso(NOW_MS - 5)
    assert found[0]["complaints"]["rate"] == 0.005


async def test_who_is_signed_in_sees_his_own_account(house: House) -> None:
    await furnish(house, "mine")
    await furnish(house, "theirs", OTHER)
    await happened(house, EventType.SEND, 1, scope=OTHER)
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(**SIGNED_IN)
    assert [each["name"] for each in (await client.get(AT)).json["configuration_sets"]] == ["mine"]
    assert {each["account"] for each in (await client.get(REPUTATION)).json["reputation"]} == {HOME.account}
    assert (await client.get(f"{AT}/theirs?region={OTHER.region}")).status == 404
    for path in (AT, f"{AT}/theirs", REPUTATION):
        assert (await client.get(f"{path}?account={OTHER.account}")).status == 403
