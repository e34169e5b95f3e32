"""What receipt rules act on: every implementation of each port that is here."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.answers import Answer, HttpAnswers
from tests.support.moto import ACCESS, Moto
from tests.support.receipt import MemoryDataKeys, MemoryFunctions, MemoryObjects

from posthouse.adapters.aws_data_keys import AwsDataKeys
from posthouse.adapters.aws_functions import AwsFunctions, lambda_service
from posthouse.adapters.aws_objects import AwsObjects, s3_service
from posthouse.adapters.aws_session import AwsService, Roles
from posthouse.adapters.local_data_keys import LocalDataKeys
from posthouse.adapters.local_functions import LocalFunctions
from posthouse.adapters.local_objects import LocalObjects
from posthouse.ports.data_keys import DataKey, DataKeys
from posthouse.ports.functions import Answered, Functions, MayBeCalled
from posthouse.ports.objects import BucketUnknown, Objects, Taken

ACCOUNT = "111111111111"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:triage"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/ses"

Reader = Callable[[str, str], bytes | None]


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as moto:
        yield moto


@pytest.fixture
def aws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Moto:
    """AWS's protocols, and what a client of theirs needs in its environment."""
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    moto: Moto = request.getfixturevalue("moto")
    return moto


@pytest.fixture(params=["memory", "local", "aws"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Objects, Reader]:
    """Where the bucket ``mail`` is."""
    if request.param == "memory":
        memory = MemoryObjects()
        return memory, lambda bucket, key: memory.written.get((bucket, key))
    if request.param == "aws":
        moto: Moto = request.getfixturevalue("aws")
        s3 = moto.client("s3")
        s3.create_bucket(Bucket="mail")

        def fetch(bucket: str, key: str) -> bytes | None:
            try:
                found: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket):
                return None
            return found

        return AwsObjects(s3_service(moto.url), Roles(moto.url), "us-east-1"), fetch

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
    await port.close()


async def test_what_cannot_be_a_bucket_is_unknown(objects: tuple[Objects, Reader]) -> None:
    port, _ = objects
    if not isinstance(port, MemoryObjects):
        for bucket in ("", "..", "a/b", "arn:aws:s3:::mail"):
            assert await port.put(ACCOUNT, bucket, "1", b"", {}, "") == BucketUnknown()
    await port.close()


@pytest.mark.parametrize("kind", ["memory", "local", "aws"])
async def test_a_function_that_is_there(kind: str, request: pytest.FixtureRequest) -> None:
    # A server in the place of Lambda: functions of the emulator would answer with their event.
    functions: Functions
    with HttpAnswers(lambda asked: Answer(200 if "DryRun" not in str(asked.headers) else 204)) as aws:
        if kind == "aws":
            request.getfixturevalue("aws")
            functions = AwsFunctions(lambda_service(aws.url))
        else:
            functions = MemoryFunctions() if kind == "memory" else LocalFunctions({}, True, None)
        assert await functions.check(ACCOUNT, FUNCTION) == MayBeCalled()
        assert await functions.call(ACCOUNT, FUNCTION, b"{}", True) == Answered(b"")
        assert await functions.call(ACCOUNT, FUNCTION, b"{}", False) == Answered(b"")
        await functions.close()


@pytest.mark.parametrize("kind", ["memory", "local", "aws"])
async def test_a_data_key_has_256_bits_and_a_sealed_form(kind: str, request: pytest.FixtureRequest) -> None:
    keys: DataKeys = MemoryDataKeys() if kind == "memory" else LocalDataKeys(lambda: b"m" * 32, os.urandom)
    key = KEY
    if kind == "aws":
        moto: Moto = request.getfixturevalue("aws")
        key = moto.client("kms").create_key()["KeyMetadata"]["Arn"]
        keys = AwsDataKeys(AwsService("kms", moto.url), Roles(moto.url))
    made = await keys.generate(ACCOUNT, key, {"aws:ses:rule-name": "keep"}, "")
    assert isinstance(made, DataKey)
    assert len(made.plaintext) == 32
    assert made.plaintext not in made.sealed
    assert "plaintext" not in repr(made)
    await keys.close()
