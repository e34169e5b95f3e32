"""Records of every account and region there is to see, in pages."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from posthouse.domain.scope import Scope
from posthouse.ports.records import Records, Transaction
from posthouse.web.call import Call
from posthouse.web.query import ACCOUNT, REGION, Param, number, text

R = TypeVar("R", bound=msgspec.Struct)

SCOPED = (ACCOUNT, REGION)
LISTING = (
    Param("limit", number(1, 1000), "How many at most.", 100),
    Param("after", text(), "`next` of the page before.", ""),
    *SCOPED,
)


async def page_of(
    call: Call, kind: Callable[[Transaction], Records[R]], limit: int
) -> tuple[list[tuple[Scope, str, R]], str | None]:
    """Records of one kind by account, region and name, from the one after `after` on, and the cursor of the next page.

    Raises Problem (403) for somebody else's.
    """
    named, after = call.scope(), call.query["after"]
    async with call.ctx.stores.records.reading() as records:
        found = await kind(records).everywhere()
    seen = [row for row in found if call.may_see(row[0]) and named in (None, row[0])]
    rows = sorted(
        ((f"{scope.account} {scope.region} {name}", scope, name, kept) for scope, name, kept in seen), key=_key
    )
    rows = [row for row in rows if row[0] > after]
    return [row[1:] for row in rows[:limit]], rows[limit - 1][0] if len(rows) > limit else None


def _key(row: tuple[str, Scope, str, R]) -> str:
    return row[0]
