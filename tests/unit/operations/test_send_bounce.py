"""SendBounce: who may bounce what, and what the bounce says."""

import email
import email.policy
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any, cast

import pytest
from tests.support.context import Callers, Ses, open_ses
from tests.unit.operations.examples import DOMAIN, INCOMING, incoming

from posthouse.delivery.return_paths import ReturnPaths
from posthouse.domain.events import EventType
from posthouse.domain.messages import FEEDBACK, Direction
from posthouse.domain.quotas import SendingLimits
from posthouse.mail import dsn
from posthouse.mail.dsn import Received
from posthouse.model.errors import InvalidParameterValue, ServiceError, Throttling
from posthouse.model.generated import AccountSendingPausedException, MessageRejected

DAY_MS = 24 * 60 * 60 * 1000
ANN = Callers.ANN.scope
DESK = {
    "BouncedRecipientInfoList__member__1__Recipient": f"desk@{DOMAIN}",
    "BouncedRecipientInfoList__member__1__BounceType": "DoesNotExist",
}
BY_FIELDS = {
    "BouncedRecipientInfoList__member__1__Recipient": f"desk@{DOMAIN}",
    "BouncedRecipientInfoList__member__1__RecipientDsnFields__Action": "failed",
    "BouncedRecipientInfoList__member__1__RecipientDsnFields__Status": "5.7.1",
}
FIELDS = "BouncedRecipientInfoList__member__1__RecipientDsnFields__"


@pytest.fixture
async def ses() -> AsyncIterator[Ses]:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain=DOMAIN)
        await receive(ses)
        yield ses


async def receive(ses: Ses, message_id: str = INCOMING, **facts: Any) -> None:
    await ses.ctx.stores.inbox.add(incoming(ANN, message_id, ses.clock.now_ms(), **facts))


async def bounce(ses: Ses, recipients: dict[str, str] | None = None, **more: Any) -> str:
    given = {"OriginalMessageId": INCOMING, "BounceSender": f"Mail <mailer-daemon@{DOMAIN}>", **(recipients or DESK)}
    answer = await ses.call("SendBounce", **{**given, **more})
    return str(answer.message_id)


async def sent(ses: Ses, message_id: str) -> tuple[EmailMessage, Received]:
    content = await ses.ctx.stores.messages.content(ANN, message_id)
    assert content is not None
    received = dsn.read(content)
    assert received is not None
    return cast(EmailMessage, email.message_from_bytes(content, policy=email.policy.default)), received


async def test_the_sender_of_a_received_mail_gets_a_report(ses: Ses) -> None:
    message_id = await bounce(ses)
    stored = await ses.ctx.stores.messages.get(ANN, message_id)
    assert stored is not None
    facts = stored.facts
    assert [each.recipient for each in stored.recipients] == ["b@x.example"]
    assert (facts.direction, facts.operation, facts.null_sender) == (Direction.OUT, "SendBounce", True)
    assert (facts.source, facts.from_domain) == (f"Mail <mailer-daemon@{DOMAIN}>", DOMAIN)
    mail, received = await sent(ses, message_id)
    assert (mail["From"], mail["To"]) == (f"Mail <mailer-daemon@{DOMAIN}>", "b@x.example")
    assert mail["Subject"] == "Delivery Status Notification (Failure)"
    assert (mail["Auto-Submitted"], mail["In-Reply-To"]) == ("auto-replied", "<1@x.example>")
    text, _, returned = mail.iter_parts()
    assert f"<desk@{DOMAIN}>: The mailbox does not exist." in cast(EmailMessage, text).get_content()
    assert returned.get_content_type() == "text/rfc822-headers"
    assert [field.text for field in received.returned if field.key == b"subject"] == ["Help"]
    assert received.status.reporting_mta == "dns; inbound-smtp.us-east-1.posthouse.test"
    assert received.status.arrival_date == "Fri, 15 Jan 2027 08:00:00 +0000"
    [desk] = received.status.recipients
    assert (desk.final_recipient, desk.original_recipient) == (f"desk@{DOMAIN}", f"desk@{DOMAIN}")
    assert (desk.action, desk.status, desk.diagnostic_code) == (
        "failed",
        "5.1.1",
        "smtp; 550 5.1.1 mailbox does not exist",
    )


