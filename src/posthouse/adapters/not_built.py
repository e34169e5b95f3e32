"""S3, Lambda and KMS by AWS's own protocols: not built yet. What a rule needs of them is refused, and the log says why.

Better than the stand-ins in their place: whoever asked for AWS would look for his mail there.
"""

import logging
from collections.abc import Mapping

from posthouse.ports.data_keys import DataKeyOutcome, KeyFailed
from posthouse.ports.functions import CallFailed, CallOutcome, CheckOutcome
from posthouse.ports.objects import PutOutcome, WriteFailed

log = logging.getLogger("posthouse.receipt")


def _reason(setting: str) -> str:
    reason = f'{setting} = "aws" is not built yet'
    log.warning("%s: what a receipt rule needs of it is refused", reason)
    return reason


class NoObjects:
    async def put(
        self, account: str, bucket: str, key: str, content: bytes, metadata: Mapping[str, str], role: str
    ) -> PutOutcome:
        return WriteFailed(_reason("s3.backend"))

    async def close(self) -> None:
        """There is nothing."""


class NoFunctions:
    async def check(self, account: str, function_arn: str) -> CheckOutcome:
        return CallFailed(_reason("lambda.backend"))

    async def call(self, account: str, function_arn: str, event: bytes, wait: bool) -> CallOutcome:
        return CallFailed(_reason("lambda.backend"))

    async def close(self) -> None:
        """There is nothing."""


class NoDataKeys:
    async def generate(self, account: str, key_arn: str, context: Mapping[str, str], role: str) -> DataKeyOutcome:
        return KeyFailed(_reason("kms.backend"))

    async def close(self) -> None:
        """There is nothing."""
