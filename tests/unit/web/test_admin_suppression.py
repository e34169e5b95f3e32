"""The suppression list as the admin API shows and changes it."""

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, NOW_MS, House

from posthouse.domain.suppression import Reason, SuppressedAddress
from posthouse.web.query import iso

AT = "/api/v1/suppression"


async def test_the_list_is_shown_in_pages(house: House, client: Client) -> None:
    for name in ("a", "b", "c"):
        entry = SuppressedAddress(address=f"{name}@x.example", reason=Reason.BOUNCE, at_ms=NOW_MS, message_id="m1")
        await house.stores.suppressions.add(HOME, entry)
    first = (await client.get(f"{AT}?limit=2")).json
    assert first["suppression"][0] == {
        "address": "a@x.example",
        "reason": "BOUNCE",
        "since": iso(NOW_MS),
        "message_id": "m1",
    }
    rest = (await client.get(f"{AT}?after={first['next']}")).json
    assert [each["address"] for each in rest["suppression"]] == ["c@x.example"]
    assert rest["next"] is None
    assert (await client.get(f"{AT}?region=eu-west-1")).json["suppression"] == []


async def test_addresses_are_put_on_and_taken_off(house: House, client: Client) -> None:
    put = await client.request("PUT", f"{AT}/Dana@mail.example?reason=COMPLAINT")
    assert (put.status, put.json["address"], put.json["message_id"]) == (200, "dana@mail.example", None)
    assert (await client.request("DELETE", f"{AT}/DANA@mail.example")).status == 204
    assert (await client.request("DELETE", f"{AT}/dana@mail.example")).status == 404


async def test_what_is_no_address_is_refused(house: House, client: Client) -> None:
    refused = await client.request("PUT", f"{AT}/nobody")
    assert (refused.status, refused.json["detail"]) == (400, "Missing final '@domain'")


async def test_addresses_are_searched_by_a_part_of_them(house: House, client: Client) -> None:
    for address in ("ann@a.example", "bob@a.example", "ann@b.example"):
        await client.request("PUT", f"{AT}/{address}")
    found = (await client.get(f"{AT}?address=ANN")).json["suppression"]
    assert [each["address"] for each in found] == ["ann@a.example", "ann@b.example"]
