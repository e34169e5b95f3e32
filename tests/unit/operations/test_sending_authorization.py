"""Bob sends from Ann's identities: by her policies, in the words of SES where they do not allow it."""

import base64
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.identities import Status
from posthouse.domain.messages import MessageFacts
from posthouse.domain.scope import Caller, Scope
from posthouse.model.errors import AccessDenied, InvalidParameterValue
from posthouse.model.generated import MailFromDomainNotVerifiedException, MessageRejected
from posthouse.submission.raw import RawSubmission, submit_raw

ANN, BOB = Callers.ANN, Callers.BOB
ARN = "arn:aws:ses:us-east-1:111111111111:identity/example.com"
BOBS_OWN = "bob.example"


def denied(action: str = "ses:SendEmail", resource: str = ARN, who: str = BOB.arn) -> str:
    return f"User `{who}' is not authorized to perform `{action}' on resource `{resource}'"


async def share(ses: Ses, *, identity: str = "example.com", name: str = "p", **changes: Any) -> None:
    """Ann verifies the identity and attaches a policy; by default Bob's account may do everything."""
    if "@" in identity:
        await ses.call("VerifyEmailIdentity", EmailAddress=identity)
    else:
        await ses.call("VerifyDomainIdentity", Domain=identity)
    statement = {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "ses:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": {**statement, **changes}})
    await ses.call("PutIdentityPolicy", Identity=identity, PolicyName=name, Policy=document)


async def facts_of(ses: Ses, caller: Caller, message_id: str) -> MessageFacts:
    stored = await ses.ctx.stores.messages.get(caller.scope, message_id)
    assert stored is not None
    return stored.facts


async def send(ses: Ses, caller: Caller = BOB, **changes: str | None) -> MessageFacts:
    given: dict[str, str | None] = {
        "Source": "Shop News <news@example.com>",
        "SourceArn": ARN,
        "Destination__ToAddresses__member__1": "one@mail.example",
        "Message__Subject__Data": "Hello",
        "Message__Body__Text__Data": "Hi",
        **changes,
    }
    parameters = {key: value for key, value in given.items() if value is not None}
    return await facts_of(ses, caller, (await ses.call("SendEmail", caller, **parameters)).message_id)


async def send_raw(ses: Ses, head: str = "", **parameters: str) -> MessageFacts:
    text = f"From: Shop <news@example.com>\r\nTo: one@mail.example\r\n{head}\r\nHi\r\n"
    data = base64.b64encode(text.encode()).decode()
    answer = await ses.call("SendRawEmail", BOB, RawMessage__Data=data, **parameters)
    return await facts_of(ses, BOB, answer.message_id)


async def submit(ses: Ses, head: str, mail_from: str, caller: Caller = BOB, tls: str = "") -> MessageFacts:
    text = f"From: Shop <news@example.com>\r\nTo: one@mail.example\r\n{head}\r\nHi\r\n"
    raw = RawSubmission(
        caller=caller, operation="SMTP", content=text.encode(), source=mail_from,
        destinations=("one@mail.example",), tls=tls,
    )  # fmt: skip
    return await facts_of(ses, caller, await submit_raw(raw, ses.ctx.submission))


async def test_an_allowed_mail_is_the_delegates_and_signed_as_the_owners() -> None:
    async with open_ses() as ses:
        await share(ses)
        facts = await send(ses)
        quota = await ses.call("GetSendQuota", BOB)
        owners = await ses.call("GetSendQuota", ANN)
    assert (facts.scope, facts.source_arn, facts.identity_scope) == (BOB.scope, ARN, ANN.scope)
    assert (quota.sent_last24_hours, owners.sent_last24_hours) == (1.0, 0.0)


async def test_ones_own_mail_is_ones_own_to_sign() -> None:
    async with open_ses() as ses:
        await share(ses)
        plain = await send(ses, ANN, SourceArn=None)
        named = await send(ses, ANN)
    assert (plain.source_arn, plain.identity_scope) == ("", ANN.scope)
    assert (named.source_arn, named.identity_scope) == (ARN, ANN.scope)


