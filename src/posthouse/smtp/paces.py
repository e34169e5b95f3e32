"""How fast one client may hand in mail: a token bucket for each, the least recently seen forgotten first."""

from collections import OrderedDict
from collections.abc import Callable

from posthouse.smtp.guests import client_of

MAX_CLIENTS = 50_000
"""Kept by one process: a crowd of addresses costs the memory of some MB, and who was forgotten starts anew."""
BURST_S = 10.0
"""So many seconds' worth may come at once."""


class Paces:
    """Clients as `guests.client_of` tells them apart; loopback is never held back."""

    def __init__(self, per_second: float, now_s: Callable[[], float]) -> None:
        """`per_second`: messages of one client; 0: as many as it likes."""
        self._per_second, self._now_s = per_second, now_s
        self._most = max(1.0, per_second * BURST_S)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client_ip: str) -> bool:
        """Counts one message; False where it comes too soon, which is then not counted."""
        client = client_of(client_ip) if self._per_second else ""
        if not client:
            return True
        now_s = self._now_s()
        tokens, at_s = self._buckets.pop(client, (self._most, now_s))
        tokens = min(self._most, tokens + max(0.0, now_s - at_s) * self._per_second)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now_s)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed
