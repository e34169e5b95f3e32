"""The worker on fakes: outcomes, events, leases, bounds, beginning and end."""

import asyncio

import pytest
from tests.support.lost_answers import LostAnswers
from tests.unit.delivery.fakes import (
    CONTENT,
    SCOPE,
    Delivering,
    FakeClock,
    FakeNetwork,
    FakeQueue,
    FakeResolver,
    FakeWakeups,
    as_it_is,
    settings,
)

from posthouse.delivery.owner import own_name
from posthouse.delivery.prepared import Prepared, Refused
from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import MessageFacts, RecipientState
from posthouse.domain.outcomes import RetryPlan
from posthouse.domain.routing import Hop, Route
from posthouse.observe import Metrics
from posthouse.ports.mailstore import ClaimedMessage
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName
from posthouse.wire.smtp_reply import reply

GREYLISTED = reply(450, "Greylisted", "4.7.1")
NOBODY = reply(550, "No such user", "5.1.1")


async def test_a_message_is_delivered_with_a_send_and_a_delivery_event() -> None:
    async with Delivering() as d:
        server = d.network.server()
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert [m.content for m in server.taken] == [CONTENT]
    assert d.queue.types() == ["Send", "Delivery"]
    assert d.queue.sent == {"m1": CONTENT}
    send, delivered = d.queue.events
    assert (send.recipients, send.detail) == (("a@ex.net",), {})
    detail = delivered.detail
    assert detail["smtp_response"] == "250 2.0.0 Ok"
    assert (detail["remote_mta"], detail["remote_ip"]) == ("ex.net", "192.0.2.1")
    assert (detail["reporting_mta"], detail["attempt"], detail["tls"]) == ("out.ex.org", 1, "")
    assert detail["recipients"] == ["a@ex.net"]
    assert "C: RCPT TO:<a@ex.net>" in detail["conversation"]
    [row] = d.queue.rows.values()
    assert (row.reply, row.attempts) == ("250 2.0.0 Ok", 1)


async def test_a_refused_recipient_bounces_at_once() -> None:
    async with Delivering() as d:
        d.network.server().rcpt["a@ex.net"] = NOBODY
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {"a@ex.net": RecipientState.BOUNCED}
    bounce = d.queue.event("Bounce")
    assert bounce.detail["kind"] == {"type": "Permanent", "subtype": "NoEmail"}
    assert bounce.detail["recipients"] == [
        {
            "recipient": "a@ex.net",
            "action": "failed",
            "status": "5.1.1",
            "diagnostic_code": "smtp; 550 5.1.1 No such user",
        }
    ]


async def test_a_temporary_answer_is_tried_again_with_the_same_bytes() -> None:
    prepared = 0

    async def prepare(message: ClaimedMessage) -> Prepared:
        nonlocal prepared
        prepared += 1
        content = message.sent or b"X-Try: %d\r\n" % prepared + message.content
        return Prepared(content, "s@ex.org", new=message.sent is None)

    async with Delivering(prepare=prepare) as d:
        server = d.network.server()
        server.message = [GREYLISTED]
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.types() == ["Send", "DeliveryDelay", "Delivery"]
    assert server.taken[0].content.startswith(b"X-Try: 1\r\n")
    delay = d.queue.event("DeliveryDelay").detail
    assert delay["recipients"] == [
        {"recipient": "a@ex.net", "status": "4.7.1", "diagnostic_code": "smtp; 450 4.7.1 Greylisted"}
    ]
    assert delay["expires_ms"] - d.queue.events[1].at_ms > 3_000_000
    assert d.queue.event("Delivery").detail["attempt"] == 2


async def test_an_old_message_expires_in_ses_words() -> None:
    chosen = settings(retry=RetryPlan((0.05,), 100))
    async with Delivering(chosen) as d:
        d.network.server().rcpt["a@ex.net"] = GREYLISTED
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {"a@ex.net": RecipientState.EXPIRED}
    bounce = d.queue.event("Bounce").detail
    assert bounce["kind"] == {"type": "Transient", "subtype": "General"}
    [recipient] = bounce["recipients"]
    assert recipient["status"] == "4.4.7"
    assert recipient["diagnostic_code"] == (
        "smtp; 550 4.4.7 Message expired: unable to deliver in 1 minutes.<450 4.7.1 Greylisted>"
    )
    assert d.queue.types().count("Send") == 1


