"""S3 itself, or what speaks its protocol.

A bucket has a region of its own, which its name does not tell: the first request goes to ours, and botocore follows
S3's word for where the bucket is, once for each bucket.
"""

import logging
import re
from collections.abc import Mapping

from posthouse.adapters.aws_session import Answered, AwsService, Denied, Reply, Roles, RoleTrouble, Unreached
from posthouse.ports.objects import (
    MAX_KEY_BYTES,
    BucketUnknown,
    PutOutcome,
    Taken,
    WriteFailed,
    WriteNotPermitted,
    WriterRefused,
)

# Names alone: botocore would take an ARN too, and go to another service with it.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]\Z")
_NOT_PERMITTED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "KMS.AccessDeniedException"})

log = logging.getLogger("posthouse.objects")


def s3_service(endpoint_url: str | None) -> AwsService:
    """What speaks S3's protocol elsewhere often knows nothing of the checksums behind the body that botocore adds."""
    return AwsService("s3", endpoint_url, **({"request_checksum_calculation": "when_required"} if endpoint_url else {}))


class AwsObjects:
    """ports.objects.Objects by the real protocol."""

    def __init__(self, s3: AwsService, roles: Roles, region: str) -> None:
        """`region`: asked first, whichever a bucket is in."""
        self._s3, self._roles, self._region = s3, roles, region

    async def put(
        self, account: str, bucket: str, key: str, content: bytes, metadata: Mapping[str, str], role: str
    ) -> PutOutcome:
        if not _BUCKET.match(bucket):
            return BucketUnknown()
        if not 0 < len(key.encode(errors="replace")) <= MAX_KEY_BYTES:
            return WriteFailed("the key is too long")
        asked = {"Bucket": bucket, "Key": key, "Body": content, "Metadata": dict(metadata)}
        try:
            reply = await self._s3.ask(
                self._region,
                "put_object",
                asked,
                session=self._roles.session(account, role, self._region) if role else None,
                key=(account, role) if role else None,
            )
        except RoleTrouble as trouble:
            return _role_trouble(role, trouble.reply)
        return _outcome(bucket, reply)

    async def close(self) -> None:
        await self._s3.close()
        await self._roles.close()


def _outcome(bucket: str, reply: Reply) -> PutOutcome:
    match reply:
        case Answered():
            return Taken()
        case Denied("NoSuchBucket"):
            return BucketUnknown()
        case Denied(code, text):
            log.warning("S3 took nothing for the bucket %s: %s %s", bucket, code, text)
            reason = f"{code}: {text}"
            return WriteNotPermitted(reason) if code in _NOT_PERMITTED else WriteFailed(reason)
        case Unreached(reason):
            log.warning("S3 could not be asked to write to the bucket %s: %s", bucket, reason)
            return WriteFailed(reason)


def _role_trouble(role: str, reply: Denied | Unreached) -> PutOutcome:
    if isinstance(reply, Unreached):
        log.warning("STS could not be asked for the role %s: %s", role, reply.reason)
        return WriteFailed(reply.reason)
    log.warning("the role %s was not assumed: %s %s", role, reply.code, reply.text)
    return WriterRefused(f"{reply.code}: {reply.text}")
