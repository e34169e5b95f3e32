"""What `accept` needs besides the message."""

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.domain.accounts import AccountDefaults
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Submissions
from posthouse.submission.facts import Facts


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    submissions: Submissions
    facts: Facts
    clock: Clock
    random: Callable[[int], bytes]
    """So many unpredictable bytes."""
    defaults: AccountDefaults
    simulators: frozenset[str] = frozenset()
    """Domains of the mailbox simulator."""
