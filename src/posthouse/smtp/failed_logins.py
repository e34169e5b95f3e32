"""How long who fails to log in waits for the answer: longer with each failure, and forgotten after a while.

Guessing a password of SES's making is hopeless; what this keeps small is the work that trying costs us.
"""

from posthouse.smtp.guests import client_of

FREE = 3
"""Failures that cost nothing: a client that knows two mechanisms fails twice at once."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 5.0
FORGOTTEN_AFTER_S = 600.0
MAX_CLIENTS = 10_000
"""Remembered at once; beyond, the one that failed longest ago is forgotten."""


class FailedLogins:
    """Failures of all sessions of a door, by client."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}

    def note(self, client_ip: str, now_s: float) -> float:
        """One more failure; the seconds to wait before the client is told."""
        client = client_of(client_ip) or client_ip
        count, last_s = self._failures.pop(client, (0, now_s))
        count = count + 1 if now_s - last_s < FORGOTTEN_AFTER_S else 1
        if len(self._failures) >= MAX_CLIENTS:
            del self._failures[next(iter(self._failures))]
        self._failures[client] = (count, now_s)
        if count <= FREE:
            return 0.0
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(count - FREE - 1, 10))
