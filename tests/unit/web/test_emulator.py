"""``/_aws/ses`` as tests for local emulators read it."""

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import House

from posthouse.domain.messages import FORWARDED

RAW = "From: a@b.example\r\nSubject: Grüße\r\n\r\nhi\r\n".encode()


async def test_sent_messages_have_the_customary_shape_oldest_first(house: House, client: Client) -> None:
    drafted = await house.send_draft(subject="Parts")
    raw = await house.send(RAW, source="a@b.example")
    await house.receive(RAW)
    first, second = (await client.get("/_aws/ses")).json["messages"]
    assert first == {
        "Id": drafted,
        "Region": "us-east-1",
        "Timestamp": "2026-11-23T09:10:00",
        "Source": "Shop <orders@shop.example>",
        "Destination": {"ToAddresses": ["dana@mail.example"]},
        "Subject": "Parts",
        "Body": {"text_part": "plain words", "html_part": "<p>rich words</p>"},
    }
    assert second == {
        "Id": raw,
        "Region": "us-east-1",
        "Timestamp": "2026-11-23T09:10:00",
        "Source": "a@b.example",
        "RawData": RAW.decode(),
    }


async def test_feedback_is_nothing_that_somebody_sent(house: House, client: Client) -> None:
    sent = await house.send(RAW)
    feedback = await house.send(RAW, operation=FORWARDED, system=True)
    assert [each["Id"] for each in (await client.get("/_aws/ses")).json["messages"]] == [sent]
    assert (await client.get(f"/_aws/ses?id={feedback}")).json["messages"] == []


async def test_id_and_email_narrow_the_list(house: House, client: Client) -> None:
    first, second = await house.send(RAW, source="a@b.example"), await house.send(RAW)

    async def found(query: str) -> list[str]:
        return [each["Id"] for each in (await client.get(f"/_aws/ses?{query}")).json["messages"]]

    assert await found(f"id={first}") == [first]
    assert await found("email=a@b.example") == [first]
    assert await found("email=orders@shop.example") == [second]
    assert await found(f"id={first}&email=other@b.example") == []
    assert await found("id=none") == []


async def test_deleting_is_answered_without_content(house: House, client: Client) -> None:
    first, second = await house.receive(RAW), await house.receive(RAW)
    one = await client.request("DELETE", f"/_aws/ses?id={first}")
    assert (one.status, one.body) == (204, b"")
    assert (await client.get(f"/api/v1/messages/{first}")).status == 404
    assert (await client.request("DELETE", "/_aws/ses?id=none")).status == 204
    assert (await client.request("DELETE", "/_aws/ses")).status == 204
    assert (await client.get(f"/api/v1/messages/{second}")).status == 404
