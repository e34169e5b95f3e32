"""The embedded Firehose: whole lines in files by the hour, streams known or made, all or nothing."""

import asyncio
import json
import os
import resource
import signal
from pathlib import Path

import pytest

from posthouse.adapters.local_streams import LocalStreams
from posthouse.ports.streams import Put, StreamFailed, StreamUnknown

ANN, BOB = "111111111111", "222222222222"
ARN = f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/mail-events"
ROLE = f"arn:aws:iam::{ANN}:role/ses"
HOUR_MS = 3_600_000
NOW_MS = 1_795_424_400_000  # 2026-11-23T09:00:00Z


class SetClock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms


def streams(directory: Path, *, auto_create: bool = True, preset: tuple[str, ...] = (), seed: int = 1) -> LocalStreams:
    return LocalStreams(directory, SetClock(), lambda count: bytes([seed] * count), auto_create, preset)


async def test_records_stand_in_the_file_of_their_hour_a_line_each(tmp_path: Path) -> None:
    local = streams(tmp_path)
    assert await local.put(ANN, ARN, ROLE, [b'{"a":1}\n', b'{"a":2}']) == Put()
    assert await local.put(ANN, ARN, ROLE, [b'{"a":3}\n']) == Put()
    local._clock.ms += HOUR_MS  # type: ignore[attr-defined]
    assert await local.put(ANN, ARN, ROLE, [b'{"a":4}\n']) == Put()
    first, second = sorted(tmp_path.rglob("*.jsonl"))
    name = f"mail-events-{ANN}-eu-west-1-01010101.jsonl"
    assert first == tmp_path / "mail-events/2026/11/23/09" / name
    assert second == tmp_path / "mail-events/2026/11/23/10" / name
    assert [json.loads(line)["a"] for line in first.read_text().splitlines()] == [1, 2, 3]
    assert oct(first.stat().st_mode & 0o777) == "0o600"


async def test_processes_and_accounts_write_beside_each_other(tmp_path: Path) -> None:
    one, two = streams(tmp_path, seed=1), streams(tmp_path, seed=2)
    await asyncio.gather(
        *(
            each.put(account, ARN, ROLE, [b"{}\n"] * 3)
            for each in (one, two)
            for account in (ANN, BOB)
            for _ in range(9)
        )
    )
    files = list(tmp_path.rglob("*.jsonl"))
    assert len(files) == 4
    assert {file.read_bytes() for file in files} == {b"{}\n" * 27}


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "mail-events",
        f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/",
        f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/..",
        f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/.",
        f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/a/b",
        f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/a\n",
        f"arn:aws:firehose:eu-west-1:{ANN}:deliverystream/" + "a" * 65,
        f"arn:aws:kinesis:eu-west-1:{ANN}:stream/a",
    ],
)
async def test_what_names_no_stream_is_unknown(tmp_path: Path, arn: str) -> None:
    local = streams(tmp_path)
    assert await local.check(ANN, arn, ROLE) == await local.put(ANN, arn, ROLE, [b"{}\n"]) == StreamUnknown()
    assert list(tmp_path.iterdir()) == []


async def test_only_known_streams_exist_where_none_is_made(tmp_path: Path) -> None:
    for preset in (("mail-events",), (ARN,)):
        known = streams(tmp_path, auto_create=False, preset=preset)
        assert await known.check(ANN, ARN, ROLE) == await known.put(ANN, ARN, ROLE, [b"{}"]) == Put()
        assert await known.put(ANN, ARN + "2", ROLE, [b"{}"]) == StreamUnknown()
        assert await known.check(ANN, ARN + "2", ROLE) == StreamUnknown()


async def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert await streams(tmp_path / "firehose").check(ANN, ARN, ROLE) == Put()
    assert not (tmp_path / "firehose").exists()


async def test_a_file_system_that_cannot_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "mail-events").write_text("in the way")
    outcome = await streams(tmp_path).put(ANN, ARN, ROLE, [b"{}\n"])
    assert isinstance(outcome, StreamFailed)
    assert "mail-events" in outcome.reason


async def test_a_call_that_does_not_fit_leaves_no_half_line(tmp_path: Path) -> None:
    local = streams(tmp_path)
    assert await local.put(ANN, ARN, ROLE, [b"{}\n"]) == Put()
    (file,) = tmp_path.rglob("*.jsonl")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heeded = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        outcome = await local.put(ANN, ARN, ROLE, [b"x" * 600 + b"\n"] * 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heeded)
    assert isinstance(outcome, StreamFailed)
    assert file.read_bytes() == b"{}\n"
    assert await local.put(ANN, ARN, ROLE, [b"{}\n"]) == Put()
    assert os.path.getsize(file) == 6
