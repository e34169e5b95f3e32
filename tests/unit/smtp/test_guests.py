"""Who is let in, and who makes way."""

from dataclasses import dataclass, field

import pytest

from posthouse.smtp.failed_logins import FORGOTTEN_AFTER_S, FREE, LONGEST_WAIT_S, MAX_CLIENTS, FailedLogins
from posthouse.smtp.guests import MOST_ASKED, Guests, client_of


@dataclass(eq=False)
class Guest:
    idle: bool
    client_ip: str = "192.0.2.1"
    sent_away: list[float] = field(default_factory=list)

    def leave_if_idle(self, for_s: float) -> bool:
        if self.idle:
            self.sent_away.append(for_s)
        return self.idle


def test_a_process_has_so_many_guests_and_each_client_so_many_of_them() -> None:
    guests = Guests(most=3, most_per_client=2)
    assert [guests.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [guests.enter("192.0.2.2") for _ in range(2)] == [True, False]
    guests.leave("192.0.2.1")
    assert guests.enter("192.0.2.1")
    assert guests.count == 3


def test_loopback_may_take_all_places_and_no_more() -> None:
    guests = Guests(most=3, most_per_client=1)
    assert [guests.enter(ip) for ip in ("127.0.0.1", "::1", "127.0.0.1", "127.0.0.1")] == [True, True, True, False]


def test_a_network_of_ipv6_is_one_client() -> None:
    guests = Guests(most=9, most_per_client=2)
    assert guests.enter("2001:db8::1")
    assert guests.enter("2001:db8::ffff:1")
    assert not guests.enter("2001:db8:0:0:9::1")
    assert guests.enter("2001:db8:0:1::1")
    assert client_of("2001:db8::1") == "2001:db8::/64"
    assert client_of("no address") == "no address"


def test_no_limit_for_each_client() -> None:
    guests = Guests(most=9, most_per_client=0)
    assert all(guests.enter("192.0.2.1") for _ in range(9))


def test_who_idles_makes_way_for_a_newcomer() -> None:
    guests = Guests(most=3, most_per_client=0)
    busy, idle, idle_too = Guest(idle=False), Guest(idle=True), Guest(idle=True)
    for guest in (busy, idle, idle_too):
        assert guests.enter(guest.client_ip)
        guests.seat(guest)
    assert guests.enter("192.0.2.2")
    assert (len(idle.sent_away), len(idle_too.sent_away)) == (1, 0)
    guests.unseat(idle)
    guests.leave(idle.client_ip)
    assert guests.enter("192.0.2.3")
    assert len(idle_too.sent_away) == 1
    guests.unseat(idle_too)
    assert not guests.enter("192.0.2.4")


def test_a_crowd_of_busy_guests_is_asked_in_turn() -> None:
    guests = Guests(most=2 * MOST_ASKED, most_per_client=0)
    crowd = [Guest(idle=number == 2 * MOST_ASKED - 1) for number in range(2 * MOST_ASKED)]
    for guest in crowd:
        guests.enter(guest.client_ip)
        guests.seat(guest)
    assert not guests.enter("192.0.2.2")
    assert guests.enter("192.0.2.2")


def test_the_wait_grows_with_the_failures_and_has_an_end() -> None:
    failed = FailedLogins()
    waits = [failed.note("192.0.2.1", 1000.0 + number) for number in range(FREE + 8)]
    assert waits[:FREE] == [0.0] * FREE
    assert waits[FREE : FREE + 3] == [0.5, 1.0, 2.0]
    assert waits[-1] == LONGEST_WAIT_S
    assert failed.note("192.0.2.2", 1010.0) == 0.0
    assert failed.note("192.0.2.1", 1010.0 + FORGOTTEN_AFTER_S) == 0.0


@pytest.mark.parametrize("ip", ["127.0.0.1", "2001:db8::1"])
def test_every_client_waits(ip: str) -> None:
    failed = FailedLogins()
    for _ in range(FREE):
        failed.note(ip, 0.0)
    assert failed.note(ip, 1.0) > 0


def test_only_so_many_clients_are_remembered() -> None:
    failed = FailedLogins()
    for number in range(MAX_CLIENTS + 10):
        failed.note(f"client {number}", 0.0)
    assert len(failed._failures) == MAX_CLIENTS
