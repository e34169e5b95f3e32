"""SendEmail and SendRawEmail up to the queue: what is accepted, what is refused, and in whose words."""

import base64

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.messages import Draft, RecipientState
from posthouse.domain.quotas import SendingLimits
from posthouse.model.errors import InvalidParameterValue, ServiceError, Throttling, ValidationError
from posthouse.model.generated import (
    AccountSendingPausedException,
    ConfigurationSetDoesNotExistException,
    MessageRejected,
)

GOOD = {
    "Source": "Ann <ann@example.com>",
    "Destination__ToAddresses__member__1": "bob@example.net",
    "Message__Subject__Data": "Hello",
    "Message__Body__Text__Data": "Hi Bob",
}
RAW = (
    "From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nCc: Eve <eve@example.net>\r\n"
    "Bcc: hid@example.net\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHi\r\n"
)


def raw(text: str = RAW) -> str:
    return base64.b64encode(text.encode()).decode()


async def verified(ses: Ses) -> None:
    await ses.call("VerifyDomainIdentity", Domain="example.com")


async def send(ses: Ses, **changes: str | None) -> str:
    parameters = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return (await ses.call("SendEmail", **parameters)).message_id


async def test_what_is_accepted_is_kept_as_it_was_asked_for() -> None:
    async with open_ses() as ses:
        await verified(ses)
        message_id = await send(
            ses,
            Destination__CcAddresses__member__1="cc@example.net",
            Destination__BccAddresses__member__1="bcc@example.net",
            ReplyToAddresses__member__1="reply@example.org",
            ReturnPath="bounces@example.com",
            Tags__member__1__Name="campaign",
            Tags__member__1__Value="x",
        )
        stored = await ses.ctx.stores.messages.get(Callers.ANN.scope, message_id)
        content = await ses.ctx.stores.messages.content(Callers.ANN.scope, message_id)
    assert stored is not None
    assert content is not None
    states = {r.recipient: r.state for r in stored.recipients}
    everybody = ("bob@example.net", "cc@example.net", "bcc@example.net")
    assert states == dict.fromkeys(everybody, RecipientState.QUEUED)
    facts = stored.facts
    assert (facts.operation, facts.source, facts.from_domain) == ("SendEmail", "Ann <ann@example.com>", "example.com")
    assert (facts.feedback_to, facts.subject, facts.tags) == ("bounces@example.com", "Hello", (("campaign", "x"),))
    assert facts.source_ip == "192.0.2.1"
    draft = msgspec.json.decode(content, type=Draft)
    assert (draft.to, draft.cc, draft.reply_to) == (("bob@example.net",), ("cc@example.net",), ("reply@example.org",))


async def test_a_recipient_named_twice_gets_one_mail() -> None:
    async with open_ses() as ses:
        await verified(ses)
        message_id = await send(ses, Destination__CcAddresses__member__1="bob@example.net")
        stored = await ses.ctx.stores.messages.get(Callers.ANN.scope, message_id)
    assert stored is not None
    assert len(stored.recipients) == 1


async def test_raw_mail_goes_to_its_headers_recipients_or_to_those_named() -> None:
    async with open_ses() as ses:
        await verified(ses)
        by_headers = await ses.call("SendRawEmail", RawMessage__Data=raw())
        named = await ses.call(
            "SendRawEmail", RawMessage__Data=raw(), Source="bounce@example.com", Destinations__member__1="x@example.org"
        )
        first = await ses.ctx.stores.messages.get(Callers.ANN.scope, by_headers.message_id)
        second = await ses.ctx.stores.messages.get(Callers.ANN.scope, named.message_id)
    assert first is not None
    assert second is not None
    assert {r.recipient for r in first.recipients} == {"bob@example.net", "eve@example.net", "hid@example.net"}
    assert (first.facts.subject, first.facts.feedback_to) == ("Grüße", "ann@example.com")
    assert [r.recipient for r in second.recipients] == ["x@example.org"]
    assert second.facts.feedback_to == "bounce@example.com"


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"Source": "x@", "Destinations__member__1": "bob"}, "Missing domain"),
        ({"Destinations__member__1": "bob@"}, "Missing local name"),
        ({"Destinations__member__1": "bob@", "RawMessage__Data": "From: a@example.com\r\nTo: b"}, "Missing domain"),
        ({"RawMessage__Data": "From: a@example.com\r\nReply-To: @c\r\nTo: b@"}, "Missing domain"),
    ],
)
async def test_addresses_of_raw_mail_are_told_of_in_the_order_of_ses(given: dict[str, str], answer: str) -> None:
    """Probed: Source, From, Destinations, then the other headers."""
    content = raw(f"{given.get('RawMessage__Data', 'From: @example.com')}\r\n\r\nx")
    async with open_ses() as ses:
        with pytest.raises(InvalidParameterValue) as raised:
            await ses.call("SendRawEmail", **{**given, "RawMessage__Data": content})
        assert raised.value.message == answer


