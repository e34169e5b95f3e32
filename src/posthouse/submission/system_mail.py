"""Mail that the installation itself sends, into the queue as any other: composed from a draft, or written already.

It is nobody's sending: no quota is charged, it counts in no statistics, neither sandbox nor pauses nor verification
hold it back, and the service domain's key signs it. It belongs to the account it is about, so that its operator sees it
in that account's inbox.
"""

from dataclasses import dataclass

import msgspec

from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.messages import ContentKind, Direction, Draft, MessageFacts, NewMessage
from posthouse.domain.scope import Caller, Scope
from posthouse.submission.context import SubmissionContext

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A whole mail, as it is to leave but for what every message gets on leaving."""

    operation: str
    """What readers see it as."""
    source: str
    """An address at the service domain."""
    to: str
    subject: str
    content: bytes
    as_is: bool = False
    """See `MessageFacts.as_is`."""


async def send_system_mail(draft: Draft, operation: str, caller: Caller, ctx: SubmissionContext) -> str:
    """Makes the mail durable and returns its MessageId. `operation`: what readers see it as."""
    source, content, now_ms = parse_mailbox(draft.source), _encode(draft), ctx.clock.now_ms()
    facts = MessageFacts(
        scope=caller.scope,
        message_id=outgoing_id(caller.scope.region, now_ms, ctx.random(16)),
        direction=Direction.OUT,
        accepted_ms=now_ms,
        operation=operation,
        source=draft.source,
        from_domain=source.domain,
        feedback_to=source.address,
        subject=draft.subject.data,
        size=len(content),
        content_kind=ContentKind.DRAFT,
        source_ip=caller.source_ip,
        access_key=caller.access_key,
        system=True,
    )
    recipients = dict.fromkeys(parse_mailbox(each).address for each in (*draft.to, *draft.cc, *draft.bcc))
    return await _add(NewMessage(facts, tuple(recipients), content), ctx)


async def send_letter(letter: Letter, scope: Scope, ctx: SubmissionContext) -> str:
    """The same for a mail that is written already. It leaves under the null path: nothing ever comes back."""
    now_ms = ctx.clock.now_ms()
    facts = MessageFacts(
        scope=scope,
        message_id=outgoing_id(scope.region, now_ms, ctx.random(16)),
        direction=Direction.OUT,
        accepted_ms=now_ms,
        operation=letter.operation,
        source=letter.source,
        from_domain=parse_mailbox(letter.source).domain,
        feedback_to="",
        subject=letter.subject,
        size=len(letter.content),
        content_kind=ContentKind.RAW,
        null_sender=True,
        system=True,
        as_is=letter.as_is,
    )
    return await _add(NewMessage(facts, (letter.to,), letter.content), ctx)


async def _add(message: NewMessage, ctx: SubmissionContext) -> str:
    refusal = await ctx.submissions.add(message, None)
    if refusal is not None:
        raise AssertionError(f"refused without having been charged: {refusal}")
    return message.facts.message_id
