"""Every operation that is built, by its name on the wire: one plain table."""

from collections.abc import Awaitable, Callable
from typing import Any

from posthouse.domain.scope import Caller
from posthouse.operations import account, identities, sending
from posthouse.operations.context import Context

Operation = Callable[[Any, Caller, Context], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "DeleteIdentity": identities.delete_identity,
    "GetAccountSendingEnabled": account.get_account_sending_enabled,
    "GetIdentityDkimAttributes": identities.get_identity_dkim_attributes,
    "GetIdentityVerificationAttributes": identities.get_identity_verification_attributes,
    "GetSendQuota": account.get_send_quota,
    "GetSendStatistics": account.get_send_statistics,
    "ListIdentities": identities.list_identities,
    "SendEmail": sending.send_email,
    "SendRawEmail": sending.send_raw_email,
    "SetIdentityDkimEnabled": identities.set_identity_dkim_enabled,
    "UpdateAccountSendingEnabled": account.update_account_sending_enabled,
    "VerifyDomainDkim": identities.verify_domain_dkim,
    "VerifyDomainIdentity": identities.verify_domain_identity,
    "VerifyEmailIdentity": identities.verify_email_identity,
}
