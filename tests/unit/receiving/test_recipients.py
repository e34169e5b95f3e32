"""Who is written to from where: identities, rules, filters and TLS, account by account."""

import pytest
from tests.support.context import Callers, Ses, open_ses

from posthouse.domain.receipt_plan import Applied, MailFacts
from posthouse.domain.scope import Caller
from posthouse.ports.mailstore import MessageFilter
from posthouse.receiving.accept import InboundEnvelope, NoLongerWanted, ReceivingContext, receive
from posthouse.receiving.feedback import FeedbackAddresses
from posthouse.receiving.recipients import Recipients, Unwanted, Wanted

CLIENT = "192.0.2.7"
ANN, BOB = Callers.ANN, Callers.BOB


async def activate(ses: Ses, *rules: dict[str, str], caller: Caller = ANN) -> None:
    await ses.call("CreateReceiptRuleSet", caller, RuleSetName="inbound")
    for number, rule in enumerate(rules):
        given = {"RuleSetName": "inbound", "Rule.Name": f"r{number}", "Rule.Enabled": "true", **rule}
        await ses.call("CreateReceiptRule", caller, **given)
    await ses.call("SetActiveReceiptRuleSet", caller, RuleSetName="inbound")


async def block(ses: Ses, cidr: str, policy: str = "Block", caller: Caller = ANN) -> None:
    name = f"f{len((await ses.call('ListReceiptFilters', caller)).filters)}"
    given = {"Filter.Name": name, "Filter.IpFilter.Policy": policy, "Filter.IpFilter.Cidr": cidr}
    await ses.call("CreateReceiptFilter", caller, **given)


async def judged(recipients: Recipients, address: str, client_ip: str = CLIENT, tls: bool = False) -> object:
    verdict = await recipients.judge(address, client_ip, tls)
    return verdict.scopes if isinstance(verdict, Wanted) else verdict


async def test_without_a_rule_set_verified_identities_are_taken_or_not_by_the_setting() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        lax, strict = (Recipients(ses.ctx.stores.records, require_rule=required) for required in (False, True))
        assert await judged(lax, "x@deep.shop.example") == (ANN.scope,)
        assert await judged(lax, "x@other.example") is Unwanted.UNKNOWN
        assert await judged(strict, "x@shop.example") is Unwanted.UNKNOWN
        await activate(ses, {})
        assert await judged(strict, "x@shop.example") == (ANN.scope,)


async def test_an_active_rule_set_says_who_is_taken() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        recipients = Recipients(ses.ctx.stores.records, require_rule=False)
        named = {"Rule.Recipients.member.1": "help@shop.example", "Rule.Recipients.member.2": "x@other.example"}
        await activate(ses, named, {"Rule.Enabled": "false"})
        assert await judged(recipients, "Help+1@shop.example") == (ANN.scope,)
        assert await judged(recipients, "x@shop.example") is Unwanted.UNKNOWN
        # A pattern is no proof that the domain is the account's.
        assert await judged(recipients, "x@other.example") is Unwanted.UNKNOWN
        await ses.call("UpdateReceiptRule", RuleSetName="inbound", Rule__Name="r1", Rule__Enabled="true")
        assert await judged(recipients, "x@shop.example") == (ANN.scope,)
        await ses.call("SetActiveReceiptRuleSet")
        assert await judged(recipients, "x@shop.example") == (ANN.scope,)
        await ses.call("DeleteIdentity", Identity="shop.example")
        assert await judged(recipients, "x@shop.example") is Unwanted.UNKNOWN


async def test_a_verified_address_is_taken_for_itself() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyEmailIdentity", EmailAddress="ann@post.example")
        await activate(ses, {})
        recipients = Recipients(ses.ctx.stores.records, require_rule=True)
        assert await judged(recipients, "ann+label@post.example") == (ANN.scope,)
        assert await judged(recipients, "bob@post.example") is Unwanted.UNKNOWN


async def test_a_rule_that_wants_tls_is_told_at_the_door() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        await activate(ses, {"Rule.TlsPolicy": "Require", "Rule.Recipients.member.1": "help@shop.example"}, {})
        recipients = Recipients(ses.ctx.stores.records, require_rule=True)
        assert await judged(recipients, "help@shop.example") is Unwanted.TLS_MISSING
        assert await judged(recipients, "help@shop.example", tls=True) == (ANN.scope,)
        assert await judged(recipients, "x@shop.example") == (ANN.scope,)