async def test_source_stands_for_a_from_header_that_is_not_there() -> None:
    async with open_ses() as ses:
        await verified(ses)
        headless = raw("To: bob@example.net\r\n\r\nHi\r\n")
        sent = await ses.call("SendRawEmail", RawMessage__Data=headless, Source="Änn <ann@example.com>")
        content = await ses.ctx.stores.messages.content(Callers.ANN.scope, sent.message_id)
        stored = await ses.ctx.stores.messages.get(Callers.ANN.scope, sent.message_id)
        assert content is not None
        assert stored is not None
        assert content.startswith(b"From: =?UTF-8?Q?=C3=84nn?= <ann@example.com>\r\nTo: bob@example.net\r\n\r\nHi")
        assert (stored.facts.from_domain, stored.facts.feedback_to) == ("example.com", "ann@example.com")
        for text, source, answer in (
            ("To: bob@example.net\r\n\r\nHi", "bad", "Missing final '@domain'"),
            ("From: \r\nTo: bob@example.net\r\n\r\nHi", "ann@example.com", "Missing required header 'From'."),
            (" , eve@example.org\r\nTo: bob@example.net\r\n\r\nHi", "ann@example.com", "Illegal header"),
        ):
            with pytest.raises(InvalidParameterValue, match=answer):
                await ses.call("SendRawEmail", RawMessage__Data=raw(text), Source=source)
        with pytest.raises(MessageRejected, match="eve@example.org"):
            await ses.call("SendRawEmail", RawMessage__Data=headless, Source="eve@example.org")


@pytest.mark.parametrize(
    ("changes", "error", "answer"),
    [
        ({"Source": "ann@other.example"}, MessageRejected, "region US-EAST-1: ann@other.example"),
        ({"ReturnPath": "x@other.example"}, MessageRejected, "region US-EAST-1: x@other.example"),
        ({"Source": "ann"}, InvalidParameterValue, "Missing final '@domain'"),
        ({"Destination__ToAddresses__member__1": "bob@"}, InvalidParameterValue, "Missing domain"),
        (
            {"Destination__ToAddresses__member__1": None, "Destination__ToAddresses": ""},
            InvalidParameterValue,
            "There are no recipients specified.",
        ),
        ({"ReplyToAddresses__member__1": "x y@z"}, InvalidParameterValue, "Local address contains control"),
        ({"Message__Body__Text__Data": None}, ValidationError, "Value null at 'message.body' failed"),
        (
            {"Message__Body__Text__Data": None, "Message__Body": ""},
            InvalidParameterValue,
            "The message body must be specified.",
        ),
        ({"Message__Subject__Data": "a\r\nBcc: x@y.z"}, InvalidParameterValue, "Subject contains control characters"),
        ({"Message__Body__Text__Charset": "rot13"}, InvalidParameterValue, "Invalid charset"),
        (
            {"Message__Body__Text__Charset": "ISO-8859-1", "Message__Body__Text__Data": "日本"},
            InvalidParameterValue,
            "Invalid charset",
        ),
        (
            {"ConfigurationSetName": "none"},
            ConfigurationSetDoesNotExistException,
            "Configuration set <none> does not exist.",
        ),
        (
            {"Tags__member__1__Name": "a b", "Tags__member__1__Value": "v", "Source": "ann"},
            InvalidParameterValue,
            "Invalid tag name <a b>",
        ),
        (
            {"Message__Body__Text__Data": "x" * 10_485_761},
            InvalidParameterValue,
            "Message length is more than 10485760",
        ),
    ],
)
async def test_what_is_refused(changes: dict[str, str | None], error: type[ServiceError], answer: str) -> None:
    async with open_ses() as ses:
        await verified(ses)
        with pytest.raises(error) as raised:
            await send(ses, **changes)
        assert answer in raised.value.message
        assert await ses.ctx.stores.queue.depth() == 0


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"Source": "ann@", "Destination__ToAddresses__member__1": "bob"}, "Missing domain"),
        ({"Destination__CcAddresses__member__1": "bob@", "ReturnPath": "bob"}, "Missing domain"),
        ({"ReturnPath": "bob@", "ReplyToAddresses__member__1": "bob"}, "Missing domain"),
        ({"Source": f"{'x' * 310}@example.com", "ReplyToAddresses__member__1": "bob"}, "Missing final '@domain'"),
        (
            {"ReplyToAddresses__member__1": f"{'x' * 310}@example.com", "ConfigurationSetName": "no"},
            "Address length is",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["SendEmail", "SendTemplatedEmail"])
