"""Addresses leave the suppression list when their time is over, where the operator wants that."""

import asyncio
import logging

from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Suppressions
from posthouse.ports.stores import StoreUnavailable

log = logging.getLogger("posthouse.upkeep")

LOOK_S = 3600.0
DAY_MS = 24 * 60 * 60 * 1000


async def expire_suppressions(suppressions: Suppressions, days: float, clock: Clock, look_s: float = LOOK_S) -> None:
    """Until cancelled. `days`: how long an address stays on the list."""
    while True:
        try:
            expired = await suppressions.expire(clock.now_ms() - int(days * DAY_MS))
            if expired:
                log.info("%d addresses left the suppression list after %g days", expired, days)
        except StoreUnavailable as error:
            log.warning("the suppression list is not looked through: %s", error)
        await asyncio.sleep(look_s)
