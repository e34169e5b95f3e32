"""Mail that the installation itself sends, into the queue as any other, from ``no-reply`` at the service domain.

It is nobody's sending: no quota is charged, neither sandbox nor pauses nor verification hold it back, and the service
domain's key signs it. It belongs to the account it is about, so that its operator sees it in that account's inbox.
"""

import msgspec

from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.messages import ContentKind, Direction, Draft, MessageFacts, NewMessage
from posthouse.domain.scope import Caller
from posthouse.submission.context import SubmissionContext

_encode = msgspec.json.Encoder().encode


async def send_system_mail(draft: Draft, operation: str, caller: Caller, ctx: SubmissionContext) -> str:
    """Makes the mail durable and returns its MessageId. `operation`: what readers see it as."""
    message = _message(draft, operation, caller, ctx)
    refusal = await ctx.submissions.add(message, None)
    if refusal is not None:
        raise AssertionError(f"refused without having been charged: {refusal}")
    return message.facts.message_id


def _message(draft: Draft, operation: str, caller: Caller, ctx: SubmissionContext) -> NewMessage:
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
    )
    recipients = dict.fromkeys(parse_mailbox(each).address for each in (*draft.to, *draft.cc, *draft.bcc))
    return NewMessage(facts, tuple(recipients), content)
