"""What was acknowledged before kill -9 is there afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.conftest import CountedWakeups, PostgresServer, SetClock
from tests.contract.values import NOW_MS, OURS

from posthouse.stores.open import open_stores

WRITER = Path(__file__).with_name("crash_writer.py")


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
@pytest.mark.parametrize("acknowledgements", [1, 40, 400])
async def test_acknowledged_messages_survive_kill(
    name: str, acknowledgements: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = name
    if name == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.new_database()
    writer = subprocess.Popen([sys.executable, WRITER, url, tmp_path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(acknowledgements)]
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.wait(10)
    # The last line may have been cut in the middle.
    ids = [line.strip() for line in lines if line.endswith("\n")]
    assert len(ids) >= acknowledgements

    stores = await open_stores(url, tmp_path, SetClock(), CountedWakeups())
    for id in ids:
        stored = await stores.messages.get(OURS, id)
        assert stored is not None
        assert await stores.messages.content(OURS, id) == id.encode()
    depth = await stores.queue.depth()
    # What the dead process had claimed is due again once its lease is over.
    got = await stores.queue.claim("next", NOW_MS + 60_000, 1000, 100_000)
    assert sum(len(one.recipients) for one in got) == depth >= len(ids)
    await stores.close()
