"""What delivery is told at its start."""

from dataclasses import dataclass

from posthouse.domain.outcomes import RetryPlan
from posthouse.domain.routing import RoutingTable


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Settings of one delivery worker; the deadlines are those of RFC 5321 §4.5.3.2 where it names any."""

    hostname: str
    """What EHLO says, and the reporting MTA of events."""
    routing: RoutingTable
    retry: RetryPlan
    service_domain: str = ""
    """The reporting MTA where no server was asked."""
    holds_back: bool = True
    """Mail to addresses on the account's suppression list is not sent."""
    own_hosts: frozenset[str] = frozenset()
    """MX hosts that are this server and must not be delivered to: mail would loop (RFC 5321 §5.1). Empty where this
    installation receives mail itself: then its own MX is a good destination."""
    concurrency: int = 200
    """Open connections, all destinations."""
    per_domain_concurrency: int = 20
    per_domain_rate: float = 0.0
    """Transactions begun per second to one destination; 0: as many as it takes."""
    source_ips: tuple[str, ...] = ()
    """Local addresses to send from, in turn; addresses of a family that is not among them are not tried."""
    connect_timeout_s: float = 30.0
    greeting_timeout_s: float = 300.0
    command_timeout_s: float = 300.0
    data_timeout_s: float = 600.0
    """From the final dot to its answer, and for each piece of a large message to leave."""
    idle_timeout_s: float = 30.0
    """How long a connection is kept without a message for it."""
    max_messages_per_connection: int = 200
    backoff_s: float = 30.0
    """How long a destination is left alone that could not be reached; never longer than the first retry wait."""
    preparing: int = 32
    """Messages in preparation at one time: enough to keep the signing threads busy."""
    claim_batch: int = 128
    """Recipients claimed at once."""
    max_in_flight: int = 4000
    """Recipients claimed and not yet settled."""
    max_in_flight_bytes: int = 64 << 20
    lease_ms: int = 45_000
    """A worker that died without a trace is taken over after so long."""
    poll_s: float = 1.0
    """The queue is looked at so often even when nobody taps."""
    stop_deadline_s: float = 8.0
    """For deliveries in flight at an orderly end; leaves time for the rest within the 10 s of the contract."""
