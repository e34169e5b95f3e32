"""Custom MAIL FROM domains: setting, looking up, and refusing mail where the owner wants it refused."""

import re
from typing import Any

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.identities import Identity, Status
from posthouse.domain.quotas import SendingLimits
from posthouse.model.errors import InvalidParameterValue, ServiceError, Throttling
from posthouse.model.generated import MailFromDomainNotVerifiedException, MessageRejected

MAIL: dict[str, Any] = {
    "Source": "Ann <ann@example.com>",
    "Destination__ToAddresses__member__1": "bob@example.net",
    "Message__Subject__Data": "s",
    "Message__Body__Text__Data": "t",
}
SETTING: dict[str, Any] = {"Identity": "example.com", "MailFromDomain": "m.example.com"}
REJECTING: dict[str, Any] = {**SETTING, "BehaviorOnMXFailure": "RejectMessage"}
BROKEN = "MAIL FROM domain not verified: DNS setup for MAIL FROM domain is invalid."


async def shown(ses: Ses, *names: str) -> dict[str, tuple[str | None, str | None, str]]:
    asked: dict[str, Any] = {f"Identities__member__{number}": name for number, name in enumerate(names, 1)}
    found: Any = await ses.call("GetIdentityMailFromDomainAttributes", **asked)
    return {
        name: (each.mail_from_domain, each.mail_from_domain_status, each.behavior_on_mx_failure)
        for name, each in found.mail_from_domain_attributes.items()
    }


async def change(ses: Ses, name: str, *, status: Status | None = None, mail_from: Status | None = None) -> None:
    """As if DNS had been looked at."""
    async with ses.ctx.stores.records.transaction() as tx:
        identity = await tx.identities.get(Callers.ANN.scope, name)
        assert isinstance(identity, Identity)
        if status is not None:
            identity = msgspec.structs.replace(identity, status=status)
        if mail_from is not None:
            setting = msgspec.structs.replace(identity.mail_from, status=mail_from)
            identity = msgspec.structs.replace(identity, mail_from=setting)
        await tx.identities.put(Callers.ANN.scope, name, identity)


async def verified_by_dns(ses: Ses) -> None:
    """A verified domain whose MAIL FROM domain is another matter: `auto_verify` is off."""
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    await change(ses, "example.com", status=Status.SUCCESS)


async def test_a_domain_is_pending_until_its_mx_record_is_seen() -> None:
    async with open_ses(auto_verify=False) as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await ses.call("VerifyDomainIdentity", Domain="example.org")
        assert await shown(ses, "example.com") == {"example.com": (None, None, "UseDefaultValue")}
        await ses.call("SetIdentityMailFromDomain", Identity="Example.com", MailFromDomain="Bounce.example.com")
        for _ in range(2):
            await ses.call(
                "SetIdentityMailFromDomain",
                Identity="example.org",
                MailFromDomain="m.example.org",
                BehaviorOnMXFailure="RejectMessage",
            )
        assert await shown(ses, "EXAMPLE.com", "example.org", "unknown.example", "ann@example.com") == {
            "EXAMPLE.com": ("bounce.example.com", "Pending", "UseDefaultValue"),
            "example.org": ("m.example.org", "Pending", "RejectMessage"),
        }


async def test_with_auto_verify_it_is_in_use_at_once() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress="Ann@example.com")
        await ses.call("SetIdentityMailFromDomain", Identity="Ann@example.com", MailFromDomain="m.example.com")
        assert await shown(ses, "Ann@example.com", "ann@example.com") == {
            "Ann@example.com": ("m.example.com", "Success", "UseDefaultValue")
        }


@pytest.mark.parametrize("nothing", [{}, {"MailFromDomain": ""}])
async def test_no_domain_removes_the_setting_however_often(nothing: dict[str, Any]) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await ses.call("SetIdentityMailFromDomain", **SETTING)
        for _ in range(2):
            await ses.call("SetIdentityMailFromDomain", Identity="example.com", **nothing)
        assert await shown(ses, "example.com") == {"example.com": (None, None, "UseDefaultValue")}


