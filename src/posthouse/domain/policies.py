"""Sending authorization: may this principal send from an identity that is another account's?

Source: SES developer guide, "Using sending authorization" and "Sending authorization policies"; IAM user guide,
"Policy evaluation logic": nothing is allowed unless a statement says so, and an explicit Deny beats every Allow.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from posthouse.domain.policy_conditions import Context, Effort, TooMuchWork
from posthouse.domain.policy_documents import Policy, Statement, check_length, compacted, read_policy
from posthouse.model.errors import AccessDenied, InvalidParameterValue

MAX_POLICIES = 20
"""Of one identity (SES developer guide)."""
MAX_STEPS = 300_000
"""What one evaluation may take, some tens of milliseconds; whoever needs more is denied."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class IdentityPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """The policies attached to an identity."""

    documents: Mapping[str, str]
    """Documents by policy name, without white space."""

    def with_policy(self, identity: str, name: str, document: str) -> "IdentityPolicies":
        """Created or replaced. Raises InvalidParameterValue for the 21st; `identity` is for its text."""
        if name not in self.documents and len(self.documents) >= MAX_POLICIES:
            raise InvalidParameterValue(
                f"Number of policies for <{identity}> exceeds max allowed number of policies per resource"
            )
        return IdentityPolicies(documents={**self.documents, name: document})

    def without_policy(self, name: str) -> "IdentityPolicies":
        return IdentityPolicies(documents={kept: text for kept, text in self.documents.items() if kept != name})


def check_policy_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidParameterValue(
            "PolicyName is invalid. Policy names must only include alpha-numeric characters, dashes, and underscores."
        )


def accepted_document(document: str, resource: str) -> str:
    """The document as it is kept, found good for the identity of this ARN. Raises InvalidPolicyException."""
    read_policy(document, resource)
    kept = compacted(document)
    check_length(kept)
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Who wants to do what, as policies see it."""

    principal: str
    """ARN of the caller."""
    action: str
    """For example ``ses:SendEmail``."""
    resource: str
    """ARN of the identity."""
    context: Context


@dataclass(frozen=True, slots=True)
class Allowed:
    """A statement allows it and none denies it."""


@dataclass(frozen=True, slots=True)
class Denied:
    explicit: bool
    """By a statement, not just for want of one."""


Decision = Allowed | Denied


def evaluate(policies: Sequence[Policy], request: Request) -> Decision:
    """Never raises; bounded work, and what would take more is denied."""
    effort, allowed = Effort(MAX_STEPS), False
    try:
        for policy in policies:
            for statement in policy.statements:
                if allowed and statement.allows:
                    continue
                if _applies(statement, request, effort):
                    if not statement.allows:
                        return Denied(explicit=True)
                    allowed = True
    except TooMuchWork:
        return Denied(explicit=True)
    return Allowed() if allowed else Denied(explicit=False)


def _applies(statement: Statement, request: Request, effort: Effort) -> bool:
    action = request.action.lower()
    return (
        statement.principals.include(request.principal)
        and any(pattern.matches(action) for pattern in statement.actions)
        and any(pattern.matches(request.resource) for pattern in statement.resources)
        and all(condition.holds(request.context, statement.allows, effort) for condition in statement.conditions)
    )


_ACTIONS = {"SMTP": "ses:SendRawEmail"}
"""SMTP clients need the right to SendRawEmail (SES developer guide)."""


def action_of(operation: str) -> str:
    """The action that an operation's caller needs."""
    return _ACTIONS.get(operation, f"ses:{operation}")


def refuse_access(principal: str, action: str, resource: str) -> AccessDenied:
    """What is answered whether the identity is another's or nobody's: the same bytes."""
    return AccessDenied(f"User `{principal}' is not authorized to perform `{action}' on resource `{resource}'")
