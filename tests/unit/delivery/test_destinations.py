"""Destinations beside each other: who may have how many connections, who waits, and who is left alone."""

import asyncio

import pytest
from tests.unit.delivery.fakes import Delivering, FakeServer, settings

from posthouse.delivery.settings import DeliverySettings
from posthouse.domain.messages import RecipientState
from posthouse.domain.outcomes import RetryPlan
from posthouse.wire.smtp_reply import reply


def server_of(d: Delivering, domain: str, number: int) -> FakeServer:
    d.resolver.hosts[domain] = (f"192.0.2.{number}",)
    return d.network.server(f"192.0.2.{number}:25")


async def fill(d: Delivering, domain: str, count: int) -> None:
    for i in range(count):
        d.queue.add(f"{domain}-{i}", f"u{i}@{domain}")


def delivered_to(d: Delivering, domain: str) -> int:
    return sum(
        row.state is RecipientState.DELIVERED and row.recipient.endswith(f"@{domain}") for row in d.queue.rows.values()
    )


async def test_no_destination_has_more_connections_than_allowed() -> None:
    async with Delivering(settings(per_domain_concurrency=3)) as d:
        server = server_of(d, "ex.net", 1)
        server.delay_s = 0.002
        peak = 0
        await fill(d, "ex.net", 100)
        while not d.queue.all_final():
            peak = max(peak, len(server.open))
            await asyncio.sleep(0.001)
    assert peak == 3


async def test_connections_grow_with_success_only() -> None:
    async with Delivering(settings(greeting_timeout_s=0.2)) as d:
        server = server_of(d, "ex.net", 1)
        server.silent = True
        await fill(d, "ex.net", 50)
        await d.queue.until(lambda: d.queue.results)
    assert server.connections <= 2


@pytest.mark.parametrize("full", [b"421 4.7.0 too many connections\r\n", b"554 5.7.0 too many connections\r\n"])
async def test_a_server_that_limits_connections_gets_all_mail_over_those_it_takes(full: bytes) -> None:
    async with Delivering() as d:
        server = server_of(d, "ex.net", 1)
        server.max_connections = 3
        server.full = full
        server.delay_s = 0.001
        await fill(d, "ex.net", 200)
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 200
    assert set(d.queue.types()) == {"Send", "Delivery"}
    assert server.connections < 20


async def test_a_destination_that_cannot_be_reached_is_left_alone_for_a_while() -> None:
    chosen = settings(retry=RetryPlan((10.0,), 3_600_000), backoff_s=10.0)
    async with Delivering(chosen) as d:
        server = server_of(d, "ex.net", 1)
        server.refusing = True
        await fill(d, "ex.net", 20)
        await d.queue.until(lambda: len(d.queue.results) >= 20)
        assert all(r.reply.startswith("421 4.4.1 Unable to connect to") for r in d.queue.results)
        server.refusing = False
        d.queue.add("later", "x@ex.net")
        await asyncio.sleep(0.1)
        assert server.connections == 0
        assert d.queue.rows["later", "x@ex.net"].attempts == 0
        assert "ex.net" in d.queue.excluded[-1]


async def test_the_pause_is_no_longer_than_the_retry_wait() -> None:
    async with Delivering(settings(backoff_s=30.0)) as d:
        server = server_of(d, "ex.net", 1)
        server.refusing = True
        await fill(d, "ex.net", 5)
        await d.queue.until(lambda: len(d.queue.results) >= 5)
        server.refusing = False
        await d.queue.until(d.queue.all_final, timeout_s=3.0)


