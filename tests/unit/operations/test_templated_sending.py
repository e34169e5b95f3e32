"""SendTemplatedEmail and SendBulkTemplatedEmail up to the queue."""

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.messages import ContentKind, MessageFacts, TemplatedDraft
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.templates import Template, TemplateContent, content_key
from posthouse.model.errors import InvalidParameterValue, ServiceError
from posthouse.model.generated import (
    AccountSendingPausedException,
    BulkEmailDestinationStatus,
    MessageRejected,
    TemplateDoesNotExistException,
)

SCOPE = Callers.ANN.scope
CONTENT = TemplateContent(subject="Hello {{name}}", text="Dear {{name}}", html="<p>{{name}}</p>")
ONE = {
    "Source": "Ann <ann@example.com>",
    "Destination__ToAddresses__member__1": "bob@example.net",
    "Template": "greeting",
    "TemplateData": '{"name": "Bob"}',
}
BULK = {
    "Source": "ann@example.com",
    "Template": "greeting",
    "DefaultTemplateData": '{"name": "friend"}',
    "Destinations__member__1__Destination__ToAddresses__member__1": "one@example.net",
}


def destination(number: int, to: str, **more: str) -> dict[str, str]:
    prefix = f"Destinations__member__{number}__"
    return {f"{prefix}Destination__ToAddresses__member__1": to, **{prefix + key: value for key, value in more.items()}}


async def ready(ses: Ses, content: TemplateContent = CONTENT) -> None:
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    async with ses.ctx.stores.records.transaction() as tx:
        key = content_key("greeting", content)
        await tx.template_contents.put(SCOPE, key, content)
        await tx.templates.put(SCOPE, "greeting", Template(created_ms=1, content=key))


async def send(ses: Ses, **changes: str | None) -> str:
    parameters = {key: value for key, value in {**ONE, **changes}.items() if value is not None}
    return str((await ses.call("SendTemplatedEmail", **parameters)).message_id)


async def bulk(ses: Ses, **changes: str) -> tuple[BulkEmailDestinationStatus, ...]:
    return tuple((await ses.call("SendBulkTemplatedEmail", **{**BULK, **changes})).status)


async def stored(ses: Ses, message_id: str | None) -> tuple[MessageFacts, TemplatedDraft, tuple[str, ...]]:
    assert message_id
    message = await ses.ctx.stores.messages.get(SCOPE, message_id)
    content = await ses.ctx.stores.messages.content(SCOPE, message_id)
    assert message is not None
    assert content is not None
    recipients = tuple(each.recipient for each in message.recipients)
    return message.facts, msgspec.json.decode(content, type=TemplatedDraft), recipients


async def test_what_is_accepted_names_the_content_that_the_template_has_now() -> None:
    async with open_ses() as ses:
        await ready(ses)
        message_id = await send(
            ses,
            Destination__BccAddresses__member__1="hid@example.net",
            ReplyToAddresses__member__1="reply@example.org",
            ReturnPath="bounces@example.com",
            Tags__member__1__Name="campaign",
            Tags__member__1__Value="x",
        )
        facts, draft, recipients = await stored(ses, message_id)
    assert (facts.operation, facts.content_kind) == ("SendTemplatedEmail", ContentKind.TEMPLATED)
    assert (facts.source, facts.from_domain) == ("Ann <ann@example.com>", "example.com")
    assert (facts.feedback_to, facts.tags) == ("bounces@example.com", (("campaign", "x"),))
    assert facts.subject == "Hello Bob", "lists show the subject that it will have"
    assert recipients == ("bob@example.net", "hid@example.net")
    assert (draft.template, draft.data, draft.content) == (
        "greeting",
        '{"name": "Bob"}',
        content_key("greeting", CONTENT),
    )
    assert (draft.to, draft.bcc, draft.reply_to) == (("bob@example.net",), ("hid@example.net",), ("reply@example.org",))


@pytest.mark.parametrize("data", ["{}", "no json", "[]", '{"name": {"a": }'])
async def test_data_that_does_not_fill_the_template_is_accepted(data: str) -> None:
    async with open_ses() as ses:
        await ready(ses)
        facts, draft, _ = await stored(ses, await send(ses, TemplateData=data))
    assert (facts.subject, draft.data) == ("", data)


