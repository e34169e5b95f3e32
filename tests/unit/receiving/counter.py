"""Mail that comes in and what its rules do with it: everything in memory, each action's other side able to refuse."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.context import Callers, Ses, open_ses
from tests.support.receipt import MemoryMailStore, MemoryReceipt, MemoryTopics

from posthouse.domain.scope import Caller
from posthouse.domain.verdicts import Authentication, DkimResult, DmarcResult, SpfResult, Verdict, Verdicts
from posthouse.mail import dsn
from posthouse.observe import Metrics
from posthouse.ports.mailstore import ClaimedMail, MessageFilter, Settled
from posthouse.receiving.accept import InboundEnvelope, ReceivingContext, receive
from posthouse.receiving.actions import Actions
from posthouse.receiving.bouncing import Bouncing
from posthouse.receiving.feedback import FeedbackAddresses
from posthouse.receiving.inspection import InspectedMail
from posthouse.receiving.mail import MailHandler
from posthouse.receiving.recipients import Recipients

ANN = Callers.ANN
DOMAIN, HELP, SALES = "shop.example", "help@shop.example", "sales@shop.example"
SENDER = "amy@partner.example"
ARN = "arn:aws:{}:us-east-1:111111111111:{}"
TOPIC, OTHER_TOPIC = ARN.format("sns", "mail-in"), ARN.format("sns", "other")
FUNCTION = ARN.format("lambda", "function:triage")
KEY = ARN.format("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab")
MAIL = b"From: Amy <amy@partner.example>\r\nTo: help@shop.example\r\nSubject: hello\r\n\r\nWhere is it?\r\n"

Form = dict[str, str]
S3: Form = {"S3Action.BucketName": "mail"}
SNS: Form = {"SNSAction.TopicArn": TOPIC}
STOP: Form = {"StopAction.Scope": "RuleSet"}
LAMBDA: Form = {"LambdaAction.FunctionArn": FUNCTION, "LambdaAction.InvocationType": "RequestResponse"}
WORKMAIL: Form = {"WorkmailAction.OrganizationArn": ARN.format("workmail", "organization/m-0a1b")}
BOUNCE: Form = {
    "BounceAction.SmtpReplyCode": "550",
    "BounceAction.StatusCode": "5.1.1",
    "BounceAction.Message": "Mailbox does not exist",
    "BounceAction.Sender": f"postmaster@{DOMAIN}",
}


def header(name: str, value: str) -> Form:
    return {"AddHeaderAction.HeaderName": name, "AddHeaderAction.HeaderValue": value}


def told(action: Form, topic: str = TOPIC) -> Form:
    """The action with a topic that hears of it."""
    kind = next(iter(action)).partition(".")[0]
    return {**action, f"{kind}.TopicArn": topic}


@dataclass
class Inspector:
    """Finds out that all is well, and counts how often."""

    looked: list[tuple[bytes, InspectedMail, bool]] = field(default_factory=list)

    async def __call__(self, content: bytes, mail: InspectedMail, *, scan: bool) -> Verdicts:
        self.looked.append((content, mail, scan))
        authentication = Authentication(
            client_ip=mail.client_ip,
            helo=mail.helo,
            spf=SpfResult(result="pass", domain="partner.example", sender=mail.mail_from),
            dkim=(DkimResult(result="pass", domain="partner.example", identity="@partner.example"),),
            dmarc=DmarcResult(result="pass", author_domain="partner.example"),
        )
        spam = Verdict.FAIL if scan else Verdict.DISABLED
        return Verdicts(authentication=authentication, spam=spam, virus=Verdict.PASS if scan else Verdict.DISABLED)


class Counter:
    """An installation with one account's rule set, and its worker's hand."""

    def __init__(self, ses: Ses, receipt: MemoryReceipt, topics: MemoryTopics) -> None:
        self.ses, self.receipt, self.topics = ses, receipt, topics
        self.clock, self.stores = ses.clock, ses.ctx.stores
        self.objects, self.functions, self.data_keys = receipt.objects, receipt.functions, receipt.data_keys
        self.mail_store, self.inspector, self.metrics = MemoryMailStore(), Inspector(), Metrics()
        stores, ctx = self.stores, ses.ctx
        paths = FeedbackAddresses(stores.messages, stores.records, ses.clock, service_domain="posthouse.test", key=b"k")
        recipients = Recipients(stores.records, require_rule=False)
        self.door = ReceivingContext(stores.inbox, recipients, paths, ses.clock, ctx.random, "mx.posthouse.test")
        bouncing = Bouncing(ctx.submission, stores.events, "posthouse.test")
        self.handler = MailHandler(
            actions=Actions(receipt.ports, self.mail_store, topics, bouncing, ses.clock, ctx.random),
            inspect=self.inspector,
            inbox=stores.inbox,
            owner="w",
            clock=ses.clock,
            service_domain="posthouse.test",
            receipt_key=lambda: b"receipt key",
            metrics=self.metrics,
        )

    async def rule(
        self, *actions: Form, name: str = "first", after: str = "", caller: Caller = ANN, **more: str
    ) -> None:
        form = {"RuleSetName": "inbound", "Rule.Name": name, "Rule.Enabled": "true"}
        form |= {
            f"Rule.Actions.member.{n}.{key}": value for n, each in enumerate(actions, 1) for key, value in each.items()
        }
        form |= {f"Rule.{key}".replace("__", "."): value for key, value in more.items()}
        await self.ses.call("CreateReceiptRule", caller, **form, **({"After": after} if after else {}))
        self.forget()

    def forget(self) -> None:
        """What making rules has tried out."""
        self.objects.written.clear()
        self.objects.metadata.clear()
        self.functions.called.clear()
        self.topics.published.clear()

    async def arrives(
        self, content: bytes = MAIL, *to: str, mail_from: str = SENDER, tls: str = "", client_ip: str = "192.0.2.9"
    ) -> str:
        envelope = InboundEnvelope(
            client_ip=client_ip, helo="mx.partner.example", mail_from=mail_from, recipients=to or (HELP,), tls=tls
        )
        return await receive(envelope, content, self.door)

    async def claim(self, owner: str = "w") -> list[ClaimedMail]:
        return list(await self.stores.inbox.claim(owner, self.clock.now_ms(), 60_000, 100))

    async def handle(self, mail: ClaimedMail) -> list[Settled]:
        content = await self.stores.messages.content(mail.facts.scope, mail.facts.message_id)
        assert content is not None
        return list(await self.stores.inbox.settle("w", [await self.handler.handle(mail, content)]))

    async def work(self) -> None:
        """One look at everything that is due, as the worker would."""
        for mail in await self.claim():
            assert await self.handle(mail) == [Settled.WRITTEN]

    async def comes_through(self, content: bytes = MAIL, *to: str, **more: Any) -> str:
        """Arrives, and is looked at once."""
        message_id = await self.arrives(content, *to, **more)
        await self.work()
        return message_id

    async def details(self, message_id: str, caller: Caller = ANN) -> list[dict[str, Any]]:
        logged = await self.stores.events.of_message(caller.scope, message_id)
        return [each.event.detail for each in logged if each.event.type.value == "Received"]

    async def runs(self, message_id: str, caller: Caller = ANN) -> list[tuple[str, str, str]]:
        """(rule, action, result) of everything that was tried."""
        found = [each for each in await self.details(message_id, caller) if "action" in each]
        return [
            (each["rule"], each["action"] + (" topic" if each.get("telling") else ""), each["result"]) for each in found
        ]

    async def bounces(self) -> list[tuple[str, str, dsn.DeliveryStatus]]:
        """(from, to, what it says) of every mail that left."""
        found = []
        for stored in await self.stores.messages.page(ANN.scope, MessageFilter(), "", 100):
            facts = stored.facts
            if facts.direction.value == "out":
                content = await self.stores.messages.content(facts.scope, facts.message_id)
                read = dsn.read(content or b"")
                assert read is not None
                assert facts.null_sender
                found.append((facts.source, ",".join(each.recipient for each in stored.recipients), read.status))
        return found

    def counted(self) -> dict[tuple[str, str], float]:
        """By action and result."""
        found = {}
        for name, labels, value in self.metrics.samples():
            if name == "posthouse_receipt_actions_total":
                by = dict(labels)
                found[by["action"], by["result"]] = value
        return found


@asynccontextmanager
async def open_counter(**more: Any) -> AsyncIterator[Counter]:
    receipt, topics = MemoryReceipt(), MemoryTopics()
    async with open_ses(receipt=receipt, topics=topics, **more) as ses:
        await ses.call("VerifyDomainIdentity", Domain=DOMAIN)
        await ses.call("CreateReceiptRuleSet", RuleSetName="inbound")
        await ses.call("SetActiveReceiptRuleSet", RuleSetName="inbound")
        yield Counter(ses, receipt, topics)
