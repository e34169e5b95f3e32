"""Who is inside: how many connections a process has, how many of them each client; and who makes way when it is full.

All doors of a process share one list, for they share its file descriptors and memory.
"""

import ipaddress
from collections import Counter
from collections.abc import Hashable
from typing import Protocol

MOST_ASKED = 64
"""Guests asked to make way before a newcomer is turned down: in turn, so that a crowd of busy ones costs no time."""
SETTLED_S = 5.0
"""A connection that has been idle for less may be just about to speak."""


class Guest(Hashable, Protocol):
    """A connection, as far as this room cares."""

    @property
    def client_ip(self) -> str: ...
    def leave_if_idle(self, for_s: float) -> bool:
        """Ends, with a temporary refusal, a conversation that is between two commands and silent for so long."""
        ...


class Guests:
    """Counts them by process and by client."""

    def __init__(self, most: int, most_per_client: int, settled_s: float = SETTLED_S) -> None:
        """`most_per_client` is by IP address, or by network of 64 bits in IPv6, where one customer has that many
        addresses; 0 for no limit. It is not held against loopback, where a balancer or a test may be."""
        self._most, self._most_per_client, self._settled_s = most, most_per_client, settled_s
        self._count = 0
        self._by_client: Counter[str] = Counter()
        self._seated: dict[Guest, None] = {}

    @property
    def count(self) -> int:
        """Those inside now, half handshakes included."""
        return self._count

    def enter(self, client_ip: str) -> bool:
        """Counts one more; False where there is no room, which is then not counted."""
        client = client_of(client_ip)
        if client and self._most_per_client and self._by_client[client] >= self._most_per_client:
            return False
        if self._count >= self._most and not self._make_room():
            return False
        self._count += 1
        if client:
            self._by_client[client] += 1
        return True

    def leave(self, client_ip: str) -> None:
        """One that entered is gone."""
        self._count -= 1
        client = client_of(client_ip)
        if client:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def seat(self, guest: Guest) -> None:
        """From now on it may be asked to make way."""
        self._seated[guest] = None

    def unseat(self, guest: Guest) -> None:
        self._seated.pop(guest, None)

    def _make_room(self) -> bool:
        """Whoever idles loses nothing by being sent away but a connection, and comes again when there is something to
        say; the newcomer has something to say now."""
        for guest in list(_first(self._seated, MOST_ASKED)):
            del self._seated[guest]
            if guest.leave_if_idle(self._settled_s):
                return True
            self._seated[guest] = None
        return False


def _first(guests: dict[Guest, None], count: int) -> list[Guest]:
    return [guest for guest, _ in zip(guests, range(count), strict=False)]


def client_of(client_ip: str) -> str:
    """What one client is told by: its address, or its network; empty where no limit is to be held against it."""
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return client_ip
    if address.is_loopback:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
