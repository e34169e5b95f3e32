"""Mail that names a configuration set: by parameter or header, refused where the set is missing or paused."""

import base64

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.scope import Caller
from posthouse.model.errors import ServiceError

MAIL = {
    "Source": "ann@example.com",
    "Destination.ToAddresses.member.1": "bob@example.net",
    "Message.Subject.Data": "Hello",
    "Message.Body.Text.Data": "hi",
}
HEADERS = "From: ann@example.com\r\nTo: bob@example.net\r\n"


async def furnished(ses: Ses, *names: str) -> None:
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    for name in names:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name=name)


async def send(ses: Ses, name: str = "news", caller: Caller = Callers.ANN, **changes: str) -> str:
    sent = await ses.call("SendEmail", caller, **{**MAIL, "ConfigurationSetName": name, **changes})
    return str(sent.message_id)


async def send_raw(ses: Ses, fields: str = "", **parameters: str) -> str:
    data = base64.b64encode(f"{HEADERS}{fields}\r\nhi\r\n".encode()).decode()
    return str((await ses.call("SendRawEmail", RawMessage__Data=data, **parameters)).message_id)


async def set_of(ses: Ses, message_id: str, caller: Caller = Callers.ANN) -> str:
    stored = await ses.ctx.stores.messages.get(caller.scope, message_id)
    assert stored is not None
    return stored.facts.configuration_set


async def refused(ses: Ses, name: str = "news", caller: Caller = Callers.ANN, **changes: str) -> tuple[str, str]:
    with pytest.raises(ServiceError) as error:
        await send(ses, name, caller, **changes)
    assert await ses.ctx.stores.queue.depth() == 0
    return error.value.code, error.value.message


async def pause(ses: Ses, enabled: bool = False) -> None:
    given = {"ConfigurationSetName": "news", "Enabled": "true" if enabled else "false"}
    await ses.call("UpdateConfigurationSetSendingEnabled", **given)


async def test_a_message_keeps_the_set_it_was_sent_by() -> None:
    async with open_ses() as ses:
        await furnished(ses, "news", "other")
        assert await set_of(ses, await send(ses)) == "news"
        assert await set_of(ses, await send(ses, "")) == ""
        assert await set_of(ses, await send_raw(ses)) == ""
        assert await set_of(ses, await send_raw(ses, ConfigurationSetName="news")) == "news"
        assert await set_of(ses, await send_raw(ses, "X-SES-CONFIGURATION-SET:  news \r\n")) == "news"
        assert await set_of(ses, await send_raw(ses, "X-SES-CONFIGURATION-SET: \r\n")) == ""


async def test_a_parameter_beats_the_header_and_the_first_header_the_second() -> None:
    async with open_ses() as ses:
        await furnished(ses, "news", "other")
        none = "x-ses-configuration-set: none\r\n"
        assert await set_of(ses, await send_raw(ses, none, ConfigurationSetName="news")) == "news"
        assert await set_of(ses, await send_raw(ses, f"X-Ses-Configuration-Set: other\r\n{none}")) == "other"


@pytest.mark.parametrize("name", ["none", "NEWS", "a b", "<news>", "\0", "x" * 300])
async def test_an_unknown_set_is_refused(name: str) -> None:
    expected = ("ConfigurationSetDoesNotExist", f"Configuration set <{name}> does not exist.")
    async with open_ses() as ses:
        await furnished(ses, "news")
        assert await refused(ses, name) == expected
        with pytest.raises(ServiceError) as error:
            await send_raw(ses, ConfigurationSetName=name)
        assert (error.value.code, error.value.message) == expected
        assert error.value.members == {"ConfigurationSetName": name}


async def test_an_unknown_set_in_a_header_is_refused() -> None:
    async with open_ses() as ses:
        await furnished(ses, "news")
        with pytest.raises(ServiceError) as error:
            await send_raw(ses, "X-SES-CONFIGURATION-SET: newses\r\n")
        assert error.value.message == "Configuration set <newses> does not exist."


