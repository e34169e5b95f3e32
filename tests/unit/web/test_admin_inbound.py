"""POST /api/v1/inbound: mail is judged as at the SMTP door, and its rules are told one by one."""

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
import pytest
from tests.support.context import Callers, NoWakeups
from tests.unit.receiving.counter import ANN, HELP, MAIL, S3, SALES, SNS, STOP, Counter, open_counter
from tests.unit.web.asgi_client import Answer, Client
from tests.unit.web.conftest import House

from posthouse.ports.credentials import Credential
from posthouse.ports.objects import WriteFailed
from posthouse.receiving.accept import ReceivingContext
from posthouse.web.app import build_app

RAW = {"content-type": "message/rfc822"}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    async with open_counter() as counter:
        yield counter


def client(counter: Counter, **changes: Any) -> Client:
    house = House(counter.stores, NoWakeups(), counter.clock)
    return Client(build_app(house.context(receiving=lambda: counter.door, **changes)))


async def post(
    counter: Counter, body: bytes, given: dict[str, str] = RAW, to: Client | None = None, **query: str
) -> Answer:
    async def engine() -> None:
        while True:
            await counter.work()
            await asyncio.sleep(0.005)

    working = asyncio.create_task(engine())
    try:
        target = f"/api/v1/inbound?{urlencode(query)}"
        return await (to or client(counter)).request("POST", target, body, given)
    finally:
        working.cancel()


async def trial(counter: Counter, body: bytes = MAIL, given: dict[str, str] = RAW, **query: str) -> dict[str, Any]:
    answer = await post(counter, body, given, **{"rcpt_to": HELP, "mail_from": "amy@partner.example", **query})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def test_the_answer_tells_rule_by_rule_what_was_done(counter: Counter) -> None:
    await counter.rule(S3, name="keep")
    await counter.rule(SNS, name="sales", after="keep", Recipients__member__1=SALES)
    await counter.rule(STOP, name="end", after="sales")
    found = await trial(counter)
    assert found["refused"] == []
    [message] = found["messages"]
    message_id = message["message_id"]
    assert (message["account"], message["region"], message["done"]) == (*ANN.scope, True)
    assert message["rule_set"] == "inbound"
    assert message["rules"] == [
        {"rule": "keep", "outcome": "applies", "recipients": [HELP]},
        {"rule": "sales", "outcome": "matches no recipient", "recipients": []},
        {"rule": "end", "outcome": "applies", "recipients": [HELP]},
    ]
    assert message["verdicts"]["spf"] == "PASS"
    assert [(each["rule"], each["action"], each["result"], each["text"]) for each in message["actions"]] == [
        ("keep", "S3", "done", f"written to s3://mail/{message_id}"),
        ("end", "Stop", "done", "no rule after this one is applied"),
    ]
    assert counter.objects.written["mail", message_id].endswith(MAIL)


async def test_recipients_are_answered_as_at_the_smtp_door(counter: Counter) -> None:
    await counter.rule(S3, Recipients__member__1=HELP, TlsPolicy="Require")
    found = await trial(counter, rcpt_to=f"{HELP}, x@nowhere.example", tls="1")
    assert found["refused"] == [{"recipient": "x@nowhere.example", "reply": "550 5.1.1 mailbox unavailable"}]
    assert len(found["messages"]) == 1
    found = await trial(counter)
    assert found["refused"] == [{"recipient": HELP, "reply": "530 5.7.0 Must issue a STARTTLS command first"}]
    assert found["messages"] == []


async def test_the_clients_address_and_name_are_as_given(counter: Counter) -> None:
    await counter.rule(S3)
    block = {"Filter.Name": "f", "Filter.IpFilter.Policy": "Block", "Filter.IpFilter.Cidr": "198.51.100.0/24"}
    await counter.ses.call("CreateReceiptFilter", **block)
    found = await trial(counter, client_ip="198.51.100.9")
    assert found["refused"][0]["reply"].startswith("550 5.7.1")
    await trial(counter, client_ip="203.0.113.4", helo="mx.partner.example")
    [(_, mail, _)] = counter.inspector.looked
    assert (mail.client_ip, mail.helo, mail.mail_from) == ("203.0.113.4", "mx.partner.example", "amy@partner.example")