async def test_filters_say_from_where() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        recipients = Recipients(ses.ctx.stores.records, require_rule=False)
        await block(ses, "0.0.0.0/0")
        await block(ses, "198.51.100.0/24", "Allow")
        assert await judged(recipients, "x@shop.example") is Unwanted.BLOCKED
        assert await judged(recipients, "x@shop.example", f"::ffff:{CLIENT}") is Unwanted.BLOCKED
        assert await judged(recipients, "x@shop.example", "198.51.100.9") == (ANN.scope,)
        assert await judged(recipients, "x@shop.example", "2001:db8::1") == (ANN.scope,)
        assert await judged(recipients, "x@other.example") is Unwanted.UNKNOWN
        await ses.call("DeleteReceiptFilter", FilterName="f0")
        assert await judged(recipients, "x@shop.example") == (ANN.scope,)


async def test_each_account_goes_by_its_own_rules_and_filters() -> None:
    async with open_ses() as ses:
        for caller in (ANN, BOB):
            await ses.call("VerifyDomainIdentity", caller, Domain="shop.example")
        recipients = Recipients(ses.ctx.stores.records, require_rule=True)
        await activate(ses, {"Rule.Recipients.member.1": "help@shop.example"})
        await activate(ses, {}, caller=BOB)
        assert await judged(recipients, "help@shop.example") == (ANN.scope, BOB.scope)
        assert await judged(recipients, "x@shop.example") == (BOB.scope,)
        await block(ses, CLIENT, caller=BOB)
        assert await judged(recipients, "help@shop.example") == (ANN.scope,)
        assert await judged(recipients, "x@shop.example") is Unwanted.BLOCKED


def test_refusals_are_permanent_and_say_what_can_be_done() -> None:
    assert [str(reason.refusal) for reason in Unwanted] == [
        "530 5.7.0 Must issue a STARTTLS command first",
        "550 5.7.1 Client host blocked by an IP address filter of the recipient",
        "550 5.1.1 mailbox unavailable",
    ]


async def test_plans_are_the_active_rule_sets() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        recipients = Recipients(ses.ctx.stores.records, require_rule=False)
        addresses = ("x@shop.example", "x@other.example")
        assert await recipients.plan(ANN.scope, addresses, MailFacts(tls=False)) is None
        await activate(ses, {})
        planned = await recipients.plan(ANN.scope, addresses, MailFacts(tls=False))
        assert planned is not None
        assert planned.rule_set == "inbound"
        made = planned.plan
        assert [traced.outcome for traced in made.trace] == [Applied(("x@shop.example",))]
        assert made.unverified == ("x@other.example",)
        assert await recipients.plan(BOB.scope, addresses, MailFacts(tls=False)) is None


def door(ses: Ses) -> ReceivingContext:
    stores = ses.ctx.stores
    recipients = Recipients(stores.records, require_rule=False)
    paths = FeedbackAddresses(stores.messages, stores.records, ses.clock, service_domain="posthouse.test", key=b"k")
    return ReceivingContext(stores.inbox, recipients, paths, ses.clock, ses.ctx.random, "mx.example")


async def test_mail_is_kept_by_every_account_that_takes_it() -> None:
    async with open_ses() as ses:
        for caller in (ANN, BOB):
            await ses.call("VerifyDomainIdentity", caller, Domain="shop.example")
        await activate(ses, {"Rule.Recipients.member.1": "help@shop.example"})
        stores = ses.ctx.stores
        ctx = door(ses)
        both = ("help@shop.example", "x@shop.example")
        envelope = InboundEnvelope(client_ip=CLIENT, helo="c.example", mail_from="a@c.example", recipients=both)
        await receive(envelope, b"Subject: hi\r\n\r\nhi\r\n", ctx)
        kept = {}
        for scope in (ANN.scope, BOB.scope):
            (message,) = await stores.messages.page(scope, MessageFilter(), "", 10)
            kept[scope] = [each.recipient for each in message.recipients]
        assert kept == {ANN.scope: ["help@shop.example"], BOB.scope: list(both)}


async def test_a_recipient_that_is_refused_meanwhile_is_not_dropped() -> None:
    async with open_ses() as ses:
        await ses.call("VerifyDomainIdentity", Domain="shop.example")
        ctx = door(ses)
        envelope = InboundEnvelope(
            client_ip=CLIENT, helo="c.example", mail_from="", recipients=("x@shop.example", "y@shop.example")
        )
        await activate(ses, {"Rule.Recipients.member.1": "x@shop.example"})
        with pytest.raises(NoLongerWanted, match="y@shop.example"):
            await receive(envelope, b"hi\r\n", ctx)
