"""SPF over our resolver: the results of RFC 7208, its limits, and what strangers write."""

import asyncio

import pytest
from tests.unit.receiving.zone import Found, ZoneResolver

from posthouse.domain.verdicts import SpfResult
from posthouse.receiving.spf import check

IP = "192.0.2.1"


async def checked(*lines: str, sender: str = "a@ex.test", ip: str = IP, failing: tuple[str, ...] = ()) -> SpfResult:
    return await check(ip, "helo.test", sender, ZoneResolver(*lines, failing=failing), "in.example", 5)


async def result(*lines: str, **more: str) -> str:
    return (await checked(*lines, **more)).result  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ex.test TXT v=spf1 ip4:192.0.2.0/24 -all"], "pass"),
        (["ex.test TXT v=spf1 ip4:198.51.100.1 -all"], "fail"),
        (["ex.test TXT v=spf1 ~all"], "softfail"),
        (["ex.test TXT v=spf1 ?all"], "neutral"),
        (["ex.test TXT v=spf1"], "neutral"),
        (["ex.test TXT something else"], "none"),
        (["other.test TXT v=spf1 -all"], "none"),
        (["ex.test TXT v=spf1 a -all", "ex.test A 192.0.2.1"], "pass"),
        (["ex.test TXT v=spf1 mx -all", "ex.test MX mx.ex.test", "mx.ex.test A 192.0.2.1"], "pass"),
        (
            [
                "ex.test TXT v=spf1 ptr -all",
                *("1.2.0.192.in-addr.arpa PTR host.ex.test", "host.ex.test A 192.0.2.1"),
            ],
            "pass",
        ),
        (["ex.test TXT v=spf1 exists:%{ir}.%{l}.ok.test -all", "1.2.0.192.a.ok.test A 127.0.0.2"], "pass"),
        (["ex.test TXT v=spf1 include:in.test -all", "in.test TXT v=spf1 ip4:192.0.2.1 -all"], "pass"),
        (["ex.test TXT v=spf1 include:in.test ~all", "in.test TXT v=spf1 -all"], "softfail"),
        (["ex.test TXT v=spf1 include:gone.test -all"], "permerror"),
        (["ex.test TXT v=spf1 -all", "ex.test TXT v=spf1 +all"], "permerror"),
        (["ex.test TXT v=spf1 ip4:1.2.3 -all"], "permerror"),
        (["ex.test TXT v=spf1 foo:bar -all"], "permerror"),
        (["ex.test TXT v=spf1 a:x.test a:y.test a:z.test +all", "ex.test A 192.0.2.9"], "permerror"),
        (["ex.test TXT v=spf1 " + "a:ex.test " * 11 + "+all", "ex.test A 192.0.2.9"], "permerror"),
        (["ex.test TXT v=spf1 include:ex.test -all"], "permerror"),
        (["ex.test TXT v=spf1 redirect=ex.test"], "permerror"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_results(lines: list[str], expected: str) -> None:
    assert await result(*lines) == expected


async def test_who_decided_is_told_and_a_redirect_is_followed() -> None:
    lines = ("ex.test TXT v=spf1 redirect=_spf.test", "_spf.test TXT v=spf1 include:in.test -all")
    found = await checked(*lines, "in.test TXT v=spf1 ip4:192.0.2.1")
    assert found == SpfResult(result="pass", domain="_spf.test", sender="a@ex.test")
    assert (await checked(*lines, "in.test TXT v=spf1 -all")).domain == "_spf.test"


async def test_ipv6_and_mapped_addresses() -> None:
    lines = ("ex.test TXT v=spf1 ip6:2001:db8::/32 ip4:192.0.2.1 -all",)
    assert await result(*lines, ip="2001:db8::5") == "pass"
    assert await result(*lines, ip="::ffff:192.0.2.1") == "pass"
    assert await result(*lines, ip="2001:db9::5") == "fail"
    assert await result("ex.test TXT v=spf1 a -all", "ex.test AAAA 2001:db8::5", ip="2001:db8::5") == "pass"


async def test_dns_that_fails_is_a_temporary_error() -> None:
    assert (await checked(failing=("ex.test",))).result == "temperror"
    assert (await checked("ex.test TXT v=spf1 a:down.test -all", failing=("down.test",))).result == "temperror"


async def test_mail_without_a_return_path_is_checked_by_its_helo_name() -> None:
    """RFC 7208 section 2.4."""
    found = await checked("helo.test TXT v=spf1 ip4:192.0.2.1 -all", sender="")
    assert (found.result, found.sender, found.sender_domain) == ("pass", "postmaster@helo.test", "helo.test")


async def test_a_slow_dns_ends_in_time() -> None:
    class Silent(ZoneResolver):
        async def txt(self, name: str) -> Found:
            await asyncio.Event().wait()
            raise AssertionError

    found = await asyncio.wait_for(check(IP, "h.test", "a@ex.test", Silent(), "in.example", 0.05), 5)
    assert found.result == "temperror"


async def test_a_hostile_zone_is_not_asked_for_ever() -> None:
    """Ten terms with ten MX hosts each."""
    terms = " ".join(f"mx:m{number}.test" for number in range(10))
    lines = [f"ex.test TXT v=spf1 {terms} -all"]
    for number in range(10):
        lines += [f"m{number}.test MX h{number}-{host}.test" for host in range(10)]
        lines += [f"h{number}-{host}.test A 198.51.100.1" for host in range(10)]
    resolver = ZoneResolver(*lines)
    assert (await check(IP, "h.test", "a@ex.test", resolver, "in.example", 5)).result == "permerror"
    assert sum(resolver.asked.values()) <= 75


@pytest.mark.parametrize(
    ("helo", "sender"),
    [
        ("", ""),
        ("[192.0.2.7]", ""),
        ("\x00\xff" * 400, "a@" + "x" * 400),
        ("h.test", "@"),
        ("h.test", "a@b@ex.test"),
        ("h.test", '"a;b"@ex.test'),
        ("h.test", "%{l}%{zz}@ex.test"),
        ("h.test", "a@..."),
        ("h.test", "\u00e4@\u00e4.test"),
    ],
)
async def test_any_sender_is_checked(helo: str, sender: str) -> None:
    resolver = ZoneResolver("ex.test TXT v=spf1 exists:%{l}.%{h}.%{o}.test -all")
    assert (await check(IP, helo, sender, resolver, "in.example", 5)).result in ("none", "fail", "permerror", "neutral")


async def test_what_the_evaluator_trips_over_is_not_the_mails_fault() -> None:
    class Broken(ZoneResolver):
        async def txt(self, name: str) -> Found:
            raise RuntimeError("a bug")

    assert (await check(IP, "h.test", "a@ex.test", Broken(), "in.example", 5)).result == "temperror"
