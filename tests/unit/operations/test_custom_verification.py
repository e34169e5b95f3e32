"""Custom verification e-mails: templates, every documented error, sending, where the link leads."""

import base64
import re
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.messages import ContentKind
from posthouse.domain.quotas import SendingLimits
from posthouse.domain.scope import Caller
from posthouse.domain.verification import LINK_LIFE_MS
from posthouse.model.errors import InvalidParameterValue, ServiceError, Throttling
from posthouse.operations.addresses import Followed, follow_link
from posthouse.ports.mailstore import MessageFilter

OK, FAILED = "https://x.example/ok?a=1;b=2", "https://x.example/failed"
TEMPLATE = {
    "TemplateName": "Welcome",
    "FromEmailAddress": "shop@example.com",
    "TemplateSubject": "Is this you?",
    "TemplateContent": "<h1>Welcome</h1>",
    "SuccessRedirectionURL": OK,
    "FailureRedirectionURL": FAILED,
}
NEW = "dana@mail.example"


async def prepare(ses: Ses, **changes: str) -> None:
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    await ses.call("CreateCustomVerificationEmailTemplate", **{**TEMPLATE, **changes})


async def send(ses: Ses, caller: Caller = Callers.ANN, **changes: str) -> str:
    given = {"EmailAddress": NEW, "TemplateName": "Welcome", **changes}
    return str((await ses.call("SendCustomVerificationEmail", caller, **given)).message_id)


async def refused(
    ses: Ses, operation: str, caller: Caller = Callers.ANN, **given: str
) -> tuple[str, str, dict[str, Any]]:
    with pytest.raises(ServiceError) as error:
        await ses.call(operation, caller, **given)
    return error.value.code, error.value.message, error.value.members


async def token_of_mail(ses: Ses, message_id: str) -> str:
    content = await ses.ctx.stores.messages.content(Callers.ANN.scope, message_id)
    assert content is not None
    found = re.search(rb"http://ses\.test:8025/verify/([A-Za-z0-9_-]+)", content)
    assert found
    return found[1].decode()


async def follow(ses: Ses, token: str) -> Followed:
    found = await follow_link(token, ses.ctx.links, ses.ctx.stores.records, ses.clock.now_ms())
    assert found is not None
    return found


async def status(ses: Ses, address: str = NEW) -> str | None:
    found = await ses.call("GetIdentityVerificationAttributes", Identities__member__1=address)
    attributes = found.verification_attributes.get(address)
    return None if attributes is None else str(attributes.verification_status)


# -- templates


async def test_a_template_comes_back_as_it_was_given() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        got = await ses.call("GetCustomVerificationEmailTemplate", TemplateName="Welcome")
        assert (got.template_name, got.from_email_address, got.template_subject) == (
            "Welcome", "shop@example.com", "Is this you?",
        )  # fmt: skip
        assert (got.template_content, got.success_redirection_url, got.failure_redirection_url) == (
            "<h1>Welcome</h1>", OK, FAILED,
        )  # fmt: skip


async def test_a_name_is_taken_once() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        assert await refused(ses, "CreateCustomVerificationEmailTemplate", **TEMPLATE) == (
            "CustomVerificationEmailTemplateAlreadyExists",
            "Custom verification email template <Welcome> already exists",
            {"CustomVerificationEmailTemplateName": "Welcome"},
        )


@pytest.mark.parametrize(
    "operation",
    [
        "GetCustomVerificationEmailTemplate",
        "UpdateCustomVerificationEmailTemplate",
        "DeleteCustomVerificationEmailTemplate",
    ],
)
async def test_a_missing_template_is_an_error_also_for_deleting_it(operation: str) -> None:
    async with open_ses() as ses:
        await prepare(ses)
        expected = (
            "CustomVerificationEmailTemplateDoesNotExist",
            "Custom verification email template <Other> does not exist",
            {"CustomVerificationEmailTemplateName": "Other"},
        )
        assert await refused(ses, operation, TemplateName="Other") == expected
        # Another account's is as missing as any.
        for caller in (Callers.BOB, Callers.ANN_ELSEWHERE):
            code, message, _ = await refused(ses, operation, caller, TemplateName="Welcome")
            assert (code, message) == (expected[0], expected[1].replace("Other", "Welcome"))


