"""adapters.resolver against a real DNS server on loopback."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.dns_server import DnsServer

from posthouse.adapters import resolver as adapter
from posthouse.adapters.resolver import DnsResolver
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resolver(server: DnsServer, clock: Clock) -> DnsResolver:
    return DnsResolver([server.address], clock)


async def test_mx_hosts_are_lower_case_without_the_final_dot(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "MX", "10 MX1.ex.test.", "20 mx2.ex.test.")
    found = await resolver.mx("EX.test")
    assert isinstance(found, tuple)  # a server may answer in any order
    assert set(found) == {MailExchanger(10, "mx1.ex.test"), MailExchanger(20, "mx2.ex.test")}


async def test_null_mx_is_an_empty_host(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "MX", "0 .")
    assert await resolver.mx("ex.test") == (MailExchanger(0, ""),)


async def test_name_without_such_records_is_empty_and_no_name_is_told_apart(
    server: DnsServer, resolver: DnsResolver
) -> None:
    server.add("ex.test", "A", "192.0.2.1")
    assert await resolver.mx("ex.test") == ()
    assert await resolver.mx("nothing.test") == NoSuchName()
    assert await resolver.addresses("nothing.test") == NoSuchName()
    assert await resolver.mx("sub.ex.test") == NoSuchName()


async def test_addresses_come_with_ipv4_first(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "AAAA", "2001:db8::1")
    server.add("ex.test", "A", "192.0.2.1", "192.0.2.2")
    found = await resolver.addresses("ex.test")
    assert isinstance(found, tuple)
    assert sorted(found[:2]) == ["192.0.2.1", "192.0.2.2"]
    assert found[2:] == ("2001:db8::1",)


async def test_each_family_can_be_asked_for_alone_and_names_of_addresses(
    server: DnsServer, resolver: DnsResolver
) -> None:
    server.add("ex.test", "A", "192.0.2.1")
    server.add("ex.test", "AAAA", "2001:db8::1")
    server.add("1.2.0.192.in-addr.arpa", "PTR", "Mx.EX.test.")
    assert await resolver.ipv4("ex.test") == ("192.0.2.1",)
    assert await resolver.ipv6("ex.test") == ("2001:db8::1",)
    assert await resolver.ptr("1.2.0.192.in-addr.arpa") == ("mx.ex.test",)
    assert await resolver.ipv4("nothing.test") == NoSuchName()


async def test_aliases_are_followed(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("www.ex.test", "CNAME", "Host.ex.test.")
    server.add("host.ex.test", "A", "192.0.2.1")
    assert await resolver.addresses("www.ex.test") == ("192.0.2.1",)
    assert await resolver.cname("www.ex.test") == ("host.ex.test",)


async def test_strings_of_a_txt_record_are_joined(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "TXT", '"v=DKIM1; " "p=abc"')
    assert await resolver.txt("ex.test") == ("v=DKIM1; p=abc",)


@pytest.mark.parametrize("fault", ["servfail", "refused", "garbage"])
async def test_a_failing_server_is_no_verdict(
    server: DnsServer, resolver: DnsResolver, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LIFETIME_S", 0.5)
    server.faults["ex.test"] = fault
    assert isinstance(await resolver.mx("ex.test"), LookupFailed)


async def test_a_silent_server_ends_in_time(
    server: DnsServer, resolver: DnsResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LIFETIME_S", 0.3)
    server.faults["ex.test"] = "timeout"
    assert await resolver.mx("ex.test") == LookupFailed("MX lookup of ex.test timed out")


async def test_where_nobody_answers_nobody_is_asked_for_a_while(
    server: DnsServer, resolver: DnsResolver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LIFETIME_S", 0.3)
    server.add("ex.test", "MX", "10 mx.ex.test.")
    server.faults["mute.test"] = "timeout"
    assert await resolver.mx("mute.test") == LookupFailed("MX lookup of mute.test timed out")
    assert await resolver.mx("ex.test") == LookupFailed("MX lookup of ex.test failed: no name server answers")
    clock.ms += adapter.SILENCE_MS
    assert await resolver.mx("ex.test") == (MailExchanger(10, "mx.ex.test"),)


async def test_one_mute_zone_among_others_silences_nobody(
    server: DnsServer, resolver: DnsResolver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LIFETIME_S", 0.3)
    server.add("ex.test", "MX", "10 mx.ex.test.")
    server.add("other.test", "MX", "10 mx.other.test.")
    server.faults["mute.test"] = "timeout"
    mute = asyncio.create_task(resolver.mx("mute.test"))
    await asyncio.sleep(0)
    clock.ms += 1
    assert isinstance(await resolver.mx("ex.test"), tuple)
    assert await mute == LookupFailed("MX lookup of mute.test timed out")
    assert isinstance(await resolver.mx("other.test"), tuple)


async def test_failures_are_not_remembered(server: DnsServer, resolver: DnsResolver) -> None:
    server.faults["ex.test"] = "servfail"
    await resolver.mx("ex.test")
    server.faults.clear()
    server.add("ex.test", "MX", "10 mx.ex.test.")
    assert await resolver.mx("ex.test") == (MailExchanger(10, "mx.ex.test"),)


async def test_a_truncated_answer_is_asked_for_over_tcp(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "TXT", *(f'"{i} {"x" * 200}"' for i in range(20)))
    server.faults["ex.test"] = "truncate"
    found = await resolver.txt("ex.test")
    assert isinstance(found, tuple)
    assert len(found) == 20
    assert server.over_tcp == 1


async def test_a_loop_of_aliases_is_a_failed_lookup(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("a.test", "CNAME", "b.test.")
    server.add("b.test", "CNAME", "a.test.")
    assert isinstance(await resolver.mx("a.test"), LookupFailed)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test", "", "-\0-.test", "a." * 130])
async def test_what_is_no_name_does_not_exist(resolver: DnsResolver, name: str) -> None:
    assert isinstance(await resolver.mx(name), NoSuchName)


async def test_answers_are_kept_for_their_ttl(server: DnsServer, resolver: DnsResolver, clock: Clock) -> None:
    server.add("ex.test", "MX", "10 mx.ex.test.")
    await resolver.mx("ex.test")
    clock.ms += 299_000
    await resolver.mx("ex.test")
    assert server.asked["ex.test", "MX"] == 1
    clock.ms += 2_000
    await resolver.mx("ex.test")
    assert server.asked["ex.test", "MX"] == 2


async def test_absence_is_kept_for_a_minute_at_most(clock: Clock) -> None:
    async with DnsServer(negative_ttl_s=3600) as server:
        resolver = DnsResolver([server.address], clock)
        for _ in range(2):
            assert await resolver.mx("nothing.test") == NoSuchName()
        assert server.asked["nothing.test", "MX"] == 1
        clock.ms += 60_000
        server.add("nothing.test", "MX", "10 mx.ex.test.")
        assert isinstance(await resolver.mx("nothing.test"), tuple)


async def test_the_cache_is_bounded(server: DnsServer, resolver: DnsResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "MAX_CACHED", 3)
    for i in range(5):
        await resolver.mx(f"n{i}.test")
    assert len(resolver._cache) == 3


async def test_many_who_ask_the_same_at_once_ask_once(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "MX", "10 mx.ex.test.")
    await asyncio.gather(*(resolver.mx("ex.test") for _ in range(20)))
    assert server.asked["ex.test", "MX"] == 1


async def test_one_who_stops_waiting_does_not_spoil_it_for_the_others(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "MX", "10 mx.ex.test.")
    first, second = (asyncio.ensure_future(resolver.mx("ex.test")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == (MailExchanger(10, "mx.ex.test"),)


async def test_half_of_the_addresses_is_enough(server: DnsServer, resolver: DnsResolver) -> None:
    server.add("ex.test", "A", "192.0.2.1")
    assert await resolver.addresses("ex.test") == ("192.0.2.1",)


async def test_names_of_one_label_are_the_systems() -> None:
    found = await DnsResolver(["127.0.0.1:9"], Clock()).addresses("localhost")
    assert isinstance(found, tuple)
    assert found[0] == "127.0.0.1"


def test_server_addresses_are_read_with_and_without_port() -> None:
    assert [adapter._server(text) for text in ("1.2.3.4", "1.2.3.4:5353", "::1", "[::1]:5353", "[::1]")] == [
        ("1.2.3.4", 53),
        ("1.2.3.4", 5353),
        ("::1", 53),
        ("::1", 5353),
        ("::1", 53),
    ]
