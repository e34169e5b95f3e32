"""What receipt rules act on by AWS's own protocols: S3, Lambda and KMS, against moto and servers that misbehave."""

import asyncio
import base64
import io
import json
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.support.answers import Answer, Asked, HttpAnswers
from tests.support.moto import ACCESS, ACCOUNT, Moto
from tests.support.processes import free_port
from tests.support.s3_encryption_client import read_encrypted

from posthouse.adapters.aws_data_keys import AwsDataKeys
from posthouse.adapters.aws_functions import AwsFunctions, lambda_service
from posthouse.adapters.aws_objects import AwsObjects, s3_service
from posthouse.adapters.aws_session import AwsService, Roles
from posthouse.domain.scope import Scope
from posthouse.mail.envelope_encryption import encrypt, encryption_context, metadata
from posthouse.ports.data_keys import DataKey, KeyFailed, KeyNotPermitted, KeyUnknown
from posthouse.ports.functions import (
    Answered,
    CallFailed,
    CallNotPermitted,
    FunctionBroke,
    FunctionUnknown,
    MayBeCalled,
)
from posthouse.ports.objects import BucketUnknown, Taken, WriteFailed, WriteNotPermitted, WriterRefused

REGION = "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses-to-s3"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:triage"
NOBODYS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as moto:
        yield moto


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)


def objects(s3: str, sts: str) -> AwsObjects:
    return AwsObjects(s3_service(s3), Roles(sts), "us-east-1")


def functions(url: str, answer_s: float = 30.0) -> AwsFunctions:
    return AwsFunctions(lambda_service(url), answer_s)


def data_keys(kms: str, sts: str) -> AwsDataKeys:
    return AwsDataKeys(AwsService("kms", kms), Roles(sts))


def error(code: str, status: int = 403) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


def sts_error(code: str) -> Answer:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return Answer(403, body.encode(), {"Content-Type": "text/xml"})


# -- S3


async def test_mail_is_written_with_its_metadata_by_us_or_by_a_role(moto: Moto) -> None:
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="shop-inbound")
    port = objects(moto.url, moto.url)
    try:
        assert (
            await port.put(ACCOUNT, "shop-inbound", "help/ü 1", b"mail\r\n\0\xff", {"x-amz-iv": "AAAA"}, "") == Taken()
        )
        assert await port.put(ACCOUNT, "shop-inbound", "by-role", b"mail", {}, ROLE) == Taken()
    finally:
        await port.close()
    found = s3.get_object(Bucket="shop-inbound", Key="help/ü 1")
    assert (found["Body"].read(), found["Metadata"]) == (b"mail\r\n\0\xff", {"x-amz-iv": "AAAA"})
    assert s3.get_object(Bucket="shop-inbound", Key="by-role")["Body"].read() == b"mail"


@pytest.mark.parametrize("bucket", ["nobodys-bucket", "", "a", "../x", "arn:aws:s3:::x", "x\n", "a/b"])
async def test_a_bucket_that_is_not_there(moto: Moto, bucket: str) -> None:
    port = objects(moto.url, moto.url)
    try:
        assert await port.put(ACCOUNT, bucket, "1", b"mail", {}, "") == BucketUnknown()
    finally:
        await port.close()


async def test_a_role_signs_what_it_writes() -> None:
    def answer(asked: Asked) -> Answer:
        if b"AssumeRole" not in asked.body:
            return Answer()
        body = (
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>"
            "<SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>"
            "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return Answer(200, body.encode())

    with HttpAnswers(answer) as aws:
        port = objects(aws.url, aws.url)
        try:
            assert await port.put(ACCOUNT, "bucket", "1", b"mail", {}, ROLE) == Taken()
            assert await port.put(ACCOUNT, "bucket", "2", b"mail", {}, "") == Taken()
        finally:
            await port.close()
        [_, by_role, by_us] = aws.asked
    assert "Credential=ASIAROLE/" in by_role.headers["authorization"]
    assert by_role.headers["x-amz-security-token"] == "token"
    assert "Credential=testing/" in by_us.headers["authorization"]


async def test_a_bucket_in_another_region_is_followed_there() -> None:
    def answer(asked: Asked) -> Answer:
        if f"/{REGION}/s3/" in asked.headers["authorization"]:
            return Answer()
        told = error("PermanentRedirect", 301)
        return Answer(301, told.body, {**told.headers, "x-amz-bucket-region": REGION})

    with HttpAnswers(answer) as s3:
        port = objects(s3.url, s3.url)
        try:
            for key in ("1", "2"):
                assert await port.put(ACCOUNT, "far-away", key, b"mail", {}, "") == Taken()
        finally:
            await port.close()
        assert s3.asked[-1].body == b"mail"
        assert sum(f"/{REGION}/s3/" not in asked.headers["authorization"] for asked in s3.asked) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("AccessDenied"), WriteNotPermitted),
        (error("NoSuchBucket", 404), BucketUnknown),
        (error("SlowDown", 503), WriteFailed),
        (error("InvalidAccessKeyId"), WriteFailed),
        (Answer(500, b"not xml"), WriteFailed),
        (Answer(200, b"<odd"), WriteFailed),
    ],
)
async def test_what_s3_may_say(answer: Answer, kind: type) -> None:
    with HttpAnswers(lambda _: answer) as s3:
        port = objects(s3.url, s3.url)
        try:
            assert isinstance(await port.put(ACCOUNT, "bucket", "1", b"mail", {}, ""), kind)
        finally:
            await port.close()


