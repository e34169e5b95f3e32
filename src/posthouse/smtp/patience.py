"""How long a client may take: for its next word, for a line, for a message."""

from dataclasses import dataclass

from posthouse.wire.smtp_server import ServerProtocol


@dataclass(frozen=True, slots=True)
class Patience:
    """The waits of one door, in seconds."""

    idle_s: float = 300.0
    """Without a single octet (RFC 5321 4.5.3.2.7: five minutes at least)."""
    line_s: float = 60.0
    """From a line's first octets to its end: a client that drips one octet a minute is not idle, and yet holds us."""
    body_grace_s: float = 60.0
    body_octets_per_s: float = 1024.0
    """A message must come at this rate on average, after the grace."""
    barren_s: float = 900.0
    """A session may go so long without bringing a message to its end, however lively it is; a message that is on its
    way is left to its own pace."""
    refused_s: float = 3.0
    """For the rest of a message that is refused already: who smuggles may never send its true end."""
    handshake_s: float = 30.0
    """For TLS, and for a PROXY header."""
    farewell_s: float = 2.0
    """For the client to read our last word before we hang up on it."""


class Deadlines:
    """Tells one connection how long to wait, from what it is in the midst of."""

    __slots__ = ("_item", "_messages", "_patience", "_since", "_useful")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._item = -1
        self._since = 0.0
        self._messages = -1
        self._useful = 0.0

    def next(self, protocol: ServerProtocol, now: float) -> float:
        """When the next octets are due, on the same clock as `now`."""
        stage = protocol.stage
        patience = self._patience
        idle_until = now + patience.idle_s
        if protocol.messages != self._messages:
            self._messages, self._useful = protocol.messages, now
        if stage == "between":
            return min(idle_until, self._useful + patience.barren_s)
        if protocol.completed != self._item:
            self._item, self._since = protocol.completed, now
        if stage == "line":
            return min(idle_until, self._since + patience.line_s, self._useful + patience.barren_s)
        paced = self._since + patience.body_grace_s + protocol.body_octets / patience.body_octets_per_s
        return min(paced, idle_until if stage == "body" else now + patience.refused_s)
