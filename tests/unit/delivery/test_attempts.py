"""Which hosts are tried, in which order, and what becomes of connections that end."""

import asyncio
import dataclasses

import pytest
from tests.unit.delivery.fakes import OK, Delivering, settings

from posthouse.delivery.prepared import Prepared
from posthouse.domain.messages import RecipientState
from posthouse.domain.routing import Hop
from posthouse.ports.mailstore import ClaimedMessage
from posthouse.ports.resolver import LookupFailed, MailExchanger
from posthouse.wire.smtp_reply import reply

BUSY = reply(451, "Busy", "4.3.2")


def two_hosts(d: Delivering, first: int = 10, second: int = 20) -> None:
    """ex.net has mx1 at 192.0.2.1 and mx2 at 192.0.2.2."""
    d.resolver.exchangers["ex.net"] = (MailExchanger(second, "mx2.ex.net"), MailExchanger(first, "mx1.ex.net"))
    d.resolver.hosts = {"mx1.ex.net": ("192.0.2.1",), "mx2.ex.net": ("192.0.2.2",)}


async def first_result(d: Delivering) -> str:
    d.queue.add("m1", "a@ex.net")
    await d.queue.until(lambda: d.queue.results)
    return d.queue.results[0].reply


async def test_the_best_preference_is_tried_first() -> None:
    async with Delivering() as d:
        two_hosts(d)
        one, two = d.network.server("192.0.2.1:25"), d.network.server("192.0.2.2:25")
        await first_result(d)
    assert (one.connections, two.connections) == (1, 0)
    assert d.queue.event("Delivery").detail["remote_mta"] == "mx1.ex.net"


