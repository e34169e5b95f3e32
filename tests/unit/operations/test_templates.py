"""The six template operations: what comes back, every error, order and paging."""

from email import message_from_string, policy
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.scope import Caller
from posthouse.domain.templates import KEPT_MS, Template
from posthouse.model.errors import ServiceError
from posthouse.upkeep.templates import TemplateSweep

HELLO = {
    "Template__TemplateName": "hello",
    "Template__SubjectPart": "Hi {{name}}",
    "Template__TextPart": "Dear {{name}}",
}
SCOPE = Callers.ANN.scope


async def create(ses: Ses, name: str = "hello", caller: Caller = Callers.ANN, **changes: str) -> None:
    await ses.call("CreateTemplate", caller, **{**HELLO, "Template__TemplateName": name, **changes})


async def get(ses: Ses, name: str = "hello", caller: Caller = Callers.ANN) -> Any:
    return (await ses.call("GetTemplate", caller, TemplateName=name)).template


async def refused(ses: Ses, operation: str, **given: str) -> tuple[str, str, dict[str, Any]]:
    with pytest.raises(ServiceError) as error:
        await ses.call(operation, **given)
    return error.value.code, error.value.message, error.value.members


async def names(ses: Ses, **given: str) -> list[str]:
    return [each.name for each in (await ses.call("ListTemplates", **given)).templates_metadata]


async def contents(ses: Ses) -> tuple[int, int]:
    """How many contents there are, and how many of them are replaced."""
    async with ses.ctx.stores.records.reading() as reading:
        return await reading.template_contents.count(SCOPE), await reading.replaced_contents.count(SCOPE)


async def test_a_template_comes_back_as_it_was_given() -> None:
    async with open_ses() as ses:
        await create(ses, Template__HtmlPart="<p>\r\n{{name}} é</p>")
        found = await get(ses)
        assert (found.template_name, found.subject_part) == ("hello", "Hi {{name}}")
        assert (found.text_part, found.html_part) == ("Dear {{name}}", "<p>\r\n{{name}} é</p>")
        await create(ses, "short")
        assert (await get(ses, "short")).html_part is None


async def test_creating_twice_is_refused() -> None:
    async with open_ses() as ses:
        await create(ses)
        told = ("AlreadyExists", "Template hello already exists.", {"Name": "hello"})
        assert await refused(ses, "CreateTemplate", **HELLO) == told
        await create(ses, caller=Callers.ANN_ELSEWHERE)
        await create(ses, caller=Callers.BOB)


async def test_what_create_and_update_refuse() -> None:
    async with open_ses() as ses:
        await create(ses)
        for operation in ("CreateTemplate", "UpdateTemplate"):
            other = {**HELLO, "Template__TemplateName": "other" if operation == "CreateTemplate" else "hello"}
            name = other["Template__TemplateName"]
            told = ("InvalidParameterValue", "The subject must be specified.", {})
            assert await refused(ses, operation, Template__TemplateName=name, Template__TextPart="t") == told
            assert await refused(ses, operation, **{**other, "Template__SubjectPart": ""}) == told
            assert await refused(ses, operation, Template__TemplateName=name) == told
            broken = {**other, "Template__HtmlPart": "{{#if name}}"}
            assert await refused(ses, operation, **broken) == (
                "InvalidTemplate", "HtmlPart: line 1: {{#if}} is not closed", {"TemplateName": name},
            )  # fmt: skip
            partial = {**other, "Template__TextPart": "{{> absent}}"}
            assert (await refused(ses, operation, **partial))[
                1
            ] == "TextPart: line 1: the partial absent does not exist"
            huge = {**other, "Template__HtmlPart": "x" * (500 * 1024)}
            assert (await refused(ses, operation, **huge))[0] == "LimitExceeded"
        assert await names(ses) == ["hello"]
        assert (await refused(ses, "CreateTemplate", **{**HELLO, "Template__TemplateName": ""}))[
            0
        ] == "InvalidParameterValue"
        assert (await refused(ses, "CreateTemplate"))[0] == "ValidationError"


