"""Openings and clicks that were no person's: what programs fetch before anybody looks, as far as it can be told.

SES publishes them all alike, and so do we; the mark is for readers of the event log. Sources: Sec-Purpose (Fetch
standard) and the headers it came from; Apple, "Mail Privacy Protection": remote content is fetched by a proxy whose
user agent is the bare word; names of link scanners and preview makers as they call themselves. Proxies that fetch when
a person opens the mail (GoogleImageProxy, YahooMailProxy) are persons here, and so are curl and its like: people write
scripts.
"""

import re
from dataclasses import dataclass

TOO_SOON_MS = 1000
"""From acceptance; delivery and reading take longer."""
PRIVACY_PROXY_AGENT = "Mozilla/5.0"
_PURPOSE = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
# "Cubot" makes telephones.
_SCANNER = re.compile(
    r"(?<!cu)bot\b|crawler|spider|preview|headless|phantomjs|facebookexternalhit|whatsapp|skype|scanner|urlscan|"
    r"barracuda|bitdefender|fireeye|forcepoint|fortinet|kaspersky|mimecast|proofpoint|sophos|symantec|trendmicro|zscaler",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A request for a pixel or a link."""

    user_agent: str
    purpose: str
    """Sec-Purpose, Purpose, X-Purpose and X-Moz, whichever there are."""
    age_ms: int
    """Since the message was accepted."""


def sign_of_a_program(hit: Hit) -> str:
    """What tells that no person did this; empty where nothing does."""
    if _PURPOSE.search(hit.purpose):
        return "purpose header"
    if not hit.user_agent:
        return "no user agent"
    if hit.user_agent == PRIVACY_PROXY_AGENT:
        return "privacy proxy"
    if _SCANNER.search(hit.user_agent):
        return "scanner"
    return "too soon" if hit.age_ms < TOO_SOON_MS else ""
