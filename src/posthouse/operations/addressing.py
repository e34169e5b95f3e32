"""From whom and to whom: what SendEmail and the templated sends have in common, and check alike."""

from collections.abc import Iterable
from dataclasses import dataclass

from posthouse.domain.addresses import Mailbox, check_length, read_mailbox
from posthouse.model.generated import Destination, MessageTag

Arns = tuple[str | None, str | None]
"""SourceArn and ReturnPathArn of a call."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Source and ReturnPath of a call."""

    source: Mailbox
    return_path: Mailbox | None
    arns: tuple[str, ...]
    """For `senders`; nothing where none is named."""

    @property
    def senders(self) -> tuple[Mailbox, ...]:
        return (self.source,) if self.return_path is None else (self.source, self.return_path)

    @property
    def feedback_to(self) -> str:
        return (self.return_path or self.source).address


@dataclass(frozen=True, slots=True)
class Lists:
    """The addresses of a Destination as they were written."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.to, *self.cc, *self.bcc)


def lists_of(destination: Destination) -> Lists:
    return Lists(destination.to_addresses or (), destination.cc_addresses or (), destination.bcc_addresses or ())


def envelope_of(
    source: str, lists: Lists, return_path: str | None, reply_to: tuple[str, ...] | None, arns: Arns
) -> tuple[Sender, tuple[Mailbox, ...]]:
    """Sender and recipients of a call; Reply-To is read for its mistakes alone. In the order of SES (probed): Source,
    To, Cc, Bcc, ReturnPath, Reply-To. Raises InvalidParameterValue."""
    behind = (return_path,) if return_path else ()
    found = mailboxes((source, *lists.all, *behind, *(reply_to or ())))
    count = len(lists.all)
    back = found[1 + count] if behind else None
    return sender_of(found[0], back, arns), found[1 : 1 + count]


def mailboxes(texts: Iterable[str]) -> tuple[Mailbox, ...]:
    """Raises InvalidParameterValue for the first that is no address, else for the first that is too long (probed)."""
    found = tuple([read_mailbox(text) for text in texts])
    for mailbox in found:
        check_length(mailbox)
    return found


def sender_of(source: Mailbox, return_path: Mailbox | None, arns: Arns) -> Sender:
    named = (arns[0] or "", arns[1] or "")[: 1 if return_path is None else 2]
    return Sender(source, return_path, named if any(named) else ())


def tags_of(tags: tuple[MessageTag, ...] | None) -> tuple[tuple[str, str], ...]:
    return tuple((tag.name, tag.value) for tag in tags or ())