@pytest.mark.parametrize(
    "address",
    ["shop@other.example", "nobody", "Shop <shop@example.com>", "a\r\nBcc: x@example.com", "a b@example.com", ""],
)
async def test_the_from_address_is_a_bare_verified_one(address: str) -> None:
    async with open_ses() as ses:
        await prepare(ses)
        expected = (
            "FromEmailAddressNotVerified",
            f"The from email address <{address}> is not verified",
            {"FromEmailAddress": address},
        )
        given = {**TEMPLATE, "TemplateName": "Two", "FromEmailAddress": address}
        assert await refused(ses, "CreateCustomVerificationEmailTemplate", **given) == expected
        if address:  # an update takes an empty value for one that is not given
            given = {"TemplateName": "Welcome", "FromEmailAddress": address}
            assert await refused(ses, "UpdateCustomVerificationEmailTemplate", **given) == expected


@pytest.mark.parametrize(
    ("member", "which"), [("SuccessRedirectionURL", "success"), ("FailureRedirectionURL", "failure")]
)
async def test_redirections_are_urls(member: str, which: str) -> None:
    async with open_ses() as ses:
        await prepare(ses)
        expected = ("InvalidParameterValue", f"The {which} redirection URL is invalid", {})
        given = {**TEMPLATE, "TemplateName": "Two", member: "not a url"}
        assert await refused(ses, "CreateCustomVerificationEmailTemplate", **given) == expected
        given = {"TemplateName": "Welcome", member: "ftp://x.example"}
        assert await refused(ses, "UpdateCustomVerificationEmailTemplate", **given) == expected


@pytest.mark.parametrize("content", ["<script>x</script>", "<a href='https://x.example'>x</a>", "<p><!-- x --></p>"])
async def test_content_that_is_not_allowed_is_refused(content: str) -> None:
    async with open_ses() as ses:
        await prepare(ses)
        given = {**TEMPLATE, "TemplateName": "Two", "TemplateContent": content}
        code, *_ = await refused(ses, "CreateCustomVerificationEmailTemplate", **given)
        assert code == "CustomVerificationEmailInvalidContent"
        given = {"TemplateName": "Welcome", "TemplateContent": content}
        code, *_ = await refused(ses, "UpdateCustomVerificationEmailTemplate", **given)
        assert code == "CustomVerificationEmailInvalidContent"
        got = await ses.call("GetCustomVerificationEmailTemplate", TemplateName="Welcome")
        assert got.template_content == "<h1>Welcome</h1>"


async def test_there_are_at_most_50_templates() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        for number in range(49):
            await ses.call("CreateCustomVerificationEmailTemplate", **{**TEMPLATE, "TemplateName": f"T{number}"})
        given = {**TEMPLATE, "TemplateName": "Fifty-first"}
        code, *_ = await refused(ses, "CreateCustomVerificationEmailTemplate", **given)
        assert code == "LimitExceeded"
        await ses.call("DeleteCustomVerificationEmailTemplate", TemplateName="T1")
        await ses.call("CreateCustomVerificationEmailTemplate", **given)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b"])
async def test_a_name_that_is_none_is_refused(name: str) -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        with pytest.raises(InvalidParameterValue):
            await ses.call("CreateCustomVerificationEmailTemplate", **{**TEMPLATE, "TemplateName": name})


async def test_an_update_changes_what_is_given_and_nothing_else() -> None:
    changes = {
        "TemplateSubject": "Other", "TemplateContent": "<p>Other</p>", "FromEmailAddress": "other@example.com",
        "SuccessRedirectionURL": "https://y.example/ok", "FailureRedirectionURL": "https://y.example/no",
    }  # fmt: skip
    async with open_ses() as ses:
        await prepare(ses)
        expected = dict(TEMPLATE)
        for member, value in changes.items():
            await ses.call("UpdateCustomVerificationEmailTemplate", TemplateName="Welcome", **{member: value})
            expected[member] = value
            got = await ses.call("GetCustomVerificationEmailTemplate", TemplateName="Welcome")
            assert [getattr(got, each.attribute) for each in got.MEMBERS] == [
                expected[each.name] for each in got.MEMBERS
            ]


