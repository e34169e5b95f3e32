"""The mailbox simulator: addresses that answer in a known way, to try what follows from an answer.

Source: SES developer guide, "Using the mailbox simulator". The mail never leaves the machine, costs no daily quota and
counts in no reputation; what happens to it is told as of any other mail. A label may follow the name:
``bounce+order12@simulator.amazonses.com``.
"""

from collections.abc import Iterable
from enum import StrEnum

from posthouse.domain.messages import domain_of
from posthouse.domain.outcomes import BounceKind, Notice, NotSent, Reply

SES_DOMAIN = "simulator.amazonses.com"


class Box(StrEnum):
    """The mailboxes, by their local parts."""

    SUCCESS = "success"
    BOUNCE = "bounce"
    OUT_OF_OFFICE = "ooto"
    COMPLAINT = "complaint"
    SUPPRESSED = "suppressionlist"


TAKEN = Notice(250, "2.6.0", "Message received")
# SES tells of the simulator's bounce as a general one, although the address is said not to exist.
UNKNOWN_USER = NotSent(BounceKind("Permanent", "General"), "user unknown", "smtp; 550 5.1.1 user unknown")
SUPPRESSED = NotSent(
    BounceKind("Permanent", "Suppressed"),
    "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid "
    "address. For more information about how to remove an address from the suppression list, see the Amazon SES "
    "Developer Guide: http://docs.aws.amazon.com/ses/latest/DeveloperGuide/remove-from-suppressionlist.html ",
)


def simulator_domains(service_domain: str) -> frozenset[str]:
    """Where the mailboxes are: under SES's own name, for programs that know no other, and under ours."""
    return frozenset({SES_DOMAIN, f"simulator.{service_domain}".lower()})


def count_simulated(addresses: Iterable[str], domains: frozenset[str]) -> int:
    """How many of the addresses are of the simulator."""
    return sum(domain_of(address) in domains for address in addresses)


def box_of(address: str) -> Box | None:
    """The mailbox of an address at the simulator; None for one that is not there."""
    local = address.rpartition("@")[0].partition("+")[0].lower()
    return Box(local) if local in _NAMES else None


_NAMES = frozenset(box.value for box in Box)


def reply_of(address: str) -> Reply:
    """What the simulator answers for a recipient; a mailbox that it does not have is unknown to it."""
    match box_of(address):
        case Box.SUCCESS | Box.OUT_OF_OFFICE | Box.COMPLAINT:
            return TAKEN
        case Box.SUPPRESSED:
            return SUPPRESSED
        case _:
            return UNKNOWN_USER
