"""Destinations of events as the admin API shows them, and their replays."""

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, House

from posthouse.domain.configuration_sets import ConfigurationSet, EventDestination
from posthouse.domain.events import Event, EventType
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.publications import Failure, Replay, Round, Routed
from posthouse.web.query import iso

ONE = f"set:{HOME.account}:us-east-1:s:one"
ODD = f"identity:{HOME.account}:us-east-1:a%2Fb@shop.example:Bounce"
THEIRS = Scope("210987654321", "us-east-1")


async def fill(house: House, key: str, owner: Scope = HOME, count: int = 1) -> None:
    event = Event(scope=owner, message_id="m", type=EventType.OPEN, at_ms=house.clock.at_ms)
    await house.stores.events.append([event] * count)
    cursor = await house.stores.publications.cursor()
    seqs = range(cursor.seq + 1, cursor.last_seq + 1)
    routed = [Routed(key, owner, seq, MessageKey(owner, "m")) for seq in seqs]
    assert await house.stores.publications.route(cursor.seq, cursor.last_seq, routed, house.clock.at_ms)


async def fail(house: House, key: str, seq: int, give_up_ms: int = 0) -> None:
    at_ms = house.clock.at_ms
    ended = Round(
        destination=key,
        at_ms=at_ms,
        failed=[Failure(seq, at_ms, "refused")],
        failures=2,
        waiting_until_ms=at_ms + 4000,
        give_up_ms=give_up_ms,
    )
    await house.stores.publications.settle(ended)


async def test_destinations_show_how_far_behind_they_are(house: House, client: Client) -> None:
    await fill(house, ONE, count=2)
    await fail(house, ONE, 1)
    house.clock.at_ms += 1500
    (shown,) = (await client.get("/api/v1/destinations")).json["destinations"]
    assert shown == {
        "destination": ONE,
        "name": "s / one",
        "kind": "Gone",
        "target": "",
        "account": HOME.account,
        "region": "us-east-1",
        "waiting": 2,
        "dead_letters": 0,
        "lag_seconds": 1.5,
        "oldest_at": iso(house.clock.at_ms - 1500),
        "failures": 2,
        "waiting_until": iso(house.clock.at_ms + 2500),
        "last_error": "refused",
        "last_failure_at": iso(house.clock.at_ms - 1500),
        "last_success_at": None,
        "sending": False,
        "replaying": False,
    }


async def test_destinations_are_listed_in_pages(house: House, client: Client) -> None:
    for name in ("a", "b", "c"):
        await fill(house, ONE + name)
    first = (await client.get("/api/v1/destinations?limit=2")).json
    rest = (await client.get(f"/api/v1/destinations?limit=2&after={first['next']}")).json
    listed = [each["destination"] for page in (first, rest) for each in page["destinations"]]
    assert (listed, rest["next"]) == ([ONE + "a", ONE + "b", ONE + "c"], None)


async def test_dead_letters_are_shown_and_tried_again(house: House, client: Client) -> None:
    await fill(house, ODD, count=3)
    await fail(house, ODD, 1, give_up_ms=house.clock.at_ms + 1)
    path = f"/api/v1/destinations/{ODD}"
    first = (await client.get(f"{path}/dead-letters?limit=2")).json
    assert first["dead_letters"][0] == {
        "seq": 1,
        "message_id": "m",
        "routed_at": iso(house.clock.at_ms),
        "given_up_at": iso(house.clock.at_ms),
        "error": "refused",
    }
    rest = (await client.get(f"{path}/dead-letters?after={first['next']}")).json
    assert [each["seq"] for each in rest["dead_letters"]] == [3]
    assert (await client.request("POST", f"{path}/replay")).json == {"destination": ODD, "from_seq": None, "revived": 3}
    assert (await house.stores.publications.totals()).waiting == 3


async def test_a_destination_is_told_again_from_an_event_on(house: House, client: Client) -> None:
    one = EventDestination(name="one", enabled=True, event_types=("open",), sns_topic="arn")
    async with house.stores.records.transaction() as tx:
        await tx.configuration_sets.put(HOME, "s", ConfigurationSet(created_ms=0, destinations=(one,)))
    await fill(house, ONE + "2", count=5)
    # Nothing was ever routed to it, but it exists.
    answer = await client.request("POST", f"/api/v1/destinations/{ONE}/replay?from=3")
    assert (answer.status, answer.json) == (200, {"destination": ONE, "from_seq": 3, "revived": None})
    assert await house.stores.publications.replays() == [Replay(ONE, 2, 5)]


async def test_what_is_no_destination_is_not_found(house: House, client: Client) -> None:
    keys = ("none", ONE, ONE.replace("set", "Set"), "a%00b", "x" * 3000, f"set:{HOME.account}:us-east-1:s%2500:one")
    for key in keys:
        answer = await client.request("POST", f"/api/v1/destinations/{key}/replay?from=1")
        assert (answer.status, answer.header("content-type")) == (404, "application/problem+json")
    assert (await client.request("POST", f"/api/v1/destinations/{ONE}/replay?from=x")).status == 400


async def test_who_is_signed_in_sees_the_destinations_of_one_account(house: House) -> None:
    theirs = f"set:{THEIRS.account}:us-east-1:s:one"
    await fill(house, ONE)
    await fill(house, theirs, THEIRS)
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(authorization="Basic QUtJQU9ORTpzM2NyZXQ=")
    assert [each["destination"] for each in (await client.get("/api/v1/destinations")).json["destinations"]] == [ONE]
    assert (await client.get(f"/api/v1/destinations/{theirs}/dead-letters")).status == 404
    assert (await client.request("POST", f"/api/v1/destinations/{theirs}/replay?from=1")).status == 404
    assert (await client.request("POST", f"/api/v1/destinations/{ONE}/replay")).status == 200
