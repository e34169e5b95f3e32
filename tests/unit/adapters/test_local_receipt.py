"""The stand-ins for S3, Lambda and KMS: hostile keys, buckets and functions that are not there, sealed keys."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.adapters.local_data_keys import LocalDataKeys
from posthouse.adapters.local_functions import LocalFunctions
from posthouse.adapters.local_objects import MAX_PART, LocalObjects, parts_of
from posthouse.ports.data_keys import DataKey
from posthouse.ports.functions import Answered, CallFailed, CallOutcome, FunctionBroke, FunctionUnknown, MayBeCalled
from posthouse.ports.http_calls import HttpAnswer, HttpFailed, HttpOutcome, HttpRefused
from posthouse.ports.objects import BucketUnknown, PutOutcome, Taken, WriteFailed

ACCOUNT = "111111111111"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:triage"


def local(directory: Path, auto_create: bool = True, *preset: str) -> LocalObjects:
    return LocalObjects(directory / "s3", os.urandom, auto_create, preset)


async def put(objects: LocalObjects, bucket: str, key: str, metadata: Mapping[str, str] | None = None) -> PutOutcome:
    return await objects.put(ACCOUNT, bucket, key, b"mail", metadata or {}, "")


def tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


# -- keys


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("help/abc", "help/abc"),
        ("a b/ü", "a b/%C3%BC"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
        ("/etc/passwd", "%/etc/passwd"),
        ("a//b/", "a/%/b/%"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "%2E.%2E"),
        (".hidden", "%2Ehidden"),
        ("dot.", "dot%2E"),
        ("blank ", "blank%20"),
        ("nul\0", "nul%00"),
        ("line\r\n", "line%0D%0A"),
        ("a\\b", "a%5Cb"),
        ("c:d*?<>|\"", "c%3Ad%2A%3F%3C%3E%7C%22"),
        ("con", "%63on"),
        ("NUL.txt/x", "%4EUL.txt/x"),
        ("COM1", "%43OM1"),
        ("console", "console"),
        ("100%", "100%25"),
    ],
)  # fmt: skip
def test_where_a_key_lies(key: str, place: str) -> None:
    assert parts_of(key) == tuple(place.split("/"))


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_key_has_a_place_of_its_own_below_the_bucket(one: str, other: str) -> None:
    places = parts_of(one), parts_of(other)
    for place in places:
        for part in place or ():
            assert part
            assert part.isascii()
            assert part.isprintable()
            assert not part.startswith(".")
            assert "/" not in part
            assert "\\" not in part
    same = one.encode(errors="replace") == other.encode(errors="replace")
    assert (places[0] == places[1]) == same or None in places


@pytest.mark.parametrize("key", ["", "x" * (MAX_PART + 1), "ü" * 61, "a/" * 513])
def test_keys_that_are_too_long_or_none(key: str) -> None:
    assert parts_of(key) is None


async def test_hostile_keys_stay_below_their_bucket(tmp_path: Path) -> None:
    objects = local(tmp_path)
    keys = ["../../escaped", "/absolute", "..", "a/../../../b", "nul\0", "~/x", "C:\\x", "x/" * 300 + "deep"]
    for number, key in enumerate(keys):
        assert await put(objects, f"mail-{number}", key) == Taken()
    found = tree(tmp_path)
    assert {path.split("/")[1] for path in found} == {f"mail-{number}" for number in range(len(keys))}
    assert len(found) == len(keys)


async def test_a_key_cannot_be_a_file_and_a_folder(tmp_path: Path) -> None:
    objects = local(tmp_path)
    assert await put(objects, "mail", "a") == Taken()
    assert isinstance(await put(objects, "mail", "a/b"), WriteFailed)
    assert await put(objects, "mail", "d/e") == Taken()
    assert isinstance(await put(objects, "mail", "d"), WriteFailed)
    assert tree(tmp_path) == {"s3/mail/a", "s3/mail/d/e"}


async def test_metadata_lies_beside_its_object(tmp_path: Path) -> None:
    assert await put(local(tmp_path), "mail", "in/1", {"x-amz-iv": "AAAA"}) == Taken()
    assert tree(tmp_path) == {"s3/mail/in/1", "s3/mail/in/.1.metadata"}
    assert json.loads((tmp_path / "s3/mail/in/.1.metadata").read_bytes()) == {"x-amz-iv": "AAAA"}


async def test_mail_is_for_its_owner_alone(tmp_path: Path) -> None:
    await put(local(tmp_path), "mail", "in/1")
    assert (tmp_path / "s3/mail/in/1").stat().st_mode & 0o077 == 0
    assert (tmp_path / "s3/mail").stat().st_mode & 0o077 == 0


# -- buckets


@pytest.mark.parametrize(
    "bucket", ["", "ab", "..", "../up", "a/b", "/abs", "-mail", "mail-", "ma il", "mail\n", "m\0il"]
)
async def test_what_is_no_bucket(bucket: str, tmp_path: Path) -> None:
    assert await put(local(tmp_path), bucket, "1") == BucketUnknown()
    assert tree(tmp_path) == set()


async def test_without_auto_create_only_known_buckets_are_there(tmp_path: Path) -> None:
    objects = local(tmp_path, False, "preset")
    assert await put(objects, "other", "1") == BucketUnknown()
    assert await put(objects, "preset", "1") == Taken()
    (tmp_path / "s3" / "other").mkdir()
    assert await put(objects, "other", "1") == Taken()


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "s3").write_text("a file stands where the buckets should")
    assert isinstance(await put(local(tmp_path), "mail", "1"), WriteFailed)


# -- functions


class Calls:
    def __init__(self, outcome: HttpOutcome) -> None:
        self.outcome = outcome
        self.made: list[tuple[str, bytes, Mapping[str, str], float]] = []

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, max_answer: int = 0
    ) -> HttpOutcome:
        self.made.append((url, body, headers, timeout_s))
        return self.outcome

    async def close(self) -> None: ...


@pytest.mark.parametrize("named", [FUNCTION, "triage"])
async def test_a_function_is_found_by_its_arn_or_its_name(named: str) -> None:
    calls = Calls(HttpAnswer(200, b'{"disposition":"CONTINUE"}'))
    functions = LocalFunctions({named: "http://127.0.0.1:9/f"}, False, calls)
    assert await functions.check(ACCOUNT, FUNCTION) == MayBeCalled()
    assert calls.made == []
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", True) == Answered(b'{"disposition":"CONTINUE"}')
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", False) == Answered(b"")
    kinds = [headers["X-Amz-Invocation-Type"] for _, _, headers, _ in calls.made]
    assert kinds == ["RequestResponse", "Event"]
    assert [timeout_s for *_, timeout_s in calls.made] == [30.0, 10.0]


async def test_a_function_that_is_not_there() -> None:
    functions = LocalFunctions({"other": "http://127.0.0.1:9/f"}, False, None)
    assert await functions.check(ACCOUNT, FUNCTION) == FunctionUnknown()
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", True) == FunctionUnknown()
    assert await functions.check(ACCOUNT, "triage") == FunctionUnknown()


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        (HttpAnswer(500, b"oops"), FunctionBroke("http://127.0.0.1:9/f answered 500")),
        (HttpRefused("no"), CallFailed("no")),
        (HttpFailed("slow", timed_out=True), CallFailed("slow", timed_out=True)),
    ],
)
async def test_what_becomes_of_a_call(http: HttpOutcome, expected: CallOutcome) -> None:
    functions = LocalFunctions({"triage": "http://127.0.0.1:9/f"}, False, Calls(http))
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", True) == expected


EMULATOR = "http://127.0.0.1:9000/2015-03-31/functions/function/invocations"
ERROR = b'{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "stackTrace": []}'


@pytest.mark.parametrize(
    ("url", "body", "expected"),
    [
        (EMULATOR, ERROR, FunctionBroke("ZeroDivisionError: division by zero")),
        ("http://127.0.0.1:9000/mine", ERROR, Answered(ERROR)),
        (EMULATOR, b'{"disposition": "STOP_RULE"}', Answered(b'{"disposition": "STOP_RULE"}')),
        (EMULATOR, b"[" * 100_000, Answered(b"[" * 100_000)),
        (EMULATOR, b"", Answered(b"")),
    ],
)
async def test_the_runtime_interface_emulator_tells_errors_in_its_answer(
    url: str, body: bytes, expected: CallOutcome
) -> None:
    calls = Calls(HttpAnswer(200, body))
    functions = LocalFunctions({"triage": url}, False, calls)
    assert await functions.call(ACCOUNT, FUNCTION, b"{}", True) == expected
    assert calls.made[0][0] == url


# -- data keys


async def test_a_data_key_opens_for_its_account_key_and_context_alone() -> None:
    keys, other = LocalDataKeys(lambda: b"m" * 32, os.urandom), LocalDataKeys(lambda: b"o" * 32, os.urandom)
    context = {"aws:ses:rule-name": "keep", "aws:ses:message-id": "1"}
    made = await keys.generate(ACCOUNT, "key", context, "")
    assert isinstance(made, DataKey)
    assert keys.unseal(ACCOUNT, "key", made.sealed, dict(reversed(context.items()))) == made.plaintext
    assert keys.unseal("222222222222", "key", made.sealed, context) is None
    assert keys.unseal(ACCOUNT, "other", made.sealed, context) is None
    assert keys.unseal(ACCOUNT, "key", made.sealed, {}) is None
    assert other.unseal(ACCOUNT, "key", made.sealed, context) is None
    for damaged in (b"", made.sealed[:-1], made.sealed[:5], b"\x02" + made.sealed[1:]):
        assert keys.unseal(ACCOUNT, "key", damaged, context) is None