async def test_addresses_are_told_of_in_the_order_of_ses_and_syntax_before_length(
    operation: str, changes: dict[str, str], answer: str
) -> None:
    """Probed: Source, To, Cc, Bcc, ReturnPath, Reply-To; all of them before the set and the template."""
    templated = {"Source": "ann@example.com", "Template": "none", "TemplateData": "{}"}
    given = {
        **(GOOD if operation == "SendEmail" else templated),
        "Destination__ToAddresses__member__1": "bob@example.net",
    }
    async with open_ses() as ses:
        with pytest.raises(InvalidParameterValue) as raised:
            await ses.call(operation, **{**given, **changes})
        assert answer in raised.value.message


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("To: b@example.net\r\n\r\nx", "Missing required header 'From'."),
        ("From: a@example.com\r\nFrom: b@example.com\r\nTo: b@example.net\r\n\r\nx", "Duplicate header 'From'."),
        ("From: a@example.com, b@example.com\r\nTo: b@example.net\r\n\r\nx", "Only one address"),
        ("From: a@example.com\r\nSubject: a\r\nSubject: b\r\nTo: b@c.d\r\n\r\nx", "Duplicate header 'Subject'."),
        ("From: a@example.com\r\n: x\r\nTo: b@example.net\r\n\r\nx", "Empty header names are illegal."),
        ("From: a@example.com\r\n\r\nx", "Missing required header 'To'."),
        ("From: a@example.com\r\nTo: undisclosed recipients:;\r\n\r\nx", "There are no recipients specified."),
        ("From: a@example.com\r\nTo: b@bücher.example\r\n\r\nx", "Domain contains control or whitespace"),
        ("From: a@example.com\r\nTo: bärbel@b.example\r\n\r\nx", "Local address contains control or whitespace"),
        ("From: (<a@example.com>\r\nTo: b@example.net\r\n\r\nx", "Local address contains illegal character"),
        ("From: <a@example.com>\x85\r\nTo: b@example.net\r\n\r\nx", "Local address contains illegal character"),
        (f"From: {'x' * 320} <a@example.com>\r\nTo: b@example.net\r\n\r\nx", "Address length is more than 320"),
        ("From: a@example.com\r\nTo: b@c.d\r\nReply-To: me\r\n\r\nx", "Missing final '@domain'"),
        ("From: a@example.com\r\nTo: nobody\r\n\r\nx", "Missing final '@domain'"),
        ("From: a@example.com\r\nTo: b@example.net\r\nX-SES-MESSAGE-TAGS: a b=c\r\n\r\nx", "Invalid tag name <a b>"),
    ],
)
async def test_raw_mail_that_is_refused(text: str, answer: str) -> None:
    async with open_ses() as ses:
        await verified(ses)
        with pytest.raises(InvalidParameterValue) as raised:
            await ses.call("SendRawEmail", RawMessage__Data=raw(text))
    assert answer in raised.value.message


async def test_from_sender_source_and_return_path_must_be_verified() -> None:
    text = (
        "From: Ann <a@one.example>\r\nSender: b@two.example\r\n"
        "Return-Path: <c@three.example>\r\nTo: x@y.example\r\n\r\nx"
    )
    async with open_ses() as ses:
        with pytest.raises(MessageRejected) as raised:
            await ses.call("SendRawEmail", RawMessage__Data=raw(text), Source="d@four.example")
    assert raised.value.message.endswith(
        "US-EAST-1: Ann <a@one.example>, d@four.example, b@two.example, c@three.example"
    )


async def test_in_the_sandbox_recipients_must_be_verified_too() -> None:
    async with open_ses(sandbox=True) as ses:
        await verified(ses)
        with pytest.raises(MessageRejected, match="region US-EAST-1: bob@example.net"):
            await send(ses)
        await send(ses, Destination__ToAddresses__member__1="bob@example.com")


async def test_the_simulator_may_be_written_to_from_the_sandbox_and_costs_no_quota() -> None:
    async with open_ses(sandbox=True) as ses:
        await verified(ses)
        for domain in ("simulator.amazonses.com", "simulator.posthouse.test"):
            await send(ses, Destination__ToAddresses__member__1=f"success+1@{domain}")
        assert (await ses.call("GetSendQuota")).sent_last24_hours == 0


async def test_fifty_one_recipients_are_too_many() -> None:
    many = {f"Destination__BccAddresses__member__{n}": f"r{n}@example.net" for n in range(1, 51)}
    async with open_ses() as ses:
        await verified(ses)
        with pytest.raises(InvalidParameterValue, match="Recipient count exceeds 50."):
            await send(ses, **many)