async def test_what_is_still_to_be_tried_again_is_told_when_time_is_over(counter: Counter) -> None:
    await counter.rule(S3)
    counter.objects.refusals["mail"] = WriteFailed("down")
    found = await trial(counter, timeout="0")
    [message] = found["messages"]
    assert message["done"] is False
    found = await trial(counter, timeout="1")
    [action] = found["messages"][0]["actions"]
    assert action["result"] == "to be tried again"
    assert action["again_at"] > action["at"]


async def test_a_mail_from_its_parts(counter: Counter) -> None:
    await counter.rule(S3)
    given = {
        "from": "Jürgen <j@partner.example>",
        "to": [f"Help <{HELP}>"],
        "cc": ["Else <x@elsewhere.example>"],
        "subject": "Grüße",
        "text": "Wo ist es?",
        "html": "<p>Wo ist es?</p>",
        "headers": [{"name": "X-Order", "value": "4711"}],
    }
    answer = await post(counter, json.dumps(given).encode(), JSON)
    assert answer.status == 200, answer.body
    found = json.loads(answer.body)
    assert [each["recipient"] for each in found["refused"]] == ["x@elsewhere.example"]
    [content] = counter.objects.written.values()
    assert content.startswith(b"Return-Path: <j@partner.example>\r\n")
    read = cast(EmailMessage, email.message_from_bytes(content, policy=email.policy.default))
    text, html = read.get_body(("plain",)), read.get_body(("html",))
    assert text is not None
    assert html is not None
    assert (read["subject"], text.get_content(), html.get_content()) == ("Grüße", "Wo ist es?", "<p>Wo ist es?</p>")
    assert b"\r\nX-Order: 4711\r\n" in content
    assert b"\r\nDate: " in content


async def test_bare_newlines_become_those_of_mail(counter: Counter) -> None:
    await counter.rule(S3)
    await trial(counter, b"Subject: x\n\nbody\n")
    [content] = counter.objects.written.values()
    assert content.endswith(b"Subject: x\r\n\r\nbody\r\n")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"rcpt_to": ""}, "rcpt_to"),
        ({"rcpt_to": "no-address"}, "rcpt_to"),
        ({"rcpt_to": "a@b> SIZE=1"}, "rcpt_to"),
        ({"rcpt_to": "a\r\n@b.example"}, "rcpt_to"),
        ({"rcpt_to": ",".join(f"a{n}@b.co" for n in range(101))}, "rcpt_to"),
        ({"mail_from": "a b@c"}, "mail_from"),
        ({"client_ip": "localhost"}, "client_ip"),
        ({"helo": "a b"}, "helo"),
        ({"rcpt": HELP}, "rcpt"),
    ],
)
async def test_what_is_no_envelope(counter: Counter, query: dict[str, str], parameter: str) -> None:
    answer = await post(counter, MAIL, **{"rcpt_to": HELP, **query})
    assert answer.status == 400
    assert json.loads(answer.body)["parameter"] == parameter


