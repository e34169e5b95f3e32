"""Mail to a list from the call to the bytes that leave: who gets a way out, and that it is signed."""

import base64
import re

import pytest
from tests.support.context import Callers, Ses, open_ses
from tests.support.preparing import preparing

from posthouse.delivery.prepare import Origin
from posthouse.delivery.prepared import Prepared
from posthouse.delivery.unsubscribing import UnsubscribeLinks
from posthouse.domain.mailing_lists import MailingList
from posthouse.mail.tracking_tokens import TrackedMail, TrackingTokens, WayOut
from posthouse.model.errors import InvalidParameterValue

TOKENS = TrackingTokens(lambda: b"k" * 32)
ORIGIN = Origin("posthouse.test", "127.0.0.1", None, UnsubscribeLinks(TOKENS, "https://mail.example.org/base/"))
LINK = re.compile(rb"List-Unsubscribe: <https://mail\.example\.org/base/u/([A-Za-z0-9_-]+)>\r\n")


async def send(ses: Ses, *to: str, options: str = "news; topic=offers", more: str = "") -> str:
    await ses.call("VerifyDomainDkim", Domain="example.com")
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    raw = (
        f"From: ann@example.com\r\nTo: {', '.join(to)}\r\nX-SES-LIST-MANAGEMENT-OPTIONS: {options}\r\n{more}"
        "Content-Type: text/plain\r\n\r\nOut: {{amazonSESUnsubscribeUrl}}\r\n"
    )
    answer = await ses.call("SendRawEmail", RawMessage__Data=base64.b64encode(raw.encode()).decode())
    return str(answer.message_id)


async def left(ses: Ses, origin: Origin = ORIGIN) -> bytes:
    async with preparing(ses, origin=origin) as prepare:
        [claimed] = await ses.ctx.stores.queue.claim("w", ses.clock.now_ms(), 1000, 10)
        made = await prepare(claimed)
        assert isinstance(made, Prepared)
        assert b"X-SES-LIST" not in made.content
        return made.content


async def test_the_one_reader_gets_a_link_that_names_him() -> None:
    async with open_ses() as ses:
        message_id = await send(ses, "Dana@mail.example")
        content = await left(ses)
        found = LINK.search(content)
        assert found is not None
        token = found[1].decode()
        mail = TrackedMail(scope=Callers.ANN.scope, message_id=message_id, configuration_set="")
        assert TOKENS.read_leaving(token) == WayOut(
            mail=mail, list_name="news", topic="offers", address="dana@mail.example"
        )
        assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content
        assert content.endswith(b"Out: https://mail.example.org/base/u/" + found[1] + b"\r\n")
        signed = re.search(rb"h=([^;]+);", content)
        assert signed is not None
        names = {name.strip().lower() for name in signed[1].split(b":")}
        assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= names, "RFC 8058 section 4"


async def test_several_readers_get_none() -> None:
    async with open_ses() as ses:
        message_id = await send(ses, "dana@mail.example", "eli@mail.example")
        content = await left(ses)
        assert b"List-Unsubscribe" not in content
        assert b"{{amazonSESUnsubscribeUrl}}" in content
        stored = await ses.ctx.stores.messages.get(Callers.ANN.scope, message_id)
        assert stored is not None
        assert stored.facts.mailing_list == MailingList("news", "offers")


async def test_without_a_public_address_there_is_no_link() -> None:
    async with open_ses() as ses:
        await send(ses, "dana@mail.example")
        assert b"List-Unsubscribe" not in await left(ses, Origin("posthouse.test", "127.0.0.1"))


async def test_options_that_cannot_be_read_are_refused() -> None:
    async with open_ses() as ses:
        with pytest.raises(InvalidParameterValue, match="X-SES-LIST-MANAGEMENT-OPTIONS"):
            await send(ses, "dana@mail.example", options="two lists")
