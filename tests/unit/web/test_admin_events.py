"""/api/v1/events as pages and as a stream."""

import asyncio
import json
from typing import Any

from tests.unit.web.asgi_client import Client
from tests.unit.web.conftest import HOME, House

from posthouse.domain.events import Event, EventType


async def log(house: House, *kinds: EventType, message_id: str = "m-1") -> None:
    for kind in kinds:
        event = Event(
            scope=HOME, message_id=message_id, type=kind, at_ms=house.clock.at_ms, recipients=("a@b.example",)
        )
        await house.stores.events.append([event])


async def next_event(chunks: "asyncio.Queue[bytes]") -> dict[str, Any]:
    """The next chunk that is no comment, as its fields."""
    while True:
        chunk = (await asyncio.wait_for(chunks.get(), 5)).decode()
        if not chunk.startswith(":"):
            return dict(line.split(": ", 1) for line in chunk.strip().split("\n"))


async def test_events_are_read_from_a_cursor(house: House, client: Client) -> None:
    await log(house, EventType.SEND, EventType.DELIVERY, EventType.OPEN)
    first = (await client.get("/api/v1/events?limit=2")).json
    assert [each["type"] for each in first["events"]] == ["Send", "Delivery"]
    rest = (await client.get(f"/api/v1/events?after={first['next']}")).json
    assert [each["type"] for each in rest["events"]] == ["Open"]
    assert (await client.get(f"/api/v1/events?after={rest['next']}")).json == {"events": [], "next": rest["next"]}


async def test_events_are_filtered_by_type_and_message(house: House, client: Client) -> None:
    await log(house, EventType.SEND, EventType.RENDERING_FAILURE)
    await log(house, EventType.SEND, message_id="m-2")
    by_type = (await client.get("/api/v1/events?type=Rendering+Failure")).json["events"]
    assert [each["message_id"] for each in by_type] == ["m-1"]
    by_message = (await client.get("/api/v1/events?message_id=m-2")).json["events"]
    assert [each["type"] for each in by_message] == ["Send"]
    assert (await client.get("/api/v1/events?type=send")).status == 400


async def test_a_stream_starts_with_what_comes_next(house: House, client: Client) -> None:
    await log(house, EventType.SEND)
    async with client.stream("/api/v1/events", accept="text/event-stream") as chunks:
        assert (await asyncio.wait_for(chunks.get(), 5)).startswith(b":")
        await log(house, EventType.DELIVERY)
        heard = await next_event(chunks)
    assert heard["event"] == "Delivery"
    assert json.loads(heard["data"])["seq"] == int(heard["id"])


async def test_a_stream_goes_on_after_the_last_event_id(house: House, client: Client) -> None:
    await log(house, EventType.SEND, EventType.DELIVERY)
    last = (await client.get("/api/v1/events?limit=1")).json["next"]
    stream = client.stream("/api/v1/events?after=0", accept="text/event-stream", last_event_id=str(last))
    async with stream as chunks:
        assert (await next_event(chunks))["event"] == "Delivery"


async def test_a_malformed_last_event_id_is_refused(client: Client) -> None:
    for given in ("x", "-1", "1 ", "9" * 30):
        answer = await client.get("/api/v1/events", accept="text/event-stream", last_event_id=given)
        assert answer.status == 400


async def test_an_event_never_breaks_out_of_its_line(house: House, client: Client) -> None:
    nasty = Event(
        scope=HOME,
        message_id="m-1",
        type=EventType.BOUNCE,
        at_ms=1,
        recipients=("a@b.example",),
        detail={"reply": "550 no\r\n\r\nevent: Send\ndata: {}\n\n"},
    )
    await house.stores.events.append([nasty])
    async with client.stream("/api/v1/events?after=0", accept="text/event-stream") as chunks:
        heard = await next_event(chunks)
    assert json.loads(heard["data"])["detail"] == nasty.detail


async def test_streams_end_when_the_process_drains(house: House) -> None:
    closing = asyncio.Event()
    client = house.client(closing=closing)
    streaming = asyncio.ensure_future(client.get("/api/v1/events", accept="text/event-stream"))
    await asyncio.sleep(0.05)
    closing.set()
    answer = await asyncio.wait_for(streaming, 5)
    assert answer.status == 200
    assert answer.header("content-type").startswith("text/event-stream")


async def test_too_many_streams_are_refused(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr("posthouse.web.taps.STREAMS", 1)
    client = house.client()
    async with client.stream("/api/v1/events", accept="text/event-stream") as chunks:
        await asyncio.wait_for(chunks.get(), 5)
        answer = await client.get("/api/v1/events", accept="text/event-stream")
        assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert (await client.get("/api/v1/messages/wait?timeout=0")).status == 408


async def test_the_console_hears_of_new_mail(house: House, client: Client) -> None:
    async with client.stream("/console/live") as chunks:
        await asyncio.wait_for(chunks.get(), 5)
        await asyncio.sleep(0.05)
        await house.send(b"Subject: x\r\n\r\n")
        assert (await next_event(chunks))["event"] == "change"