async def test_a_paused_set_sends_nothing_until_it_is_enabled_again() -> None:
    async with open_ses() as ses:
        await furnished(ses, "news", "other")
        await pause(ses)
        expected = ("ConfigurationSetSendingPausedException", "Sending is paused for configuration set <news>")
        assert await refused(ses) == expected
        with pytest.raises(ServiceError) as error:
            await send_raw(ses, "X-SES-CONFIGURATION-SET: news\r\n")
        assert (error.value.code, error.value.message) == expected
        await send(ses, "other")
        await send(ses, "")
        await pause(ses, enabled=True)
        await send(ses)


async def test_a_new_set_and_a_deleted_one_are_known_at_once() -> None:
    async with open_ses() as ses:
        await furnished(ses)
        assert (await refused(ses))[0] == "ConfigurationSetDoesNotExist"
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        message_id = await send(ses)
        await ses.call("DeleteConfigurationSet", ConfigurationSetName="news")
        with pytest.raises(ServiceError, match="<news> does not exist"):
            await send(ses)
        assert await set_of(ses, message_id) == "news"


async def test_tags_and_addresses_are_judged_before_the_set_and_the_sender_after_it() -> None:
    async with open_ses() as ses:
        await furnished(ses)
        tags = {"Tags.member.1.Name": "a b", "Tags.member.1.Value": "v"}
        assert (await refused(ses, Source="ann", **tags))[1].startswith("Invalid tag name <a b>")
        assert (await refused(ses, Source="ann"))[1] == "Missing final '@domain'"
        long = "a" * 320 + "@example.com"
        assert (await refused(ses, Source=long))[1].startswith("Address length is more than 320")
        assert (await refused(ses, Source="x@other.example"))[0] == "ConfigurationSetDoesNotExist"
        await ses.call("UpdateAccountSendingEnabled", Enabled="false")
        assert (await refused(ses))[0] == "ConfigurationSetDoesNotExist"
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        assert (await refused(ses))[0] == "AccountSendingPausedException"


async def test_sets_of_other_accounts_and_regions_are_unknown() -> None:
    async with open_ses() as ses:
        await furnished(ses, "news")
        await send(ses)
        for stranger in (Callers.BOB, Callers.ANN_ELSEWHERE):
            await ses.call("VerifyDomainIdentity", stranger, Domain="example.com")
            with pytest.raises(ServiceError, match="<news> does not exist"):
                await send(ses, caller=stranger)


async def test_a_delegate_sends_by_a_set_of_its_own() -> None:
    arn = "arn:aws:ses:us-east-1:111111111111:identity/example.com"
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},'
        f'"Action":"ses:*","Resource":"{arn}"}}]}}'
    )
    async with open_ses() as ses:
        await furnished(ses, "owners")
        await ses.call("PutIdentityPolicy", Identity="example.com", PolicyName="p", Policy=policy)
        await ses.call("CreateConfigurationSet", Callers.BOB, ConfigurationSet__Name="bobs")
        with pytest.raises(ServiceError, match="<owners> does not exist"):
            await send(ses, "owners", Callers.BOB, SourceArn=arn)
        message_id = await send(ses, "bobs", Callers.BOB, SourceArn=arn)
        assert await set_of(ses, message_id, Callers.BOB) == "bobs"


async def test_custom_verification_mail_goes_by_a_set() -> None:
    async with open_ses() as ses:
        await furnished(ses, "news")
        await ses.call(
            "CreateCustomVerificationEmailTemplate",
            TemplateName="welcome",
            FromEmailAddress="ann@example.com",
            TemplateSubject="Hello",
            TemplateContent="<p>hi</p>",
            SuccessRedirectionURL="https://example.com/yes",
            FailureRedirectionURL="https://example.com/no",
        )
        given = {"EmailAddress": "new@example.net", "TemplateName": "welcome", "ConfigurationSetName": "news"}
        sent = await ses.call("SendCustomVerificationEmail", **given)
        assert await set_of(ses, sent.message_id) == "news"
        await pause(ses)
        with pytest.raises(ServiceError, match="Sending is paused"):
            await ses.call("SendCustomVerificationEmail", **{**given, "EmailAddress": "other@example.net"})
        listed = await ses.call("ListIdentities")
        assert "other@example.net" not in listed.identities