async def test_recipients_of_one_domain_share_a_transaction_and_get_their_own_outcomes() -> None:
    async with Delivering() as d:
        server = d.network.server()
        server.rcpt = {"b@ex.net": NOBODY, "c@ex.net": GREYLISTED}
        d.queue.add("m1", "a@ex.net", "b@ex.net", "c@ex.net", "d@ex.net", "e@other.net")
        await d.queue.until(lambda: len(d.queue.results) >= 5)
        assert d.queue.states() == {
            "a@ex.net": RecipientState.DELIVERED,
            "b@ex.net": RecipientState.BOUNCED,
            "c@ex.net": RecipientState.QUEUED,
            "d@ex.net": RecipientState.DELIVERED,
            "e@other.net": RecipientState.DELIVERED,
        }
        del server.rcpt["c@ex.net"]
        await d.queue.until(d.queue.all_final)
    assert [[r.path for r in m.rcpts] for m in server.taken[:2]] in (
        [["a@ex.net", "d@ex.net"], ["e@other.net"]],
        [["e@other.net"], ["a@ex.net", "d@ex.net"]],
    )
    assert d.queue.types()[0] == "Send"
    assert d.queue.types().count("Send") == 1
    assert d.queue.types().count("Bounce") == 1


async def test_captured_mail_stays_here_without_a_connection() -> None:
    async with Delivering(settings("capture")) as d:
        d.queue.add("m1", "a@ex.net", "b@other.net")
        await d.queue.until(d.queue.all_final)
    assert d.network.servers == {}
    assert {row.reply for row in d.queue.rows.values()} == {"250 2.0.0 Ok: kept in the inbox"}
    assert d.queue.types() == ["Send", "Delivery"]
    assert d.queue.sent["m1"] == CONTENT


async def test_a_route_goes_ahead_of_capture() -> None:
    async with Delivering(settings("capture", {"ex.net": Hop("192.0.2.7", 2525)})) as d:
        server = d.network.server("192.0.2.7:2525")
        d.queue.add("m1", "a@ex.net", "b@other.net")
        await d.queue.until(d.queue.all_final)
    assert [[r.path for r in m.rcpts] for m in server.taken] == [["a@ex.net"]]


async def test_a_relay_takes_all_domains_in_one_transaction_and_a_login() -> None:
    relay = Route((Hop("127.0.0.9", 2525),), username="u", password="p")
    async with Delivering(settings("relay", relay=relay)) as d:
        server = d.network.server("127.0.0.9:2525")
        d.queue.add("m1", "a@ex.net", "b@other.net")
        await d.queue.until(lambda: d.queue.results)
    # The server of this test offers no AUTH: without it nothing is sent, and the mail waits for the operator.
    assert server.taken == []
    assert {row.state for row in d.queue.rows.values()} == {RecipientState.QUEUED}
    assert "offers neither" in d.queue.results[0].reply


async def test_credentials_do_not_leave_in_the_clear() -> None:
    relay = Route((Hop("192.0.2.9", 587),), username="u", password="p")
    async with Delivering(settings("relay", relay=relay)) as d:
        d.network.server("192.0.2.9:587")
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(lambda: d.queue.results)
    assert "credentials are not sent in the clear" in d.queue.results[0].reply


async def test_a_refused_message_is_rejected_for_all_its_recipients() -> None:
    async def prepare(message: ClaimedMessage) -> Refused:
        event = Event(scope=SCOPE, message_id="m1", type=EventType.REJECT, at_ms=1, detail={"reason": "Bad content"})
        return Refused(event, "Bad content")

    async with Delivering(prepare=prepare) as d:
        d.queue.add("m1", "a@ex.net", "b@ex.net")
        await d.queue.until(d.queue.all_final)
    assert set(d.queue.states().values()) == {RecipientState.REJECTED}
    assert d.queue.types() == ["Reject"]
    assert d.network.servers == {}


async def test_a_message_that_cannot_be_prepared_waits_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    broken = True

    async def prepare(message: ClaimedMessage) -> Prepared:
        if broken and message.facts.message_id == "bad":
            raise ZeroDivisionError
        return await as_it_is(message)

    async with Delivering(prepare=prepare) as d:
        d.network.server()
        d.queue.add("bad", "a@ex.net")
        d.queue.add("good", "b@ex.net")
        await d.queue.until(lambda: d.queue.states()["b@ex.net"] is RecipientState.DELIVERED and d.queue.results[1:])
        assert d.queue.rows["bad", "a@ex.net"].reply.startswith("451 4.3.0 ")
        broken = False
        await d.queue.until(d.queue.all_final)
    assert d.queue.types().count("Send") == 2
    assert "preparing bad failed" in caplog.text