async def test_without_an_arn_a_policy_is_of_no_use() -> None:
    async with open_ses() as ses:
        await share(ses)
        for nothing in (None, ""):
            with pytest.raises(MessageRejected, match="US-EAST-1: Shop News <news@example.com>"):
                await send(ses, SourceArn=nothing)


async def test_not_allowed_and_not_there_are_the_same_answer() -> None:
    async with open_ses() as ses:
        with pytest.raises(AccessDenied) as missing:
            await send(ses)
        await ses.call("VerifyDomainIdentity", Domain="example.com")
        with pytest.raises(AccessDenied) as unshared:
            await send(ses)
        await share(ses, Principal={"AWS": "333333333333"})
        with pytest.raises(AccessDenied) as others:
            await send(ses)
        assert await ses.ctx.stores.queue.depth() == 0
    assert missing.value.message == unshared.value.message == others.value.message == denied()
    assert missing.value.http_status == 403


async def test_a_policy_counts_from_the_moment_it_is_changed() -> None:
    async with open_ses() as ses:
        await share(ses)
        await send(ses)
        await share(ses, name="q", Effect="Deny", Action="ses:SendEmail")
        with pytest.raises(AccessDenied):
            await send(ses)
        await ses.call("DeleteIdentityPolicy", Identity="example.com", PolicyName="q")
        await send(ses)
        await ses.call("DeleteIdentity", Identity="example.com")
        with pytest.raises(AccessDenied):
            await send(ses)


async def test_the_action_is_that_of_the_operation() -> None:
    async with open_ses() as ses:
        await share(ses, Action="ses:SendRawEmail")
        with pytest.raises(AccessDenied) as by_api:
            await send(ses)
        await send_raw(ses, SourceArn=ARN)
        await submit(ses, f"X-SES-SOURCE-ARN: {ARN}\r\n", "news@example.com")
        await share(ses, Action="ses:SendEmail")
        with pytest.raises(AccessDenied) as by_smtp:
            await submit(ses, f"X-SES-SOURCE-ARN: {ARN}\r\n", "news@example.com")
    assert (by_api.value.message, by_smtp.value.message) == (denied(), denied("ses:SendRawEmail"))


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        ({"StringLike": {"ses:FromAddress": "news*@example.com"}}, {}, {"Source": "ceo@example.com"}),
        ({"StringEquals": {"ses:FromDisplayName": "Shop News"}}, {}, {"Source": "Shop <news@example.com>"}),
        (
            {"StringEquals": {"ses:FromDisplayName": "Käse"}},
            {"Source": "=?UTF-8?Q?K=C3=A4se?= <news@example.com>"},
            {},
        ),
        (
            {"ForAllValues:StringLike": {"ses:Recipients": ["*@mail.example", "*@partner.example"]}},
            {"Destination__BccAddresses__member__1": "two@partner.example"},
            {"Destination__BccAddresses__member__1": "two@other.example"},
        ),
        (
            {"StringEquals": {"ses:FeedbackAddress": "bounces@example.com"}},
            {"ReturnPath": "bounces@example.com", "ReturnPathArn": ARN},
            {},
        ),
        ({"NumericEquals": {"ses:ApiVersion": 1}}, {}, None),
    ],
)
async def test_conditions_on_the_mail(condition: Any, good: dict[str, str], bad: dict[str, str] | None) -> None:
    async with open_ses() as ses:
        await share(ses, Condition=condition)
        await send(ses, **good)
        if bad is not None:
            with pytest.raises(AccessDenied):
                await send(ses, **bad)


@pytest.mark.parametrize(
    ("condition", "changes"),
    [
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, {"source_ip": "198.51.100.1"}),
        ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, {"user_agent": "curl/8"}),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"secure": False}),
        ({"ArnEquals": {"aws:PrincipalArn": BOB.arn}}, {"access_key": "AKIAEVE"}),
    ],
)
async def test_conditions_on_the_caller(condition: Any, changes: dict[str, Any]) -> None:
    caller = replace(BOB, secure=True, user_agent="Boto3/1.2")
    async with open_ses() as ses:
        await share(ses, Condition=condition)
        await send(ses, caller)
        with pytest.raises(AccessDenied):
            await send(ses, replace(caller, **changes))


