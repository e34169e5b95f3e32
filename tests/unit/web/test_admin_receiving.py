"""Receipt rules and filters in the admin API, and what they would do."""

from typing import Any

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, House
from tests.unit.web.furniture import TOPIC, furnish

from posthouse.domain.identities import Identity, Status
from posthouse.domain.scope import Scope

SETS, FILTERS, PLAN = "/api/v1/receipt-rule-sets", "/api/v1/receipt-filters", "/api/v1/receipt-plan"
OTHER = Scope("210987654321", "us-east-1")


async def verify(house: House, domain: str, scope: Scope = HOME) -> None:
    identity = Identity(name=domain, status=Status.SUCCESS, requested_ms=0)
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(scope, domain, identity)


async def test_rule_sets_say_which_is_active_and_show_their_rules(house: House, client: Client) -> None:
    await furnish(house, "old")
    await furnish(house, "new")
    listed = (await client.get(SETS)).json["rule_sets"]
    assert [(each["name"], each["active"], each["rule_count"]) for each in listed] == [
        ("new", True, 4),
        ("old", False, 4),
    ]
    shown = (await client.get(f"{SETS}/new")).json
    assert [each["name"] for each in shown["rules"]] == ["off", "keep", "secret", "others"]
    assert shown["rules"][1] == {
        "name": "keep",
        "enabled": True,
        "tls_policy": "Optional",
        "scan": True,
        "recipients": ["shop.example"],
        "actions": [
            {
                "type": "AddHeader",
                "settings": [{"name": "name", "value": "X-Kept"}, {"name": "value", "value": "word"}],
            },
            {
                "type": "S3",
                "settings": [
                    {"name": "bucket", "value": "mail"},
                    {"name": "prefix", "value": "word"},
                    {"name": "topic", "value": TOPIC},
                ],
            },
        ],
    }
    assert (await client.get(f"{SETS}/none")).status == 404
    [kept] = [each for each in (await client.get(FILTERS)).json["filters"] if each["name"] == "new"]
    assert (kept["policy"], kept["cidr"]) == ("Block", "192.0.2.0/24")


async def plan(client: Client, query: str) -> Any:
    answer = await client.get(f"{PLAN}?{query}")
    assert answer.status == 200, answer.text
    return answer.json


async def test_a_plan_says_what_every_rule_would_do(house: House, client: Client) -> None:
    await verify(house, "shop.example")
    await furnish(house, "inbound")
    found = await plan(client, "recipients=ann@shop.example+vault@shop.example+x@far.example")
    assert found["rule_set"] == "inbound"
    assert [(each["recipient"], each["accepted"], each["reply"][:3]) for each in found["recipients"]] == [
        ("ann@shop.example", True, ""),
        ("vault@shop.example", False, "530"),
        ("x@far.example", False, "550"),
    ]
    assert [(each["rule"], each["applies"], each["recipients"]) for each in found["rules"]] == [
        ("off", False, []),
        ("keep", True, ["ann@shop.example"]),
        ("secret", False, []),
        ("others", False, []),
    ]
    assert [each["type"] for each in found["rules"][1]["actions"]] == ["AddHeader", "S3"]


async def test_a_plan_goes_by_tls_and_by_the_address_of_the_client(house: House, client: Client) -> None:
    await verify(house, "shop.example")
    await furnish(house, "inbound")
    over_tls = await plan(client, "recipients=vault@shop.example&tls=1")
    assert [each["rule"] for each in over_tls["rules"] if each["applies"]] == ["keep", "secret"]
    blocked = await plan(client, "recipients=ann@shop.example&client_ip=192.0.2.7")
    assert [each["why"] for each in blocked["recipients"]] == ["An IP address filter blocks this client."]
    assert blocked["rules"] == []


async def test_without_an_active_rule_set_it_is_the_setting_that_decides(house: House, client: Client) -> None:
    await verify(house, "shop.example")
    assert (await plan(client, "recipients=a@shop.example"))["recipients"][0]["accepted"]
    found = (await house.client(require_rule=True).get(f"{PLAN}?recipients=a@shop.example")).json
    assert (found["rule_set"], found["recipients"][0]["accepted"]) == (None, False)


async def test_too_much_and_nonsense_are_refused(client: Client) -> None:
    assert (await client.get(f"{PLAN}?recipients=" + "+".join(f"{n}@x" for n in range(51)))).status == 400
    assert (await client.get(f"{PLAN}?client_ip=somewhere")).status == 400
    assert (await client.get(f"{PLAN}?recipients=%22+@+x@")).status == 200


async def test_who_is_signed_in_learns_of_his_own_account(house: House) -> None:
    await verify(house, "shop.example", OTHER)
    await furnish(house, "theirs", OTHER)
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(authorization="Basic QUtJQU9ORTpzM2NyZXQ=")
    assert (await client.get(SETS)).json["rule_sets"] == []
    assert (await client.get(FILTERS)).json["filters"] == []
    assert (await client.get(f"{SETS}/theirs")).status == 404
    assert not (await plan(client, "recipients=a@shop.example"))["recipients"][0]["accepted"]
    for path in (SETS, FILTERS, PLAN, f"{SETS}/theirs"):
        assert (await client.get(f"{path}?account={OTHER.account}")).status == 403
