"""The embedded CloudWatch's series, for programs and for people."""

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, NOW_MS, House

from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import MetricValue
from posthouse.web.query import iso

THEIRS = Scope("210987654321", "eu-west-1")


async def put(house: House, name: str = "Send", scope: Scope = HOME, **dimensions: str) -> None:
    value = MetricValue(name, tuple(dimensions.items()), 1.5, NOW_MS)
    assert await house.stores.metric_series.add(scope, [value]) == 0


async def test_series_are_listed_in_pages(house: House, client: Client) -> None:
    for number in range(3):
        await put(house, campaign=str(number))
    first = (await client.get("/api/v1/metrics?limit=2")).json
    assert first["metrics"][0] == {
        "account": HOME.account,
        "region": HOME.region,
        "name": "Send",
        "dimensions": {"campaign": "0"},
        "unit": "Count",
        "samples": 1,
        "sum": 1.5,
        "latest": 1.5,
        "latest_at": iso(NOW_MS),
    }
    rest = (await client.get(f"/api/v1/metrics?after={first['next']}")).json
    assert ([row["dimensions"]["campaign"] for row in rest["metrics"]], rest["next"]) == (["2"], None)


async def test_who_is_signed_in_sees_those_of_one_account(house: House) -> None:
    await put(house)
    await put(house, "Bounce", THEIRS)
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(authorization="Basic QUtJQU9ORTpzM2NyZXQ=")
    assert [row["name"] for row in (await client.get("/api/v1/metrics")).json["metrics"]] == ["Send"]
    assert (await client.get(f"/api/v1/metrics?account={THEIRS.account}")).status == 403
    assert (await client.get("/api/v1/metrics?region=eu-west-1")).json["metrics"] == []
    assert "Bounce" not in (await client.page("/console/metrics")).text


async def test_the_console_shows_them(house: House, client: Client) -> None:
    assert "No metrics yet" in (await client.page("/console/metrics")).text
    await put(house, campaign="<b>shipping</b>")
    text = (await client.page("/console/metrics")).text
    assert "campaign=&lt;b&gt;shipping&lt;/b&gt;" in text
    assert "1.5" in text
