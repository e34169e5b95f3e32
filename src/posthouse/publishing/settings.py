"""What publishing is told at its start."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingSettings:
    """Settings of one publishing worker."""

    outgoing_ip: str
    """The address that mail leaves from: the tag ``ses:outgoing-ip``."""
    route_batch: int = 250
    """Events routed in one transaction."""
    route_pause_s: float = 0.02
    """Between two looks at the log: events that come one by one are routed some at a time."""
    destinations: int = 64
    """Served at one time. Those in trouble have half of the places at most, so that slow ones do not hold up all."""
    batch: int = 500
    """Publications of one destination in one round; Firehose takes no more records in a call."""
    probe: int = 8
    """The same where the last round failed: enough to see whether it is one message or all."""
    turn_s: float = 2.0
    """After so long a destination makes room for those that wait for a place."""
    publishes: int = 64
    """Messages of one destination that are published at one time."""
    deadline_s: float = 30.0
    """For one call to a destination."""
    lease_ms: int = 45_000
    """A worker that died without a trace is taken over after so long."""
    poll_s: float = 1.0
    """The log and the destinations are looked at so often even when nobody taps."""
    stop_deadline_s: float = 8.0
    """For what is under way at an orderly end; leaves time for the rest within the 10 s of the contract."""
