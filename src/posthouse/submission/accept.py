"""Accepting a message: facts, then the decision, then the deed."""

from dataclasses import dataclass

from posthouse.domain.accounts import in_sandbox, limits_of
from posthouse.domain.addresses import Mailbox
from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.messages import ContentKind, Direction, MessageFacts, NewMessage
from posthouse.domain.scope import Caller
from posthouse.domain.sending import check_account, refuse_unverified
from posthouse.model.errors import Throttling
from posthouse.submission.context import SubmissionContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message that somebody wants sent; its parts were already found well-formed."""

    caller: Caller
    operation: str
    source: str
    """Who it is from, as the caller wrote it."""
    from_domain: str
    """Domain of the From address, lower case."""
    senders: tuple[Mailbox, ...]
    """From, Source, Sender, Return-Path: each must be verified."""
    feedback_to: str
    recipients: tuple[Mailbox, ...]
    content: bytes
    content_kind: ContentKind
    subject: str
    configuration_set: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    helo: str = ""
    tls: str = ""


async def accept(submission: Submission, ctx: SubmissionContext) -> str:
    """Makes the message durable and returns its MessageId.

    Raises the ServiceError that SES would answer: paused account, identity not verified, quota or rate exceeded.
    """
    scope = submission.caller.scope
    account = await ctx.facts.account(scope)
    check_account(account)
    sandboxed = in_sandbox(account, ctx.defaults)
    in_question = (*submission.senders, *submission.recipients) if sandboxed else submission.senders
    refuse_unverified(await ctx.facts.unverified(scope, in_question), scope.region)
    message = _message(submission, ctx)
    refusal = await ctx.submissions.add(message, limits_of(account, ctx.defaults))
    if refusal is not None:
        raise Throttling(refusal.value)
    return message.facts.message_id


def _message(submission: Submission, ctx: SubmissionContext) -> NewMessage:
    scope, now_ms = submission.caller.scope, ctx.clock.now_ms()
    facts = MessageFacts(
        scope=scope,
        message_id=outgoing_id(scope.region, now_ms, ctx.random(16)),
        direction=Direction.OUT,
        accepted_ms=now_ms,
        operation=submission.operation,
        source=submission.source,
        from_domain=submission.from_domain,
        feedback_to=submission.feedback_to,
        subject=submission.subject,
        size=len(submission.content),
        content_kind=submission.content_kind,
        configuration_set=submission.configuration_set,
        tags=submission.tags,
        source_ip=submission.caller.source_ip,
        access_key=submission.caller.access_key,
        helo=submission.helo,
        tls=submission.tls,
    )
    recipients = tuple(dict.fromkeys(mailbox.address for mailbox in submission.recipients))
    return NewMessage(facts, recipients, submission.content)