OTHERS_ARN = "arn:aws:ses:us-east-1:222222222222:template/greeting"


@pytest.mark.parametrize(
    ("changes", "error", "answer"),
    [
        ({"Template": "nope"}, TemplateDoesNotExistException, "Template nope does not exist."),
        ({"TemplateArn": OTHERS_ARN}, TemplateDoesNotExistException, "Template greeting does not exist."),
        ({"Source": "ann"}, InvalidParameterValue, "Missing final '@domain'"),
        ({"Destination__ToAddresses__member__1": "bob@"}, InvalidParameterValue, "Missing domain"),
        ({"ReplyToAddresses__member__1": "x y@z.example"}, InvalidParameterValue, "Local address contains control"),
        ({"Destination__ToAddresses__member__1": None, "Destination": ""}, ServiceError, "no recipients"),
        ({"Tags__member__1__Name": "", "Tags__member__1__Value": "x"}, InvalidParameterValue, "tag name must be"),
        ({"Source": "ann@other.example"}, MessageRejected, "failed the check in region US-EAST-1: ann@other.example"),
    ],
)
async def test_what_is_refused(changes: dict[str, str | None], error: type[ServiceError], answer: str) -> None:
    async with open_ses() as ses:
        await ready(ses)
        with pytest.raises(error) as raised:
            await send(ses, **changes)
    assert answer in raised.value.message


async def test_the_own_template_may_be_named_by_its_arn() -> None:
    async with open_ses() as ses:
        await ready(ses)
        await send(ses, TemplateArn="arn:aws:ses:us-east-1:111111111111:template/greeting")


async def test_each_destination_of_a_bulk_call_is_a_message_of_its_own_in_order() -> None:
    async with open_ses() as ses:
        await ready(ses)
        statuses = await bulk(
            ses,
            **destination(2, "two@example.net", ReplacementTemplateData='{"name": "Two"}'),
            **destination(3, "three@example.net", ReplacementTemplateData=" {} "),
        )
        assert [each.status for each in statuses] == ["Success"] * 3
        assert len({each.message_id for each in statuses}) == 3
        kept = [await stored(ses, each.message_id) for each in statuses]
    assert [recipients for _, _, recipients in kept] == [
        ("one@example.net",),
        ("two@example.net",),
        ("three@example.net",),
    ]
    assert [facts.subject for facts, _, _ in kept] == ["Hello friend", "Hello Two", "Hello friend"]
    assert {facts.operation for facts, _, _ in kept} == {"SendBulkTemplatedEmail"}


async def test_replacement_data_stands_in_whole_for_the_default() -> None:
    async with open_ses() as ses:
        await ready(ses)
        _, status = await bulk(ses, **destination(2, "x@example.net", ReplacementTemplateData='{"other": 1}'))
        facts, draft, _ = await stored(ses, status.message_id)
    assert (facts.subject, draft.data) == ("", '{"other": 1}')


async def test_replacement_tags_are_added_to_the_default_ones() -> None:
    async with open_ses() as ses:
        await ready(ses)
        first, second = await bulk(
            ses,
            DefaultTags__member__1__Name="a",
            DefaultTags__member__1__Value="1",
            DefaultTags__member__2__Name="b",
            DefaultTags__member__2__Value="2",
            **destination(
                2,
                "two@example.net",
                ReplacementTags__member__1__Name="b",
                ReplacementTags__member__1__Value="3",
                ReplacementTags__member__2__Name="c",
                ReplacementTags__member__2__Value="4",
            ),
        )
        tags = [(await stored(ses, each.message_id))[0].tags for each in (first, second)]
    assert tags == [(("a", "1"), ("b", "2")), (("a", "1"), ("b", "3"), ("c", "4"))]


