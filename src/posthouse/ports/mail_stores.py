"""Where people read their mail: what a WorkMail action delivers to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """The mail is in the recipient's mailbox, and survives whatever happens to us."""


@dataclass(frozen=True, slots=True)
class MailboxRefused:
    """It will not be taken for this recipient: no such mailbox, too large ..."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """Not reached, not taken yet."""

    reason: str


StoreOutcome = Stored | MailboxRefused | NotNow


class MailStore(Protocol):
    async def deliver(
        self, message_id: str, mail_from: str, recipients: Sequence[str], content: bytes
    ) -> Mapping[str, StoreOutcome]:
        """An outcome for each recipient. The same message may come again, after a crash, for recipients that have it.
        Never raises for what the other side does."""
        ...

    async def close(self) -> None: ...
