"""What events and notifications tell of the message they are about: their ``mail`` object, before it is JSON.

Source: SES developer guide, "Contents of event data that Amazon SES publishes to Amazon SNS" and "Amazon SNS
notification contents"; recorded events. A function of the stored message: made once and kept for all of its events.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any

import msgspec

from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.events import Event
from posthouse.domain.messages import ContentKind, MessageFacts, Text
from posthouse.mail import charsets, headers, mailboxes
from posthouse.mail.compose import compose_head
from posthouse.mail.encoded_words import decode_words
from posthouse.mail.headers import Field
from posthouse.model.errors import ServiceError
from posthouse.ports.publications import StoredMail

MAX_HEADERS = 10 * 1024
"""Characters of names and values that are shown; what is beyond is left out and ``headersTruncated`` says so."""
_MAX_HEAD = 32 * 1024
"""Bytes of a header section that are looked at: some more than are shown."""
_MAX_FIELDS = 1000

_CONTROL = b"x-ses-"
_ADDED = frozenset({b"dkim-signature", b"date", b"message-id", b"x-ses-outgoing", b"feedback-id"})
"""What every message gets on leaving (delivery/prepare): the caller did not write it."""
_ID_TIME = re.compile(r"[0-9a-f]{4}([0-9a-f]{12})-")


class _Drafted(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft and a templated draft have in common, as far as headers go."""

    source: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: Text | None = None
    text: Text | None = None
    html: Text | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The headers of a message as events show them."""

    headers: tuple[dict[str, str], ...] = ()
    """``name`` and ``value``, in order."""
    truncated: bool = False
    common: dict[str, Any] = member(default_factory=dict)
    message_id: str = ""
    """The caller's own Message-ID, where there is one."""

    def named(self, name: str) -> str:
        """The value of the first header of this name, in any case; empty where there is none."""
        wanted = name.lower()
        return next((each["value"] for each in self.headers if each["name"].lower() == wanted), "")


NO_HEADERS = Shown()


@dataclass(frozen=True, slots=True)
class Original:
    """A message that events are about."""

    message_id: str
    accepted_ms: int
    account: str
    source: str
    """As the caller wrote it."""
    source_address: str
    source_arn: str
    """The identity it was sent from; empty where it is not known any more."""
    source_ip: str
    caller_identity: str
    destination: tuple[str, ...]
    operation: str
    from_domain: str
    configuration_set: str
    tags: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...] = ()
    """As the caller wrote them, or as they were composed for him."""
    rendered: bool = True
    """False: made from a template and not rendered yet, as far as `fields` go."""


def original_of(mail: StoredMail, source_arn: str, sent: bytes | None = None) -> Original:
    """The message as it was accepted; `sent`: the bytes that left, which a templated one's headers are taken from."""
    facts = mail.facts
    fields, rendered = _fields_of(facts, mail.content, sent)
    return Original(
        message_id=facts.message_id,
        accepted_ms=facts.accepted_ms,
        account=facts.scope.account,
        source=facts.source,
        source_address=address_of(facts.source),
        source_arn=facts.source_arn or source_arn,
        source_ip=facts.source_ip,
        caller_identity=facts.access_key,
        destination=mail.recipients,
        operation=facts.operation,
        from_domain=facts.from_domain,
        configuration_set=facts.configuration_set,
        tags=facts.tags,
        fields=fields,
        rendered=rendered,
    )


def remains_of(event: Event) -> Original:
    """What the event alone tells of a message that was deleted since."""
    time = _ID_TIME.match(event.message_id)
    return Original(
        message_id=event.message_id,
        accepted_ms=int(time[1], 16) if time else event.at_ms,
        account=event.scope.account,
        source="",
        source_address="",
        source_arn="",
        source_ip="",
        caller_identity="",
        destination=event.recipients,
        operation="",
        from_domain="",
        configuration_set=event.configuration_set,
        tags=(),
    )


def address_of(source: str) -> str:
    """The bare address of a sender that was accepted once."""
    try:
        return parse_mailbox(source).address
    except ServiceError:
        return next((mailbox.address for mailbox in mailboxes.parse(source)), source)


