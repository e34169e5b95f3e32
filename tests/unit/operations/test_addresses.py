"""Addresses verified by mail: asking, following the link, the deprecated operations."""

import re

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.messages import StoredMessage
from posthouse.domain.scope import Caller
from posthouse.domain.verification import LINK_LIFE_MS, DeadLink
from posthouse.model.errors import InvalidParameterValue
from posthouse.operations.addresses import Followed, follow_link
from posthouse.ports.mailstore import MessageFilter

ANN = "Ann@example.com"
ASKING = ("VerifyEmailIdentity", "VerifyEmailAddress")


async def mails(ses: Ses, caller: Caller = Callers.ANN) -> list[StoredMessage]:
    return list(await ses.ctx.stores.messages.page(caller.scope, MessageFilter(), "", 100))


async def newest_token(ses: Ses, caller: Caller = Callers.ANN) -> str:
    newest = (await mails(ses, caller))[0]
    content = await ses.ctx.stores.messages.content(caller.scope, newest.facts.message_id)
    assert content is not None
    found = re.search(rb"http://ses\.test:8025/verify/([A-Za-z0-9_-]+)", content)
    assert found
    return found[1].decode()


async def follow(ses: Ses, token: str) -> Followed | None:
    return await follow_link(token, ses.ctx.links, ses.ctx.stores.records, ses.clock.now_ms())


async def status(ses: Ses, address: str = ANN, caller: Caller = Callers.ANN) -> str | None:
    asked = await ses.call("GetIdentityVerificationAttributes", caller, Identities__member__1=address)
    found = asked.verification_attributes.get(address)
    return None if found is None else str(found.verification_status)


@pytest.mark.parametrize("operation", ASKING)
async def test_asking_sends_a_mail_whose_link_verifies(operation: str) -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call(operation, EmailAddress=ANN)
        assert await status(ses) == "Pending"
        (mail,) = await mails(ses)
        assert [each.recipient for each in mail.recipients] == [ANN]
        assert mail.facts.operation == "VerificationMail"
        assert mail.facts.from_domain == "posthouse.test"
        found = await follow(ses, await newest_token(ses))
        assert found is not None
        assert (found.dead, found.redirect) == (None, "")
        assert await status(ses) == "Success"


@pytest.mark.parametrize("operation", ASKING)
async def test_with_auto_verify_an_address_is_verified_and_no_mail_is_sent(operation: str) -> None:
    async with open_ses() as ses:
        await ses.call(operation, EmailAddress=ANN)
        assert await status(ses) == "Success"
        assert await mails(ses) == []


@pytest.mark.parametrize("operation", ASKING)
async def test_no_address_no_mail(operation: str) -> None:
    async with open_ses(auto_verify=False) as ses:
        with pytest.raises(InvalidParameterValue) as error:
            await ses.call(operation, EmailAddress="STUB")
        assert error.value.message == "Invalid email address<STUB>."
        assert await mails(ses) == []


async def test_verification_mail_is_neither_charged_nor_held_back() -> None:
    async with open_ses(auto_verify=False, sandbox=True) as ses:
        await ses.call("UpdateAccountSendingEnabled")
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        assert len(await mails(ses)) == 1
        assert (await ses.call("GetSendQuota")).sent_last24_hours == 0


async def test_a_link_works_once() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        token = await newest_token(ses)
        await follow(ses, token)
        again = await follow(ses, token)
        assert again is not None
        assert again.dead is DeadLink.USED


async def test_a_used_link_does_not_verify_an_address_that_was_deleted_and_asked_for_anew() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        token = await newest_token(ses)
        await follow(ses, token)
        await ses.call("DeleteIdentity", Identity=ANN)
        ses.clock.at_ms += 1
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        await follow(ses, token)
        assert await status(ses) == "Pending"


async def test_asking_again_makes_the_older_link_dead_and_keeps_success() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        older = await newest_token(ses)
        ses.clock.at_ms += 1
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        found = await follow(ses, older)
        assert found is not None
        assert found.dead is DeadLink.REPLACED
        assert await status(ses) == "Pending"
        await follow(ses, await newest_token(ses))
        ses.clock.at_ms += 1
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        assert await status(ses) == "Success"
        assert len(await mails(ses)) == 3


async def test_after_24_hours_the_link_is_dead_and_the_address_failed_until_asked_again() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        token = await newest_token(ses)
        ses.clock.at_ms += LINK_LIFE_MS
        found = await follow(ses, token)
        assert found is not None
        assert found.dead is DeadLink.EXPIRED
        assert await status(ses) == "Failed"
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        assert await status(ses) == "Pending"
        await follow(ses, await newest_token(ses))
        assert await status(ses) == "Success"


async def test_a_forged_link_changes_nothing() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        token = await newest_token(ses)
        assert await follow(ses, token[:-1]) is None
        assert await status(ses) == "Pending"


async def test_a_link_verifies_in_its_own_account_and_region_only() -> None:
    async with open_ses(auto_verify=False) as ses:
        for caller in (Callers.ANN, Callers.ANN_ELSEWHERE, Callers.BOB):
            await ses.call("VerifyEmailIdentity", caller, EmailAddress=ANN)
        await follow(ses, await newest_token(ses))
        assert await status(ses) == "Success"
        assert await status(ses, caller=Callers.ANN_ELSEWHERE) == "Pending"
        assert await status(ses, caller=Callers.BOB) == "Pending"


async def test_verified_addresses_are_listed_without_domains_and_without_pending_ones() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        for number in range(3):
            await ses.call("VerifyEmailIdentity", EmailAddress=f"{number}@example.com")
            if number:
                await follow(ses, await newest_token(ses))
        listed = await ses.call("ListVerifiedEmailAddresses")
        assert listed.verified_email_addresses == ("1@example.com", "2@example.com")
        assert (await ses.call("ListVerifiedEmailAddresses", Callers.BOB)).verified_email_addresses == ()


async def test_more_verified_addresses_than_a_page_are_listed() -> None:
    async with open_ses() as ses:
        for number in range(1001):
            await ses.call("VerifyEmailIdentity", EmailAddress=f"{number:04}@example.com")
        assert len((await ses.call("ListVerifiedEmailAddresses")).verified_email_addresses) == 1001


async def test_deleting_an_address_twice_is_no_error_and_spares_others() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress=ANN)
        await ses.call("VerifyEmailIdentity", Callers.BOB, EmailAddress=ANN)
        for _ in range(2):
            await ses.call("DeleteVerifiedEmailAddress", EmailAddress=ANN)
        assert await status(ses) is None
        assert await status(ses, caller=Callers.BOB) == "Success"


async def test_a_domain_is_not_deleted_as_an_address() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        with pytest.raises(InvalidParameterValue, match="Invalid email address<example.com>"):
            await ses.call("DeleteVerifiedEmailAddress", EmailAddress="example.com")
        assert await status(ses, "example.com") == "Success"
