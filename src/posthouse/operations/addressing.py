"""From whom and to whom: what SendEmail and the templated sends have in common, and check alike."""

from dataclasses import dataclass

from posthouse.domain.addresses import Mailbox, parse_mailbox
from posthouse.model.generated import Destination, MessageTag


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


def sender_of(source: str, return_path: str | None, source_arn: str | None, return_path_arn: str | None) -> Sender:
    """Raises InvalidParameterValue for what is no address."""
    from_, back = parse_mailbox(source), parse_mailbox(return_path) if return_path else None
    arns = (source_arn or "", return_path_arn or "")[: 1 if back is None else 2]
    return Sender(from_, back, arns if any(arns) else ())


@dataclass(frozen=True, slots=True)
class Lists:
    """The addresses of a Destination as they were written."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]

    def recipients(self) -> tuple[Mailbox, ...]:
        """Raises InvalidParameterValue for what is no address."""
        return mailboxes((*self.to, *self.cc, *self.bcc))


def lists_of(destination: Destination) -> Lists:
    return Lists(destination.to_addresses or (), destination.cc_addresses or (), destination.bcc_addresses or ())


def mailboxes(texts: tuple[str, ...] | None) -> tuple[Mailbox, ...]:
    return tuple([parse_mailbox(text) for text in texts or ()])


def tags_of(tags: tuple[MessageTag, ...] | None) -> tuple[tuple[str, str], ...]:
    return tuple((tag.name, tag.value) for tag in tags or ())
