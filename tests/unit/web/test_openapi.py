"""The description is of the API that is served, all of it, and true."""

import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, House
from tests.unit.web.furniture import furnish

from posthouse.domain.events import EventType
from posthouse.domain.identities import Dkim, Identity, Status
from posthouse.domain.messages import RecipientState
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.publications import Routed
from posthouse.ports.topics import Notification
from posthouse.web.openapi import document
from posthouse.web.routes import ADMIN, PREFIX


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(ADMIN, PREFIX, "0.1.0")


def test_the_description_is_valid_openapi(described: dict[str, Any]) -> None:
    validate(described)


def test_every_route_and_parameter_is_described(described: dict[str, Any]) -> None:
    for endpoint in ADMIN:
        operation = described["paths"][PREFIX + endpoint.path][endpoint.method.lower()]
        names = [each["name"] for each in operation["parameters"]]
        assert names == [*re.findall(r"\{(\w+)\}", endpoint.path), *(param.name for param in endpoint.params)]
        assert operation["summary"]
    assert sum(len(operations) for operations in described["paths"].values()) == len(ADMIN)


async def test_every_described_path_is_served(house: House, client: Client, described: dict[str, Any]) -> None:
    for path, operations in described["paths"].items():
        for method in operations:
            concrete = re.sub(r"\{\w+\}", "none", path) + ("?timeout=0" if path.endswith("wait") else "")
            answer = await client.request(method.upper(), concrete)
            assert str(answer.status) in operations[method]["responses"], (method, concrete)


async def test_answers_fit_their_schemas(house: House, client: Client, described: dict[str, Any]) -> None:
    message_id = await house.send_draft(to=("a@x.example", "b@x.example"))
    await house.send_draft()
    detail = {"type": "Permanent", "subtype": "NoEmail", "conversation": ["C: QUIT"]}
    await house.settle(
        message_id, "a@x.example", RecipientState.BOUNCED, EventType.BOUNCE, "550 no", detail, sent=b"A: b\r\n\r\n"
    )
    dkim = Dkim(tokens=("abc",))
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(HOME, "x", Identity(name="x.example", status=Status.SUCCESS, requested_ms=0, dkim=dkim))
    await house.allow("AKIAONE", "s3cret")
    told = Notification(message_id="id", subject=None, message="{}", published_ms=0)
    assert await house.stores.topics.add(HOME.account, "topic", told, create=True)
    await furnish(house, "thing")
    forward = f"forward:{HOME.account}:us-east-1"
    last = await house.stores.events.last_seq()
    publications = house.stores.publications
    assert await publications.route(0, last, [Routed(forward, HOME, last, MessageKey(HOME, message_id))], 0)
    named = {"message_id": message_id, "arn": "topic", "name": "thing", "list": "news", "destination": forward}
    for endpoint in ADMIN:
        if endpoint.method != "GET" or endpoint.answer is None:
            continue
        answer = await client.get(PREFIX + endpoint.path.format(**named))
        assert answer.status == 200, endpoint.path
        schema = {"$ref": f"#/components/schemas/{endpoint.answer.__name__}", "components": described["components"]}
        jsonschema.validate(answer.json, schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("endpoint", ADMIN, ids=lambda each: f"{each.method} {each.path}")
async def test_every_path_refuses_what_it_does_not_know(client: Client, endpoint: Any) -> None:
    path = PREFIX + re.sub(r"\{\w+\}", "none", endpoint.path)
    answer = await client.request(endpoint.method, path + "?surprise=1")
    assert (answer.status, answer.header("content-type")) == (400, "application/problem+json")
    assert answer.json["parameter"] == "surprise"
    answer = await client.request("PATCH", path)
    assert (answer.status, answer.header("content-type")) == (405, "application/problem+json")
    assert endpoint.method in answer.header("allow")


async def test_unknown_paths_are_problems_too(client: Client) -> None:
    for path in ("/api/v1", "/api/v1/", "/api/v1/messages/", "/api/v2/messages", "/api/v1/messages/a/b/c"):
        answer = await client.get(path)
        assert (answer.status, answer.header("content-type")) == (404, "application/problem+json")
        assert answer.json["status"] == 404