async def test_errors_are_told_in_the_words_of_ses() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"Identity": "other.example"}, "Identity <other.example> does not exist."),
            (
                {"Identity": "other.example", "MailFromDomain": "m.other.example"},
                "Identity <other.example> does not exist.",
            ),
            (
                {"Identity": "example.com", "MailFromDomain": "m.example.org"},
                "Provided MAIL-FROM domain <m.example.org> is not subdomain of the domain of the identity "
                "<example.com>.",
            ),
        )
        for parameters, answer in cases:
            with pytest.raises(InvalidParameterValue) as error:
                await ses.call("SetIdentityMailFromDomain", **parameters)
            assert error.value.message == answer
        with pytest.raises(ServiceError) as invalid:
            await ses.call("SetIdentityMailFromDomain", Identity="example.com", BehaviorOnMXFailure="Drop")
        assert invalid.value.code == "ValidationError"
        assert "'behaviorOnMXFailure'" in invalid.value.message
        assert "[RejectMessage, UseDefaultValue]" in invalid.value.message


async def test_at_most_a_hundred_identities_are_looked_up() -> None:
    async with open_ses() as ses:
        assert await shown(ses, *(f"d{number}.example" for number in range(100))) == {}
        with pytest.raises(InvalidParameterValue):
            await shown(ses, *(f"d{number}.example" for number in range(101)))


async def test_nobody_sets_or_sees_anothers() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        await ses.call("SetIdentityMailFromDomain", **SETTING)
        for stranger in (Callers.BOB, Callers.ANN_ELSEWHERE):
            with pytest.raises(InvalidParameterValue, match="does not exist"):
                await ses.call("SetIdentityMailFromDomain", stranger, Identity="example.com")
            found = await ses.call("GetIdentityMailFromDomainAttributes", stranger, Identities__member__1="example.com")
            assert found.mail_from_domain_attributes == {}


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED, Status.TEMPORARY_FAILURE])
async def test_mail_is_refused_from_the_moment_it_is_asked_for_until_the_record_is_seen(status: Status) -> None:
    async with open_ses(auto_verify=False) as ses:
        await verified_by_dns(ses)
        await ses.call("SendEmail", **MAIL)
        await ses.call("SetIdentityMailFromDomain", **REJECTING)
        await change(ses, "example.com", mail_from=status)
        with pytest.raises(MailFromDomainNotVerifiedException) as error:
            await ses.call("SendEmail", **MAIL)
        assert (error.value.code, error.value.message) == ("MailFromDomainNotVerifiedException", BROKEN)
        with pytest.raises(MailFromDomainNotVerifiedException):
            await ses.call("SendRawEmail", RawMessage__Data="RnJvbTogYW5uQGV4YW1wbGUuY29tDQpUbzogYkB4LmV4DQoNCg==")
        quota = await ses.call("GetSendQuota")
        assert quota.sent_last24_hours == 1, "what is refused is charged to nobody"
        await change(ses, "example.com", mail_from=Status.SUCCESS)
        assert re.fullmatch(r"[0-9a-f-]{60}", (await ses.call("SendEmail", **MAIL)).message_id)


async def test_mail_is_taken_where_the_default_shall_stand_in() -> None:
    async with open_ses(auto_verify=False) as ses:
        await verified_by_dns(ses)
        await ses.call("SetIdentityMailFromDomain", **SETTING)
        await ses.call("SendEmail", **MAIL)


async def test_verification_and_a_used_up_quota_are_told_before_the_mail_from_domain() -> None:
    async with open_ses(auto_verify=False, production=SendingLimits(1, -1)) as ses:
        await verified_by_dns(ses)
        await ses.call("SetIdentityMailFromDomain", **REJECTING)
        with pytest.raises(MessageRejected):
            await ses.call("SendEmail", **MAIL, ReturnPath="x@example.org")
        with pytest.raises(MailFromDomainNotVerifiedException):
            await ses.call("SendEmail", **MAIL)
        await change(ses, "example.com", mail_from=Status.SUCCESS)
        await ses.call("SendEmail", **MAIL)
        await change(ses, "example.com", mail_from=Status.FAILED)
        with pytest.raises(Throttling) as error:
            await ses.call("SendEmail", **MAIL)
        assert error.value.message == "Daily message quota exceeded."


async def test_the_from_address_decides_and_not_the_return_path() -> None:
    async with open_ses(auto_verify=False) as ses:
        await verified_by_dns(ses)
        await ses.call("VerifyEmailIdentity", EmailAddress="bad@example.com")
        await ses.call("SetIdentityMailFromDomain", **(REJECTING | {"Identity": "bad@example.com"}))
        await change(ses, "bad@example.com", status=Status.SUCCESS)
        await ses.call("SendEmail", **MAIL, ReturnPath="bad@example.com")
        with pytest.raises(MailFromDomainNotVerifiedException):
            await ses.call("SendEmail", **(MAIL | {"Source": "bad+tag@example.com"}))