async def test_the_twenty_thousand_and_first_is_refused() -> None:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            for number in range(20_000):
                await tx.templates.put(SCOPE, f"t{number}", Template(created_ms=number, content=""))
        told = ("LimitExceeded", "Template limit of 20000 exceeded.", {})
        assert await refused(ses, "CreateTemplate", **HELLO) == told
        assert (await names(ses))[0] == "t19999"
        await ses.call("DeleteTemplate", TemplateName="t5")
        await create(ses)


async def test_update_replaces_the_whole_and_keeps_the_time() -> None:
    async with open_ses() as ses:
        await create(ses, Template__HtmlPart="<p>")
        ses.clock.at_ms += 60_000
        await ses.call("UpdateTemplate", Template__TemplateName="hello", Template__SubjectPart="New")
        found = await get(ses)
        assert (found.subject_part, found.text_part, found.html_part) == ("New", None, None)
        listed = (await ses.call("ListTemplates")).templates_metadata
        assert [each.created_timestamp_ms for each in listed] == [1_800_000_000_000]


async def test_what_is_not_there() -> None:
    async with open_ses() as ses:
        told = ("TemplateDoesNotExist", "Template hello does not exist.", {"TemplateName": "hello"})
        assert await refused(ses, "GetTemplate", TemplateName="hello") == told
        assert await refused(ses, "UpdateTemplate", **HELLO) == told
        assert await refused(ses, "TestRenderTemplate", TemplateName="hello", TemplateData="{}") == told
        for name in ("hello", "", "x" * 70, "a\0b"):
            await ses.call("DeleteTemplate", TemplateName=name)
            assert (await refused(ses, "GetTemplate", TemplateName=name))[0] == "TemplateDoesNotExist"


async def test_delete() -> None:
    async with open_ses() as ses:
        await create(ses)
        await create(ses, "other")
        await ses.call("DeleteTemplate", TemplateName="hello")
        assert await names(ses) == ["other"]
        await create(ses)


async def test_list_is_newest_first_ten_at_a_time() -> None:
    async with open_ses() as ses:
        for number in range(12):
            await create(ses, f"t{number}")
            ses.clock.at_ms += 1
        first = await ses.call("ListTemplates")
        assert [each.name for each in first.templates_metadata] == [f"t{number}" for number in range(11, 1, -1)]
        # What is created or deleted meanwhile does not disturb the pages.
        await create(ses, "later")
        await ses.call("DeleteTemplate", TemplateName="t2")
        second = await ses.call("ListTemplates", NextToken=first.next_token)
        assert [each.name for each in second.templates_metadata] == ["t1", "t0"]
        assert second.next_token is None


async def test_page_sizes() -> None:
    async with open_ses() as ses:
        async with ses.ctx.stores.records.transaction() as tx:
            for number in range(150):
                await tx.templates.put(SCOPE, f"t{number:03}", Template(created_ms=7, content=""))
        assert await names(ses, MaxItems="3") == ["t149", "t148", "t147"]
        for out_of_range in ("0", "-1", "101", "100000"):
            assert len(await names(ses, MaxItems=out_of_range)) == 100
        assert len(await names(ses, MaxItems="100")) == 100
        page = await ses.call("ListTemplates", MaxItems="100")
        assert len(await names(ses, MaxItems="100", NextToken=page.next_token)) == 50
        assert await names(ses, NextToken="") == await names(ses)


@pytest.mark.parametrize("token", ["x", "MTo=", "MTpbMSwyXQ==", "é", "MTpbIjEiLCJhIl0=", "MTpbMSwiYSJdIA=="])
async def test_foreign_tokens_are_refused(token: str) -> None:
    async with open_ses() as ses:
        await create(ses)
        told = ("InvalidParameterValue", f"Invalid PageToken <{token}>.", {})
        assert await refused(ses, "ListTemplates", NextToken=token) == told


async def test_there_may_be_none() -> None:
    async with open_ses() as ses:
        assert (await ses.call("ListTemplates")).templates_metadata == ()


async def preview(ses: Ses, data: str = '{"name":"Ann"}') -> str:
    return str((await ses.call("TestRenderTemplate", TemplateName="hello", TemplateData=data)).rendered_template)


