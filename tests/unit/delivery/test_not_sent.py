"""Mail that no server is asked about: the mailbox simulator's, and what the suppression list holds back."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from tests.unit.delivery.fakes import Delivering, FakeQueue, FakeWakeups, LoopClock, settings

from posthouse.delivery.parcel import Job
from posthouse.domain.messages import RecipientState
from posthouse.domain.routing import Hop, RoutingTable
from posthouse.domain.simulator import simulator_domains
from posthouse.ports.mailstore import ClaimedMessage, ClaimedRecipient

SIMULATORS = simulator_domains("ph.test")
ROUTING = RoutingTable("direct", {"*": Hop("192.0.2.1", 25)}, None, SIMULATORS)


class ListedQueue(FakeQueue):
    """Its claims tell that some addresses are on the suppression list."""

    def __init__(self, listed: dict[str, str], left: Collection[str] = ()) -> None:
        super().__init__(LoopClock(), FakeWakeups())
        self.listed, self.left = listed, left

    async def claim(
        self, owner: str, now_ms: int, lease_ms: int, limit: int, excluding: Collection[str] = ()
    ) -> Sequence[ClaimedMessage]:
        claimed = await super().claim(owner, now_ms, lease_ms, limit, excluding)
        return [
            ClaimedMessage(
                message.facts,
                tuple(map(self._told, message.recipients)),
                message.content,
                message.sent,
            )
            for message in claimed
        ]

    def _told(self, each: ClaimedRecipient) -> ClaimedRecipient:
        reason = self.listed.get(each.recipient, "")
        return replace(each, suppressed=reason, unsubscribed=each.recipient in self.left)


async def test_the_simulator_answers_and_no_server_hears_of_it() -> None:
    chosen = settings(routing=ROUTING, service_domain="ph.test")
    boxes = [f"{name}@simulator.amazonses.com" for name in ("success", "bounce", "bounce+2", "suppressionlist")]
    async with Delivering(chosen) as d:
        server = d.network.server()
        d.queue.add("m1", *boxes, "real@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 1, "the real recipient's"
    states = d.queue.states()
    assert states[boxes[0]] is RecipientState.DELIVERED
    assert {states[box] for box in boxes[1:]} == {RecipientState.BOUNCED}
    bounces = {event.detail["kind"]["subtype"]: event for event in d.queue.events if event.type == "Bounce"}
    assert set(bounces["General"].recipients) == {boxes[1], boxes[2]}, "one notice for one request"
    assert bounces["General"].simulated == 2
    suppressed = bounces["Suppressed"]
    assert (suppressed.recipients, suppressed.detail["reporting_mta"]) == ((boxes[3],), "ph.test")
    assert d.queue.event("Send").simulated == 4
    delivered = [event for event in d.queue.events if event.type == "Delivery"]
    assert {event.recipients: event.simulated for event in delivered} == {(boxes[0],): 1, ("real@ex.net",): 0}


async def test_events_of_the_installations_own_mail_are_told_apart() -> None:
    async with Delivering(settings(routing=ROUTING)) as d:
        d.network.server()
        d.queue.add("m1", "real@ex.net")
        d.queue.add("m2", "bounce@simulator.amazonses.com", system=True)
        await d.queue.until(d.queue.all_final)
    marked = {(event.message_id, event.type.value): event.uncounted for event in d.queue.events}
    assert marked == {("m1", "Send"): False, ("m1", "Delivery"): False, ("m2", "Send"): True, ("m2", "Bounce"): True}


async def test_simulated_mailboxes_write_back_after_the_outcome_is_written() -> None:
    told: list[tuple[list[str], bool]] = []
    done = asyncio.Event()

    async def simulator(job: Job) -> None:
        told.append(([each.recipient for each in job.recipients], d.queue.all_final()))
        done.set()

    async with Delivering(settings(routing=ROUTING), simulator=simulator) as d:
        d.queue.add("m1", "complaint@simulator.ph.test")
        await asyncio.wait_for(done.wait(), 8)
    assert told == [(["complaint@simulator.ph.test"], True)]


async def test_a_simulator_that_fails_stops_nobody() -> None:
    async def broken(job: Job) -> None:
        raise OSError("no inbox")

    async with Delivering(settings(routing=ROUTING), simulator=broken) as d:
        d.network.server()
        d.queue.add("m1", "ooto@simulator.ph.test")
        d.queue.add("m2", "real@ex.net")
        await d.queue.until(d.queue.all_final)
    assert set(d.queue.states().values()) == {RecipientState.DELIVERED}


async def test_addresses_on_the_suppression_list_bounce_without_an_attempt() -> None:
    queue = ListedQueue({"bounced@ex.net": "BOUNCE", "angry@ex.net": "COMPLAINT"})
    async with Delivering(settings(service_domain="ph.test"), queue=queue, clock=queue.clock) as d:
        server = d.network.server()
        d.queue.add("m1", "bounced@ex.net", "angry@ex.net", "fine@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 1
    states = d.queue.states()
    assert states.pop("fine@ex.net") is RecipientState.DELIVERED
    assert set(states.values()) == {RecipientState.BOUNCED}
    bounce, complaint = d.queue.event("Bounce"), d.queue.event("Complaint")
    assert bounce.recipients == ("bounced@ex.net",)
    assert bounce.detail["kind"] == {"type": "Permanent", "subtype": "OnAccountSuppressionList"}
    assert bounce.detail["reporting_mta"] == "ph.test"
    [told] = bounce.detail["recipients"]
    assert told["status"] == "5.1.1"
    assert told["diagnostic_code"].startswith("Amazon SES did not send the message to this address")
    assert complaint.recipients == ("angry@ex.net",)
    assert complaint.detail["subtype"] == "OnAccountSuppressionList"
    assert d.queue.types()[0] == "Send"


async def test_an_operator_may_do_without_the_suppression_list() -> None:
    queue = ListedQueue({"bounced@ex.net": "BOUNCE"})
    async with Delivering(settings(holds_back=False), queue=queue, clock=queue.clock) as d:
        d.network.server()
        d.queue.add("m1", "bounced@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {"bounced@ex.net": RecipientState.DELIVERED}


async def test_who_has_left_the_list_gets_nothing_whatever_the_operator_does_without() -> None:
    queue = ListedQueue({"both@ex.net": "COMPLAINT"}, left=("left@ex.net", "both@ex.net"))
    async with Delivering(settings(holds_back=False), queue=queue, clock=queue.clock) as d:
        server = d.network.server()
        d.queue.add("m1", "left@ex.net", "both@ex.net", "fine@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 1
    [bounce] = [event for event in d.queue.events if event.type == "Bounce"]
    assert set(bounce.recipients) == {"left@ex.net", "both@ex.net"}
    assert bounce.detail["kind"] == {"type": "Permanent", "subtype": "UnsubscribedRecipient"}
