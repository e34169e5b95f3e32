"""Sending authorization policies of identities. Source: API reference, the operations named here; texts and order of
checks as probed on the live service. Nobody but an identity's account reads or changes its policies.
"""

from posthouse.domain.identities import key_of
from posthouse.domain.identity_arns import identity_arn
from posthouse.domain.notifications import identity_named, unknown_identity
from posthouse.domain.policies import MAX_POLICIES, IdentityPolicies, accepted_document, check_policy_name
from posthouse.domain.scope import Caller
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    DeleteIdentityPolicyRequest,
    DeleteIdentityPolicyResponse,
    GetIdentityPoliciesRequest,
    GetIdentityPoliciesResponse,
    ListIdentityPoliciesRequest,
    ListIdentityPoliciesResponse,
    PutIdentityPolicyRequest,
    PutIdentityPolicyResponse,
)
from posthouse.operations.context import Context

NONE = IdentityPolicies(documents={})


async def put_identity_policy(req: PutIdentityPolicyRequest, caller: Caller, ctx: Context) -> PutIdentityPolicyResponse:
    check_policy_name(req.policy_name)
    name = _name(req.identity, caller)
    document = accepted_document(req.policy, identity_arn(caller.scope, name))
    async with ctx.stores.records.transaction() as tx:
        identity = await tx.identities.get(caller.scope, name)
        if identity is None or not identity.verified:
            raise unknown_identity(req.identity)
        known = await tx.identity_policies.get(caller.scope, name) or NONE
        changed = known.with_policy(req.identity, req.policy_name, document)
        await tx.identity_policies.put(caller.scope, name, changed)
    return PutIdentityPolicyResponse()


async def get_identity_policies(
    req: GetIdentityPoliciesRequest, caller: Caller, ctx: Context
) -> GetIdentityPoliciesResponse:
    if len(req.policy_names) > MAX_POLICIES:
        raise InvalidParameterValue(f"Too many policies specified; at most {MAX_POLICIES} are allowed.")
    known = await _known(req.identity, caller, ctx)
    found = {name: known.documents[name] for name in req.policy_names if name in known.documents}
    return GetIdentityPoliciesResponse(policies=found)


async def list_identity_policies(
    req: ListIdentityPoliciesRequest, caller: Caller, ctx: Context
) -> ListIdentityPoliciesResponse:
    known = await _known(req.identity, caller, ctx)
    return ListIdentityPoliciesResponse(policy_names=tuple(sorted(known.documents)))


async def delete_identity_policy(
    req: DeleteIdentityPolicyRequest, caller: Caller, ctx: Context
) -> DeleteIdentityPolicyResponse:
    name = _name(req.identity, caller)
    async with ctx.stores.records.transaction() as tx:
        known = await tx.identity_policies.get(caller.scope, name) or NONE
        left = known.without_policy(req.policy_name)
        if left.documents and left != known:
            await tx.identity_policies.put(caller.scope, name, left)
        elif not left.documents:
            await tx.identity_policies.delete(caller.scope, name)
    return DeleteIdentityPolicyResponse()


async def _known(identity: str, caller: Caller, ctx: Context) -> IdentityPolicies:
    async with ctx.stores.records.reading() as reading:
        return await reading.identity_policies.get(caller.scope, _name(identity, caller)) or NONE


def _name(identity: str, caller: Caller) -> str:
    """Callers may give an identity's name or its ARN (API reference)."""
    return key_of(identity_named(identity, caller.scope))