async def test_a_preview_is_the_whole_message() -> None:
    async with open_ses() as ses:
        await create(ses, Template__HtmlPart="<p>{{name}}</p>")
        raw = await preview(ses)
        assert raw.startswith(
            "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nSubject: Hi Ann\r\nMIME-Version: 1.0\r\nContent-Type: "
        )
        message = message_from_string(raw, policy=policy.default)
        assert not message.defects
        assert message.keys() == ["Date", "Subject", "MIME-Version", "Content-Type"]
        text, html = message.iter_parts()
        assert (text.get_content_type(), text.get_content()) == ("text/plain", "Dear Ann")
        assert (html.get_content_type(), html.get_content()) == ("text/html", "<p>Ann</p>")
        assert text["Content-Transfer-Encoding"] == "7bit"


async def test_a_preview_has_only_the_parts_there_are() -> None:
    async with open_ses() as ses:
        await create(ses)
        message = message_from_string(await preview(ses), policy=policy.default)
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain"]


async def test_a_preview_is_ascii_and_its_subject_one_line() -> None:
    async with open_ses() as ses:
        await create(ses)
        raw = await preview(ses, '{"name":"Zoë\\r\\nBcc: eve@x.example"}')
        assert raw.isascii()
        message = message_from_string(raw, policy=policy.default)
        assert message["Subject"] == "Hi Zoë Bcc: eve@x.example"
        assert "Bcc" not in message
        assert next(iter(message.iter_parts())).get_content() == "Dear Zoë\r\nBcc: eve@x.example"


async def test_what_a_preview_refuses() -> None:
    async with open_ses() as ses:
        await create(ses)
        given = {"TemplateName": "hello"}
        assert await refused(ses, "TestRenderTemplate", **given, TemplateData="{}") == (
            "MissingRenderingAttribute",
            "Attribute 'name' is not present in the rendering data.",
            given,
        )
        for data in ("", "{", "[]", '{"name":"Ann"'):
            assert await refused(ses, "TestRenderTemplate", **given, TemplateData=data) == (
                "InvalidRenderingParameter", "Template rendering data is invalid", given,
            )  # fmt: skip
        assert (await refused(ses, "TestRenderTemplate", **given))[0] == "ValidationError"
        long = '{"name":"' + "x" * 262_144 + '"}'
        assert (await refused(ses, "TestRenderTemplate", **given, TemplateData=long))[0] == "ValidationError"


async def test_a_replaced_content_stays_for_mail_that_was_accepted_with_it() -> None:
    async with open_ses() as ses:
        await create(ses)
        async with ses.ctx.stores.records.reading() as reading:
            before = await reading.templates.get(SCOPE, "hello")
        assert before is not None
        await ses.call("UpdateTemplate", **{**HELLO, "Template__TextPart": "New"})
        await ses.call("DeleteTemplate", TemplateName="hello")
        async with ses.ctx.stores.records.reading() as reading:
            content = await reading.template_contents.get(SCOPE, before.content)
        assert content is not None
        assert content.text == "Dear {{name}}"
        assert await contents(ses) == (2, 2)


async def test_the_sweep_removes_what_was_replaced_long_ago_and_nothing_else() -> None:
    async with open_ses() as ses:
        await create(ses)
        await create(ses, "twin")
        await create(ses, "gone")
        await ses.call("UpdateTemplate", **{**HELLO, "Template__TextPart": "New"})
        await ses.call("DeleteTemplate", TemplateName="gone")
        sweep = TemplateSweep(ses.ctx.stores.records, ses.clock)
        ses.clock.at_ms += KEPT_MS - 1
        assert await sweep.sweep() == 0
        assert await contents(ses) == (4, 2)
        # Taken up again in time.
        await ses.call("UpdateTemplate", **HELLO)
        ses.clock.at_ms += 1
        assert await sweep.sweep() == 1
        assert await contents(ses) == (3, 1)
        assert (await get(ses)).text_part == (await get(ses, "twin")).text_part == "Dear {{name}}"
        ses.clock.at_ms += KEPT_MS
        assert await sweep.sweep() == 1
        assert await contents(ses) == (2, 0)
        assert (await get(ses)).text_part == "Dear {{name}}"


async def test_an_update_that_changes_nothing_replaces_nothing() -> None:
    async with open_ses() as ses:
        await create(ses)
        await ses.call("UpdateTemplate", **HELLO)
        assert await contents(ses) == (1, 0)
        await ses.call("DeleteTemplate", TemplateName="hello")
        await create(ses)
        assert await contents(ses) == (1, 0)
