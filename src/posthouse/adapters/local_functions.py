"""The embedded stand-in for Lambda: a function is an HTTP URL, called with the event as its body.

Source: SES developer guide, "Invoke Lambda function action"; the request's header is Lambda's own (AWS Lambda API
reference, Invoke). A status other than 2xx says that the function ended in an error; so does the answer of Lambda's
runtime interface emulator (``http://.../2015-03-31/functions/function/invocations``, in every AWS base image), whose
status is 200 then too: its body is the error (AWS Lambda developer guide, "Function error").
"""

import json
import re
from collections.abc import Mapping

from posthouse.ports.functions import (
    ANSWER_S,
    Answered,
    CallFailed,
    CallOutcome,
    CheckOutcome,
    FunctionBroke,
    FunctionUnknown,
    MayBeCalled,
)
from posthouse.ports.http_calls import HttpAnswer, HttpCalls, HttpFailed, HttpRefused

HANDOVER_S = 10.0
"""For a function that is not waited for: until it has taken the event."""
MAX_ANSWER = 64 * 1024
_EMULATOR = re.compile(r"https?://[^/?#]+/2015-03-31/functions/[^/?#]+/invocations/?\Z")


class LocalFunctions:
    """ports.functions.Functions without AWS."""

    def __init__(self, urls: Mapping[str, str], auto_create: bool, calls: HttpCalls | None) -> None:
        """`urls`: by ARN or by name. `auto_create`: a function without one comes to exist when it is first named, and
        does nothing. `calls`: who calls them; None: nobody does yet."""
        self._urls = urls
        self._auto_create = auto_create
        self._calls = calls

    async def check(self, account: str, function_arn: str) -> CheckOutcome:
        known = self._auto_create or self._url(function_arn) is not None
        return MayBeCalled() if known else FunctionUnknown()

    async def call(self, account: str, function_arn: str, event: bytes, wait: bool) -> CallOutcome:
        url = self._url(function_arn)
        if url is None:
            return Answered(b"") if self._auto_create else FunctionUnknown()
        if self._calls is None:
            return CallFailed("this process has no HTTP client")
        headers = {
            "Content-Type": "application/json",
            "X-Amz-Invocation-Type": "RequestResponse" if wait else "Event",
        }
        outcome = await self._calls.post(url, event, headers, ANSWER_S if wait else HANDOVER_S, MAX_ANSWER)
        match outcome:
            case HttpAnswer(status=status, body=body):
                if not 200 <= status < 300:
                    return FunctionBroke(f"{url} answered {status}")
                if _EMULATOR.match(url) and (error := _error(body)):
                    return FunctionBroke(error)
                return Answered(body if wait else b"")
            case HttpRefused(reason=reason):
                return CallFailed(reason)
            case HttpFailed(reason=reason, timed_out=timed_out):
                return CallFailed(reason, timed_out)

    def _url(self, function_arn: str) -> str | None:
        # arn:aws:lambda:REGION:ACCOUNT:function:NAME[:VERSION]
        parts = function_arn.split(":")
        name = parts[6] if len(parts) > 6 else ""
        return self._urls.get(function_arn) or self._urls.get(name)

    async def close(self) -> None:
        """The client is closed by who opened it."""


def _error(body: bytes) -> str:
    """The error of a function that ended in one; empty where it did not."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(told, dict) or not {"errorType", "errorMessage"} <= told.keys():
        return ""
    return f"{told['errorType']}: {told['errorMessage']}"[:500]
