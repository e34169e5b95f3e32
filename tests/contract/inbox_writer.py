"""Run by test_inbox: takes mail in from eight doors, settles it beside them, and prints each id it may acknowledge."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.contract.conftest import CountedWakeups, SetClock
from tests.contract.values import NOW_MS, OURS, message

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import Direction
from posthouse.ports.mailstore import MailSettlement
from posthouse.stores.open import open_stores


async def main(url: str, data_dir: Path) -> None:
    stores = await open_stores(url, data_dir, SetClock(), CountedWakeups())

    async def door(first: int) -> None:
        for number in range(first, first + 1_000_000):
            one = message(number, direction=Direction.IN)
            await stores.inbox.add(one)
            print("added", one.facts.message_id, flush=True)

    async def work() -> None:
        while True:
            # Of four claimed, two are never settled: they are for who comes after.
            for one in (await stores.inbox.claim("dead", NOW_MS, 60_000, 4))[:2]:
                told = Event(scope=OURS, message_id=one.facts.message_id, type=EventType.RECEIVED, at_ms=NOW_MS)
                await stores.inbox.settle("dead", [MailSettlement(OURS, one.facts.message_id, (told,))])
            await asyncio.sleep(0)

    await asyncio.gather(work(), *(door(n * 1_000_000) for n in range(8)))


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
