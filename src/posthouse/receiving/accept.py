"""Accepting inbound mail: it is on disk before the other side hears 250."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from posthouse.domain.message_ids import incoming_id
from posthouse.domain.messages import FEEDBACK, INBOUND, ContentKind, Direction, MessageFacts, NewMessage, domain_of
from posthouse.domain.receipt_plan import MailFacts
from posthouse.domain.receipt_progress import begun
from posthouse.domain.scope import Scope
from posthouse.mail.encoded_words import decode_words
from posthouse.mail.headers import fields, split
from posthouse.mail.outgoing import date_value
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Inbox
from posthouse.receiving.feedback import FeedbackAddresses
from posthouse.receiving.recipients import Recipients, Unwanted, Wanted
from posthouse.wire.smtp_reply import Reply

HEAD_READ = 64 * 1024
"""Bytes of the header section looked at for the subject; all of the mail is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundEnvelope:
    client_ip: str
    helo: str
    mail_from: str
    """Empty for the null reverse path."""
    recipients: tuple[str, ...]
    protocol: str = "SMTP"
    """ESMTP, ESMTPS ... as RFC 3848 names it for Received."""
    tls: str = ""
    """TLS version and cipher suite; empty in the clear."""


@dataclass(frozen=True, slots=True)
class ReceivingContext:
    inbox: Inbox
    recipients: Recipients
    feedback: FeedbackAddresses
    clock: Clock
    random: Callable[[int], bytes]
    hostname: str


class NoLongerWanted(Exception):
    """A recipient that was taken at RCPT would be refused now. The client is told to come again, and hears it then."""


async def refusal(
    recipient: str, client_ip: str, tls: bool, ctx: ReceivingContext, account: str | None = None
) -> Reply | None:
    """Why mail for this recipient is not taken from this client; None: it is. A return path is nobody's own address,
    and no filter or rule of its sender keeps reports away. `account`: no other takes it."""
    if ctx.feedback.is_one(recipient):
        original = await ctx.feedback.original(recipient)
        return None if original is not None and _is_of(account, original.facts.scope) else Unwanted.UNKNOWN.refusal
    verdict = await ctx.recipients.judge(recipient, client_ip, tls)
    if isinstance(verdict, Unwanted):
        return verdict.refusal
    return None if any(_is_of(account, scope) for scope in verdict.scopes) else Unwanted.UNKNOWN.refusal


def _is_of(account: str | None, scope: Scope) -> bool:
    return account is None or scope.account == account


async def receive(envelope: InboundEnvelope, content: bytes, ctx: ReceivingContext) -> str:
    """Makes the mail durable; returns the message id that the client is told."""
    return (await receive_all(envelope, content, ctx))[0].message_id


async def receive_all(
    envelope: InboundEnvelope, content: bytes, ctx: ReceivingContext, account: str | None = None
) -> list[MessageFacts]:
    """Keeps the mail once for each account and region that takes a recipient, and once for each message that it is
    about; there is at least one. `account`: no other takes it."""
    by_scope: dict[Scope, list[str]] = {}
    about: dict[str, tuple[Scope, str]] = {}
    for recipient in envelope.recipients:
        if ctx.feedback.is_one(recipient):
            original = await ctx.feedback.original(recipient)
            if original is None or not _is_of(account, original.facts.scope):
                raise NoLongerWanted(recipient)
            about.setdefault(original.facts.message_id, (original.facts.scope, recipient))
            continue
        verdict = await ctx.recipients.judge(recipient, envelope.client_ip, bool(envelope.tls))
        scopes = [each for each in verdict.scopes if _is_of(account, each)] if isinstance(verdict, Wanted) else []
        if not scopes:
            raise NoLongerWanted(recipient)
        for scope in scopes:
            by_scope.setdefault(scope, []).append(recipient)
    arrivals = [
        (_message(INBOUND, scope, tuple(theirs), envelope, content, ctx), await _plan(scope, theirs, envelope, ctx))
        for scope, theirs in by_scope.items()
    ]
    arrivals += [(_message(FEEDBACK, scope, (path,), envelope, content, ctx), "") for scope, path in about.values()]
    if len(arrivals) == 1:
        await ctx.inbox.add(*arrivals[0])
    else:
        await asyncio.gather(*[ctx.inbox.add(message, stage) for message, stage in arrivals])
    return [message.facts for message, _ in arrivals]


async def _plan(scope: Scope, recipients: Sequence[str], envelope: InboundEnvelope, ctx: ReceivingContext) -> str:
    """What its rules will do, kept with the mail: the rule set that is active at receipt counts (developer guide,
    "Email receiving process"). Empty where none is."""
    found = await ctx.recipients.plan(scope, recipients, MailFacts(tls=bool(envelope.tls)))
    return "" if found is None else msgspec.json.encode(begun(found.plan, found.rule_set, recipients)).decode()


def _message(
    operation: str,
    scope: Scope,
    recipients: tuple[str, ...],
    envelope: InboundEnvelope,
    content: bytes,
    ctx: ReceivingContext,
) -> NewMessage:
    now_ms = ctx.clock.now_ms()
    message_id = incoming_id(now_ms, ctx.random(20))
    kept = _trace(scope, message_id, recipients, envelope, now_ms, ctx.hostname) + content
    facts = MessageFacts(
        scope=scope,
        message_id=message_id,
        direction=Direction.IN,
        accepted_ms=now_ms,
        operation=operation,
        source=envelope.mail_from,
        from_domain=domain_of(envelope.mail_from),
        feedback_to=envelope.mail_from,
        subject=_subject(content),
        size=len(kept),
        content_kind=ContentKind.RAW,
        source_ip=envelope.client_ip,
        helo=envelope.helo,
        tls=envelope.tls,
    )
    return NewMessage(facts, recipients, kept)


def _trace(
    scope: Scope, message_id: str, recipients: tuple[str, ...], envelope: InboundEnvelope, now_ms: int, hostname: str
) -> bytes:
    """Return-Path and Received (RFC 5321 §4.4), in the form of SES."""
    # Several recipients: none is named, a Bcc must not show (RFC 5321 §7.2).
    whom = f" for {recipients[0]}" if len(recipients) == 1 else ""
    return (
        f"Return-Path: <{envelope.mail_from}>\r\n"
        f"Received: from {envelope.helo or 'unknown'} ([{envelope.client_ip}])\r\n"
        f" by {hostname} with {envelope.protocol} id {message_id}{whom};\r\n {date_value(now_ms)}\r\n"
    ).encode("ascii", "replace")


def _subject(content: bytes) -> str:
    head = split(content[:HEAD_READ]).head
    return next((decode_words(field.value) for field in fields(head) if field.key == b"subject"), "")
