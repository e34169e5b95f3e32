"""Configuration sets found and changed: what all of their operations share."""

from collections.abc import Callable

from posthouse.domain.configuration_sets import ConfigurationSet, is_set_name, no_such_set
from posthouse.domain.scope import Caller, Scope
from posthouse.operations.context import Context
from posthouse.ports.records import Transaction


async def find_set(records: Transaction, scope: Scope, name: str) -> ConfigurationSet:
    """Raises ConfigurationSetDoesNotExist where there is none, as there cannot be of a name that is not legal."""
    found = await records.configuration_sets.get(scope, name) if is_set_name(name) else None
    if found is None:
        raise no_such_set(name)
    return found


async def change_set(
    name: str, caller: Caller, ctx: Context, change: Callable[[ConfigurationSet], ConfigurationSet]
) -> None:
    async with ctx.stores.records.transaction() as tx:
        found = await find_set(tx, caller.scope, name)
        await tx.configuration_sets.put(caller.scope, name, change(found))