async def test_a_failing_attempt_by_our_own_fault_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Resolver(FakeResolver):
        broken = True

        async def mx(self, domain: str) -> tuple[MailExchanger, ...] | NoSuchName | LookupFailed:
            if self.broken:
                self.broken = False
                raise ZeroDivisionError
            return ()

    async with Delivering(resolver=Resolver()) as d:
        d.network.server()
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.types() == ["Send", "DeliveryDelay", "Delivery"]
    assert "attempt to deliver m1 failed" in caplog.text


async def test_settlements_survive_a_database_that_fails_for_a_while() -> None:
    async with Delivering() as d:
        d.queue.failing = 2
        server = d.network.server()
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 1
    assert d.queue.types() == ["Send", "Delivery"]


async def test_a_nonexistent_domain_is_tried_again_as_ses_does() -> None:
    async with Delivering() as d:
        d.resolver.exchangers["ex.net"] = NoSuchName()
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(lambda: d.queue.results)
    assert d.queue.results[0].state is RecipientState.QUEUED
    assert d.queue.results[0].reply == "421 4.4.0 Unable to lookup DNS for ex.net"


async def test_a_null_mx_bounces() -> None:
    async with Delivering() as d:
        d.resolver.exchangers["ex.net"] = (MailExchanger(0, ""),)
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.event("Bounce").detail["recipients"][0]["status"] == "5.1.10"


async def test_what_is_in_memory_is_bounded() -> None:
    peak = 0
    gate = asyncio.Event()

    async def prepare(message: ClaimedMessage) -> Prepared:
        nonlocal peak
        peak = max(peak, d.worker.in_flight)
        await gate.wait()
        return await as_it_is(message)

    chosen = settings(max_in_flight=40, claim_batch=15, preparing=3)
    async with Delivering(chosen, prepare=prepare) as d:
        d.network.server()
        for i in range(200):
            d.queue.add(f"m{i}", f"u{i}@ex.net")
        await asyncio.sleep(0.1)
        assert 30 <= d.worker.in_flight <= 40  # claimed in ever smaller batches
        gate.set()
        await d.queue.until(d.queue.all_final)
    assert peak <= 40
    assert d.worker.in_flight == 0


async def test_large_messages_are_claimed_few_at_a_time() -> None:
    sizes = []

    class Queue(FakeQueue):
        async def claim(self, *given, **named):  # type: ignore[no-untyped-def]
            found = await super().claim(*given, **named)
            sizes.append(len(found))
            return found

    wakeups = FakeWakeups()
    queue = Queue(FakeClock(), wakeups)
    large = b"x" * 1000 + b"\r\n"
    for i in range(50):
        queue.add(f"m{i}", f"u{i}@ex.net", content=large)
    chosen = settings(max_in_flight_bytes=50_000, claim_batch=10)
    async with Delivering(chosen, queue=queue, clock=queue.clock) as d:
        d.network.server()
        await queue.until(queue.all_final)
    assert max(sizes) <= 12


class Resting:
    """A courtesy that lets few be claimed, and rests once for long."""

    def __init__(self, rest_s: float) -> None:
        self.rest = rest_s
        self.asked: list[tuple[int, int]] = []

    def at_once(self, most: int) -> int:
        return min(most, 5)

    def rest_s(self, count: int, lag_ms: int) -> float:
        self.asked.append((count, lag_ms))
        return self.rest


async def test_where_nobody_waits_for_mail_it_steps_back_between_claims() -> None:
    courtesy = Resting(0.0)
    queue = FakeQueue(FakeClock(), FakeWakeups())
    for i in range(12):
        queue.add(f"m{i}", f"u{i}@ex.net")
    queue.clock.ms += 700
    async with Delivering(queue=queue, clock=queue.clock, courtesy=courtesy) as d:
        d.network.server()
        await queue.until(queue.all_final)
    assert courtesy.asked == [(5, 700), (5, 700), (2, 700)]


async def test_who_rests_ends_at_once_all_the_same() -> None:
    async with asyncio.timeout(5):
        async with Delivering(courtesy=Resting(60.0)) as d:
            d.network.server()
            d.queue.add("m1", "a@ex.net")
            await d.queue.until(d.queue.all_final)
            d.queue.add("m2", "a@ex.net")
    assert d.queue.states()["a@ex.net"] is RecipientState.QUEUED


async def test_leases_are_renewed_while_in_flight() -> None:
    async with Delivering(settings(lease_ms=90)) as d:
        server = d.network.server()
        server.delay_s = 0.2
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(d.queue.renewed) >= 3
    assert len(server.taken) == 1


