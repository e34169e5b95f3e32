"""What is done every hour: each a deed that says how much it did. A store that is away is a reason to wait."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Suppressions
from posthouse.ports.stores import StoreUnavailable

log = logging.getLogger("posthouse.upkeep")

HOUR_S = 3600.0
DAY_MS = 24 * 60 * 60 * 1000


async def every_hour(what: str, deed: Callable[[], Awaitable[int]], hour_s: float = HOUR_S) -> None:
    """Until cancelled. `what` follows the number in the log: ``3 addresses left the suppression list``."""
    while True:
        try:
            count = await deed()
            if count:
                log.info("%d %s", count, what)
        except StoreUnavailable as error:
            log.warning("not done, until the next hour (%s): %s", what, error)
        await asyncio.sleep(hour_s)


def expiring(suppressions: Suppressions, days: float, clock: Clock) -> Callable[[], Awaitable[int]]:
    """Takes addresses off the suppression list that have been on it for so many days."""
    return lambda: suppressions.expire(clock.now_ms() - int(days * DAY_MS))