async def test_templates_are_listed_by_pages_without_their_content() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        for number in range(4):
            await ses.call("CreateCustomVerificationEmailTemplate", **{**TEMPLATE, "TemplateName": f"T{number}"})
        names, token, pages = [], "", 0
        while token is not None:
            given = {"NextToken": token} if token else {}
            page = await ses.call("ListCustomVerificationEmailTemplates", MaxResults="2", **given)
            names += [each.template_name for each in page.custom_verification_email_templates]
            token, pages = page.next_token, pages + 1
        assert (names, pages) == (["T0", "T1", "T2", "T3", "Welcome"], 3)
        assert not hasattr(page.custom_verification_email_templates[0], "template_content")
        assert (await ses.call("ListCustomVerificationEmailTemplates")).next_token is None
        listed = await ses.call("ListCustomVerificationEmailTemplates", Callers.BOB)
        assert listed.custom_verification_email_templates == ()


async def test_a_token_that_was_never_given_is_refused() -> None:
    async with open_ses() as ses:
        for token in ("X", "MToA"):
            assert await refused(ses, "ListCustomVerificationEmailTemplates", NextToken=token) == (
                "InvalidParameterValue", f"Invalid nextToken <{token}>.", {},
            )  # fmt: skip


@pytest.mark.parametrize("asked", ["0", "51", "-1"])
async def test_a_page_that_is_out_of_range_has_50(asked: str) -> None:
    """API reference: "if you specify a value less than 1 or greater than 50, the operation returns up to 50"."""
    async with open_ses() as ses:
        await prepare(ses)
        page = await ses.call("ListCustomVerificationEmailTemplates", MaxResults=asked)
        assert len(page.custom_verification_email_templates) == 1


async def test_a_deleted_template_is_gone_with_its_content() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("DeleteCustomVerificationEmailTemplate", TemplateName="Welcome")
        async with ses.ctx.stores.records.reading() as reading:
            assert await reading.verification_contents.get(Callers.ANN.scope, "Welcome") is None
        assert (await refused(ses, "DeleteCustomVerificationEmailTemplate", TemplateName="Welcome"))[0] == (
            "CustomVerificationEmailTemplateDoesNotExist"
        )


# -- sending


async def verified_shop(ses: Ses) -> None:
    """As `prepare` where verification is by mail."""
    await ses.call("VerifyEmailIdentity", EmailAddress="shop@example.com")
    page = await ses.ctx.stores.messages.page(Callers.ANN.scope, MessageFilter(), "", 1)
    await follow(ses, await token_of_mail(ses, page[0].facts.message_id))
    await ses.call("CreateCustomVerificationEmailTemplate", **TEMPLATE)


async def test_sending_registers_the_address_and_the_link_verifies_it() -> None:
    async with open_ses(auto_verify=False) as ses:
        await verified_shop(ses)
        message_id = await send(ses)
        assert await status(ses) == "Pending"
        found = await follow(ses, await token_of_mail(ses, message_id))
        assert (found.dead, found.redirect) == (None, OK)
        assert await status(ses) == "Success"
        assert (await follow(ses, await token_of_mail(ses, message_id))).redirect == FAILED
        mail = await ses.ctx.stores.messages.get(Callers.ANN.scope, message_id)
        assert mail is not None
        assert (mail.facts.source, mail.facts.from_domain, mail.facts.subject) == (
            "shop@example.com", "example.com", "Is this you?",
        )  # fmt: skip
        assert [each.recipient for each in mail.recipients] == [NEW]


async def test_a_verified_address_stays_so_and_its_new_link_leads_to_success() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("VerifyEmailIdentity", EmailAddress=NEW)
        message_id = await send(ses)
        assert await status(ses) == "Success"
        assert (await follow(ses, await token_of_mail(ses, message_id))).redirect == OK


async def test_an_expired_or_replaced_link_leads_to_failure() -> None:
    async with open_ses(auto_verify=False) as ses:
        await verified_shop(ses)
        older, newer = await send(ses), await send(ses)
        assert (await follow(ses, await token_of_mail(ses, older))).redirect == FAILED
        ses.clock.at_ms += LINK_LIFE_MS + 1
        assert (await follow(ses, await token_of_mail(ses, newer))).redirect == FAILED
        assert await status(ses) == "Failed"


async def test_without_its_template_a_link_still_verifies() -> None:
    async with open_ses(auto_verify=False) as ses:
        await verified_shop(ses)
        message_id = await send(ses)
        await ses.call("DeleteCustomVerificationEmailTemplate", TemplateName="Welcome")
        found = await follow(ses, await token_of_mail(ses, message_id))
        assert (found.dead, found.redirect) == (None, "")
        assert await status(ses) == "Success"


