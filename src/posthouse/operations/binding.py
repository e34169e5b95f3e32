"""The operations as a door calls them: with their context, and no more often than the account may."""

from collections.abc import Awaitable, Callable
from typing import Any

from posthouse.domain.call_rates import is_call_limited
from posthouse.domain.scope import Caller
from posthouse.model.errors import Throttling
from posthouse.operations.context import Context
from posthouse.operations.table import OPERATIONS, Operation

Handler = Callable[[Any, Caller], Awaitable[Any]]


def bound_operations(ctx: Context, calls_per_s: float) -> dict[str, Handler]:
    """By name; `calls_per_s`: of each limited operation of an account in a region, 0: any number, and no count."""
    return {
        name: _limited(name, operation, ctx, calls_per_s)
        if calls_per_s and is_call_limited(name)
        else _bound(operation, ctx)
        for name, operation in OPERATIONS.items()
    }


def _bound(operation: Operation, ctx: Context) -> Handler:
    def call(req: Any, caller: Caller) -> Awaitable[Any]:
        return operation(req, caller, ctx)

    return call


def _limited(name: str, operation: Operation, ctx: Context, calls_per_s: float) -> Handler:
    async def call(req: Any, caller: Caller) -> Any:
        if not await ctx.stores.call_rates.admit(caller.scope, name, calls_per_s):
            raise Throttling
        return await operation(req, caller, ctx)

    return call
