"""KMS itself, or what speaks its protocol. The region is the key's."""

import logging
from collections.abc import Mapping

from posthouse.adapters.aws_session import Answered, AwsService, Denied, Reply, Roles, RoleTrouble, Unreached
from posthouse.domain.receipt_forms import key_region
from posthouse.ports.data_keys import DataKey, DataKeyOutcome, KeyFailed, KeyNotPermitted, KeyUnknown

_UNUSABLE = frozenset(
    {"AccessDeniedException", "DisabledException", "InvalidKeyUsageException", "KMSInvalidStateException"}
)
"""Of a key that is there, and not for us."""

log = logging.getLogger("posthouse.data_keys")


class AwsDataKeys:
    """ports.data_keys.DataKeys by the real protocol."""

    def __init__(self, kms: AwsService, roles: Roles) -> None:
        self._kms, self._roles = kms, roles

    async def generate(self, account: str, key_arn: str, context: Mapping[str, str], role: str) -> DataKeyOutcome:
        region = key_region(key_arn)
        if region is None:
            return KeyUnknown()
        try:
            reply = await self._kms.ask(
                region,
                "generate_data_key",
                {"KeyId": key_arn, "KeySpec": "AES_256", "EncryptionContext": dict(context)},
                session=self._roles.session(account, role, region) if role else None,
                key=(account, role) if role else None,
            )
        except RoleTrouble as trouble:
            told = trouble.reply
            reason = told.reason if isinstance(told, Unreached) else f"{told.code}: {told.text}"
            log.warning("the role %s was not assumed: %s", role, reason)
            return KeyFailed(reason) if isinstance(told, Unreached) else KeyNotPermitted(reason)
        return _outcome(key_arn, reply)

    async def close(self) -> None:
        await self._kms.close()
        await self._roles.close()


def _outcome(key_arn: str, reply: Reply) -> DataKeyOutcome:
    match reply:
        case Answered(body):
            return DataKey(body["Plaintext"], body["CiphertextBlob"])
        case Denied("NotFoundException"):
            return KeyUnknown()
        case Denied(code, text):
            log.warning("KMS gave no data key under %s: %s %s", key_arn, code, text)
            reason = f"{code}: {text}"
            return KeyNotPermitted(reason) if code in _UNUSABLE else KeyFailed(reason)
        case Unreached(reason):
            log.warning("KMS could not be asked for a data key under %s: %s", key_arn, reason)
            return KeyFailed(reason)
