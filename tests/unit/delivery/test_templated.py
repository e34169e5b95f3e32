"""Templated mail on its way: rendered behind the queue, from the content it was accepted with, or told why not."""

from email import message_from_bytes
from email.policy import default

import pytest
from tests.support.context import Callers, Ses, open_ses
from tests.support.preparing import preparing
from tests.unit.operations.test_templated_sending import CONTENT, ready, send

from posthouse.delivery.captured import CapturedMessages
from posthouse.delivery.prepared import Prepared, Refused
from posthouse.domain.events import EventType
from posthouse.domain.templates import TemplateContent
from posthouse.ports.mailstore import ClaimedMessage
from posthouse.submission.template_contents import TemplateContents

SCOPE = Callers.ANN.scope


async def claimed(ses: Ses) -> ClaimedMessage:
    [message] = await ses.ctx.stores.queue.claim("me", ses.clock.now_ms(), 1000, 10)
    return message


@pytest.mark.parametrize("all_captured", [False, True])
async def test_a_template_is_rendered_into_the_mail_that_leaves(all_captured: bool) -> None:
    async with open_ses() as ses, preparing(ses, all_captured) as prepare:
        await ready(ses)
        await send(ses, TemplateData='{"name": "Zoë\\nX"}', ReplyToAddresses__member__1="reply@example.org")
        made = await prepare(await claimed(ses))
    assert isinstance(made, Prepared)
    mail = message_from_bytes(made.content, policy=default)
    assert mail["subject"] == "Hello Zoë X", "one line"
    assert (mail["from"], mail["to"], mail["reply-to"]) == (
        "Ann <ann@example.com>",
        "bob@example.net",
        "reply@example.org",
    )
    text, html = mail.iter_parts()
    assert text.get_content().split() == ["Dear", "Zoë", "X"]
    assert html.get_content().split() == ["<p>Zoë", "X</p>"]


async def test_a_template_that_changes_afterwards_changes_no_accepted_mail() -> None:
    async with open_ses() as ses, preparing(ses) as prepare:
        await ready(ses)
        await send(ses)
        await ready(ses, TemplateContent(subject="Other", text="other", html=None))
        made = await prepare(await claimed(ses))
    assert isinstance(made, Prepared)
    assert b"Subject: Hello Bob\r\n" in made.content


async def test_what_the_data_does_not_fill_is_a_rendering_failure() -> None:
    async with open_ses() as ses, preparing(ses) as prepare:
        await ready(ses)
        await send(ses, TemplateData="{}", Destination__CcAddresses__member__1="cc@example.net")
        ses.clock.at_ms += 5
        made = await prepare(await claimed(ses))
    assert isinstance(made, Refused)
    assert made.reason == "Rendering failed: Attribute 'name' is not present in the rendering data."
    event = made.event
    assert (event.type, event.at_ms) == (EventType.RENDERING_FAILURE, ses.clock.at_ms)
    assert event.recipients == ("bob@example.net", "cc@example.net")
    assert event.detail == {
        "template_name": "greeting",
        "error_message": "Attribute 'name' is not present in the rendering data.",
    }


async def test_a_content_that_is_gone_is_a_rendering_failure() -> None:
    async with open_ses() as ses, preparing(ses) as prepare:
        await ready(ses)
        await send(ses)
        async with ses.ctx.stores.records.transaction() as tx:
            [(key, _)] = await tx.template_contents.page(SCOPE, "", 2)
            await tx.template_contents.delete(SCOPE, key)
        made = await prepare(await claimed(ses))
    assert isinstance(made, Refused)
    assert made.event.detail["error_message"] == "Template greeting does not exist."


async def test_contents_are_read_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.submission.template_contents.MAX_CHARS", 100)
    async with open_ses() as ses:
        await ready(ses)
        contents = TemplateContents(ses.ctx.stores.records)
        async with ses.ctx.stores.records.transaction() as tx:
            [(key, _)] = await tx.template_contents.page(SCOPE, "", 2)
            for name in ("a", "b"):
                await tx.template_contents.put(SCOPE, name, TemplateContent(subject=name * 60, text=None, html=None))
        first = await contents.get(SCOPE, key)
        assert first == CONTENT
        assert await contents.get(SCOPE, key) is first
        assert await contents.get(SCOPE, "a") is not None
        assert await contents.get(SCOPE, "b") is not None
        again = await contents.get(SCOPE, key)
        assert again == first
        assert again is not first, "it had to make room"
        assert await contents.get(Callers.BOB.scope, key) is None


async def test_reading_a_templated_mail_that_was_never_rendered_makes_nothing() -> None:
    async with open_ses() as ses:
        await ready(ses)
        message_id = await send(ses, TemplateData="{}")
        messages = CapturedMessages(ses.ctx.stores.messages, lambda: pytest.fail("nothing is to be signed"))
        assert await messages.sent(SCOPE, message_id) is None
