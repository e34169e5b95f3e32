"""How fast one client may hand in mail."""

import pytest
from tests.unit.smtp.test_inbound_session import UNKNOWN, Peer

from posthouse.smtp import paces
from posthouse.smtp.inbound import TOO_FAST, InboundSession, inbound_offer
from posthouse.smtp.paces import Paces
from posthouse.wire.smtp_events import Mail
from posthouse.wire.smtp_server import ServerProtocol


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def taken(pace: Paces, client: str, tries: int = 100) -> int:
    return sum(pace.allows(client) for _ in range(tries))


def test_a_burst_is_taken_and_then_as_many_as_time_brings() -> None:
    clock = Clock()
    pace = Paces(2.0, clock)
    assert taken(pace, "192.0.2.1") == 20
    clock.s += 3
    assert taken(pace, "192.0.2.1") == 6
    assert taken(pace, "192.0.2.2") == 20, "each client for itself"
    clock.s += 1000
    assert taken(pace, "192.0.2.1") == 20
    clock.s -= 500
    assert taken(pace, "192.0.2.1") == 0, "a clock that steps back brings nothing and costs nothing"


def test_one_network_of_ipv6_is_one_client_and_loopback_is_none() -> None:
    pace = Paces(1.0, Clock())
    assert taken(pace, "2001:db8::1", 8) + taken(pace, "2001:db8::2", 8) == 10
    assert taken(pace, "2001:db8:0:1::1") == 10
    assert taken(pace, "127.0.0.1") == 100


def test_no_rate_is_no_limit_and_slow_rates_take_one_at_once() -> None:
    assert taken(Paces(0.0, Clock()), "192.0.2.1") == 100
    assert taken(Paces(0.01, Clock()), "192.0.2.1") == 1


def test_a_crowd_of_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paces, "MAX_CLIENTS", 10)
    pace = Paces(1.0, Clock())
    for number in range(100):
        assert pace.allows(f"192.0.2.{number}")
    assert len(pace._buckets) == 10


async def test_the_door_puts_off_who_comes_too_fast() -> None:
    async def accept(*_: object) -> str:
        raise AssertionError("nothing was sent")

    protocol = ServerProtocol(inbound_offer("mx.example.com", starttls=True), tls=True)
    door = InboundSession(protocol, Peer(), lambda *_: UNKNOWN, accept, Paces(0.1, Clock()))
    assert [str(door.answer(Mail("a@b.example")))[:3] for _ in range(2)] == ["250", "450"]
    assert door.answer(Mail("a@b.example")) == TOO_FAST