async def test_a_bounce_leaves_under_the_null_path(ses: Ses) -> None:
    message_id = await bounce(ses)
    stored = await ses.ctx.stores.messages.get(ANN, message_id)
    assert stored is not None
    assert await ReturnPaths(ses.ctx.stores.records, "posthouse.test", b"k").path_for(stored.facts) == ""


async def test_both_timelines_tell_of_it(ses: Ses) -> None:
    message_id = await bounce(ses)
    told = {}
    for id in (INCOMING, message_id):
        [logged] = await ses.ctx.stores.events.of_message(ANN, id)
        assert logged.event.type is EventType.BOUNCE_SENT
        told[id] = logged.event.detail
    recipients = [f"desk@{DOMAIN}"]
    assert told[INCOMING] == {"bounce_message_id": message_id, "recipients": recipients}
    assert told[message_id] == {"original_message_id": INCOMING, "recipients": recipients}
    assert await ses.ctx.stores.statistics.points(ANN, 0) == [], "it is no bounce of ours"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("DoesNotExist", "5.1.1"),
        ("MessageTooLarge", "5.3.4"),
        ("ExceededQuota", "5.2.2"),
        ("ContentRejected", "5.6.1"),
        ("Undefined", "5.0.0"),
        ("TemporaryFailure", "4.0.0"),
    ],
)
async def test_each_bounce_type_has_its_code(ses: Ses, kind: str, status: str) -> None:
    message_id = await bounce(ses, BouncedRecipientInfoList__member__1__BounceType=kind)
    _, received = await sent(ses, message_id)
    [desk] = received.status.recipients
    assert (desk.action, desk.status) == ("failed", status)
    assert status in desk.diagnostic_code


async def test_every_field_that_is_given_is_sent(ses: Ses) -> None:
    message_id = await bounce(
        ses,
        {
            **BY_FIELDS,
            "BouncedRecipientInfoList__member__2__Recipient": f"SUPPORT@{DOMAIN}",
            "BouncedRecipientInfoList__member__2__BounceType": "ExceededQuota",
        },
        **{
            "Explanation": "Sorry, \N{SNOWMAN}.",
            "MessageDsn__ReportingMta": "dns; mx.shop.example",
            "MessageDsn__ArrivalDate": "2024-05-02T09:15:30Z",
            "MessageDsn__ExtensionFields__member__1__Name": "X-Queue",
            "MessageDsn__ExtensionFields__member__1__Value": "4F3D1",
            f"{FIELDS}FinalRecipient": "desk@inner.example",
            f"{FIELDS}RemoteMta": "dns; inner.example",
            f"{FIELDS}DiagnosticCode": "550 5.7.1 not\r\nAction: delivered",
            f"{FIELDS}LastAttemptDate": "2024-05-02T09:16:30Z",
            f"{FIELDS}ExtensionFields__member__1__Name": "X-Why",
            f"{FIELDS}ExtensionFields__member__1__Value": "policy \N{EM DASH} strict",
        },
    )
    mail, received = await sent(ses, message_id)
    text, *_ = mail.iter_parts()
    assert cast(EmailMessage, text).get_content().rstrip() == "Sorry, \N{SNOWMAN}."
    status = received.status
    assert (status.reporting_mta, status.arrival_date) == ("dns; mx.shop.example", "Thu, 2 May 2024 09:15:30 +0000")
    assert status.extensions == (("X-Queue", "4F3D1"),)
    desk, support = status.recipients
    assert (desk.original_recipient, desk.final_recipient) == (f"desk@{DOMAIN}", "desk@inner.example")
    assert (desk.action, desk.status, desk.remote_mta) == ("failed", "5.7.1", "dns; inner.example")
    # No value makes a field of its own, and one without a type is an SMTP reply.
    assert desk.diagnostic_code == "smtp; 550 5.7.1 not Action: delivered"
    assert desk.last_attempt == "Thu, 2 May 2024 09:16:30 +0000"
    assert desk.extensions == (("X-Why", "policy \N{EM DASH} strict"),)
    assert (support.original_recipient, support.status) == (f"Support@{DOMAIN}", "5.2.2")


