"""Mail to return paths: at the door, and from the inbox to the events of the message that it is about."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.values import NOW_MS, OURS, THEIRS, delivered, message
from tests.support.context import FixedClock, NoWakeups
from tests.support.reports import sample

from posthouse.domain.events import Event, EventType
from posthouse.domain.identities import Identity, Status
from posthouse.domain.messages import FEEDBACK, INBOUND, Direction, NewMessage, RecipientState
from posthouse.domain.scope import Scope
from posthouse.domain.simulator import simulator_domains
from posthouse.domain.suppression import Reason
from posthouse.mail import verp
from posthouse.ports.mailstore import ClaimedMail, Settled
from posthouse.receiving.accept import InboundEnvelope, NoLongerWanted, ReceivingContext, receive, refusal
from posthouse.receiving.feedback import MAX_AGE_MS, FeedbackAddresses, FeedbackReader
from posthouse.receiving.recipients import Recipients
from posthouse.receiving.simulated_mailboxes import SimulatedMailboxes
from posthouse.stores.open import SqlStores, open_stores

KEY = b"k" * 32
DANA, ELI = "dana@mail.example", "eli@mail.example"
DEFAULT = "us-east-1.posthouse.test"


@dataclass
class Installation:
    stores: SqlStores
    clock: FixedClock
    numbers: Any = field(default_factory=lambda: iter(range(1, 1000)))

    def __post_init__(self) -> None:
        self.addresses = FeedbackAddresses(
            self.stores.messages, self.stores.records, self.clock, service_domain="posthouse.test", key=KEY
        )
        simulators = simulator_domains("posthouse.test")
        self.reader = FeedbackReader(self.addresses, self.stores.events, self.clock, simulators)
        self.door = ReceivingContext(
            self.stores.inbox,
            Recipients(self.stores.records, require_rule=False),
            self.addresses,
            self.clock,
            lambda n: next(self.numbers).to_bytes(n, "little"),
            "mx.posthouse.test",
        )

    async def sent(self, *recipients: str, scope: Scope = OURS, number: int = 900, at_ms: int = NOW_MS) -> NewMessage:
        made = message(number, *(recipients or (DANA,)), scope=scope, at_ms=at_ms, source="Shop <a@shop.example>")
        made = NewMessage(
            msgspec.structs.replace(made.facts, configuration_set="set", from_domain="shop.example"),
            made.recipients,
            made.content,
        )
        await self.stores.submissions.add(made, None)
        return made

    async def verify(self, name: str, scope: Scope = OURS) -> None:
        async with self.stores.records.transaction() as tx:
            identity = Identity(name=name, status=Status.SUCCESS, requested_ms=NOW_MS)
            await tx.identities.put(scope, name, identity)

    async def arrives(self, content: bytes, *to: str, mail_from: str = "") -> str:
        envelope = InboundEnvelope(client_ip="192.0.2.9", helo="mx.far.example", mail_from=mail_from, recipients=to)
        return await receive(envelope, content, self.door)

    async def work(self) -> list[ClaimedMail]:
        """Reads what waits in the inbox, as the worker would."""
        claimed = list(await self.stores.inbox.claim("w", self.clock.now_ms(), 1000, 100))
        for mail in claimed:
            content = await self.stores.messages.content(mail.facts.scope, mail.facts.message_id)
            assert content is not None
            assert await self.stores.inbox.settle("w", [await self.reader.handle(mail, content)]) == [Settled.WRITTEN]
        return claimed

    async def reported(self, name: str, original: NewMessage, mail_from: str = "") -> list[Event]:
        """The events of the original after a sample came in."""
        await self.arrives(sample(name), path_of(original), mail_from=mail_from)
        await self.work()
        return await self.events(original)

    async def events(self, one: NewMessage) -> list[Event]:
        logged = await self.stores.events.of_message(one.facts.scope, one.facts.message_id)
        return [each.event for each in logged]

    async def outcome(self, report_id: str, scope: Scope = OURS) -> dict[str, Any]:
        [logged] = await self.stores.events.of_message(scope, report_id)
        assert logged.event.type is EventType.RECEIVED
        return logged.event.detail


async def accepts(recipient: str, door: ReceivingContext) -> bool:
    return await refusal(recipient, "192.0.2.9", False, door) is None


def path_of(original: NewMessage, domain: str = DEFAULT) -> str:
    return f"{verp.sign(original.facts.message_id, KEY)}@{domain}"


@pytest.fixture
async def here() -> AsyncIterator[Installation]:
    clock = FixedClock(NOW_MS)
    stores = await open_stores("memory", Path(), clock, NoWakeups())
    yield Installation(stores, clock)
    await stores.close()


# -- at the door


async def test_the_return_path_of_a_message_is_accepted_and_no_other(here: Installation) -> None:
    original = await here.sent()
    path = path_of(original)
    assert await accepts(path, here.door)
    assert await accepts(path.upper(), here.door)
    local = path.partition("@")[0]
    other = verp.sign(message(901).facts.message_id, KEY)
    for refused in (
        f"{other}@{DEFAULT}",  # signed, and no such message
        f"{verp.sign(original.facts.message_id, b'another key')}@{DEFAULT}",
        f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{DEFAULT}",
        f"1{local[1:]}@{DEFAULT}" if local[0] != "1" else f"0{local[1:]}@{DEFAULT}",
        f"{local}@eu-west-1.posthouse.test",
        f"{local}@posthouse.test",
        f"{local}@elsewhere.example",
        f"anybody@{DEFAULT}",
        f"{original.facts.message_id}@{DEFAULT}",
    ):
        assert not await accepts(refused, here.door), refused


async def test_a_custom_mail_from_domain_of_the_sender_is_accepted(here: Installation) -> None:
    original = await here.sent()
    assert not await accepts(path_of(original, "bounce.shop.example"), here.door)
    await here.verify("shop.example")
    assert await accepts(path_of(original, "bounce.shop.example"), here.door)
    # Even where the identity as such would take any address there: it is nobody's own.
    forged = f"{verp.sign(original.facts.message_id, b'x')}@bounce.shop.example"
    assert not await accepts(forged, here.door)
    assert await accepts("anybody@bounce.shop.example", here.door)
    assert not await accepts(path_of(original, "bounce.other.example"), here.door)


async def test_the_domain_of_another_accounts_identity_does_not_serve(here: Installation) -> None:
    original = await here.sent()
    await here.verify("shop.example", THEIRS)
    assert not await accepts(path_of(original, "bounce.shop.example"), here.door)


async def test_an_old_message_is_no_longer_reported_about(here: Installation) -> None:
    original = await here.sent()
    here.clock.at_ms += MAX_AGE_MS
    assert await accepts(path_of(original), here.door)
    here.clock.at_ms += 1
    assert not await accepts(path_of(original), here.door)


async def test_received_mail_has_no_return_path_of_ours(here: Installation) -> None:
    incoming = message(5, direction=Direction.IN)
    await here.stores.inbox.add(incoming)
    assert not await accepts(path_of(incoming), here.door)


async def test_reports_and_ordinary_recipients_come_in_one_mail(here: Installation) -> None:
    ours, theirs = await here.sent(number=900), await here.sent(number=901, scope=THEIRS)
    await here.verify("inbox.example")
    first = await here.arrives(b"Subject: x\r\n\r\n", path_of(ours), "in@inbox.example", path_of(theirs), path_of(ours))
    claimed = await here.stores.inbox.claim("w", NOW_MS, 1000, 10)
    got = {(mail.facts.scope, mail.facts.operation, mail.recipients) for mail in claimed}
    assert got == {
        (OURS, INBOUND, ("in@inbox.example",)),
        (OURS, FEEDBACK, (path_of(ours),)),
        (THEIRS, FEEDBACK, (path_of(theirs),)),
    }
    assert first in {mail.facts.message_id for mail in claimed}


async def test_recipients_that_went_away_meanwhile_leave_nothing(here: Installation) -> None:
    original = await here.sent()
    await here.stores.messages.delete(OURS, original.facts.message_id)
    with pytest.raises(NoLongerWanted):
        await here.arrives(b"x", path_of(original))
    assert await here.stores.inbox.depth() == 0


async def test_a_report_is_kept_in_the_account_of_its_message(here: Installation) -> None:
    original = await here.sent(scope=THEIRS)
    report_id = await here.arrives(sample("gmail"), path_of(original))
    stored = await here.stores.messages.get(THEIRS, report_id)
    assert stored is not None
    assert (stored.facts.operation, stored.facts.direction) == (FEEDBACK, Direction.IN)
    assert stored.recipients[0].state is RecipientState.RECEIVED


# -- from the inbox to events


async def test_a_delivery_report_is_a_late_bounce_of_the_message(here: Installation) -> None:
    original = await here.sent()
    settled = delivered(original, DANA)
    where = msgspec.structs.replace(settled.events[0], detail={"remote_ip": "198.51.100.25"})
    await here.stores.queue.settle([type(settled)(OURS, original.facts.message_id, settled.results, (where,))])
    here.clock.at_ms += 60_000
    report_id = await here.arrives(sample("postfix-unknown-user"), path_of(original))
    await here.work()
    bounce = (await here.events(original))[-1]
    assert (bounce.type, bounce.recipients, bounce.configuration_set) == (EventType.BOUNCE, (DANA,), "set")
    assert bounce.at_ms == here.clock.at_ms
    assert bounce.detail == {
        "kind": {"type": "Permanent", "subtype": "NoEmail"},
        "recipients": [
            {
                "recipient": DANA,
                "action": "failed",
                "status": "5.1.1",
                "diagnostic_code": "smtp; 550 5.1.1 <dana@mail.example> User doesn't exist:    dana@mail.example",
            }
        ],
        "reporting_mta": "mx.mail.example",
        "remote_mta": "store.mail.example",
        "remote_ip": "198.51.100.25",
        "late": True,
        "automatic": False,
        "report_message_id": report_id,
    }
    stored = await here.stores.messages.get(OURS, original.facts.message_id)
    assert stored is not None
    assert [each.state for each in stored.recipients] == [RecipientState.DELIVERED], "one final state"
    assert (await here.stores.statistics.points(OURS, 0))[0].bounces == 1
    suppressed = await here.stores.suppressions.get(OURS, DANA)
    assert suppressed is not None
    assert suppressed.reason is Reason.BOUNCE
    assert await here.outcome(report_id) == {
        "about": original.facts.message_id,
        "report": "delivery report",
        "outcome": f"a bounce of {DANA}",
    }


async def test_the_same_report_twice_is_one_bounce(here: Installation) -> None:
    original = await here.sent()
    for name in ("postfix-unknown-user", "gmail", "qmail", "postfix-unknown-user"):
        await here.reported(name, original)
    assert [each.type for each in await here.events(original)] == [EventType.BOUNCE]


async def test_two_reports_in_hand_at_once_are_one_bounce(here: Installation) -> None:
    original = await here.sent()
    for name in ("postfix-unknown-user", "gmail"):
        await here.arrives(sample(name), path_of(original))
    claimed = await here.stores.inbox.claim("w", NOW_MS, 1000, 10)
    settlements = [await here.reader.handle(mail, sample("gmail")) for mail in claimed]
    assert [len(each.events) for each in settlements] == [2, 2], "both were decided before either was written"
    assert await here.stores.inbox.settle("w", settlements) == [Settled.WRITTEN, Settled.STALE]
    [again] = [await here.reader.handle(claimed[1], sample("gmail"))]
    assert await here.stores.inbox.settle("w", [again]) == [Settled.WRITTEN]
    assert [each.type for each in await here.events(original)] == [EventType.BOUNCE]


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("postfix-delayed", "the other side still tries: a delay, no bounce"),
        ("postfix-success", "it tells of no failure"),
        ("read-receipt", "it reports nothing"),
        ("person-out-of-office", "it reports nothing"),
        ("forwarded-dsn", "it reports nothing"),
    ],
)
async def test_what_is_no_bounce_makes_no_event(here: Installation, name: str, outcome: str) -> None:
    original = await here.sent()
    report_id = await here.arrives(sample(name), path_of(original), mail_from="dana@mail.example")
    await here.work()
    assert await here.events(original) == []
    assert (await here.outcome(report_id))["outcome"] == outcome


async def test_a_report_of_a_recipient_the_message_never_had_makes_no_event(here: Installation) -> None:
    original = await here.sent("fay@far.example")
    assert await here.reported("gmail", original) == []


async def test_recipients_bounce_each_by_its_own_status(here: Installation) -> None:
    original = await here.sent(DANA, ELI)
    events = await here.reported("sendmail", original)
    assert {(each.recipients, each.detail["kind"]["subtype"]) for each in events} == {
        ((DANA,), "NoEmail"),
        ((ELI,), "MailboxFull"),
    }


async def test_a_bounce_in_no_standard_form_names_recipients_alone(here: Installation) -> None:
    original = await here.sent(DANA, ELI)
    [bounce] = await here.reported("qmail", original)
    assert bounce.detail["recipients"] == [{"recipient": DANA}]
    assert bounce.detail["kind"] == {"type": "Permanent", "subtype": "NoEmail"}


@pytest.mark.parametrize("name", ["auto-gmail-vacation", "auto-exchange-oof"])
async def test_an_automatic_reply_is_a_transient_bounce_without_a_report(here: Installation, name: str) -> None:
    original = await here.sent(DANA, ELI)
    [bounce] = await here.reported(name, original)
    assert (bounce.type, bounce.recipients) == (EventType.BOUNCE, (DANA,))
    assert bounce.detail["kind"] == {"type": "Transient", "subtype": "General"}
    assert bounce.detail["recipients"] == [{"recipient": DANA}]
    assert bounce.detail["automatic"] is True
    assert await here.stores.suppressions.get(OURS, DANA) is None
    # It hides no bounce that comes later, and is told once itself.
    events = await here.reported("gmail", original)
    assert [each.detail["automatic"] for each in events] == [True, False]
    assert len(await here.reported(name, original)) == 2


async def test_a_complaint_is_told_with_what_the_report_says(here: Installation) -> None:
    original = await here.sent(DANA, ELI)
    [complaint] = await here.reported("arf-yahoo", original, mail_from="feedback@arf.mail.example")
    assert (complaint.type, complaint.recipients) == (EventType.COMPLAINT, (DANA,))
    assert complaint.detail["recipients"] == [DANA]
    assert complaint.detail["user_agent"] == "Yahoo!-Mail-Feedback/2.0"
    assert complaint.detail["feedback_type"] == "abuse"
    assert complaint.detail["arrival_ms"] == 1_714_716_118_000
    assert (await here.stores.statistics.points(OURS, 0))[0].complaints == 1
    suppressed = await here.stores.suppressions.get(OURS, DANA)
    assert suppressed is not None
    assert suppressed.reason is Reason.COMPLAINT
    # Behind the hidden address may be everybody of that domain who did not complain yet.
    events = await here.reported("arf-redacted", original)
    assert [each.recipients for each in events] == [(DANA,), (ELI,)]
    assert len(await here.reported("arf-redacted", original)) == 2


async def test_a_report_that_was_taken_is_read_whatever_changed_since(here: Installation) -> None:
    original = await here.sent()
    await here.verify("shop.example")
    await here.arrives(sample("gmail"), path_of(original, "bounce.shop.example"))
    async with here.stores.records.transaction() as tx:
        await tx.identities.delete(OURS, "shop.example")
    here.clock.at_ms += MAX_AGE_MS + 1
    await here.work()
    assert [each.type for each in await here.events(original)] == [EventType.BOUNCE]


async def test_a_report_of_no_spam_is_told_and_holds_nothing_back(here: Installation) -> None:
    original = await here.sent()
    [complaint] = await here.reported("arf-bare", original)
    assert complaint.detail["feedback_type"] == "not-spam"
    assert await here.stores.suppressions.get(OURS, DANA) is None


async def test_a_report_about_a_message_that_is_gone_is_done_with(here: Installation) -> None:
    original = await here.sent()
    report_id = await here.arrives(sample("gmail"), path_of(original))
    await here.stores.messages.delete(OURS, original.facts.message_id)
    await here.work()
    assert "gone" in (await here.outcome(report_id))["outcome"]
    assert await here.stores.inbox.depth() == 0
    assert await here.stores.queue.depth() == 0, "nothing is ever answered"


# -- the mailbox simulator


async def test_simulated_mailboxes_write_back_as_anybody_does(here: Installation) -> None:
    boxes = (
        "ooto+order1@simulator.amazonses.com",
        "complaint@simulator.amazonses.com",
        "complaint+2@simulator.posthouse.test",
        "success@simulator.amazonses.com",
    )
    original = await here.sent(*boxes, DANA)
    mailboxes = SimulatedMailboxes(here.door)
    await mailboxes.answer(original.facts, path_of(original), boxes, b"Subject: hi\r\n\r\nhi\r\n")
    assert [mail.facts.operation for mail in await here.work()] == [FEEDBACK] * 2
    by_type = {each.type: each for each in await here.events(original)}
    away, complaint = by_type[EventType.BOUNCE], by_type[EventType.COMPLAINT]
    assert (away.recipients, away.detail["automatic"], away.simulated) == (boxes[:1], True, 1)
    assert away.detail["kind"] == {"type": "Transient", "subtype": "General"}
    assert (complaint.recipients, complaint.simulated) == (boxes[1:3], 2)
    assert complaint.detail["user_agent"] == "Amazon SES Mailbox Simulator"
    assert await here.stores.statistics.points(OURS, 0) == [], "no reputation"


async def test_simulated_mailboxes_answer_nothing_that_came_under_the_null_path(here: Installation) -> None:
    original = await here.sent("ooto@simulator.amazonses.com")
    await SimulatedMailboxes(here.door).answer(original.facts, "", ["ooto@simulator.amazonses.com"], b"")
    assert await here.stores.inbox.depth() == 0


async def test_simulated_mailboxes_complain_of_mail_that_was_not_made_yet(here: Installation) -> None:
    original = await here.sent("complaint@simulator.amazonses.com")
    await SimulatedMailboxes(here.door).answer(
        original.facts, path_of(original), ["complaint@simulator.amazonses.com"], b""
    )
    await here.work()
    assert [each.type for each in await here.events(original)] == [EventType.COMPLAINT]