async def test_dead_and_slow_destinations_do_not_hold_up_the_others() -> None:
    chosen = settings(
        concurrency=40,
        max_in_flight=200,
        claim_batch=25,
        greeting_timeout_s=5.0,
        retry=RetryPlan((60.0,), 3_600_000),
    )
    async with Delivering(chosen) as d:
        server_of(d, "dead.net", 1).refusing = True
        server_of(d, "silent.net", 2).silent = True
        for n in range(5):
            server_of(d, f"slow{n}.net", 10 + n).delay_s = 0.5
        for domain in ("dead.net", "silent.net", *(f"slow{n}.net" for n in range(5))):
            await fill(d, domain, 60)
        for n in range(30):
            server_of(d, f"live{n}.net", 100 + n)
            await fill(d, f"live{n}.net", 5)
        await d.queue.until(lambda: all(delivered_to(d, f"live{n}.net") == 5 for n in range(30)), timeout_s=4.0)
        slow = sum(delivered_to(d, f"slow{n}.net") for n in range(5))
    assert slow < 300


async def test_more_destinations_than_connections_all_get_their_turn() -> None:
    chosen = settings(concurrency=3, claim_batch=200, max_in_flight=2000)
    async with Delivering(chosen) as d:
        for n in range(8):
            server_of(d, f"d{n}.net", n + 1).delay_s = 0.001
            await fill(d, f"d{n}.net", 60)
        await d.queue.until(lambda: all(delivered_to(d, f"d{n}.net") for n in range(8)))
        most = max(delivered_to(d, f"d{n}.net") for n in range(8))
        assert most < 60
        assert sum(len(s.open) for s in d.network.servers.values()) <= 3
        await d.queue.until(d.queue.all_final)


async def test_an_idle_connection_makes_room_for_another_destination() -> None:
    async with Delivering(settings(concurrency=1)) as d:
        first = server_of(d, "one.net", 1)
        second = server_of(d, "two.net", 2)
        await fill(d, "one.net", 1)
        await d.queue.until(d.queue.all_final)
        assert len(first.open) == 1
        await fill(d, "two.net", 1)
        await d.queue.until(d.queue.all_final)
        assert (len(first.open), len(second.open)) == (0, 1)


async def test_the_rate_of_a_destination_is_kept() -> None:
    async with Delivering(settings(per_domain_rate=50.0)) as d:
        server = server_of(d, "ex.net", 1)
        began = asyncio.get_running_loop().time()
        await fill(d, "ex.net", 11)
        await d.queue.until(d.queue.all_final)
        passed = asyncio.get_running_loop().time() - began
    assert len(server.taken) == 11
    assert passed >= 10 / 50


async def test_a_busy_destination_is_left_out_of_claims_until_there_is_room() -> None:
    async with Delivering(settings(claim_batch=10, per_domain_concurrency=1)) as d:
        server = server_of(d, "ex.net", 1)
        server.delay_s = 0.01
        await fill(d, "ex.net", 30)
        await d.queue.until(d.queue.all_final)
    assert any("ex.net" in excluded for excluded in d.queue.excluded)
    assert len(server.taken) == 30


async def test_unused_destinations_are_forgotten() -> None:
    async with Delivering(settings(idle_timeout_s=0.01)) as d:
        d.network.server()
        for n in range(50):
            d.queue.add(f"m{n}", f"a@d{n}.net")
        await d.queue.until(d.queue.all_final)
        async with asyncio.timeout(10):
            while d.worker._destinations._by_name:
                await asyncio.sleep(0.01)


async def test_a_busy_server_with_temporary_refusals_does_not_lose_its_connections() -> None:
    async with Delivering(settings()) as d:
        server = server_of(d, "ex.net", 1)
        server.rcpt = {f"u{i}@ex.net": reply(450, "Later") for i in range(10)}
        await fill(d, "ex.net", 20)
        await d.queue.until(lambda: delivered_to(d, "ex.net") == 10)
        server.rcpt = {}
        await d.queue.until(d.queue.all_final)
    assert server.connections <= 20


def test_settings_have_sound_defaults() -> None:
    fields = {f: getattr(settings(), f) for f in DeliverySettings.__slots__}
    assert (fields["concurrency"], fields["per_domain_concurrency"], fields["per_domain_rate"]) == (200, 20, 0.0)
    assert fields["lease_ms"] <= 60_000