async def test_the_address_is_judged_before_the_template() -> None:
    async with open_ses(sandbox=True) as ses:
        for address, text in (
            ("", "Email address not specified."),
            (" ", "Email address not specified."),
            ("X", "Invalid email address<X>."),
            ("a" * 310 + "@example.com", f"Invalid email address<{'a' * 310}@example.com>."),
        ):
            given = {"EmailAddress": address, "TemplateName": "None"}
            assert await refused(ses, "SendCustomVerificationEmail", **given) == ("InvalidParameterValue", text, {})


@pytest.mark.parametrize("address", ["a@b", '"a@b"@example.com'])
async def test_addresses_without_a_dot_and_with_quotes_pass(address: str) -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await send(ses, EmailAddress=address)
        assert await status(ses, address) == "Success"


@pytest.mark.parametrize("name", ["x" * 65, "a\0b", " "])
async def test_what_is_no_name_of_a_template_is_missing(name: str) -> None:
    async with open_ses() as ses:
        for operation in ("Get", "Update", "Delete"):
            code, *_ = await refused(ses, f"{operation}CustomVerificationEmailTemplate", TemplateName=name)
            assert code == "CustomVerificationEmailTemplateDoesNotExist"
        code, *_ = await refused(ses, "SendCustomVerificationEmail", EmailAddress=NEW, TemplateName=name)
        assert code == "CustomVerificationEmailTemplateDoesNotExist"


async def test_sending_by_a_missing_template() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        for caller, name in ((Callers.ANN, "Other"), (Callers.BOB, "Welcome")):
            given = {"EmailAddress": NEW, "TemplateName": name}
            assert await refused(ses, "SendCustomVerificationEmail", caller, **given) == (
                "CustomVerificationEmailTemplateDoesNotExist",
                f"Template <{name}> does not exist",
                {"CustomVerificationEmailTemplateName": name},
            )
        assert await status(ses) is None


async def test_sending_needs_production_access() -> None:
    async with open_ses(sandbox=True) as ses:
        await prepare(ses)
        code, *_ = await refused(ses, "SendCustomVerificationEmail", EmailAddress=NEW, TemplateName="Welcome")
        assert code == "ProductionAccessNotGranted"
        assert await status(ses) is None


async def test_sending_needs_the_from_address_still_verified() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("DeleteIdentity", Identity="example.com")
        assert await refused(ses, "SendCustomVerificationEmail", EmailAddress=NEW, TemplateName="Welcome") == (
            "FromEmailAddressNotVerified",
            "Email address is not verified. The following identities failed the check in region US-EAST-1: "
            "shop@example.com",
            {"FromEmailAddress": "shop@example.com"},
        )


async def test_sending_by_a_missing_configuration_set() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        given = {"EmailAddress": NEW, "TemplateName": "Welcome", "ConfigurationSetName": "C"}
        code, message, _ = await refused(ses, "SendCustomVerificationEmail", **given)
        assert (code, message) == ("ConfigurationSetDoesNotExist", "Configuration set <C> does not exist.")


async def test_a_paused_account_sends_none() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("UpdateAccountSendingEnabled")
        code, *_ = await refused(ses, "SendCustomVerificationEmail", EmailAddress=NEW, TemplateName="Welcome")
        assert code == "AccountSendingPausedException"


async def test_sending_is_charged_and_a_refused_call_leaves_the_older_link_alive() -> None:
    async with open_ses(auto_verify=False, production=SendingLimits(1, -1)) as ses:
        await verified_shop(ses)
        message_id = await send(ses)
        ses.clock.at_ms += 1
        with pytest.raises(Throttling):
            await send(ses)
        assert (await follow(ses, await token_of_mail(ses, message_id))).redirect == OK


async def test_images_in_the_content_leave_as_parts() -> None:
    picture = base64.b64encode(b"GIF89a" + bytes(50)).decode()
    async with open_ses() as ses:
        await prepare(ses, TemplateContent=f"<img src='data:image/gif;base64,{picture}'>")
        message_id = await send(ses)
        mail = await ses.ctx.stores.messages.get(Callers.ANN.scope, message_id)
        content = await ses.ctx.stores.messages.content(Callers.ANN.scope, message_id)
        assert mail is not None
        assert mail.facts.content_kind is ContentKind.RAW
        assert content is not None
        assert b"Content-Type: image/gif" in content