async def test_a_permission_may_end() -> None:
    async with open_ses() as ses:
        await share(ses, Condition={"DateLessThan": {"aws:CurrentTime": "2027-01-15T08:00:01Z"}})
        await send(ses)
        ses.clock.at_ms += 1000
        with pytest.raises(AccessDenied):
            await send(ses)


async def test_over_smtp_tls_is_seen_too() -> None:
    async with open_ses() as ses:
        await share(ses, Condition={"Bool": {"aws:SecureTransport": "true"}})
        await submit(ses, f"X-SES-SOURCE-ARN: {ARN}\r\n", "news@example.com", tls="TLS_AES_256_GCM_SHA384")
        with pytest.raises(AccessDenied):
            await submit(ses, f"X-SES-SOURCE-ARN: {ARN}\r\n", "news@example.com")


@pytest.mark.parametrize("arn", [ARN.replace("us-east-1", "eu-west-1"), ARN.replace("example.com", "sub.example.com")])
async def test_an_arn_names_one_identity_of_one_region(arn: str) -> None:
    async with open_ses() as ses:
        await share(ses)
        await ses.call("VerifyDomainIdentity", Callers.ANN_ELSEWHERE, Domain="example.com")
        with pytest.raises(AccessDenied) as raised:
            await send(ses, Source="news@sub.example.com", SourceArn=arn)
    assert raised.value.message == denied(resource=arn)


async def test_ones_own_identities_elsewhere_are_not_here() -> None:
    elsewhere = ARN.replace("us-east-1", "eu-west-1")
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Callers.ANN_ELSEWHERE, Domain="example.com")
        with pytest.raises(AccessDenied):
            await send(ses, ANN, SourceArn=elsewhere)


async def test_an_identity_that_does_not_cover_the_sender_says_nothing_about_it() -> None:
    async with open_ses() as ses:
        await share(ses)
        with pytest.raises(MessageRejected, match="US-EAST-1: eve@other.example"):
            await send(ses, Source="eve@other.example")
        await ses.call("VerifyDomainIdentity", BOB, Domain=BOBS_OWN)
        facts = await send(ses, Source=f"me@{BOBS_OWN}")
    assert (facts.source_arn, facts.identity_scope) == ("", BOB.scope)


@pytest.mark.parametrize("arn", ["example.com", "arn:aws:ses:us-east-1:1:identity/x", "arn\x01:ü"])
async def test_what_is_no_arn_is_refused(arn: str) -> None:
    async with open_ses() as ses:
        await share(ses)
        with pytest.raises(InvalidParameterValue) as raised:
            await send(ses, SourceArn=arn)
    assert raised.value.message == f"Invalid identity ARN <{''.join(c if ' ' <= c <= '~' else '?' for c in arn)}>."


async def test_an_identity_that_is_no_more_verified_is_told_to_those_who_may_use_it() -> None:
    async with open_ses() as ses:
        await share(ses)
        async with ses.ctx.stores.records.transaction() as tx:
            identity = await tx.identities.get(ANN.scope, "example.com")
            assert identity is not None
            failed = msgspec.structs.replace(identity, status=Status.FAILED)
            await tx.identities.put(ANN.scope, "example.com", failed)
        with pytest.raises(MessageRejected, match="US-EAST-1: Shop News <news@example.com>"):
            await send(ses)
        with pytest.raises(AccessDenied):
            await send(ses, Caller(Scope("333333333333", "us-east-1"), "AKIAEVE", ""))


async def test_a_return_path_has_its_own_arn() -> None:
    async with open_ses() as ses:
        await share(ses)
        with pytest.raises(MessageRejected, match="US-EAST-1: bounces@example.com"):
            await send(ses, ReturnPath="bounces@example.com")
        await send(ses, ReturnPath="bounces@example.com", ReturnPathArn=ARN)
        await ses.call("VerifyDomainIdentity", BOB, Domain=BOBS_OWN)
        facts = await send(ses, ReturnPath=f"bounces@{BOBS_OWN}")
    assert (facts.feedback_to, facts.source_arn) == (f"bounces@{BOBS_OWN}", ARN)


