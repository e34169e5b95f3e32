"""Whether a message gets a way out of its mailing list, and where that leads."""

from dataclasses import dataclass

from posthouse.domain.messages import MessageFacts
from posthouse.mail.tracking_tokens import TrackedMail, TrackingTokens, WayOut, may_be_tracked


@dataclass(frozen=True, slots=True)
class UnsubscribeLinks:
    """Writes the links of this installation."""

    tokens: TrackingTokens
    public_url: str
    """``http.public_url``. RFC 8058 section 3.1 wants https; mail programs do not show a button for anything else."""

    def link(self, facts: MessageFacts) -> str:
        """The same for the same facts; empty for mail that has no list, or several readers."""
        found = facts.mailing_list
        if found is None or not found.reader or not may_be_tracked(facts.message_id):
            return ""
        mail = TrackedMail(scope=facts.scope, message_id=facts.message_id, configuration_set=facts.configuration_set)
        way_out = WayOut(mail=mail, list_name=found.name, topic=found.topic, address=found.reader.lower())
        return f"{self.public_url.rstrip('/')}/u/{self.tokens.leaving(way_out)}"