async def test_after_a_long_absence_of_the_database_each_message_is_still_sent_once() -> None:
    chosen = settings(lease_ms=60, concurrency=2)
    async with Delivering(chosen) as d:
        server = d.network.server()
        server.delay_s = 0.01
        for i in range(12):
            d.queue.add(f"m{i}", f"u{i}@ex.net")
        await d.queue.until(lambda: d.queue.results)
        d.queue.away = True
        await asyncio.sleep(0.3)  # as many leases long
        d.queue.away = False
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 12
    assert d.worker.in_flight == 0


async def test_what_others_may_have_taken_meanwhile_is_not_begun() -> None:
    chosen = settings(lease_ms=60, concurrency=1)
    async with Delivering(chosen) as d:
        server = d.network.server()
        server.delay_s = 0.03
        for i in range(6):
            d.queue.add(f"m{i}", f"u{i}@ex.net")
        await d.queue.until(lambda: d.queue.results)
        begun = len(d.queue.results) + 1
        d.queue.away = True
        await asyncio.sleep(0.3)
        for row in d.queue.rows.values():
            if row.state is RecipientState.QUEUED:
                row.owner, row.leased_until_ms = "other", d.clock.now_ms() + 60_000
        d.queue.away = False
        await asyncio.sleep(0.1)
    assert len(server.taken) <= begun
    assert d.worker.in_flight == 0


async def test_a_renewal_that_finds_the_lease_gone_gives_back_what_has_not_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Queue(FakeQueue):
        async def renew(self, owner: str, until_ms: int) -> bool:
            await super().renew(owner, until_ms)
            return False

    wakeups = FakeWakeups()
    queue = Queue(FakeClock(), wakeups)
    async with Delivering(
        settings(lease_ms=60, concurrency=1, stop_deadline_s=0.1), queue=queue, clock=queue.clock
    ) as d:
        server = d.network.server()
        server.silent = True
        for i in range(6):
            queue.add(f"m{i}", f"u{i}@ex.net")
        async with asyncio.timeout(5):
            while d.worker.in_flight != 1:
                await asyncio.sleep(0.01)
    assert "leases ran out: 5 recipients go back to the queue" in caplog.text


async def test_what_a_claim_leased_whose_answer_got_lost_is_delivered() -> None:
    clock, wakeups = FakeClock(), FakeWakeups()
    queue = FakeQueue(clock, wakeups)
    queue.add("m1", "a@ex.net")
    async with Delivering(queue=LostAnswers(queue, "claim"), clock=clock) as d:
        server = d.network.server()
        await queue.until(queue.all_final)
    assert len(server.taken) == 1


async def test_stop_finishes_what_has_begun_and_releases_the_rest() -> None:
    chosen = settings(per_domain_concurrency=1, concurrency=1)
    async with Delivering(chosen) as d:
        server = d.network.server()
        server.delay_s = 0.05
        for i in range(30):
            d.queue.add(f"m{i}", f"u{i}@ex.net")
        await d.queue.until(lambda: d.queue.results)
    delivered = [r for r in d.queue.results if r.state is RecipientState.DELIVERED]
    assert len(delivered) == len(server.taken) < 30
    assert not await d.queue.owners()
    assert {str(s) for s in d.queue.states().values()} == {"delivered", "queued"}


async def test_stop_does_not_wait_longer_than_its_deadline() -> None:
    chosen = settings(stop_deadline_s=0.1)
    async with Delivering(chosen) as d:
        server = d.network.server()
        server.silent = True
        d.queue.add("m1", "a@ex.net")
        while not server.open:
            await asyncio.sleep(0.01)
    assert not await d.queue.owners()
    assert server.open == []


async def test_stop_ends_idle_connections_with_quit() -> None:
    async with Delivering() as d:
        server = d.network.server()
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
        assert len(server.open) == 1
    assert server.open == []


async def test_leases_of_a_dead_process_of_this_machine_are_released_at_start() -> None:
    clock = FakeClock()
    queue = FakeQueue(clock, FakeWakeups())
    queue.add("m1", "a@ex.net")
    host, boot, space, _, start, nonce = own_name("n").split("/")
    dead = "/".join((host, boot, space, "4194999", start, nonce))
    await queue.claim(dead, clock.now_ms(), 3_600_000, 10)
    async with Delivering(queue=queue, clock=clock) as d:
        d.network.server()
        await queue.until(queue.all_final)


