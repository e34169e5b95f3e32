"""E-mail templates in the admin API."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import HOME, House
from tests.unit.web.furniture import furnish

from posthouse.domain.scope import Scope

AT = "/api/v1/templates"
OTHER = Scope("210987654321", "us-east-1")


async def preview(client: Client, name: str, body: Any, content_type: str = "application/json") -> Answer:
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.request("POST", f"{AT}/{name}/preview", given, {"content-type": content_type})


async def test_templates_are_listed_and_shown_with_their_parts(house: House, client: Client) -> None:
    await furnish(house, "welcome")
    [row] = (await client.get(AT)).json["templates"]
    assert (row["name"], row["account"]) == ("welcome", HOME.account)
    shown = (await client.get(f"{AT}/welcome")).json
    assert (shown["subject"], shown["text"], shown["html"]) == ("Hi {{who}} word", "word", "<p>{{who}}</p>word")
    assert (await client.get(f"{AT}/none")).status == 404


async def test_a_template_is_tried_with_data(house: House, client: Client) -> None:
    await furnish(house, "welcome")
    made = await preview(client, "welcome", {"data": {"who": "<Ann>"}})
    assert made.json == {"subject": "Hi <Ann> word", "text": "word", "html": "<p><Ann></p>word", "error": None}
    failed = await preview(client, "welcome", {"data": {}})
    assert (failed.status, failed.json["subject"], failed.json["html"]) == (200, None, None)
    assert "who" in failed.json["error"]
    assert (await preview(client, "none", {"data": {}})).status == 404


@pytest.mark.parametrize("body", [b"", b"{", {}, {"data": "x"}, {"data": []}, {"data": {}, "more": 1}, b"\xff"])
async def test_what_is_no_data_is_refused(house: House, client: Client, body: Any) -> None:
    await furnish(house, "welcome")
    assert (await preview(client, "welcome", body)).status == 400
    assert (await preview(client, "welcome", {"data": {}}, "text/plain")).status == 415


async def test_a_name_may_hold_a_slash(house: House, client: Client) -> None:
    await furnish(house, "a/preview")
    # A server hands paths on decoded.
    assert (await client.get(f"{AT}/a/preview")).json["name"] == "a/preview"
    assert (await preview(client, "a/preview", {"data": {"who": "x"}})).json["error"] is None


async def test_who_is_signed_in_sees_his_own_account(house: House) -> None:
    await furnish(house, "mine")
    await furnish(house, "theirs", OTHER)
    await house.allow("AKIAONE", "s3cret")
    client = house.client(login_required=True).with_headers(authorization="Basic QUtJQU9ORTpzM2NyZXQ=")
    assert [each["name"] for each in (await client.get(AT)).json["templates"]] == ["mine"]
    assert (await client.get(f"{AT}/theirs")).status == 404
    assert (await client.get(f"{AT}/theirs?account={OTHER.account}")).status == 403
    assert (await preview(client, f"theirs/preview?account={OTHER.account}&x={quote('/')}", {})).status == 400
    assert (await preview(client, "theirs", {"data": {}})).status == 404
