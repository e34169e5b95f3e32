"""Run by test_crash: adds messages from sixteen callers, claims beside them, and prints each id it may acknowledge."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.contract.conftest import CountedWakeups, SetClock
from tests.contract.values import NOW_MS, message

from posthouse.stores.open import open_stores


async def main(url: str, data_dir: Path) -> None:
    stores = await open_stores(url, data_dir, SetClock(), CountedWakeups())

    async def caller(first: int) -> None:
        for number in range(first, first + 1_000_000):
            one = message(number)
            id = one.facts.message_id
            await stores.submissions.add(type(one)(one.facts, one.recipients, id.encode()), None)
            print(id, flush=True)

    async def claim() -> None:
        while True:
            await stores.queue.claim("dead", NOW_MS, 60_000, 10)
            await asyncio.sleep(0.01)

    await asyncio.gather(claim(), *(caller(n * 1_000_000) for n in range(16)))


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
