"""Sending from other accounts' identities: what the ARNs of a submission come to.

Source: API reference of SendEmail and SendRawEmail (SourceArn, FromArn, ReturnPathArn), SES developer guide, "Using
sending authorization". A sender that an ARN names is the owner's to allow; every other is the caller's own and must be
verified in the caller's account. The owner's policies decide first: who may not use an identity is not told whether it
exists.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from posthouse.domain.accounts import in_sandbox
from posthouse.domain.addresses import Mailbox
from posthouse.domain.identity_arns import IdentityArn, identity_arn, parse_identity_arn
from posthouse.domain.messages import ContentKind
from posthouse.domain.policies import Allowed, Decision, Denied, Request, action_of, evaluate, refuse_access
from posthouse.domain.policy_conditions import Context
from posthouse.domain.scope import Caller, Scope
from posthouse.mail.encoded_words import decode_words
from posthouse.submission.context import SubmissionContext


class Asked(Protocol):
    """What policies are asked about: `accept.Submission`, as far as they care."""

    @property
    def caller(self) -> Caller: ...
    @property
    def operation(self) -> str: ...
    @property
    def senders(self) -> tuple[Mailbox, ...]: ...
    @property
    def arns(self) -> tuple[str, ...]: ...
    @property
    def feedback_to(self) -> str: ...
    @property
    def recipients(self) -> tuple[Mailbox, ...]: ...
    @property
    def content_kind(self) -> ContentKind: ...
    @property
    def tls(self) -> str: ...


class Delegation(NamedTuple):
    """Senders told apart by whose they are."""

    own: tuple[Mailbox, ...]
    """To be verified in the caller's account."""
    unverified: tuple[Mailbox, ...] = ()
    """Allowed by the owner, whose identity is not verified."""
    from_arn: str = ""
    """The identity that the From address is sent from, where the caller named it."""
    from_scope: Scope | None = None
    sandboxed: bool = False
    """An owner is in the sandbox: recipients must be verified then, whatever the caller's account may."""


async def authorize(asked: Asked, ctx: SubmissionContext) -> Delegation:
    """Asks the owners' policies about a submission that names identities by ARN.

    Raises AccessDenied where one of them does not allow it, InvalidParameterValue for what is no ARN.
    """
    senders = asked.senders
    named = [_relevant(sender, arn) for sender, arn in zip(senders, asked.arns, strict=True)]
    others = dict.fromkeys(arn for arn in named if arn is not None and arn.scope != asked.caller.scope)
    for arn in others:
        if not isinstance(await _decide(asked, arn, ctx), Allowed):
            raise refuse_access(asked.caller.arn, action_of(asked.operation), arn.text)
    # Only who is allowed to use it learns that an identity is not verified.
    broken = {arn for arn in others if not (await ctx.facts.grant(arn.scope, arn.name)).verified}
    sandboxed = [in_sandbox(await ctx.facts.account(arn.scope), ctx.defaults) for arn in others]
    return Delegation(
        own=tuple([sender for sender, arn in zip(senders, named, strict=True) if arn not in others]),
        unverified=tuple([sender for sender, arn in zip(senders, named, strict=True) if arn in broken]),
        from_arn=named[0].text if named[0] else "",
        from_scope=named[0].scope if named[0] else None,
        sandboxed=any(sandboxed),
    )


def _relevant(sender: Mailbox, text: str) -> IdentityArn | None:
    """An identity that does not cover the sender says nothing about it; the caller's own may."""
    arn = parse_identity_arn(text) if text else None
    return arn if arn is not None and arn.covers(sender.address) else None


async def _decide(asked: Asked, arn: IdentityArn, ctx: SubmissionContext) -> Decision:
    if arn.scope.region != asked.caller.scope.region:
        # Identities are of one region, and so is what their policies allow.
        return Denied(explicit=False)
    grant = await ctx.facts.grant(arn.scope, arn.name)
    return evaluate(grant.policies, _request(asked, arn.scope, arn.name, ctx.clock.now_ms()))


async def check_guards(asked: Asked, names: Sequence[str], ctx: SubmissionContext) -> None:
    """An explicit Deny binds an identity's owner too (IAM user guide, "Policy evaluation logic"); for anything less the
    owner needs no policy. Raises AccessDenied."""
    scope = asked.caller.scope
    for name in dict.fromkeys(names):
        grant = await ctx.facts.grant(scope, name)
        decision = evaluate(grant.policies, _request(asked, scope, name, ctx.clock.now_ms()))
        if isinstance(decision, Denied) and decision.explicit:
            raise refuse_access(asked.caller.arn, action_of(asked.operation), identity_arn(scope, name))


def _request(asked: Asked, scope: Scope, name: str, now_ms: int) -> Request:
    return Request(
        principal=asked.caller.arn,
        action=action_of(asked.operation),
        resource=identity_arn(scope, name),
        context=_context(asked, now_ms),
    )


def _context(asked: Asked, now_ms: int) -> Context:
    """Condition keys of the SES developer guide, "Sending authorization policies", and what of IAM's global ones holds
    here. Addresses are compared as they were given."""
    caller, drafted = asked.caller, asked.content_kind is not ContentKind.RAW
    from_ = asked.senders[0]
    found = {
        "ses:fromaddress": from_.address,
        # What recipients will read, however it was encoded: raw mail's was decoded with its header.
        "ses:fromdisplayname": decode_words(from_.display) if drafted else from_.display,
        "ses:feedbackaddress": asked.feedback_to,
        "ses:apiversion": "2" if asked.operation == "SMTP" else "1",
        "aws:currenttime": datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(now_ms // 1000),
        "aws:principalaccount": caller.scope.account,
        "aws:principalarn": caller.arn,
        "aws:requestedregion": caller.scope.region,
        "aws:securetransport": "true" if caller.secure or asked.tls else "false",
        "aws:sourceip": caller.source_ip,
        "aws:useragent": caller.user_agent,
    }
    context: dict[str, tuple[str, ...]] = {key: (value,) for key, value in found.items() if value}
    context["ses:recipients"] = tuple([recipient.address for recipient in asked.recipients])
    return context
