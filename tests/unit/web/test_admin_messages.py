"""/api/v1/messages on real stores."""

import asyncio

from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import HOME, House

from posthouse.domain.events import EventType
from posthouse.domain.messages import RecipientState
from posthouse.domain.scope import Scope

RAW = (
    b"From: Shop <orders@shop.example>\r\nTo: dana@mail.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain words\r\n"
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>rich words</p>\r\n"
    b'--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename="../../e\xc3\xa9 \\"x.html"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nPHNjcmlwdD4=\r\n--b--\r\n"
)


def ids(answer: Answer) -> list[str]:
    return [each["message_id"] for each in answer.json["messages"]]


async def test_messages_are_listed_newest_first(house: House, client: Client) -> None:
    sent = [await house.send(RAW) for _ in range(3)]
    answer = await client.get("/api/v1/messages")
    assert answer.status == 200
    assert ids(answer) == sent[::-1]
    assert answer.json["next"] is None


async def test_pages_follow_each_other_without_gap_or_repetition(house: House, client: Client) -> None:
    sent = [await house.send(RAW) for _ in range(5)]
    found: list[str] = []
    after = ""
    while after is not None:
        page = await client.get(f"/api/v1/messages?limit=2&after={after}")
        found += ids(page)
        after = page.json["next"]
    assert found == sent[::-1]


async def test_filters_narrow_the_list(house: House, client: Client) -> None:
    plain = await house.send(RAW, subject="Invoice 7", to=("dana@mail.example",))
    other = await house.send(RAW, subject="Welcome", to=("leo@mail.example", "x@y.example"))
    inbound = await house.receive(RAW, subject="Re: hello")
    await house.settle(plain, "dana@mail.example", RecipientState.DELIVERED, EventType.DELIVERY, "250 ok")

    async def found(query: str) -> set[str]:
        return set(ids(await client.get(f"/api/v1/messages?{query}")))

    assert await found("recipient=LEO@mail.example") == {other}
    assert await found("subject=invoice") == {plain}
    assert await found("status=delivered") == {plain}
    assert await found("status=queued") == {other}
    assert await found("direction=in") == {inbound}
    assert await found("direction=out&recipient=&subject=&sender=&status=&since=") == {plain, other}
    assert await found("sender=orders@shop.example") == {plain, other}
    assert await found("since=2099-01-01") == set()
    assert await found("account=210987654321") == set()
    assert await found("region=us-east-1") == {plain, other, inbound}


async def test_a_message_tells_everything_that_is_known_of_it(house: House, client: Client) -> None:
    message_id = await house.send(RAW, tags=(("campaign", "spring"),), configuration_set="news")
    detail = (await client.get(f"/api/v1/messages/{message_id}")).json
    assert detail["text"] == "plain words"
    assert detail["html"] == "<p>rich words</p>"
    assert {"name": "Subject", "value": "Grüße"} in detail["headers"]
    assert detail["tags"] == [{"name": "campaign", "value": "spring"}]
    assert detail["configuration_set"] == "news"
    assert detail["envelope"] == {"mail_from": "orders@shop.example", "recipients": ["dana@mail.example"]}
    assert detail["content_stage"] == "accepted"
    assert detail["status"] == "queued"
    assert [step["title"] for step in detail["timeline"]] == ["Accepted", "In the queue"]
    assert detail["why"].startswith("It waits for its first attempt to dana@mail.example")
    (attachment,) = detail["attachments"]
    assert attachment["size"] == 8


async def test_a_draft_is_shown_before_it_is_composed(house: House, client: Client) -> None:
    message_id = await house.send_draft(subject="Soon")
    detail = (await client.get(f"/api/v1/messages/{message_id}")).json
    assert (detail["content_stage"], detail["text"], detail["html"]) == ("draft", "plain words", "<p>rich words</p>")
    assert {"name": "Subject", "value": "Soon"} in detail["headers"]
    assert (await client.get(f"/api/v1/messages/{message_id}/raw")).status == 404


async def test_raw_is_the_exact_bytes_that_left(house: House, client: Client) -> None:
    message_id = await house.send_draft()
    left = b"DKIM-Signature: v=1\r\n" + RAW + b"\x00\xff no line end"
    await house.settle(
        message_id, "dana@mail.example", RecipientState.DELIVERED, EventType.DELIVERY, "250 ok", sent=left
    )
    answer = await client.get(f"/api/v1/messages/{message_id}/raw")
    assert answer.body == left
    assert answer.header("content-type") == "message/rfc822"
    assert answer.header("content-disposition").startswith("attachment;")
    assert (await client.get(f"/api/v1/messages/{message_id}")).json["content_stage"] == "sent"


