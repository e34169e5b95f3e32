"""Accepting a message: facts, then the decision, then the deed."""

from dataclasses import dataclass

import msgspec

from posthouse.domain.accounts import in_sandbox, limits_of
from posthouse.domain.addresses import Mailbox
from posthouse.domain.configuration_sets import check_may_send
from posthouse.domain.mailing_lists import MailingList
from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.messages import ContentKind, Direction, MessageFacts, NewMessage
from posthouse.domain.scope import Caller, Scope
from posthouse.domain.sending import check_account, refuse_mail_from, refuse_unverified
from posthouse.domain.simulator import count_simulated
from posthouse.model.errors import Throttling
from posthouse.submission.authorization import Delegation, authorize, check_guards
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
    """From, Source, Sender, Return-Path, From first: each must be verified, or allowed by its owner."""
    feedback_to: str
    recipients: tuple[Mailbox, ...]
    content: bytes
    content_kind: ContentKind
    subject: str
    configuration_set: str = ""
    """The caller's own, whoever owns the identities; empty: none."""
    tags: tuple[tuple[str, str], ...] = ()
    helo: str = ""
    tls: str = ""
    arns: tuple[str, ...] = ()
    """ARN of the identity that each of `senders` is to be sent from, or an empty text; no element at all where, as
    mostly, none is named."""
    mailing_list: MailingList | None = None
    null_sender: bool = False
    """To leave under ``<>``: a bounce."""


async def check_sender(
    scope: Scope, configuration_set: str, senders: tuple[Mailbox, ...], ctx: SubmissionContext
) -> None:
    """What every message of these senders would be refused for, whoever it is to. Raises as `accept`."""
    if configuration_set:
        check_may_send(configuration_set, await ctx.facts.configuration_set(scope, configuration_set))
    check_account(await ctx.facts.account(scope))
    refuse_unverified(await ctx.facts.unverified(scope, senders), scope.region)


async def accept(submission: Submission, ctx: SubmissionContext) -> str:
    """Makes the message durable and returns its MessageId.

    Raises the ServiceError that SES would answer: configuration set missing or paused, account paused, access denied,
    identity not verified, quota or rate exceeded, MAIL FROM domain broken.
    """
    scope = submission.caller.scope
    if name := submission.configuration_set:
        check_may_send(name, await ctx.facts.configuration_set(scope, name))
    account = await ctx.facts.account(scope)
    check_account(account)
    whose = await authorize(submission, ctx) if submission.arns else Delegation(submission.senders)
    sandboxed = whose.sandboxed or in_sandbox(account, ctx.defaults)
    # The simulator may be written to from the sandbox.
    outside = [each for each in submission.recipients if each.domain not in ctx.simulators]
    in_question = (*whose.own, *outside) if sandboxed else whose.own
    refuse_unverified([*whose.unverified, *await ctx.facts.unverified(scope, in_question)], scope.region)
    if guards := await ctx.facts.guards(scope, whose.own):
        await check_guards(submission, guards, ctx)
    if await ctx.facts.rejects(whose.from_scope or scope, submission.senders[0]):
        # A refused message is charged to nobody, yet a used-up quota is told first, as SES does.
        sent = await ctx.submissions.sent_last_24_hours(scope, ctx.clock.now_ms())
        refuse_mail_from(sent, limits_of(account, ctx.defaults))
    message = _message(submission, whose.from_arn, ctx)
    simulated = count_simulated(message.recipients, ctx.simulators)
    refusal = await ctx.submissions.add(message, limits_of(account, ctx.defaults), simulated)
    if refusal is not None:
        raise Throttling(refusal.value)
    return message.facts.message_id


def _message(submission: Submission, source_arn: str, ctx: SubmissionContext) -> NewMessage:
    scope, now_ms = submission.caller.scope, ctx.clock.now_ms()
    recipients = tuple(dict.fromkeys(mailbox.address for mailbox in submission.recipients))
    mailing_list = submission.mailing_list
    if mailing_list is not None and len(recipients) == 1:
        mailing_list = msgspec.structs.replace(mailing_list, reader=recipients[0])
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
        source_arn=source_arn,
        null_sender=submission.null_sender,
        mailing_list=mailing_list,
    )
    return NewMessage(facts, recipients, submission.content)
