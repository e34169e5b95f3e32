"""Doctor's checks beyond the machine, against DNS, scanners and servers on loopback."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_UNIX, create_server, socket

import pytest
from dns.rrset import RRset, from_text
from tests.integration.dns_server import DnsServer
from tests.support.processes import free_port

from posthouse.cli import neighbours
from posthouse.cli.findings import Finding, State
from posthouse.config import Config, load
from posthouse.ports.records import SERVICE_SCOPE, SigningKey

RECORD = "v=DKIM1; k=rsa; p=" + "A" * 300
KEY = SigningKey(
    scope=SERVICE_SCOPE,
    domain="mail.test",
    token="token1",
    algorithm="rsa-sha256",
    private_pem=b"",
    public_record=RECORD,
    created_ms=0,
)


def config(**settings: str) -> Config:
    return load(None, {f"POSTHOUSE_{key.upper()}": value for key, value in settings.items()})


def direct(dns: DnsServer, **settings: str) -> Config:
    service = {"identities__service_domain": "mail.test", "smtp__hostname": "mx.mail.test"}
    return config(delivery__mode="direct", dns__resolvers=dns.address, **service, **settings)


def states(findings: list[Finding]) -> list[State]:
    return [each.state for each in findings]


async def look(check: Callable[[], list[Finding]]) -> list[Finding]:
    """In a thread, as doctor does: the DNS server lives in this loop."""
    return await asyncio.to_thread(check)


class KnowsTheRoot(DnsServer):
    def _rrset(self, name: str, type: str, texts: list[str]) -> RRset:
        return from_text(".", self.ttl_s, "IN", type, *texts) if name == "." else super()._rrset(name, type, texts)


async def test_a_resolver_that_answers_is_well() -> None:
    async with KnowsTheRoot() as dns:
        dns.add(".", "NS", "a.root.test.")
        assert states(await look(lambda: neighbours.resolvers(direct(dns)))) == [State.OK]


async def test_a_dead_resolver_fails_where_mail_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "LOOKUP_S", 0.5)
    dead = {"dns__resolvers": f"127.0.0.1:{free_port()}"}
    assert states(neighbours.resolvers(config(delivery__mode="direct", **dead))) == [State.FAIL]
    assert states(neighbours.resolvers(config(**dead))) == [State.WARN]


async def test_the_service_domains_records_are_looked_up() -> None:
    async with DnsServer() as dns:
        asked = direct(dns)
        dns.add("us-east-1.mail.test", "MX", "10 mx.mail.test.")
        dns.add("us-east-1.mail.test", "TXT", '"v=spf1 mx -all"')
        dns.add("token1._domainkey.mail.test", "TXT", f'"{RECORD[:200]}" "{RECORD[200:]}"')
        found = await look(lambda: neighbours.service_domain(asked, "us-east-1", lambda: [KEY]))
        assert states(found) == [State.OK] * 3


async def test_a_missing_or_wrong_record_says_what_to_publish() -> None:
    async with DnsServer() as dns:
        asked = direct(dns)
        dns.add("us-east-1.mail.test", "TXT", '"google-site-verification=x"')
        dns.add("token1._domainkey.mail.test", "TXT", '"v=DKIM1; p=other"')
        found = await look(lambda: neighbours.service_domain(asked, "us-east-1", lambda: [KEY]))
        assert states(found) == [State.FAIL] * 3
        assert [each.advice for each in found] == [
            "publish MX 10 mx.mail.test.",
            "publish TXT v=spf1 and the addresses mail leaves from",
            f"publish TXT {RECORD}",
        ]


def test_nobody_is_asked_where_mail_is_captured() -> None:
    nowhere = config(dns__resolvers="127.0.0.1:1")
    found = [
        *neighbours.service_domain(nowhere, "us-east-1", lambda: [KEY]),
        *neighbours.source_addresses(nowhere),
        *neighbours.way_out(nowhere, "unreachable.test"),
        *neighbours.scanners(nowhere),
    ]
    assert states(found) == [State.OK] * 4


def test_an_address_that_is_not_this_machines_cannot_send() -> None:
    asked = config(delivery__mode="direct", delivery__source_ips="203.0.113.9")
    assert states(neighbours.source_addresses(asked)) == [State.FAIL]


@pytest.mark.parametrize(
    ("ptr", "address", "state"),
    [
        ("mx.mail.test.", "127.0.0.1", State.OK),
        ("mx.mail.test.", "127.0.0.2", State.FAIL),
        ("", "127.0.0.1", State.FAIL),
    ],
)
async def test_a_source_address_has_a_name_that_leads_back(
    ptr: str, address: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "is_private", lambda _: False)
    async with DnsServer() as dns:
        if ptr:
            dns.add("1.0.0.127.in-addr.arpa", "PTR", ptr)
        dns.add("mx.mail.test", "A", address)
        asked = direct(dns, delivery__source_ips="127.0.0.1")
        assert states(await look(lambda: neighbours.source_addresses(asked))) == [state]


def test_a_private_source_address_is_not_what_the_world_sees() -> None:
    asked = config(delivery__mode="direct", delivery__source_ips="127.0.0.1")
    assert states(neighbours.source_addresses(asked)) == [State.WARN]


@contextmanager
def answering(server: socket, reply: bytes) -> Iterator[None]:
    """Answers one connection."""

    def answer() -> None:
        with server.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(reply)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join(10)
        server.close()


@pytest.mark.parametrize(
    ("reply", "state"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npong\r\n", State.OK), (b"220 hello\r\n", State.FAIL)],
)
def test_rspamd_says_pong(reply: bytes, state: State) -> None:
    server = create_server(("127.0.0.1", 0))
    asked = config(scan__rspamd_url=f"http://127.0.0.1:{server.getsockname()[1]}")
    with answering(server, reply):
        assert states(neighbours.scanners(asked)) == [state]


@pytest.mark.parametrize(("reply", "state"), [(b"PONG\0", State.OK), (b"what?", State.FAIL)])
@pytest.mark.parametrize("local", [True, False])
def test_clamd_says_pong(reply: bytes, state: State, local: bool, tmp_path: Path) -> None:
    if local:
        server = create_server(str(tmp_path / "clamd"), family=AF_UNIX)
        at = str(tmp_path / "clamd")
    else:
        server = create_server(("127.0.0.1", 0))
        at = f"127.0.0.1:{server.getsockname()[1]}"
    with answering(server, reply):
        assert states(neighbours.scanners(config(scan__clamd=at))) == [state]


def test_a_scanner_that_is_not_there_fails() -> None:
    at = f"127.0.0.1:{free_port()}"
    asked = config(scan__rspamd_url=f"http://{at}", scan__clamd=at)
    assert states(neighbours.scanners(asked)) == [State.FAIL, State.FAIL]


def test_the_relay_has_to_be_reachable() -> None:
    with create_server(("127.0.0.1", 0)) as relay:
        url = f"smtp://user:hunter2@127.0.0.1:{relay.getsockname()[1]}"
        [found] = neighbours.way_out(config(delivery__mode="relay", delivery__relay=url), "")
        assert found.state is State.OK
        assert "hunter2" not in found.text
    assert states(neighbours.way_out(config(delivery__mode="relay", delivery__relay=url), "")) == [State.FAIL]


def test_resolver_addresses_are_read_with_and_without_a_port() -> None:
    read = {at: neighbours._nameserver(at) for at in ("192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:53")}
    assert [(each.address, each.port) for each in read.values()] == [
        ("192.0.2.1", 53),
        ("192.0.2.1", 5353),
        ("2001:db8::1", 53),
        ("2001:db8::1", 53),
    ]