async def test_without_an_explanation_each_recipient_has_its_reason(ses: Ses) -> None:
    message_id = await bounce(ses, {**BY_FIELDS, f"{FIELDS}DiagnosticCode": "smtp; 550 5.7.1 go away"})
    mail, _ = await sent(ses, message_id)
    text, *_ = mail.iter_parts()
    assert f"<desk@{DOMAIN}>: smtp; 550 5.7.1 go away" in cast(EmailMessage, text).get_content()


# -- what is refused


async def refused(ses: Ses, kind: type[ServiceError], recipients: dict[str, str] | None = None, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        await bounce(ses, recipients, **more)
    assert await ses.ctx.stores.queue.depth() == 0
    return caught.value.message


async def test_only_mail_that_came_in_within_a_day_is_bounced(ses: Ses) -> None:
    gone = "No message with id {} was received in the last 24 hours."
    assert await refused(ses, MessageRejected, OriginalMessageId="nothing") == gone.format("nothing")
    outgoing = await ses.call(
        "SendEmail",
        Source=f"a@{DOMAIN}",
        Destination__ToAddresses__member__1="b@x.example",
        Message__Subject__Data="s",
        Message__Body__Text__Data="b",
    )
    await ses.ctx.stores.queue.drop(ANN, outgoing.message_id, ses.clock.now_ms())
    assert await refused(ses, MessageRejected, OriginalMessageId=outgoing.message_id) == gone.format(
        outgoing.message_id
    )
    report = INCOMING.replace("g", "k")
    await receive(ses, report, operation=FEEDBACK)
    assert await refused(ses, MessageRejected, OriginalMessageId=report) == gone.format(report)
    ses.clock.at_ms += DAY_MS
    await bounce(ses)
    ses.clock.at_ms += 1
    await ses.ctx.stores.queue.drop(ANN, (await ses.ctx.stores.queue.page(ANN, "", 1))[0].message_id, 1)
    assert await refused(ses, MessageRejected) == gone.format(INCOMING)


async def test_a_bounce_is_never_bounced(ses: Ses) -> None:
    null = INCOMING.replace("g", "k")
    await receive(ses, null, source="")
    assert "empty envelope sender" in await refused(ses, MessageRejected, OriginalMessageId=null)


async def test_an_envelope_sender_that_cannot_be_written_to_is_told(ses: Ses) -> None:
    odd = INCOMING.replace("g", "k")
    await receive(ses, odd, source="b\N{SNOWMAN}@x.example")
    assert "not an address to write to" in await refused(ses, MessageRejected, OriginalMessageId=odd)


async def test_the_sender_must_be_verified(ses: Ses) -> None:
    assert await refused(ses, MessageRejected, BounceSender="Eve <eve@far.example>") == (
        "Email address is not verified. The following identities failed the check in region US-EAST-1: "
        "Eve <eve@far.example>"
    )
    assert await refused(ses, InvalidParameterValue, BounceSender="eve") == "Missing final '@domain'"


async def test_another_accounts_sender_needs_its_policy(ses: Ses) -> None:
    arn = "arn:aws:ses:us-east-1:222222222222:identity/far.example"
    await ses.call("VerifyDomainIdentity", caller=Callers.BOB, Domain="far.example")
    policy = (
        '{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},'
        f'"Action":"ses:SendBounce","Resource":"{arn}"}}]}}'
    )
    with pytest.raises(ServiceError) as caught:
        await bounce(ses, BounceSender="x@far.example", BounceSenderArn=arn)
    assert caught.value.code == "AccessDenied"
    await ses.call("PutIdentityPolicy", caller=Callers.BOB, Identity="far.example", PolicyName="p", Policy=policy)
    message_id = await bounce(ses, BounceSender="x@far.example", BounceSenderArn=arn)
    stored = await ses.ctx.stores.messages.get(ANN, message_id)
    assert stored is not None
    assert stored.facts.source_arn == arn


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({**DESK, **BY_FIELDS}, f"Exactly one of BounceType and RecipientDsnFields must be specified for recipient "
         f"<desk@{DOMAIN}>."),
        ({"BouncedRecipientInfoList__member__1__Recipient": f"desk@{DOMAIN}"}, "Exactly one of BounceType"),
        ({**DESK, "BouncedRecipientInfoList__member__1__Recipient": f"other@{DOMAIN}"},
         f"<other@{DOMAIN}> was not a recipient of the original message."),
        ({**DESK, "BouncedRecipientInfoList__member__1__Recipient": "desk"}, "Missing final '@domain'"),
        ({**BY_FIELDS, f"{FIELDS}FinalRecipient": "de sk@x.example"}, "Local address contains control or whitespace"),
        ({**BY_FIELDS, f"{FIELDS}Status": "550"}, "Invalid status code <550>."),
        ({**BY_FIELDS, f"{FIELDS}Status": "5.1.1\n"}, "Invalid status code <5.1.1\n>."),
        ({**BY_FIELDS, f"{FIELDS}Status": "5.\N{ARABIC-INDIC DIGIT ONE}.1"}, "Invalid status code"),
        ({**BY_FIELDS, f"{FIELDS}RemoteMta": "mx.example"}, "Invalid RemoteMta <mx.example>"),
        ({**DESK, "MessageDsn__ReportingMta": "mx.example"}, "Invalid ReportingMta <mx.example>"),
        ({**BY_FIELDS, f"{FIELDS}ExtensionFields__member__1__Name": "X Why",
          f"{FIELDS}ExtensionFields__member__1__Value": "v"}, "Invalid extension field name <X Why>"),
        ({**BY_FIELDS, f"{FIELDS}ExtensionFields__member__1__Name": "X" * 51,
          f"{FIELDS}ExtensionFields__member__1__Value": "v"}, "Extension field name cannot exceed 50 characters."),
        ({**DESK, "MessageDsn__ReportingMta": "dns; x", "MessageDsn__ExtensionFields__member__1__Name": "X-A",
          "MessageDsn__ExtensionFields__member__1__Value": "v" * 2049},
         "Extension field value cannot exceed 2048 characters."),
        ({**DESK, "MessageDsn__ReportingMta": "dns; x", "MessageDsn__ExtensionFields__member__1__Name": "X-A",
          "MessageDsn__ExtensionFields__member__1__Value": "v\nw"},
         "Extension field value must not contain newline characters."),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_recipient_or_field_is_told(ses: Ses, given: dict[str, str], text: str) -> None:
    assert (await refused(ses, InvalidParameterValue, given)).startswith(text)


async def test_an_explanation_of_any_length_is_refused_in_time(ses: Ses) -> None:
    assert "Message length is more than" in await refused(
        ses, InvalidParameterValue, Explanation="x" * (10 * 1024 * 1024)
    )


async def test_a_paused_account_bounces_nothing(ses: Ses) -> None:
    await ses.call("UpdateAccountSendingEnabled", Enabled="false")
    await refused(ses, AccountSendingPausedException)


async def test_a_bounce_counts_as_one_recipient() -> None:
    async with open_ses(production=SendingLimits(2.0, -1.0)) as ses:
        await ses.call("VerifyDomainIdentity", Domain=DOMAIN)
        await receive(ses)
        both = {
            **DESK,
            "BouncedRecipientInfoList__member__2__Recipient": f"support@{DOMAIN}",
            "BouncedRecipientInfoList__member__2__BounceType": "DoesNotExist",
        }
        await bounce(ses, both)
        assert (await ses.call("GetSendQuota")).sent_last24_hours == 1.0
        await bounce(ses, both)
        with pytest.raises(Throttling):
            await bounce(ses, both)