async def test_leases_of_others_are_left_alone() -> None:
    clock = FakeClock()
    queue = FakeQueue(clock, FakeWakeups())
    queue.add("m1", "a@ex.net")
    await queue.claim("otherhost/b/s/1/2/n", clock.now_ms(), 3_600_000, 10)
    async with Delivering(queue=queue, clock=clock):
        await asyncio.sleep(0.05)
    assert await queue.owners() == ["otherhost/b/s/1/2/n"]


async def test_more_recipients_of_a_message_in_flight_share_its_bytes_and_its_send_event() -> None:
    prepared = 0

    async def prepare(message: ClaimedMessage) -> Prepared:
        nonlocal prepared
        prepared += 1
        return Prepared(b"X-Try: %d\r\n" % prepared + message.content, "s@ex.org")

    async with Delivering(settings(claim_batch=1), prepare=prepare) as d:
        server = d.network.server()
        server.delay_s = 0.02
        d.queue.add("m1", "a@ex.net", "b@other.net", "c@third.net")
        await d.queue.until(d.queue.all_final)
    assert prepared == 1
    assert d.queue.types().count("Send") == 1
    assert {m.content[:8] for m in server.taken} == {b"X-Try: 1"}


async def test_the_queue_is_looked_at_without_a_tap_when_the_next_is_due() -> None:
    async with Delivering(settings(poll_s=5.0)) as d:
        server = d.network.server()
        server.message = [GREYLISTED]
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final, timeout_s=2.0)


async def test_a_claim_that_fails_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    class Queue(FakeQueue):
        broken = True

        async def claim(self, *given, **named):  # type: ignore[no-untyped-def]
            if self.broken:
                self.broken = False
                raise OSError("gone")
            return await super().claim(*given, **named)

    wakeups = FakeWakeups()
    queue = Queue(FakeClock(), wakeups)
    queue.add("m1", "a@ex.net")
    async with Delivering(queue=queue, clock=queue.clock) as d:
        d.network.server()
        await queue.until(queue.all_final)
    assert "claiming from the queue failed" in caplog.text


async def test_the_eight_bit_hook_is_used_only_for_servers_without_8bitmime() -> None:
    class OldServer(FakeNetwork):
        async def connect(self, ip: str, port: int, **named):  # type: ignore[no-untyped-def]
            stream = await super().connect(ip, port, **named)
            stream._protocol._keywords = lambda: ["PIPELINING"]  # type: ignore[method-assign]
            return stream

    async def prepare(message: ClaimedMessage) -> Prepared:
        return Prepared(b"S: \xc3\xa4\r\n\r\n", "s@ex.org", eight_bit=True)

    async def to_seven_bit(facts: MessageFacts, leaving: bytes) -> bytes | None:
        assert (facts.message_id, leaving) == ("m1", b"S: \xc3\xa4\r\n\r\n")
        return b"seven\r\n"

    async def impossible(facts: MessageFacts, leaving: bytes) -> bytes | None:
        return None

    eight = b"S: \xc3\xa4\r\n\r\n"
    for network, hook, expected in (
        (FakeNetwork(), to_seven_bit, eight),
        (OldServer(), to_seven_bit, b"seven\r\n"),
        (OldServer(), impossible, eight),
    ):
        async with Delivering(network=network, prepare=prepare, to_seven_bit=hook) as d:
            server = d.network.server()
            d.queue.add("m1", "a@ex.net")
            await d.queue.until(d.queue.all_final)
        assert server.taken[0].content == expected
        assert d.queue.sent["m1"] == b"S: \xc3\xa4\r\n\r\n"


async def test_source_addresses_take_turns_within_their_family() -> None:
    chosen = settings(source_ips=("10.0.0.1", "10.0.0.2", "2001:db8::1"), max_messages_per_connection=1)
    async with Delivering(chosen) as d:
        server = d.network.server()
        for i in range(6):
            d.queue.add(f"m{i}", f"u{i}@ex.net")
        await d.queue.until(d.queue.all_final)
    assert set(server.sources) == {"10.0.0.1", "10.0.0.2"}


async def test_outcomes_are_counted() -> None:
    metrics = Metrics()
    async with Delivering(metrics=metrics) as d:
        server = d.network.server()
        server.message = [GREYLISTED]
        d.queue.add("m1", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    counted = {dict(labels)["state"]: value for name, labels, value in metrics.samples() if labels}
    assert counted == {"queued": 1, "delivered": 1}
    assert "posthouse_delivery_in_flight_recipients" in {name for name, _, _ in metrics.samples()}