async def test_what_is_wrong_with_one_destination_is_its_status() -> None:
    async with open_ses() as ses:
        await ready(ses)
        tagged = {"ReplacementTags__member__1__Name": "x", "ReplacementTags__member__1__Value": "ü"}
        statuses = await bulk(
            ses,
            **destination(2, "broken"),
            **destination(3, "three@example.net", **tagged),
            **destination(4, "four@example.net"),
        )
    assert [(each.status, bool(each.message_id)) for each in statuses] == [
        ("Success", True),
        ("InvalidParameterValue", False),
        ("InvalidParameterValue", False),
        ("Success", True),
    ]
    assert statuses[1].error == "Missing final '@domain'"
    assert statuses[2].error is not None
    assert statuses[2].error.startswith("Invalid tag value")


async def test_a_bad_reply_to_is_every_destinations_status() -> None:
    async with open_ses() as ses:
        await ready(ses)
        statuses = await bulk(ses, ReplyToAddresses__member__1="nobody", **destination(2, "two@example.net"))
    assert [each.status for each in statuses] == ["InvalidParameterValue"] * 2


async def test_the_quota_may_end_in_the_midst_of_a_bulk_call() -> None:
    async with open_ses(production=SendingLimits(2, -1)) as ses:
        await ready(ses)
        statuses = await bulk(ses, **destination(2, "b@example.net"), **destination(3, "c@example.net"))
    assert [each.status for each in statuses] == ["Success", "Success", "AccountDailyQuotaExceeded"]
    assert statuses[2].error == "Daily message quota exceeded."
    async with open_ses(production=SendingLimits(-1, 1)) as ses:
        await ready(ses)
        statuses = await bulk(ses, **destination(2, "b@example.net"))
    assert [each.status for each in statuses] == ["Success", "AccountThrottled"]


async def test_unverified_recipients_in_the_sandbox_are_their_destinations_status() -> None:
    async with open_ses(sandbox=True) as ses:
        await ready(ses)
        statuses = await bulk(ses, **destination(2, "x@example.com"))
    assert [each.status for each in statuses] == ["MessageRejected", "Success"]


@pytest.mark.parametrize(
    ("changes", "error", "answer"),
    [
        ({"Source": "ann"}, InvalidParameterValue, "Invalid email address<ann>."),
        ({"Source": "ann", "Template": "nope"}, InvalidParameterValue, "Invalid email address<ann>."),
        ({"Source": f"{'a' * 320}@example.com"}, InvalidParameterValue, "Invalid email address<aaa"),
        ({"ReturnPath": "x"}, InvalidParameterValue, "Invalid email address<x>."),
        ({"Template": "nope"}, TemplateDoesNotExistException, "Template nope does not exist."),
        ({"Source": "ann@other.example"}, MessageRejected, "US-EAST-1: ann@other.example"),
        ({"ReturnPath": "x@other.example"}, MessageRejected, "US-EAST-1: x@other.example"),
        (
            {"DefaultTags__member__1__Name": "ü", "DefaultTags__member__1__Value": "x"},
            InvalidParameterValue,
            "Invalid tag name <ü>",
        ),
    ],
)
async def test_what_is_wrong_with_all_fails_the_call(
    changes: dict[str, str], error: type[ServiceError], answer: str
) -> None:
    async with open_ses() as ses:
        await ready(ses)
        with pytest.raises(error) as raised:
            await bulk(ses, **changes)
    assert answer in raised.value.message


async def test_a_disabled_account_sends_nothing_by_templates() -> None:
    async with open_ses() as ses:
        await ready(ses)
        await ses.call("UpdateAccountSendingEnabled", Enabled="false")
        with pytest.raises(AccountSendingPausedException):
            await bulk(ses)
        with pytest.raises(AccountSendingPausedException):
            await send(ses)


async def test_fifty_destinations_are_enough() -> None:
    many: dict[str, str] = {}
    for number in range(1, 52):
        many |= destination(number, f"r{number}@example.net")
    async with open_ses() as ses:
        await ready(ses)
        with pytest.raises(InvalidParameterValue, match="Destination count exceeds 50."):
            await bulk(ses, **many)
        del many["Destinations__member__51__Destination__ToAddresses__member__1"]
        assert {each.status for each in await bulk(ses, **many)} == {"Success"}
        assert await ses.ctx.stores.queue.depth() == 50
