"""The account's suppression list: whom mail is no longer sent to, because it bounced for good or was complained of.

Source: SES developer guide, "Using the account-level suppression list": a hard bounce or a complaint adds the address;
mail to it is accepted, charged and not sent, and ends in a bounce (after a complaint: in a complaint) of the sub type
OnAccountSuppressionList, which counts in no rate. The mailbox simulator's answers add nothing, nor does what becomes of
the installation's own mail: a feedback address that refuses bounces may still be written to.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from posthouse.domain.events import Event, EventType
from posthouse.domain.outcomes import BounceKind, NotSent

ON_LIST = "OnAccountSuppressionList"
UNSUBSCRIBED = "UnsubscribedRecipient"
# An address that was not written to has told nothing new.
_NOT_ASKED = frozenset({ON_LIST, UNSUBSCRIBED, "Suppressed"})


class Reason(StrEnum):
    """Why an address is on the list, in the API's words."""

    BOUNCE = "BOUNCE"
    COMPLAINT = "COMPLAINT"


class SuppressedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the list."""

    address: str
    """Lower case: the list knows no other."""
    reason: Reason
    at_ms: int
    message_id: str = ""
    """What it bounced or complained of; empty where an operator put it there."""


def reply_for(reason: Reason) -> NotSent:
    """In the place of a server's answer."""
    return _COMPLAINED if reason is Reason.COMPLAINT else _BOUNCED


_TEXT = (
    "Amazon SES did not send the message to this address because it is on the suppression list for your account. For "
    "more information about removing addresses from the suppression list, see the Amazon SES Developer Guide at "
    "https://docs.aws.amazon.com/ses/latest/DeveloperGuide/sending-email-suppression-list.html"
)
_BOUNCED = NotSent(BounceKind("Permanent", ON_LIST), _TEXT)
_COMPLAINED = NotSent(BounceKind("Permanent", ON_LIST), _TEXT, complaint=True)


HAS_LEFT = NotSent(
    BounceKind("Permanent", UNSUBSCRIBED),
    "Amazon SES did not send the message to this address because the recipient has unsubscribed from the list.",
)
"""In the place of an answer, for who has left the list that a message is for (domain/mailing_lists)."""


def suppressed_by(event: Event) -> Iterator[SuppressedAddress]:
    """The entries that an event makes."""
    reason = _reason(event)
    if reason is not None:
        for recipient in event.recipients:
            yield SuppressedAddress(
                address=recipient.lower(), reason=reason, at_ms=event.at_ms, message_id=event.message_id
            )


def _reason(event: Event) -> Reason | None:
    if event.simulated or event.uncounted:
        return None
    if event.type is EventType.BOUNCE:
        kind = event.detail.get("kind", {})
        hard = kind.get("type") == "Permanent" and kind.get("subtype") not in _NOT_ASKED
        return Reason.BOUNCE if hard else None
    # RFC 5965 section 7.3: not-spam takes back what a filter, or somebody, said before.
    if event.type is EventType.COMPLAINT and event.detail.get("feedback_type") != "not-spam":
        return None if event.detail.get("subtype") == ON_LIST else Reason.COMPLAINT
    return None
