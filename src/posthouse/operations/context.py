"""What operations work with besides their request."""

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.domain.accounts import AccountDefaults
from posthouse.domain.verification import Links
from posthouse.ports.clock import Clock
from posthouse.ports.receipt import ReceiptPorts
from posthouse.ports.stores import Stores
from posthouse.ports.streams import Streams
from posthouse.ports.topics import Topics
from posthouse.submission.context import SubmissionContext


@dataclass(frozen=True, slots=True)
class Context:
    stores: Stores
    submission: SubmissionContext
    clock: Clock
    random: Callable[[int], bytes]
    """So many unpredictable bytes."""
    defaults: AccountDefaults
    streams: Streams
    topics: Topics
    receipt: ReceiptPorts
    """What the actions of receipt rules work on."""
    auto_verify: bool
    """A verification that is asked for succeeds at once."""
    links: Links
    """What verification mail leads to."""
    service_domain: str
    """The operator's own domain: who the installation's own mail is from."""