@pytest.mark.parametrize(
    ("body", "given", "status"),
    [
        (MAIL, {"content-type": "text/plain"}, 415),
        (b"{}", JSON, 400),
        (b'{"from": "a@b.example", "to": ["c@d.example"], "colour": 1}', JSON, 400),
        (b'{"from":"a@b.example","to":["c@d.example"],"headers":[{"name":"X: y\\r\\nZ","value":"1"}]}', JSON, 400),
        (b'{"from": "a\\u00fc@b.example", "to": ["c@d.example"]}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"x" * 2000, RAW, 413),
    ],
)
async def test_what_is_no_mail(counter: Counter, body: bytes, given: dict[str, str], status: int) -> None:
    most = 1000 if status == 413 else 10**6
    answer = await post(counter, body, given, client(counter, max_inbound=most), rcpt_to=HELP)
    assert answer.status == status


async def test_header_values_stay_in_their_field(counter: Counter) -> None:
    await counter.rule(S3)
    given = {"from": "a@b.example", "to": [HELP], "headers": [{"name": "X-A", "value": "1\r\nX-B: 2"}]}
    await post(counter, json.dumps(given).encode(), JSON)
    [content] = counter.objects.written.values()
    assert b"\r\nX-B" not in content


async def test_larger_bodies_are_for_this_path_alone(counter: Counter) -> None:
    await counter.rule(S3)
    found = await trial(counter, MAIL + b"x" * 100_000)
    assert found["messages"][0]["done"] is True
    answer = await client(counter).request(
        "POST", "/api/v1/topics/x/subscriptions", b" " * 100_000, {**JSON, "content-length": "100000"}
    )
    assert answer.status == 413


async def test_an_account_lets_mail_in_for_itself_alone(counter: Counter) -> None:
    await counter.rule(S3)
    bob = Credential(access_key="AKIABOB", secret_key="bobs", account=Callers.BOB.scope.account, console=True)
    ann = Credential(access_key="AKIAANN", secret_key="anns", account=ANN.scope.account, console=True)
    for each in (ann, bob):
        await counter.stores.credentials.add(each, counter.clock.now_ms())
    strict = client(counter, login_required=True)
    answer = await post(counter, MAIL, to=strict, rcpt_to=HELP)
    assert answer.status == 401
    for login, count in (("QUtJQUJPQjpib2Jz", 0), ("QUtJQUFOTjphbm5z", 1)):
        answer = await post(counter, MAIL, {**RAW, "authorization": f"Basic {login}"}, strict, rcpt_to=HELP)
        assert answer.status == 200
        found = json.loads(answer.body)
        assert (len(found["messages"]), len(found["refused"])) == (count, 1 - count)


async def test_where_nothing_can_be_tried(counter: Counter) -> None:
    house = House(counter.stores, NoWakeups(), counter.clock)
    answer = await post(counter, MAIL, to=house.client(), rcpt_to=HELP)
    assert answer.status == 404


async def test_rules_that_change_meanwhile_are_told_to_come_again(counter: Counter) -> None:
    await counter.rule(S3)
    judge, judged = counter.door.recipients.judge, 0

    class Fickle:
        def __getattr__(self, name: str) -> Any:
            return getattr(counter.door.recipients, name)

        async def judge(self, *given: Any) -> Any:
            nonlocal judged
            judged += 1
            if judged == 2:
                await counter.ses.call("DeleteReceiptRule", RuleSetName="inbound", RuleName="first")
            return await judge(*given)

    door: ReceivingContext = replace(counter.door, recipients=Fickle())  # type: ignore[arg-type]
    house = House(counter.stores, NoWakeups(), counter.clock)
    answer = await post(counter, MAIL, to=house.client(receiving=lambda: door), rcpt_to=HELP)
    assert answer.status == 503


async def test_the_timeline_of_a_mail_shows_its_rules_and_actions(counter: Counter) -> None:
    await counter.rule(S3)
    counter.objects.refusals["mail"] = WriteFailed("down")
    found = await trial(counter, timeout="1")
    message_id = found["messages"][0]["message_id"]
    shown = msgspec.json.decode((await client(counter).get(f"/api/v1/messages/{message_id}")).body)
    steps = [(each["title"], each["tone"], each["text"]) for each in shown["timeline"]]
    assert steps[1] == ("Taken in", "plain", "Rule set inbound: first applies.")
    assert steps[2] == ("S3: to be tried again", "waiting", "The bucket mail took nothing: down.")
    assert "the action S3 of rule first will be tried again: the bucket mail took nothing: down" in shown["why"]
    assert {"name": "SPF", "value": "PASS"} in shown["timeline"][1]["facts"]