async def test_a_role_that_is_not_given_writes_nothing(moto: Moto) -> None:
    with HttpAnswers(lambda _: sts_error("AccessDenied")) as sts:
        port, keys = objects(moto.url, sts.url), data_keys(moto.url, sts.url)
        try:
            assert await port.put(ACCOUNT, "bucket", "1", b"", {}, ROLE) == WriterRefused("AccessDenied: no")
            assert await keys.generate(ACCOUNT, NOBODYS_KEY, {}, ROLE) == KeyNotPermitted("AccessDenied: no")
        finally:
            await port.close()
            await keys.close()


async def test_services_that_are_not_there() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    port, keys, called = objects(nobody, nobody), data_keys(nobody, nobody), functions(nobody)
    try:
        outcomes = await asyncio.gather(
            *(port.put(ACCOUNT, "bucket", "1", b"", {}, role) for role in ("", ROLE)),
            *(keys.generate(ACCOUNT, NOBODYS_KEY, {}, role) for role in ("", ROLE)),
            called.check(ACCOUNT, FUNCTION),
            called.call(ACCOUNT, FUNCTION, b"{}", True),
        )
    finally:
        for each in (port, keys, called):
            await each.close()
    assert [type(outcome) for outcome in outcomes] == [WriteFailed] * 2 + [KeyFailed] * 2 + [CallFailed] * 2


# -- KMS, and what is encrypted under it


async def test_encrypted_mail_is_read_by_the_client_of_aws_and_by_hand(moto: Moto) -> None:
    kms, s3 = moto.client("kms", REGION), moto.client("s3", REGION)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/mail-in", TargetKeyId=key)
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/mail-in"
    s3.create_bucket(Bucket="sealed", CreateBucketConfiguration={"LocationConstraint": REGION})
    content, iv = b"Subject: secret\r\n\r\n" + b"\xff\0" * 50_000, b"i" * 12
    context = encryption_context(Scope(ACCOUNT, REGION), "m1", "keep", arn)
    port, keys = objects(moto.url, moto.url), data_keys(moto.url, moto.url)
    try:
        made = await keys.generate(ACCOUNT, arn, context, "")
        assert isinstance(made, DataKey)
        told = metadata(len(content), iv, made.sealed, context)
        assert await port.put(ACCOUNT, "sealed", "m1", encrypt(content, made.plaintext, iv), told, "") == Taken()
    finally:
        await port.close()
        await keys.close()
    # The wrap algorithm `kms` is of the client's second version: the fourth reads it where it is told to.
    assert await asyncio.to_thread(read_encrypted, moto.url, REGION, arn, "sealed", "m1") == content
    with pytest.raises(RuntimeError, match="Enable legacy wrapping algorithms"):
        await asyncio.to_thread(read_encrypted, moto.url, REGION, arn, "sealed", "m1", legacy=False)
    found = s3.get_object(Bucket="sealed", Key="m1")
    sealed = base64.b64decode(found["Metadata"]["x-amz-key-v2"])
    asked: dict[str, Any] = {"CiphertextBlob": sealed}
    opened = kms.decrypt(**asked, EncryptionContext=json.loads(found["Metadata"]["x-amz-matdesc"]))["Plaintext"]
    nonce = base64.b64decode(found["Metadata"]["x-amz-iv"])
    assert AESGCM(opened).decrypt(nonce, found["Body"].read(), None) == content
    with pytest.raises(kms.exceptions.ClientError):
        kms.decrypt(**asked, EncryptionContext={**context, "aws:ses:message-id": "m2"})