async def test_attachments_are_served_as_octets_under_a_harmless_name(house: House, client: Client) -> None:
    message_id = await house.send(RAW)
    (attachment,) = (await client.get(f"/api/v1/messages/{message_id}")).json["attachments"]
    answer = await client.get(attachment["url"])
    assert answer.body == b"<script>"
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("x-content-type-options") == "nosniff"
    disposition = answer.header("content-disposition")
    assert disposition.startswith('attachment; filename="')
    assert "/" not in disposition
    assert disposition.count('"') == 2


async def test_parts_that_are_no_attachments_are_not_served(house: House, client: Client) -> None:
    message_id = await house.send(RAW)
    for part in ("0", "9.9", "x", "1.1.1.1.1.1.1", "%2e%2e"):
        assert (await client.get(f"/api/v1/messages/{message_id}/attachments/{part}")).status == 404


async def test_a_message_that_does_not_exist_is_404(client: Client) -> None:
    for message_id in ("nope", "a" * 129, "x y", "..", "a\u0000b"):
        answer = await client.get(f"/api/v1/messages/{message_id}")
        assert answer.status == 404
        assert answer.header("content-type") == "application/problem+json"


async def test_deleting_all_keeps_what_is_queued(house: House, client: Client) -> None:
    done = await house.send(RAW, scope=HOME)
    await house.settle(done, "dana@mail.example", RecipientState.DELIVERED, EventType.DELIVERY, "250 ok")
    queued = await house.send(RAW, scope=Scope("210987654321", "eu-west-1"))
    inbound = await house.receive(RAW, scope=Scope("210987654321", "eu-west-2"))
    answer = await client.request("DELETE", "/api/v1/messages")
    assert answer.json == {"deleted": 2}
    assert ids(await client.get("/api/v1/messages")) == [queued]
    assert inbound


async def test_deleting_all_of_one_account_leaves_the_others(house: House, client: Client) -> None:
    mine = await house.receive(RAW)
    other = await house.receive(RAW, scope=Scope("210987654321", "eu-west-1"))
    await client.request("DELETE", "/api/v1/messages?account=210987654321&region=eu-west-1")
    assert ids(await client.get("/api/v1/messages")) == [mine]
    assert (await client.get(f"/api/v1/messages/{other}")).status == 404


async def test_one_message_is_deleted_unless_it_is_queued(house: House, client: Client) -> None:
    queued, inbound = await house.send(RAW), await house.receive(RAW)
    assert (await client.request("DELETE", f"/api/v1/messages/{queued}")).status == 409
    assert (await client.request("DELETE", f"/api/v1/messages/{inbound}")).status == 204
    assert (await client.request("DELETE", f"/api/v1/messages/{inbound}")).status == 404


async def test_waiting_answers_at_once_with_what_is_already_there(house: House, client: Client) -> None:
    message_id = await house.send(RAW, to=("dana@mail.example",))
    answer = await client.get("/api/v1/messages/wait?recipient=dana@mail.example&timeout=0")
    assert (answer.status, answer.json["message_id"], answer.json["text"]) == (200, message_id, "plain words")


async def test_waiting_answers_when_a_match_arrives(house: House, client: Client) -> None:
    await house.send(RAW, subject="another")
    waiting = asyncio.ensure_future(client.get("/api/v1/messages/wait?subject=code&timeout=10"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    message_id = await house.send(RAW, subject="Your code is 1234")
    assert (await asyncio.wait_for(waiting, 5)).json["message_id"] == message_id


async def test_waiting_finds_a_match_though_its_wake_up_was_lost(house: House, client: Client) -> None:
    waiting = asyncio.ensure_future(client.get("/api/v1/messages/wait?subject=code&timeout=10"))
    await asyncio.sleep(0.05)
    house.wakeups.events.clear()
    message_id = await house.send(RAW, subject="code")
    assert (await asyncio.wait_for(waiting, 5)).json["message_id"] == message_id


async def test_waiting_in_vain_is_a_408_problem(client: Client) -> None:
    answer = await client.get("/api/v1/messages/wait?recipient=nobody@x.example&timeout=0")
    assert (answer.status, answer.header("content-type")) == (408, "application/problem+json")
    assert (await client.get("/api/v1/messages/wait?timeout=61")).status == 400


async def test_waiting_ends_when_the_process_drains(house: House) -> None:
    closing = asyncio.Event()
    waiting = asyncio.ensure_future(house.client(closing=closing).get("/api/v1/messages/wait?timeout=60"))
    await asyncio.sleep(0.05)
    closing.set()
    assert (await asyncio.wait_for(waiting, 5)).status == 503
