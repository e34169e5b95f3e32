"""Verification links at the web door."""

import pytest
from tests.unit.web.asgi_client import Answer
from tests.unit.web.conftest import HOME, House

from posthouse.domain.identities import Status, asked_to_verify
from posthouse.domain.verification import LINK_LIFE_MS, Link, VerificationTemplate, token_of, with_link

KEY = b"a key for links"
ADDRESS = "dana@mail.example"
TEMPLATE = VerificationTemplate(
    from_address="a@b.example",
    subject="Hi",
    success_url="https://x.example/ok;1?a=<b>#é",
    failure_url="https://x.example/no",
)


async def asked(house: House, template: str = "") -> str:
    """The path of a link that waits to be followed."""
    identity = with_link(asked_to_verify(None, ADDRESS, house.clock.at_ms), house.clock.at_ms)
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(HOME, ADDRESS, identity)
        await tx.verification_templates.put(HOME, "Welcome", TEMPLATE)
    return "/verify/" + token_of(Link(*HOME, ADDRESS, identity.link_ms, template), KEY)


async def status(house: House) -> Status | None:
    async with house.stores.records.reading() as reading:
        identity = await reading.identities.get(HOME, ADDRESS)
    return identity and identity.status


def is_page(answer: Answer, words: str) -> bool:
    safe = "default-src 'none'" in answer.header("content-security-policy")
    assert "script-src" not in answer.header("content-security-policy")
    assert answer.header("x-robots-tag") == "noindex"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cache-control") == "no-store"
    return safe and words in answer.text


@pytest.mark.parametrize("strict", [False, True])
async def test_opening_the_link_verifies_without_a_login(house: House, strict: bool) -> None:
    client = house.client(login_required=strict)
    path = await asked(house)
    answer = await client.with_headers(host="mail.example.org").page(path)
    assert answer.status == 200
    assert is_page(answer, "Your address is verified")
    assert ADDRESS in answer.text
    assert await status(house) is Status.SUCCESS


async def test_the_second_time_says_that_it_is_done(house: House) -> None:
    client, path = house.client(), await asked(house)
    await client.get(path)
    again = await client.get(path)
    assert again.status == 410
    assert is_page(again, "verified already")


async def test_head_changes_nothing(house: House) -> None:
    client, path = house.client(), await asked(house)
    assert (await client.request("HEAD", path)).status == 200
    assert await status(house) is Status.PENDING
    assert (await client.get(path)).status == 200


async def test_only_get_opens_a_link(house: House) -> None:
    assert (await house.client().request("POST", await asked(house))).status == 405
    assert await status(house) is Status.PENDING


async def test_an_edited_link_is_dead(house: House) -> None:
    client, path = house.client(), await asked(house)
    start = len("/verify/")
    edits = [path[:at] + ("A" if path[at] != "A" else "B") + path[at + 1 :] for at in range(start, len(path), 7)]
    edits += [path + "=", path + "A", path[:-1], path[:start], path + "/", path + "%20", "/verify/%" + path[start:]]
    edits += [f"/verify/%{ord(path[start]):02x}{path[start + 1 :]}", path + "?x=1", "/verify/" + "é" * 60]
    for edited in edits:
        answer = await client.get(edited)
        assert answer.status in (400, 404), edited
    assert await status(house) is Status.PENDING


async def test_an_expired_link_is_gone(house: House) -> None:
    client, path = house.client(), await asked(house)
    house.clock.at_ms += LINK_LIFE_MS
    answer = await client.get(path)
    assert answer.status == 410
    assert is_page(answer, "expired")
    assert await status(house) is Status.PENDING


async def test_a_replaced_link_is_gone(house: House) -> None:
    client, path = house.client(), await asked(house)
    house.clock.at_ms += 1
    await asked(house)
    answer = await client.get(path)
    assert answer.status == 410
    assert is_page(answer, "works no more")


async def test_a_custom_mails_link_leads_on_to_the_accounts_pages(house: House) -> None:
    client, path = house.client(), await asked(house, "Welcome")
    answer = await client.get(path)
    assert (answer.status, answer.header("location")) == (302, "https://x.example/ok;1?a=<b>#%C3%A9")
    assert await status(house) is Status.SUCCESS
    answer = await client.get(path)
    assert (answer.status, answer.header("location")) == (302, "https://x.example/no")


async def test_a_forged_custom_link_leads_nowhere(house: House) -> None:
    answer = await house.client().get((await asked(house, "Welcome"))[:-2])
    assert (answer.status, answer.header("location")) == (404, "")
    assert is_page(answer, "not one of ours")


async def test_an_address_is_text_on_the_page(house: House) -> None:
    name = '"<script>alert(1)</script>"@x.example'
    identity = with_link(asked_to_verify(None, name, house.clock.at_ms), house.clock.at_ms)
    async with house.stores.records.transaction() as tx:
        await tx.identities.put(HOME, name, identity)
    answer = await house.client().get("/verify/" + token_of(Link(*HOME, name, identity.link_ms), KEY))
    assert answer.status == 200
    assert "<script" not in answer.text
