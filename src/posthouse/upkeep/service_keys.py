"""The service domain's own DKIM keys: made once, at the first start that needs them."""

import asyncio
from collections.abc import Callable

from posthouse.ports.clock import Clock
from posthouse.ports.records import SERVICE_SCOPE, RecordStore
from posthouse.ports.signing_keys import new_signing_key

ALGORITHMS = ("rsa-sha256", "ed25519-sha256")


async def ensure_service_keys(
    records: RecordStore, service_domain: str, clock: Clock, random: Callable[[int], bytes]
) -> None:
    """Makes a key of each algorithm where the service domain has none; safe in several processes at once."""
    async with records.reading() as reading:
        known = {key.algorithm for key in await reading.signing_keys.of(SERVICE_SCOPE, service_domain)}
    missing = [algorithm for algorithm in ALGORITHMS if algorithm not in known]
    fresh = [
        await asyncio.to_thread(new_signing_key, SERVICE_SCOPE, service_domain, algorithm, clock.now_ms(), random)
        for algorithm in missing
    ]
    if not fresh:
        return
    async with records.transaction() as tx:
        there = {key.algorithm for key in await tx.signing_keys.of(SERVICE_SCOPE, service_domain)}
        await tx.signing_keys.add([key for key in fresh if key.algorithm not in there])
