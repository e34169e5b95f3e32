"""What is tracked in a message, and where its links lead: decided by its configuration set as it is now.

Source: SES developer guide, "Metrics FAQs" and "Configuring custom domains to handle open and click tracking": openings
and clicks are tracked where an enabled event destination of the set asks for them, and nowhere else.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.messages import MessageFacts
from posthouse.mail.tracking import Plan, Target
from posthouse.mail.tracking_tokens import TrackedLink, TrackedMail, TrackingTokens, may_be_tracked


@dataclass(frozen=True, slots=True)
class TrackingLinks:
    """Writes the links of this installation."""

    tokens: TrackingTokens
    public_url: str
    """``http.public_url``."""

    def plan(self, facts: MessageFacts, found: ConfigurationSet | None) -> Plan | None:
        """None where nothing is to be tracked. The same facts and set make the same links."""
        if found is None or not may_be_tracked(facts.message_id):
            return None
        opens, clicks = (_is_asked_for(found, event_type) for event_type in ("open", "click"))
        if not opens and not clicks:
            return None
        mail = TrackedMail(scope=facts.scope, message_id=facts.message_id, configuration_set=facts.configuration_set)
        base = base_url(self.public_url, found.redirect_domain)

        def click_url(target: Target) -> str:
            link = TrackedLink(mail=mail, number=target.number, url=target.url, tags=target.tags)
            return f"{base}/t/c/{self.tokens.clicked(link)}"

        return Plan(click_url if clicks else None, f"{base}/t/o/{self.tokens.opened(mail)}" if opens else None)


def _is_asked_for(found: ConfigurationSet, event_type: str) -> bool:
    return any(each.enabled and event_type in each.event_types for each in found.destinations)


def base_url(public_url: str, redirect_domain: str | None) -> str:
    """Where links begin. A redirect domain leads to this server by a CNAME record, so all but the name is as it is for
    ``http.public_url``: scheme, port and path."""
    if redirect_domain is None:
        return public_url.rstrip("/")
    parts = urlsplit(public_url)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{redirect_domain}{port}{parts.path.rstrip('/')}"
