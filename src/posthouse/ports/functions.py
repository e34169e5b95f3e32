"""Lambda: calling a function with an event.

Source: AWS Lambda API reference, Invoke; SES developer guide, "Invoke Lambda function action" (30 seconds for an answer
that is waited for).
"""

from dataclasses import dataclass
from typing import Protocol

ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class MayBeCalled:
    """The function is there, and may be called."""


@dataclass(frozen=True, slots=True)
class Answered:
    payload: bytes
    """What the function returned; empty where it was not waited for."""


@dataclass(frozen=True, slots=True)
class FunctionUnknown:
    """There is no such function."""


@dataclass(frozen=True, slots=True)
class CallNotPermitted:
    reason: str


@dataclass(frozen=True, slots=True)
class FunctionBroke:
    """The function was called and ended in an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Not reached, not taken, not now."""

    reason: str
    timed_out: bool = False


CheckOutcome = MayBeCalled | FunctionUnknown | CallNotPermitted | CallFailed
CallOutcome = Answered | FunctionUnknown | CallNotPermitted | FunctionBroke | CallFailed


class Functions(Protocol):
    async def check(self, account: str, function_arn: str) -> CheckOutcome:
        """Whether the function could be called on behalf of an account. Calls nothing, never raises for what the other
        side does."""
        ...

    async def call(self, account: str, function_arn: str, event: bytes, wait: bool) -> CallOutcome:
        """With the event as JSON; waits for the function's end where `wait` says so (RequestResponse), at most
        ANSWER_S, else only for its being taken (Event). Never raises for what the other side does."""
        ...

    async def close(self) -> None: ...