async def test_a_key_that_is_not_there(moto: Moto) -> None:
    keys = data_keys(moto.url, moto.url)
    try:
        for arn in (NOBODYS_KEY, f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/nobody", "nonsense"):
            assert await keys.generate(ACCOUNT, arn, {"a": "b"}, "") == KeyUnknown()
    finally:
        await keys.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("DisabledException", KeyNotPermitted),
        ("KMSInvalidStateException", KeyNotPermitted),
        ("AccessDeniedException", KeyNotPermitted),
        ("ValidationException", KeyFailed),
    ],
)
async def test_what_kms_may_say(code: str, kind: type) -> None:
    told = json.dumps({"__type": code, "message": "no"}).encode()
    with HttpAnswers(lambda _: Answer(400, told, {"Content-Type": "application/x-amz-json-1.1"})) as kms:
        keys = data_keys(kms.url, kms.url)
        try:
            assert await keys.generate(ACCOUNT, NOBODYS_KEY, {"a": "b"}, "") == kind(f"{code}: no")
        finally:
            await keys.close()


# -- Lambda


def make_function(moto: Moto, name: str) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("triage.py", "def handle(event, context): return event")
    iam = moto.client("iam")
    role = iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    moto.client("lambda", REGION).create_function(
        FunctionName=name, Runtime="python3.11", Role=role, Handler="triage.handle", Code={"ZipFile": code.getvalue()}
    )


async def test_a_function_is_called_and_one_that_is_not_there_is_not(moto: Moto) -> None:
    called = functions(moto.url)
    try:
        for arn in (FUNCTION + "-not", "nonsense"):
            assert await called.check(ACCOUNT, arn) == FunctionUnknown()
            assert await called.call(ACCOUNT, arn, b"{}", True) == FunctionUnknown()
            assert await called.call(ACCOUNT, arn, b"{}", False) == FunctionUnknown()
        make_function(moto, "triage")
        without_docker = urllib.request.Request(
            f"{moto.url}/moto-api/config", b'{"lambda": {"use_docker": false}}', {"Content-Type": "application/json"}
        )
        await asyncio.to_thread(lambda: urllib.request.urlopen(without_docker).close())
        assert await called.check(ACCOUNT, FUNCTION) == MayBeCalled()
        # Without containers moto's functions answer with what they were given.
        event = b'{"disposition":"STOP_RULE"}'
        assert await called.call(ACCOUNT, FUNCTION, event, True) == Answered(event)
        assert await called.call(ACCOUNT, FUNCTION, event, False) == Answered(b"")
    finally:
        await called.close()


async def test_how_a_function_is_called() -> None:
    with HttpAnswers(lambda asked: Answer(204 if "DryRun" in asked.headers["x-amz-invocation-type"] else 200)) as aws:
        called = functions(aws.url)
        try:
            assert await called.check(ACCOUNT, FUNCTION) == MayBeCalled()
            await called.call(ACCOUNT, FUNCTION, b'{"Records":[]}', True)
            await called.call(ACCOUNT, FUNCTION, b'{"Records":[]}', False)
        finally:
            await called.close()
    kinds = [asked.headers["x-amz-invocation-type"] for asked in aws.asked]
    assert kinds == ["DryRun", "RequestResponse", "Event"]
    assert [asked.body for asked in aws.asked[1:]] == [b'{"Records":[]}'] * 2
    assert "triage/invocations" in aws.asked[0].path
    assert f"/{REGION}/lambda/" in aws.asked[0].headers["authorization"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200, b'{"errorMessage":"x"}', {"X-Amz-Function-Error": "Unhandled"}), FunctionBroke),
        (Answer(403, b'{"message":"no"}', {"x-amzn-ErrorType": "AccessDeniedException"}), CallNotPermitted),
        (Answer(429, b'{"message":"slow"}', {"x-amzn-ErrorType": "TooManyRequestsException"}), CallFailed),
        (Answer(502, b"<html>"), CallFailed),
    ],
)
async def test_what_lambda_may_say(answer: Answer, kind: type) -> None:
    with HttpAnswers(lambda _: answer) as aws:
        called = functions(aws.url)
        try:
            assert isinstance(await called.call(ACCOUNT, FUNCTION, b"{}", True), kind)
        finally:
            await called.close()
        assert len(aws.asked) == 1, "whether to call again is for others to say"


async def test_a_function_that_takes_too_long_is_given_up() -> None:
    over = threading.Event()

    def answer(_: Asked) -> Answer:
        over.wait(30)
        return Answer()

    with HttpAnswers(answer) as aws:
        called = functions(aws.url, answer_s=0.2)
        try:
            outcome = await called.call(ACCOUNT, FUNCTION, b"{}", True)
        finally:
            over.set()
            await called.close()
    assert isinstance(outcome, CallFailed)
    assert outcome.timed_out


async def test_a_large_answer_is_cut() -> None:
    with HttpAnswers(lambda _: Answer(200, b"x" * 1_000_000)) as aws:
        called = functions(aws.url)
        try:
            outcome = await called.call(ACCOUNT, FUNCTION, b"{}", True)
        finally:
            await called.close()
    assert isinstance(outcome, Answered)
    assert len(outcome.payload) == 64 * 1024
