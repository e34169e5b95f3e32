"""What preparation makes of a claimed message: the bytes to send, or the event that says why it is not sent."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from posthouse.domain.events import Event
from posthouse.domain.outcomes import Notice
from posthouse.ports.mailstore import ClaimedMessage


@dataclass(frozen=True, slots=True)
class Prepared:
    """Ready to leave."""

    content: bytes
    """The exact bytes, lines ended by CRLF; empty where they stay here and are made when somebody reads them."""
    mail_from: str
    """The reverse path; an empty string for ``<>``."""
    eight_bit: bool = False
    """There are octets above 127 in the content."""
    new: bool = True
    """The content is not stored yet: it is, and a Send event written, with the first settlement."""
    require_tls: bool = False
    """Never to be sent in the clear (TlsPolicy Require)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not to be sent to anybody: all its recipients are REJECTED."""

    event: Event
    """Reject or Rendering Failure."""
    reason: str = "Message rejected"
    """What the recipients' state shows, one line."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not to be sent yet: tried again as after a temporary reply, and too old at last."""

    reply: Notice


Prepare = Callable[[ClaimedMessage], Awaitable[Prepared | Refused | Postponed]]
