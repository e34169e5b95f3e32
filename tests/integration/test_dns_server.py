"""The built-in DNS server as a process: asked by dig, through unbound, by our own resolver, looked at by the CLI."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.context import FixedClock
from tests.support.needs import need
from tests.support.processes import free_port
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.unbound import Unbound

from posthouse.adapters.resolver import DnsResolver
from posthouse.ports.resolver import MailExchanger, NoSuchName

SERVICE = "mail.posthouse.test"


class House:
    """A server with its DNS door open, and a resolver that knows of it."""

    def __init__(self, server: Server, unbound: Unbound, port: int) -> None:
        self.server, self.unbound, self.port = server, unbound, port

    def dig(self, *words: str) -> str:
        """What dig prints of the server's own answer."""
        argv = ["dig", "@127.0.0.1", "-p", str(self.port), *words, "+norecurse", "+tries=1", "+time=5"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout

    def records(self, domain: str) -> list[dict[str, str]]:
        done = self.server.cli("identity", "dns", domain, "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, str]] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    need("dig", "unbound")
    port = free_port()
    with Unbound(stubs={SERVICE: port}) as unbound:
        settings = {
            "identities.service_domain": SERVICE,
            "identities.auto_verify": True,
            "smtp.hostname": f"mx.{SERVICE}",
            "dns.listen": f"127.0.0.1:{port}",
            "dns.addresses": "192.0.2.7,2001:db8::7",
            "dns.resolvers": unbound.address,
        }
        with Server(settings) as server:
            yield House(server, unbound, port)


@pytest.fixture(scope="module")
def tokens(house: House) -> list[str]:
    found: list[str] = ses_client(house.server.url).verify_domain_dkim(Domain="shop.example")["DkimTokens"]
    return found


def status(said: str) -> tuple[str, set[str]]:
    """The status and the flags that dig shows."""
    match = re.search(r"status: (\w+).*?flags: ([a-z ]*);", said, re.DOTALL)
    assert match, said
    return match[1], set(match[2].split())


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("edns", ["+edns=0", "+noedns"])
def test_dig_gets_a_key_either_way(house: House, tokens: list[str], transport: str, edns: str) -> None:
    said = house.dig(f"{tokens[0]}.dkim.{SERVICE}", "TXT", transport, edns)
    assert status(said) == ("NOERROR", {"qr", "aa"})
    assert '"v=DKIM1;' in said
    assert ("EDNS: version: 0" in said) == (edns == "+edns=0")
    assert ";; Got bad packet" not in said


def test_a_connection_stays_open_for_more(house: House) -> None:
    said = house.dig("+tcp", "+keepopen", SERVICE, "SOA", SERVICE, "NS", f"eu-west-1.{SERVICE}", "MX", "+tcp")
    assert said.count("status: NOERROR") == 3


def test_what_dig_makes_of_the_edges(house: House) -> None:
    assert status(house.dig(f"nope.{SERVICE}", "A")) == ("NXDOMAIN", {"qr", "aa"})
    assert status(house.dig(f"dkim.{SERVICE}", "TXT"))[0] == "NOERROR"
    assert status(house.dig(SERVICE, "TYPE65280"))[0] == "NOERROR"
    assert status(house.dig("example.org", "A")) == ("REFUSED", {"qr"})
    assert status(house.dig(SERVICE, "TXT", "+edns=1", "+noednsnegotiation"))[0] == "BADVERS"
    assert status(house.dig(SERVICE, "TXT", "+opcode=update"))[0] == "NOTIMP"
    assert status(house.dig(SERVICE, "TXT", "+header-only"))[0] == "FORMERR"
    assert "Transfer failed" in house.dig(SERVICE, "AXFR")
    assert "Warning" not in house.dig("MaIl.PostHouse.Test", "MX", "+bufsize=512")


async def test_a_resolver_finds_all_of_it_through_unbound(house: House, tokens: list[str]) -> None:
    house.unbound.publish(
        [f"{token}._domainkey.shop.example. CNAME {token}.dkim.{SERVICE}." for token in tokens]
        + [f'bounce.shop.example. TXT "v=spf1 include:{SERVICE} ~all"']
    )
    resolver = DnsResolver([house.unbound.address], FixedClock())
    for token in tokens:
        assert await resolver.cname(f"{token}._domainkey.shop.example") == (f"{token}.dkim.{SERVICE}",)
        found = await resolver.txt(f"{token}._domainkey.shop.example")
        assert isinstance(found, tuple)
        assert found[0].startswith("v=DKIM1; k=rsa; p=")
    assert await resolver.mx(f"us-east-1.{SERVICE}") == (MailExchanger(10, f"feedback-smtp.us-east-1.{SERVICE}"),)
    assert await resolver.addresses(f"feedback-smtp.us-east-1.{SERVICE}") == ("192.0.2.7", "2001:db8::7")
    assert await resolver.txt(SERVICE) == ("v=spf1 ip4:192.0.2.7 ip6:2001:db8::7 -all",)
    assert await resolver.txt(f"us-east-1.{SERVICE}") == ("v=spf1 ip4:192.0.2.7 ip6:2001:db8::7 -all",)
    assert await resolver.txt(f"{'a' * 32}.dkim.{SERVICE}") == NoSuchName()
    assert await resolver.txt(f"feedback-smtp.us-east-1.{SERVICE}") == ()


def states(records: list[dict[str, str]]) -> dict[str, set[str]]:
    """The states that records of each purpose are in."""
    found: dict[str, set[str]] = {}
    for each in records:
        found.setdefault(each["purpose"], set()).add(each["state"])
    return found


def test_records_change_their_state_as_they_are_published(house: House) -> None:
    ses = ses_client(house.server.url)
    token = ses.verify_domain_identity(Domain="shop.example")["VerificationToken"]
    tokens = ses.verify_domain_dkim(Domain="shop.example")["DkimTokens"]
    house.unbound.publish([])
    assert states(house.records("shop.example")) == {
        "verification": {"missing"},
        "DKIM": {"missing"},
        "DKIM key": {"found"},
    }
    house.unbound.publish(
        [f'_amazonses.shop.example. TXT "{token}"']
        + [f"{each}._domainkey.shop.example. CNAME {each}.dkim.elsewhere.test." for each in tokens]
    )
    assert states(house.records("shop.example")) == {
        "verification": {"found"},
        "DKIM": {"different"},
        "DKIM key": {"found"},
    }


def test_the_service_domain_lists_its_delegation_and_sees_itself(house: House) -> None:
    records = house.records(SERVICE)
    assert [(each["purpose"], each["type"], each["value"]) for each in records[:3]] == [
        ("delegation", "NS", f"ns1.{SERVICE}"),
        ("glue", "A", "192.0.2.7"),
        ("glue", "AAAA", "2001:db8::7"),
    ]
    assert {each["state"] for each in records} == {"found"}
    assert {"host", "SPF", "MAIL FROM", "feedback", "receiving", "DKIM key"} <= {each["purpose"] for each in records}


def test_a_dead_resolver_tells_nothing(house: House) -> None:
    house.server.environment["POSTHOUSE_DNS__RESOLVERS"] = f"127.0.0.1:{free_port()}"
    try:
        assert {each["state"] for each in house.records("shop.example")} == {"unknown"}
    finally:
        house.server.environment["POSTHOUSE_DNS__RESOLVERS"] = house.unbound.address


def test_the_zone_file_is_what_is_served(house: House) -> None:
    """Every line of it, asked for, is answered as it stands there."""
    lines = house.server.cli("identity", "dns", SERVICE, "--zone").stdout.splitlines()
    assert len(lines) > 10
    for line in lines:
        name, _, _, type, _ = line.split(maxsplit=4)
        said = house.dig(name, type, "+noall", "+answer")
        assert " ".join(line.split()) in [" ".join(each.split()) for each in said.splitlines()]


def test_doctor_sees_the_server_and_its_delegation(house: House) -> None:
    def findings() -> list[Any]:
        done = house.server.cli("doctor", "--json", "--port-25-host", "127.0.0.1")
        return [each for each in json.loads(done.stdout) if each["check"] == "dns server"]

    assert [each["state"] for each in findings()] == ["ok", "ok"]
    house.server.environment["POSTHOUSE_DELIVERY__MODE"] = "direct"
    try:
        assert [each["state"] for each in findings()] == ["ok", "ok", "ok", "ok"]
    finally:
        del house.server.environment["POSTHOUSE_DELIVERY__MODE"]
