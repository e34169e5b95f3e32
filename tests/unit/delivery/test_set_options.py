"""What a configuration set asks for in delivery: as it is when the mail is prepared, first time and every time."""

import dataclasses

import msgspec
from tests.support.context import Callers, Ses, open_ses
from tests.support.preparing import preparing

from posthouse.delivery.prepare import Preparer
from posthouse.delivery.prepared import Prepared
from posthouse.delivery.set_options import SetOptions
from posthouse.domain.messages import MessageFacts
from posthouse.ports.mailstore import ClaimedMessage


async def put_policy(ses: Ses, policy: str) -> None:
    given = {"ConfigurationSetName": "news", "DeliveryOptions__TlsPolicy": policy}
    await ses.call("PutConfigurationSetDeliveryOptions", **given)


async def claimed(ses: Ses, name: str = "news") -> ClaimedMessage:
    """A message in the queue, sent by a set unless it has no name."""
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    await ses.call(
        "SendEmail",
        Source="ann@example.com",
        Destination__ToAddresses__member__1="bob@example.net",
        Message__Subject__Data="s",
        Message__Body__Text__Data="b",
        ConfigurationSetName=name,
    )
    (message,) = await ses.ctx.stores.queue.claim("worker", ses.clock.now_ms(), 60_000, 10)
    return message


async def required(preparer: Preparer, message: ClaimedMessage) -> bool:
    made = await preparer(message)
    assert isinstance(made, Prepared)
    return made.require_tls


async def test_tls_is_required_while_the_set_says_so() -> None:
    async with open_ses() as ses, preparing(ses) as preparer:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        message = await claimed(ses)
        assert not await required(preparer, message)
        for policy in ("Require", "Optional", "Require"):
            await put_policy(ses, policy)
            assert await required(preparer, message) == (policy == "Require")
        await ses.call("DeleteConfigurationSet", ConfigurationSetName="news")
        assert not await required(preparer, message), "a set that is gone asks for nothing, and the mail leaves"


async def test_a_retry_is_bound_by_the_policy_of_now() -> None:
    async with open_ses() as ses, preparing(ses) as preparer:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        again = dataclasses.replace(await claimed(ses), sent=b"Subject: s\r\n\r\nb\r\n")
        made = await preparer(again)
        assert isinstance(made, Prepared)
        assert (made.new, made.require_tls) == (False, False)
        await put_policy(ses, "Require")
        assert await required(preparer, again)


async def test_mail_without_a_set_is_not_bound() -> None:
    async with open_ses() as ses, preparing(ses) as preparer:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put_policy(ses, "Require")
        assert not await required(preparer, await claimed(ses, ""))


async def test_sets_are_those_of_the_messages_own_account() -> None:
    async with open_ses() as ses:
        await ses.call("CreateConfigurationSet", ConfigurationSet__Name="news")
        await put_policy(ses, "Require")
        facts: MessageFacts = (await claimed(ses)).facts
        options = SetOptions(ses.ctx.stores.records)
        assert await options.requires_tls(facts)
        for stranger in (Callers.BOB, Callers.ANN_ELSEWHERE):
            assert await options.of(msgspec.structs.replace(facts, scope=stranger.scope)) is None
            assert not await options.requires_tls(msgspec.structs.replace(facts, scope=stranger.scope))
