"""What an event counts as in GetSendStatistics and in reputations.

Source: API reference, SendDataPoint; developer guide, "Monitoring your sender reputation": only hard bounces count,
what the account's own suppression list held back does not, nor does who has left a list, nor the mailbox simulator.
Mail of the installation itself is not the account's sending.
"""

from typing import NamedTuple

from posthouse.domain.events import Event, EventType
from posthouse.domain.suppression import ON_LIST, UNSUBSCRIBED


class Count(NamedTuple):
    """So many recipients, in one column of the statistics."""

    column: str
    recipients: int


COLUMNS = ("delivery_attempts", "bounces", "complaints", "rejects")
_COLUMN_OF = dict(zip((EventType.SEND, EventType.BOUNCE, EventType.COMPLAINT, EventType.REJECT), COLUMNS, strict=True))


def counted(event: Event) -> Count | None:
    """None: it counts nowhere."""
    column = _COLUMN_OF.get(event.type)
    if column is None or event.uncounted or not _counts(event):
        return None
    recipients = max(1, len(event.recipients)) - event.simulated
    return Count(column, recipients) if recipients > 0 else None


def _counts(event: Event) -> bool:
    if event.type is EventType.BOUNCE:
        kind = event.detail.get("kind", {})
        return bool(kind.get("type") == "Permanent" and kind.get("subtype") not in (ON_LIST, UNSUBSCRIBED))
    return not (event.type is EventType.COMPLAINT and event.detail.get("subtype") == ON_LIST)