async def test_in_raw_mail_the_source_arn_stands_for_all() -> None:
    async with open_ses() as ses:
        await share(ses)
        everybody = "Sender: ann@example.com\r\nReturn-Path: <bounces@example.com>\r\n"
        by_parameter = await send_raw(ses, everybody, SourceArn=ARN, Source="bounces@example.com")
        by_header = await send_raw(ses, everybody + f"X-SES-SOURCE-ARN: {ARN}\r\n")
    assert by_parameter.source_arn == by_header.source_arn == ARN


async def test_raw_mail_names_each_identity_by_itself() -> None:
    other = ARN.replace("example.com", "other.example")
    async with open_ses() as ses:
        await share(ses)
        await share(ses, identity="other.example")
        await ses.call("VerifyDomainIdentity", BOB, Domain=BOBS_OWN)
        mixed = await send_raw(
            ses, "Return-Path: <bounces@other.example>\r\n", Source=f"me@{BOBS_OWN}", FromArn=ARN, ReturnPathArn=other
        )
        with pytest.raises(MessageRejected, match="US-EAST-1: me@example.com"):
            await send_raw(ses, Source="me@example.com", FromArn=ARN)
        with pytest.raises(MessageRejected, match="US-EAST-1: Shop <news@example.com>"):
            await send_raw(ses, SourceArn=other, Source="me@other.example")
    assert mixed.source_arn == ARN


async def test_a_parameter_beats_its_header() -> None:
    wrong = ARN.replace("1111", "3333")
    async with open_ses() as ses:
        await share(ses)
        await send_raw(ses, f"X-SES-SOURCE-ARN: {wrong}\r\nX-SES-FROM-ARN: {wrong}\r\n", SourceArn=ARN, FromArn=ARN)
        with pytest.raises(AccessDenied) as raised:
            await send_raw(ses, f"X-SES-FROM-ARN: {wrong}\r\n", SourceArn=ARN)
    assert raised.value.message == denied("ses:SendRawEmail", wrong)


async def test_a_policy_of_an_address_covers_that_address() -> None:
    arn = ARN.replace("example.com", "news@example.com")
    async with open_ses() as ses:
        await share(ses, identity="news@example.com")
        await send(ses, SourceArn=arn)
        with pytest.raises(MessageRejected):
            await send(ses, Source="other@example.com", SourceArn=arn)


async def test_only_an_explicit_deny_binds_the_owner() -> None:
    async with open_ses() as ses:
        await share(ses, Principal="*", Effect="Deny", Condition={"StringLike": {"ses:FromAddress": "ceo@*"}})
        for arn in (None, ARN):
            await send(ses, ANN, SourceArn=arn)
            with pytest.raises(AccessDenied) as raised:
                await send(ses, ANN, Source="ceo@example.com", SourceArn=arn)
            assert raised.value.message == denied(who=ANN.arn)
        with pytest.raises(AccessDenied):
            await send(ses)


async def test_an_owner_in_the_sandbox_holds_the_delegate_there() -> None:
    async with open_ses(sandbox=True) as ses:
        await share(ses)
        with pytest.raises(MessageRejected, match="US-EAST-1: one@mail.example"):
            await send(ses)
        await leave_sandbox(ses, BOB.scope)
        with pytest.raises(MessageRejected, match="US-EAST-1: one@mail.example"):
            await send(ses)
        await leave_sandbox(ses, ANN.scope)
        await send(ses)


async def leave_sandbox(ses: Ses, scope: Scope) -> None:
    from posthouse.domain.accounts import Account

    async with ses.ctx.stores.records.transaction() as tx:
        await tx.accounts.put(scope, "account", Account(sandbox=False))


async def test_the_owners_broken_mail_from_domain_holds_the_mail_back() -> None:
    async with open_ses() as ses:
        await share(ses)
        async with ses.ctx.stores.records.transaction() as tx:
            identity = await tx.identities.get(ANN.scope, "example.com")
            assert identity is not None
            broken = msgspec.structs.replace(
                identity.mail_from, domain="mail.example.com", behavior="RejectMessage", status=Status.FAILED
            )
            await tx.identities.put(ANN.scope, "example.com", msgspec.structs.replace(identity, mail_from=broken))
        with pytest.raises(MailFromDomainNotVerifiedException):
            await send(ses)
