"""A message as the stores keep it: what was accepted, for whom, and how far it got."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from posthouse.domain.mailing_lists import MailingList
from posthouse.domain.scope import Scope

INBOUND, FEEDBACK = "Inbound", "Feedback"
"""What mail that comes in is accepted as, where an outgoing message has its operation: for somebody here, or, at a
return path of ours, about a message that we sent."""

FORWARDED = "FeedbackForwarding"
"""The operation of mail that tells a sender of bounces and complaints."""


class Direction(StrEnum):
    OUT = "out"
    IN = "in"


class ContentKind(StrEnum):
    """How the accepted content is kept."""

    DRAFT = "draft"
    """A `Draft` as JSON: composed behind the queue."""
    TEMPLATED = "templated"
    """A `TemplatedDraft` as JSON: rendered and composed behind the queue."""
    RAW = "raw"
    """RFC 5322 bytes as the caller gave them."""


class RecipientState(StrEnum):
    """Where one recipient of a message stands. All but QUEUED are final: there is exactly one final state."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DROPPED = "dropped"
    RECEIVED = "received"


class Text(msgspec.Struct, frozen=True):
    """A subject or body part with the charset it shall leave in (empty: UTF-8)."""

    data: str
    charset: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What SendEmail was asked to send, address strings as the caller wrote them."""

    source: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: Text
    text: Text | None = None
    html: Text | None = None


class TemplatedDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What SendTemplatedEmail, or one destination of SendBulkTemplatedEmail, was asked to send."""

    source: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    template: str
    """Its name, for whoever reads of it."""
    content: str
    """The key of the content that the template had when the mail was accepted."""
    data: str
    """A JSON object, as far as the caller kept to it."""


class MessageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a message but its content and the states of its recipients."""

    scope: Scope
    message_id: str
    direction: Direction
    accepted_ms: int
    operation: str
    """The SES operation, ``SMTP``, `INBOUND` or `FEEDBACK`."""
    source: str
    """Who it is from, as the caller wrote it (envelope sender for inbound mail)."""
    from_domain: str
    """The domain of the From address, lower case: whose DKIM key signs."""
    feedback_to: str
    """Where bounces and complaints are told (ses-reference §11.3 in our docs: Return-Path, Source or From)."""
    subject: str
    size: int
    """Bytes of the accepted content."""
    content_kind: ContentKind
    configuration_set: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    source_ip: str = ""
    access_key: str = ""
    helo: str = ""
    tls: str = ""
    source_arn: str = ""
    """The identity it is from, where the caller named it; another account's by that account's policy."""
    null_sender: bool = False
    """It leaves under ``<>``, so that nothing is ever sent back: a bounce itself (RFC 5321 section 4.5.5)."""
    system: bool = False
    """The installation's own mail, kept with the account that it is about: nobody's sending, in no statistics."""
    mailing_list: MailingList | None = None
    """That the caller named: who has left it gets nothing."""
    as_is: bool = False
    """Somebody else's mail, handed on: it leaves with the header section that it came with."""

    @property
    def identity_scope(self) -> Scope:
        """Whose identity it is from: whose keys sign, and whose MAIL FROM domain it leaves under."""
        if not self.source_arn:
            return self.scope
        _, _, _, region, account, _ = self.source_arn.split(":", 5)
        return Scope(account, region)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message about to be made durable."""

    facts: MessageFacts
    recipients: tuple[str, ...]
    """Envelope recipients, each once."""
    content: bytes


class RecipientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient of a stored message."""

    recipient: str
    state: RecipientState
    attempts: int
    due_ms: int
    """When it is tried next; meaningless in a final state."""
    reply: str
    """The last answer of the other side or our own reason, one line; empty before the first attempt."""
    updated_ms: int


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a reader sees it."""

    facts: MessageFacts
    recipients: tuple[RecipientStatus, ...]


def domain_of(address: str) -> str:
    """The domain of an address, lower case; empty where it has none."""
    return address.rpartition("@")[2].lower() if "@" in address else ""
