"""A claimed message on its way, and the part of it that goes to one destination in one transaction."""

from posthouse.delivery.prepared import Prepared
from posthouse.domain.messages import MessageFacts
from posthouse.domain.routing import Route
from posthouse.ports.mailstore import ClaimedMessage, ClaimedRecipient


class Parcel:
    """A message in flight: from its claim until the last of its claimed recipients is settled."""

    __slots__ = ("held", "message", "prepared", "recipients", "size", "told", "unsettled")

    def __init__(self, message: ClaimedMessage) -> None:
        self.message = message
        self.prepared: Prepared | None = None
        self.recipients: list[ClaimedRecipient] = list(message.recipients)
        """Those claimed so far; a later claim may bring more of the same message."""
        self.unsettled = len(self.recipients)
        self.held = {each.recipient: each.attempts for each in self.recipients}
        """The attempts before this one, of those that are neither settled nor given back."""
        self.size = len(message.content) + len(message.sent or b"")
        self.told = False
        """The Send event is on its way to the log."""

    @property
    def facts(self) -> MessageFacts:
        return self.message.facts


class Job:
    """Recipients of one parcel at one destination: one SMTP transaction."""

    __slots__ = ("domain", "parcel", "prepared", "recipients", "route")

    def __init__(
        self,
        parcel: Parcel,
        prepared: Prepared,
        recipients: tuple[ClaimedRecipient, ...],
        domain: str = "",
        route: Route | None = None,
    ) -> None:
        self.parcel = parcel
        self.prepared = prepared
        self.recipients = recipients
        self.domain = domain
        """Of the first recipient: whose MX records are asked where there is no fixed route."""
        self.route = route