def is_templated(facts: MessageFacts) -> bool:
    """Its headers are known in full only from what left."""
    return facts.content_kind not in (ContentKind.DRAFT, ContentKind.RAW)


def _fields_of(facts: MessageFacts, content: bytes | None, sent: bytes | None) -> tuple[tuple[Field, ...], bool]:
    if content is None:
        return (), True
    if facts.content_kind is ContentKind.RAW:
        return tuple(_head(content)), True
    if sent is not None and is_templated(facts):
        return tuple([field for field in _head(sent) if field.key not in _ADDED]), True
    try:
        draft = msgspec.json.decode(content, type=_Drafted)
        if is_templated(facts):
            draft = msgspec.structs.replace(draft, subject=None, text=None, html=None)
        return tuple(compose_head(draft, facts.message_id)), not is_templated(facts)
    except (msgspec.MsgspecError, charsets.Unencodable):
        # What cannot be composed was refused behind the queue; its events tell so without headers.
        return (), True


def _head(raw: bytes) -> list[Field]:
    head, _, _ = headers.split(raw)
    return headers.fields(head[:_MAX_HEAD], _MAX_FIELDS)


# -- headers as they are shown


def shown(original: Original, *, control: bool = False, told: bool = False) -> Shown:
    """The headers of a message.

    `control`: with the caller's X-SES headers, which recipients never see. `told`: with those that say what he asked
    for by other means, first; Open and Click events have them (developer guide).
    """
    fields: Iterable[Field] = original.fields
    if told or not control:
        fields = [field for field in fields if not field.key.startswith(_CONTROL)]
    asked = _asked(original) if told else []
    pairs = [*asked, *[(field.name, _value(field), field) for field in fields if field.key]]
    size, kept = 0, 0
    for name, value, _ in pairs:
        size += len(name) + len(value)
        if size > MAX_HEADERS:
            break
        kept += 1
    listed = [field for _, _, field in pairs[:kept] if field is not None]
    own_id = next((field.value for field in listed if field.key == b"message-id"), "")
    return Shown(
        tuple([{"name": name, "value": value} for name, value, _ in pairs[:kept]]),
        kept < len(pairs),
        _common(listed),
        own_id,
    )


def _asked(original: Original) -> list[tuple[str, str, Field | None]]:
    asked: list[tuple[str, str, Field | None]] = []
    if original.configuration_set:
        asked.append(("X-SES-CONFIGURATION-SET", original.configuration_set, None))
    if original.tags:
        tags = ", ".join(f"{name}={value}" for name, value in original.tags)
        asked.append(("X-SES-MESSAGE-TAGS", tags, None))
    return asked


def _value(field: Field) -> str:
    """As it was written, each line ending a blank, as recorded events show it."""
    body = field.raw[field.raw.find(b":") + 1 :].replace(b"\r\n", b" ").replace(b"\n", b" ")
    return charsets.guess(body.translate(None, b"\r\0").strip(b" \t"))


_LISTS = ((b"from", "from"), (b"to", "to"), (b"cc", "cc"), (b"bcc", "bcc"), (b"reply-to", "replyTo"))
_TEXTS = ((b"sender", "sender"), (b"return-path", "returnPath"), (b"date", "date"), (b"subject", "subject"))


def _common(fields: Sequence[Field]) -> dict[str, Any]:
    """``commonHeaders`` without its ``messageId``, as far as the message has them."""
    by_key: dict[bytes, list[Field]] = {}
    for field in fields:
        by_key.setdefault(field.key, []).append(field)
    common: dict[str, Any] = {}
    for key, name in _LISTS:
        if key in by_key:
            common[name] = [each for field in by_key[key] for each in _listed(field.value)]
    for key, name in _TEXTS:
        if key in by_key:
            common[name] = decode_words(by_key[key][0].value)
    return common


def _listed(value: str) -> list[str]:
    """The mailboxes of a list, names decoded: ``Name <address>`` or ``address``."""
    found = mailboxes.parse(value)
    return [f"{mailbox.display} <{mailbox.address}>" if mailbox.display else mailbox.address for mailbox in found]