async def test_equal_preference_shares_the_load() -> None:
    async with Delivering(settings(max_messages_per_connection=1)) as d:
        two_hosts(d, 10, 10)
        one, two = d.network.server("192.0.2.1:25"), d.network.server("192.0.2.2:25")
        for i in range(40):
            d.queue.add(f"m{i}", f"u{i}@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(one.taken) > 5
    assert len(two.taken) > 5


async def test_the_next_host_is_tried_when_one_cannot_be_reached() -> None:
    async with Delivering() as d:
        two_hosts(d)
        two = d.network.server("192.0.2.2:25")
        await first_result(d)
    assert len(two.taken) == 1
    conversation = d.queue.event("Delivery").detail["conversation"]
    assert conversation[:2] == ["* connecting to mx1.ex.net[192.0.2.1]:25", "* connection refused"]


@pytest.mark.parametrize("greeting", [b"421 4.3.2 busy\r\n", b"554 5.7.1 no\r\n", b"garbage\r\n"])
async def test_the_next_host_is_tried_after_a_refusing_greeting(greeting: bytes) -> None:
    async with Delivering() as d:
        two_hosts(d)
        d.network.server("192.0.2.1:25").greeting = greeting
        two = d.network.server("192.0.2.2:25")
        await first_result(d)
    assert len(two.taken) == 1


async def test_the_next_host_is_tried_after_a_temporary_answer_to_mail() -> None:
    async with Delivering() as d:
        two_hosts(d)
        d.network.server("192.0.2.1:25").mail = BUSY
        two = d.network.server("192.0.2.2:25")
        await first_result(d)
    assert len(two.taken) == 1


async def test_a_permanent_answer_to_mail_stands() -> None:
    async with Delivering() as d:
        two_hosts(d)
        d.network.server("192.0.2.1:25").mail = reply(550, "Blocked", "5.7.1")
        two = d.network.server("192.0.2.2:25")
        assert await first_result(d) == "550 5.7.1 Blocked"
    assert two.connections == 0


async def test_answers_to_recipients_stand() -> None:
    async with Delivering() as d:
        two_hosts(d)
        d.network.server("192.0.2.1:25").rcpt["a@ex.net"] = reply(450, "Greylisted")
        two = d.network.server("192.0.2.2:25")
        assert await first_result(d) == "450 Greylisted"
    assert two.connections == 0


async def test_recipients_without_an_answer_go_to_the_next_host_after_a_break() -> None:
    async with Delivering() as d:
        two_hosts(d)
        one, two = d.network.server("192.0.2.1:25"), d.network.server("192.0.2.2:25")
        one.rcpt = {"a@ex.net": reply(550, "No such user", "5.1.1"), "b@ex.net": reply(421, "Leaving", "4.3.2")}
        d.queue.add("m1", "a@ex.net", "b@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {"a@ex.net": RecipientState.BOUNCED, "b@ex.net": RecipientState.DELIVERED}
    assert [r.path for r in two.taken[0].rcpts] == ["b@ex.net"]


async def test_all_hosts_that_refuse_for_good_make_a_bounce_and_one_for_now_a_delay() -> None:
    async with Delivering() as d:
        two_hosts(d)
        d.network.server("192.0.2.1:25").greeting = b"421 4.3.2 busy\r\n"
        d.network.server("192.0.2.2:25").greeting = b"554 5.7.1 no\r\n"
        assert await first_result(d) == "421 4.3.2 busy"
        d.network.server("192.0.2.1:25").greeting = b"554 5.7.1 no\r\n"
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {"a@ex.net": RecipientState.BOUNCED}


async def test_a_domain_without_mx_is_its_own_host() -> None:
    async with Delivering() as d:
        d.resolver.hosts["ex.net"] = ("192.0.2.9",)
        server = d.network.server("192.0.2.9:25")
        await first_result(d)
    assert len(server.taken) == 1


async def test_an_address_literal_needs_no_lookup() -> None:
    async with Delivering() as d:
        server = d.network.server("192.0.2.44:25")
        d.queue.add("m1", "a@[192.0.2.44]")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 1


async def test_a_failing_lookup_is_a_delay() -> None:
    async with Delivering() as d:
        d.resolver.exchangers["ex.net"] = LookupFailed("SERVFAIL")
        assert await first_result(d) == "421 4.4.0 Unable to lookup DNS for ex.net"
        d.resolver.exchangers["ex.net"] = (MailExchanger(10, "mx.ex.net"),)
        d.resolver.hosts["mx.ex.net"] = LookupFailed("timed out")
        await d.queue.until(lambda: "mx.ex.net (timed out)" in d.queue.results[-1].reply)


async def test_this_server_among_the_exchangers_ends_a_loop() -> None:
    async with Delivering(settings(own_hosts=frozenset({"mx1.ex.net"}))) as d:
        two_hosts(d)
        assert (await first_result(d)).startswith("554 5.4.6 ")


# -- kept connections


async def test_a_connection_is_kept_for_the_next_message() -> None:
    async with Delivering() as d:
        server = d.network.server()
        for i in range(5):
            d.queue.add(f"m{i}", "a@ex.net")
            await d.queue.until(d.queue.all_final)
    assert (server.connections, len(server.taken)) == (1, 5)
    conversations = [e.detail["conversation"] for e in d.queue.events if e.type == "Delivery"]
    assert conversations[0][0] == "* connecting to ex.net[192.0.2.1]:25"
    assert conversations[1][0].startswith("C: MAIL FROM")


@pytest.mark.parametrize("how", ["closed", "421"])
async def test_a_kept_connection_that_ended_is_replaced_at_once(how: str) -> None:
    async with Delivering() as d:
        server = d.network.server()
        await first_result(d)
        if how == "closed":
            server.open[0].end("idle too long")
        else:
            server.mail = reply(421, "Idle too long", "4.4.2")
            asyncio.get_running_loop().call_later(0.001, setattr, server, "mail", OK)
            server.delay_s = 0.01
        d.queue.add("m2", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 2
    assert "DeliveryDelay" not in d.queue.types()
    assert [e.detail["attempt"] for e in d.queue.events if e.type == "Delivery"] == [1, 1]


async def test_a_connection_lost_after_the_final_dot_is_not_retried_at_once() -> None:
    async with Delivering() as d:
        two_hosts(d)
        one, two = d.network.server("192.0.2.1:25"), d.network.server("192.0.2.2:25")
        one.message = [None]
        said = await first_result(d)
        assert said.startswith("421 4.4.2 ")
        assert "end of data" in said
        assert (two.connections, one.connections) == (0, 1)
        await d.queue.until(d.queue.all_final)
    assert d.queue.types() == ["Send", "DeliveryDelay", "Delivery"]


async def test_a_kept_connection_lost_after_the_final_dot_is_no_fresh_start_either() -> None:
    async with Delivering() as d:
        server = d.network.server()
        await first_result(d)
        server.message = [None]
        d.queue.add("m2", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert d.queue.types().count("DeliveryDelay") == 1


async def test_a_connection_carries_no_more_messages_than_allowed() -> None:
    async with Delivering(settings(max_messages_per_connection=2, per_domain_concurrency=1)) as d:
        server = d.network.server()
        for i in range(6):
            d.queue.add(f"m{i}", "a@ex.net")
            await d.queue.until(d.queue.all_final)
    assert server.connections == 3


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with Delivering(settings(idle_timeout_s=0.02)) as d:
        server = d.network.server()
        await first_result(d)
        async with asyncio.timeout(2):
            while server.open:
                await asyncio.sleep(0.01)


async def test_a_silent_server_costs_no_more_than_its_deadline() -> None:
    async with Delivering(settings(greeting_timeout_s=0.05)) as d:
        d.network.server().silent = True
        said = await first_result(d)
    assert said.startswith("421 4.4.2 ")
    assert "waiting for greeting: timed out" in said


# -- TLS


def offering_tls(d: Delivering, at: str = "192.0.2.1:25"):  # type: ignore[no-untyped-def]
    server = d.network.server(at)
    server.offer = dataclasses.replace(server.offer, starttls=True)
    return server


async def requiring_tls(message: ClaimedMessage) -> Prepared:
    return Prepared(message.content, "s@ex.org", require_tls=True)


async def test_tls_is_used_where_it_is_offered() -> None:
    async with Delivering() as d:
        offering_tls(d)
        await first_result(d)
    detail = d.queue.event("Delivery").detail
    assert (detail["tls"], detail["tls_verified"]) == ("TLSv1.3", False)
    assert "* TLSv1.3 TLS_AES_256_GCM_SHA384, certificate not verified" in detail["conversation"]


async def test_broken_tls_falls_back_to_a_new_connection_in_the_clear() -> None:
    async with Delivering() as d:
        server = offering_tls(d)
        server.broken_tls = True
        await first_result(d)
    assert (server.connections, len(server.taken)) == (2, 1)
    assert d.queue.event("Delivery").detail["tls"] == ""


async def test_a_message_that_requires_tls_never_leaves_in_the_clear() -> None:
    async with Delivering(prepare=requiring_tls) as d:
        server = d.network.server()
        said = await first_result(d)
    assert said == "550 5.7.10 TLS is required, but ex.net offers none"
    assert server.taken == []


async def test_a_message_that_requires_tls_goes_to_the_host_that_offers_it() -> None:
    async with Delivering(prepare=requiring_tls) as d:
        two_hosts(d)
        plain = d.network.server("192.0.2.1:25")
        safe = offering_tls(d, "192.0.2.2:25")
        await first_result(d)
    assert (plain.taken, len(safe.taken)) == ([], 1)
    assert d.queue.event("Delivery").detail["tls"] == "TLSv1.3"


async def test_a_message_that_requires_tls_waits_for_a_host_that_is_away_and_may_offer_it() -> None:
    async with Delivering(prepare=requiring_tls) as d:
        two_hosts(d)
        plain = d.network.server("192.0.2.2:25")
        await first_result(d)
        assert d.queue.types() == ["Send", "DeliveryDelay"]
        safe = offering_tls(d, "192.0.2.1:25")
        await d.queue.until(d.queue.all_final)
    assert (plain.taken, len(safe.taken)) == ([], 1)


async def test_a_message_that_requires_tls_bounces_once_no_host_offers_it() -> None:
    async with Delivering(prepare=requiring_tls) as d:
        two_hosts(d)
        hosts = [d.network.server(f"192.0.2.{number}:25") for number in (1, 2)]
        await first_result(d)
    assert [(host.connections, host.taken) for host in hosts] == [(1, []), (1, [])]
    assert d.queue.states() == {"a@ex.net": RecipientState.BOUNCED}
    detail = d.queue.event("Bounce").detail
    assert detail["kind"] == {"type": "Permanent", "subtype": "General"}


async def test_a_message_that_requires_tls_waits_where_tls_is_broken() -> None:
    async with Delivering(prepare=requiring_tls) as d:
        server = offering_tls(d)
        server.broken_tls = True
        said = await first_result(d)
        assert said.startswith("454 4.7.5 TLS handshake failed")
        server.broken_tls = False
        await d.queue.until(d.queue.all_final)
    assert d.queue.states() == {"a@ex.net": RecipientState.DELIVERED}


async def test_a_kept_connection_in_the_clear_is_not_used_for_a_message_that_requires_tls() -> None:
    async def prepare(message: ClaimedMessage) -> Prepared:
        return Prepared(message.content, "s@ex.org", require_tls=message.facts.message_id == "m2")

    async with Delivering(prepare=prepare) as d:
        d.network.server()
        await first_result(d)
        offering_tls(d)
        d.queue.add("m2", "a@ex.net")
        await d.queue.until(d.queue.all_final)
    assert [e.detail["tls"] for e in d.queue.events if e.type == "Delivery"] == ["", "TLSv1.3"]


async def test_a_route_needs_no_mx() -> None:
    async with Delivering(settings(routes={"*": Hop("192.0.2.50", 2525)})) as d:
        server = d.network.server("192.0.2.50:2525")
        d.queue.add("m1", "a@ex.net", "b@other.net")
        await d.queue.until(d.queue.all_final)
    assert [len(m.rcpts) for m in server.taken] == [2]