async def test_quota_counts_recipients_and_overshoots_once() -> None:
    async with open_ses(production=SendingLimits(3, -1)) as ses:
        await verified(ses)
        await send(ses, Destination__CcAddresses__member__1="cc@example.net")
        await send(ses, Destination__CcAddresses__member__1="cc@example.net")
        with pytest.raises(Throttling, match="Daily message quota exceeded."):
            await send(ses)
        quota = await ses.call("GetSendQuota")
        assert (quota.max24_hour_send, quota.sent_last24_hours) == (3.0, 4.0)
        ses.clock.at_ms += 24 * 3600 * 1000 + 1000
        await send(ses)


async def test_the_rate_is_per_second() -> None:
    async with open_ses(production=SendingLimits(-1, 1)) as ses:
        await verified(ses)
        await send(ses)
        with pytest.raises(Throttling, match="Maximum sending rate exceeded."):
            await send(ses)
        ses.clock.at_ms += 1000
        await send(ses)


async def test_a_disabled_account_sends_nothing() -> None:
    async with open_ses() as ses:
        await verified(ses)
        await ses.call("UpdateAccountSendingEnabled", Enabled="false")
        assert not (await ses.call("GetAccountSendingEnabled")).enabled
        with pytest.raises(AccountSendingPausedException):
            await send(ses)
        assert (await ses.call("GetAccountSendingEnabled", Callers.BOB)).enabled
        await ses.call("UpdateAccountSendingEnabled", Enabled="true")
        await send(ses)


async def test_statistics_are_empty_before_anything_was_sent() -> None:
    async with open_ses() as ses:
        assert (await ses.call("GetSendStatistics")).send_data_points == ()


async def test_raw_mail_may_be_ten_megabytes_and_not_an_octet_more() -> None:
    head = b"From: a@example.com\r\nTo: b@example.net\r\n\r\n"
    largest = head + b"x" * (10_485_760 - len(head))
    async with open_ses() as ses:
        await verified(ses)
        await ses.call("SendRawEmail", RawMessage__Data=base64.b64encode(largest).decode())
        with pytest.raises(InvalidParameterValue) as raised:
            await ses.call("SendRawEmail", RawMessage__Data=base64.b64encode(largest + b"x").decode())
    assert raised.value.message == "Message length is more than 10485760 bytes long: '10485761'."


async def test_composed_mail_is_measured_as_it_leaves() -> None:
    async with open_ses() as ses:
        await verified(ses)
        await send(ses, Message__Body__Text__Data="\r\n" * 4_000_000)  # kept in 16 MB of escapes, sent in 8
        with pytest.raises(InvalidParameterValue, match="Message length is more than 10485760"):
            await send(ses, Message__Body__Text__Data="é" * 4_000_000)  # kept in 8 MB, sent in base64


async def test_nodemailer_asks_whether_it_may_come_in_with_a_header_of_junk() -> None:
    text = "From: invalid@invalid\r\nTo: invalid@invalid\r\n Subject: Invalid\r\n\r\nInvalid"
    async with open_ses() as ses:
        with pytest.raises(InvalidParameterValue):
            await ses.call(
                "SendRawEmail",
                RawMessage__Data=raw(text),
                Source="invalid@invalid",
                Destinations__member__1="invalid@invalid",
            )


async def test_parameters_beat_the_headers_that_stand_for_them() -> None:
    text = (
        "X-SES-MESSAGE-TAGS: a=header\r\nx-ses-message-tags: a=second\r\nReturn-Path: r@example.com\r\n"
        "X-SES-SOURCE-ARN: no arn\r\n" + RAW
    )
    arn = "arn:aws:ses:us-east-1:111111111111:identity/example.com"
    async with open_ses() as ses:
        await verified(ses)
        by_header = await ses.call("SendRawEmail", RawMessage__Data=raw(text), SourceArn=arn)
        by_parameter = await ses.call(
            "SendRawEmail",
            RawMessage__Data=raw(text),
            Source="s@example.com",
            SourceArn=arn,
            Tags__member__1__Name="b",
            Tags__member__1__Value="parameter",
        )
        with pytest.raises(InvalidParameterValue):
            await ses.call("SendRawEmail", RawMessage__Data=raw(text))
        first = await ses.ctx.stores.messages.get(Callers.ANN.scope, by_header.message_id)
        second = await ses.ctx.stores.messages.get(Callers.ANN.scope, by_parameter.message_id)
    assert first is not None
    assert second is not None
    assert (first.facts.tags, first.facts.feedback_to) == ((("a", "header"),), "r@example.com")
    assert (second.facts.tags, second.facts.feedback_to) == ((("b", "parameter"),), "s@example.com")
