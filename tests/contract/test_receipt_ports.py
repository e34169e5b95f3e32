"""What receipt rules act on: every implementation of each port that is here."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.receipt import MemoryDataKeys, MemoryFunctions, MemoryObjects

from posthouse.adapters.local_data_keys import LocalDataKeys
from posthouse.adapters.local_functions import LocalFunctions
from posthouse.adapters.local_objects import LocalObjects
from posthouse.ports.data_keys import DataKey, DataKeys
from posthouse.ports.functions import Answered, Functions, MayBeCalled
from posthouse.ports.objects import Objects, Taken

ACCOUNT = "111111111111"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:triage"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/ses"

Reader = Callable[[str, str], bytes | None]


@pytest.fixture(params=["memory", "local"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Objects, Reader]:
    if request.param == "memory":
        memory = MemoryObjects()
        return memory, lambda bucket, key: memory.written.get((bucket, key))

    def read(bucket: str, key: str) -> bytes | None:
        path = tmp_path / "s3" / bucket / key
        return path.read_bytes() if path.exists() else None

    return LocalObjects(tmp_path / "s3", os.urandom, True, ()), read


async def test_what_was_written_is_there(objects: tuple[Objects, Reader]) -> None:
    port, read = objects
    assert await port.put(ACCOUNT, "mail", "help/1", b"one\r\n\0\xff", {}, "") == Taken()
    assert await port.put(ACCOUNT, "mail", "2", b"two", {"x-amz-iv": "AAAA"}, "") == Taken()
    assert (read("mail", "help/1"), read("mail", "2"), read("other", "2")) == (b"one\r\n\0\xff", b"two", None)
    assert await port.put(ACCOUNT, "mail", "2", b"again", {}, "") == Taken()
    assert read("mail", "2") == b"again"
    await port.close()


async def test_many_are_written_at_once(objects: tuple[Objects, Reader]) -> None:
    port, read = objects
    writing = (port.put(ACCOUNT, "mail", f"deep/er/{n % 10}", f"{n}".encode(), {}, "") for n in range(50))
    assert set(await asyncio.gather(*writing)) == {Taken()}
    for n in range(10):
        assert int(read("mail", f"deep/er/{n}") or b"-1") % 10 == n


@pytest.mark.parametrize("functions", [MemoryFunctions(), LocalFunctions({}, True, None)])
async def test_a_function_that_is_there(functions: Functions) -> None:
    assert await functions.check(ACCOUNT, FUNCTION) == MayBeCalled()
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", True) == Answered(b"")
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", False) == Answered(b"")
    await functions.close()


@pytest.mark.parametrize("keys", [MemoryDataKeys(), LocalDataKeys(lambda: b"m" * 32, os.urandom)])
async def test_a_data_key_has_256_bits_and_a_sealed_form(keys: DataKeys) -> None:
    made = await keys.generate(ACCOUNT, KEY, {"aws:ses:rule-name": "keep"}, "")
    assert isinstance(made, DataKey)
    assert len(made.plaintext) == 32
    assert made.plaintext not in made.sealed
    assert "plaintext" not in repr(made)
    await keys.close()
