"""The console's form that lets a mail in: it goes the way of /api/v1/inbound, and shows what became of it."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from tests.support.context import NoWakeups
from tests.unit.receiving.counter import HELP, S3, Counter, open_counter
from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import House
from tests.unit.web.test_console import check_harmless, tags_of

from posthouse.web.app import build_app

HOSTILE = "<script>alert(1)</script>"
PATH = "/console/trial"


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    async with open_counter() as counter:
        yield counter


def client(counter: Counter) -> Client:
    house = House(counter.stores, NoWakeups(), counter.clock)
    return Client(build_app(house.context(receiving=lambda: counter.door)))


async def let_in(counter: Counter, **fields: str) -> Answer:
    """The form as a person sends it, while the engine works."""

    async def engine() -> None:
        while True:
            await counter.work()
            await asyncio.sleep(0.005)

    to = client(counter)
    found = tags_of(await to.page(PATH)).found
    token = next(a["value"] for tag, a in found if tag == "input" and a.get("name") == "token") or ""
    working = asyncio.create_task(engine())
    try:
        return await to.form(PATH, {"token": token, **fields})
    finally:
        working.cancel()


def words(answer: Answer) -> str:
    return re.sub(r"\s+", " ", tags_of(answer).words)


async def test_a_composed_mail_is_let_in_and_its_rules_are_told(counter: Counter) -> None:
    await counter.rule(S3, name="keep")
    made = await let_in(
        counter, recipients=f"{HELP} x@far.example", subject=HOSTILE, text=HOSTILE, **{"from": "amy@partner.example"}
    )
    assert made.status == 200
    check_harmless(made)
    assert "refused x@far.example" in words(made)
    assert "done The message" in words(made)
    assert f"keep applies {HELP} S3" in words(made)
    # What was written stands in the form, to be sent again.
    assert [a["value"] for tag, a in tags_of(made).found if a.get("name") == "subject"] == [HOSTILE]


async def test_the_source_of_a_mail_is_let_in_as_it_is(counter: Counter) -> None:
    await counter.rule(S3, name="keep")
    made = await let_in(counter, recipients=HELP, source="Subject: As it is\n\nHello")
    link = next(a["href"] for tag, a in tags_of(made).found if (a.get("href") or "").startswith("/console/messages/"))
    raw = await client(counter).get((link or "").replace("/console/", "/api/v1/") + "/raw")
    assert b"Subject: As it is\r\n\r\nHello" in raw.body


async def test_what_makes_no_mail_is_told_in_the_form(counter: Counter) -> None:
    for fields in ({"recipients": HOSTILE}, {"recipients": ""}, {"recipients": HELP, "client_ip": HOSTILE}):
        refused = await let_in(counter, **fields)
        assert refused.status == 400
        check_harmless(refused)
        assert [a for tag, a in tags_of(refused).found if a.get("role") == "alert"]


async def test_nobody_lets_mail_in_from_another_page(counter: Counter) -> None:
    assert (await client(counter).form(PATH, {"recipients": HELP, "token": "x"})).status == 403


async def test_where_mail_cannot_be_tried_there_is_no_form(counter: Counter) -> None:
    house = House(counter.stores, NoWakeups(), counter.clock)
    assert "Let a mail in" not in (await house.client().page(PATH)).text
