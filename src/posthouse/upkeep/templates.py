"""Contents of templates go when no template has them any more and no accepted mail can still need them."""

import asyncio
import logging

from posthouse.domain.templates import KEPT_MS
from posthouse.ports.clock import Clock
from posthouse.ports.records import RecordStore
from posthouse.ports.stores import StoreUnavailable

log = logging.getLogger("posthouse.upkeep")

LOOK_S = 3600.0
_BATCH = 100
"""Contents deleted in one transaction: writers wait for each other."""


class TemplateSweep:
    """Looks through what was replaced, in all accounts, for as long as it runs."""

    def __init__(self, records: RecordStore, clock: Clock, *, kept_ms: int = KEPT_MS) -> None:
        """`kept_ms`: how long a replaced content stays; longer than any mail waits."""
        self._records, self._clock, self._kept_ms = records, clock, kept_ms

    async def run(self, look_s: float = LOOK_S) -> None:
        """Until cancelled."""
        while True:
            try:
                removed = await self.sweep()
                if removed:
                    log.info("%d replaced contents of templates were removed", removed)
            except StoreUnavailable as error:
                log.warning("replaced contents of templates are not looked through: %s", error)
            await asyncio.sleep(look_s)

    async def sweep(self) -> int:
        """Removes what was replaced long enough ago; how many contents that were."""
        before_ms = self._clock.now_ms() - self._kept_ms
        async with self._records.reading() as reading:
            replaced = await reading.replaced_contents.everywhere()
        due = [(scope, key) for scope, key, record in replaced if record.replaced_ms <= before_ms]
        removed = 0
        for start in range(0, len(due), _BATCH):
            async with self._records.transaction() as tx:
                for scope, key in due[start : start + _BATCH]:
                    # Looked at again: a template may have taken its old content up meanwhile.
                    record = await tx.replaced_contents.get(scope, key)
                    if record is not None and record.replaced_ms <= before_ms:
                        await tx.replaced_contents.delete(scope, key)
                        await tx.template_contents.delete(scope, key)
                        removed += 1
        return removed
