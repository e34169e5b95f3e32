"""Lambda itself, or what speaks its protocol. The region is the function's.

Source: AWS Lambda API reference, Invoke. Nothing is tried again here: a call that got no answer may have been made, and
whether to make it once more is for the caller to say.
"""

import asyncio
import importlib
import logging
from typing import Any

from posthouse.adapters.aws_session import Answered as Done
from posthouse.adapters.aws_session import AwsService, Denied, Reply, Unreached
from posthouse.domain.receipt_forms import function_region
from posthouse.ports.functions import (
    ANSWER_S,
    Answered,
    CallFailed,
    CallNotPermitted,
    CallOutcome,
    CheckOutcome,
    FunctionBroke,
    FunctionUnknown,
    MayBeCalled,
)

MAX_ANSWER = 64 * 1024
_SLOWER_S = 5.0
"""By so much botocore's patience is longer than ours: who waited for an answer is to hear that there was none."""
_NOT_PERMITTED = frozenset({"AccessDenied", "AccessDeniedException", "UnrecognizedClientException"})

log = logging.getLogger("posthouse.functions")


def lambda_service(endpoint_url: str | None) -> AwsService:
    return AwsService("lambda", endpoint_url, read_timeout=ANSWER_S + _SLOWER_S, retries={"total_max_attempts": 1})


class AwsFunctions:
    """ports.functions.Functions by the real protocol."""

    def __init__(self, service: AwsService, answer_s: float = ANSWER_S) -> None:
        self._lambda, self._answer_s = service, answer_s

    async def check(self, account: str, function_arn: str) -> CheckOutcome:
        reply = await self._invoke(function_arn, "DryRun", b"{}")
        if isinstance(reply, Done):
            return MayBeCalled()
        return reply if isinstance(reply, CallFailed | FunctionUnknown) else _not_called(function_arn, reply)

    async def call(self, account: str, function_arn: str, event: bytes, wait: bool) -> CallOutcome:
        try:
            async with asyncio.timeout(self._answer_s):
                reply = await self._invoke(function_arn, "RequestResponse" if wait else "Event", event)
                if isinstance(reply, CallFailed | FunctionUnknown):
                    return reply
                return await _answer(reply.body, wait) if isinstance(reply, Done) else _not_called(function_arn, reply)
        except TimeoutError:
            return CallFailed(f"no answer within {self._answer_s:g} s", timed_out=True)

    async def _invoke(self, function_arn: str, kind: str, event: bytes) -> Reply | CallFailed | FunctionUnknown:
        region = function_region(function_arn)
        if region is None:
            return FunctionUnknown()
        asked = {"FunctionName": function_arn, "InvocationType": kind, "Payload": event}
        return await self._lambda.ask(region, "invoke", asked)

    async def close(self) -> None:
        await self._lambda.close()


def _not_called(function_arn: str, reply: Denied | Unreached) -> FunctionUnknown | CallNotPermitted | CallFailed:
    match reply:
        case Denied("ResourceNotFoundException"):
            return FunctionUnknown()
        case Denied(code, text):
            log.warning("Lambda did not call %s: %s %s", function_arn, code, text)
            return CallNotPermitted(f"{code}: {text}") if code in _NOT_PERMITTED else CallFailed(f"{code}: {text}")
        case Unreached(reason):
            log.warning("Lambda could not be asked to call %s: %s", function_arn, reason)
            return CallFailed(reason)


async def _answer(body: dict[str, Any], wait: bool) -> CallOutcome:
    exceptions = importlib.import_module("botocore.exceptions")
    aiohttp = importlib.import_module("aiohttp")
    try:
        async with body["Payload"] as stream:
            payload = await _some(stream)
    except (exceptions.BotoCoreError, aiohttp.ClientError, OSError) as error:
        return CallFailed(str(error) or type(error).__name__)
    if broke := body.get("FunctionError"):
        return FunctionBroke(f"{broke}: {payload[:500].decode(errors='replace')}")
    return Answered(payload if wait else b"")


async def _some(stream: Any) -> bytes:
    parts: list[bytes] = []
    left = MAX_ANSWER
    while left > 0 and (part := await stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
