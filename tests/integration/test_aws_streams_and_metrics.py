"""Firehose, CloudWatch and STS as an emulator of AWS speaks them, and an STS whose credentials are short-lived."""

import datetime
import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.moto import ACCESS, ACCOUNT, Moto
from tests.support.processes import free_port

from posthouse.adapters import aws_session
from posthouse.adapters.aws_metrics import AwsMetrics
from posthouse.adapters.aws_session import AwsService, Roles
from posthouse.adapters.aws_streams import AwsStreams, _outcome
from posthouse.domain.scope import Scope
from posthouse.ports.metric_sinks import Kept, MetricValue, SinkFailed
from posthouse.ports.streams import Put, RoleRefused, StreamFailed, StreamUnknown

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses-firehose"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as moto:
        yield moto


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)


def make_stream(moto: Moto, name: str, region: str = "eu-west-1") -> str:
    """A stream that ends in a bucket of the same name."""
    moto.client("s3").create_bucket(Bucket=name)
    bucket = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{name}"}
    firehose = moto.client("firehose", region)
    made = firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=bucket)
    return str(made["DeliveryStreamARN"])


def written(moto: Moto, bucket: str) -> bytes:
    s3 = moto.client("s3")
    found = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in sorted(found)]
    return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


def streams(firehose: str, sts: str) -> AwsStreams:
    return AwsStreams(AwsService("firehose", firehose), Roles(sts))


class Sts:
    """Answers AssumeRole with credentials that end after so many seconds, or with a refusal; counts."""

    def __init__(self, lasting_s: float, refusal: str = "") -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=lasting_s)
                self.send_response(403 if refusal else 200)
                body = (
                    f"<ErrorResponse><Error><Type>Sender</Type><Code>{refusal}</Code><Message>no</Message></Error>"
                    "</ErrorResponse>"
                    if refusal
                    else "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAX</AccessKeyId>"
                    "<SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>"
                    f"<Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></AssumeRoleResult>"
                    "</AssumeRoleResponse>"
                )
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


async def test_records_are_put_with_the_role_and_arrive(moto: Moto) -> None:
    arn = make_stream(moto, "mail-events")
    aws = streams(moto.url, moto.url)
    try:
        assert await aws.check(ACCOUNT, arn, ROLE) == Put()
        assert await aws.put(ACCOUNT, arn, ROLE, [b'{"a":"\xc3\xbc"}\n', b'{"a":2}\n']) == Put()
    finally:
        await aws.close()
    assert [json.loads(line)["a"] for line in written(moto, "mail-events").decode().splitlines()] == ["ü", 2]


async def test_a_stream_that_is_none_is_unknown(moto: Moto) -> None:
    aws = streams(moto.url, moto.url)
    try:
        for arn in (f"arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/nobody", "nonsense"):
            assert (
                await aws.check(ACCOUNT, arn, ROLE) == await aws.put(ACCOUNT, arn, ROLE, [b"{}\n"]) == StreamUnknown()
            )
    finally:
        await aws.close()


@pytest.mark.parametrize(("lasting_s", "times"), [(3600, 1), (60, 3)])
async def test_credentials_of_a_role_are_kept_and_renewed_before_they_end(
    moto: Moto, lasting_s: float, times: int
) -> None:
    arn = make_stream(moto, f"lasting-{lasting_s:g}")
    sts = Sts(lasting_s)
    aws = streams(moto.url, sts.url)
    try:
        for _ in range(3):
            assert await aws.put(ACCOUNT, arn, ROLE, [b"{}\n"]) == Put()
    finally:
        await aws.close()
        sts.close()
    assert len(sts.asked) >= times
    assert (len(sts.asked) == 1) == (times == 1)
    assert f"ExternalId={ACCOUNT}" in sts.asked[0]
    assert "RoleArn=arn%3Aaws%3Aiam" in sts.asked[0]


async def test_each_account_assumes_the_role_for_itself(moto: Moto) -> None:
    arn = make_stream(moto, "shared-by-two")
    sts = Sts(3600)
    aws = streams(moto.url, sts.url)
    try:
        for account in (ACCOUNT, "222222222222"):
            assert await aws.put(account, arn, ROLE, [b"{}\n"]) == Put()
    finally:
        await aws.close()
        sts.close()
    assert ["ExternalId=222222222222" in asked for asked in sts.asked] == [False, True]


async def test_a_role_that_cannot_be_assumed_is_refused(moto: Moto) -> None:
    arn = make_stream(moto, "refused")
    sts = Sts(0, "AccessDenied")
    aws = streams(moto.url, sts.url)
    try:
        assert await aws.check(ACCOUNT, arn, ROLE) == RoleRefused("AccessDenied: no")
        assert await aws.put(ACCOUNT, arn, ROLE, [b"{}\n"]) == RoleRefused("AccessDenied: no")
    finally:
        await aws.close()
        sts.close()


async def test_services_that_do_not_answer_are_failures(moto: Moto) -> None:
    arn = make_stream(moto, "unreached")
    nobody = f"http://127.0.0.1:{free_port()}"
    for aws in (streams(nobody, moto.url), streams(moto.url, nobody)):
        try:
            for outcome in (await aws.check(ACCOUNT, arn, ROLE), await aws.put(ACCOUNT, arn, ROLE, [b"{}\n"])):
                assert isinstance(outcome, StreamFailed)
                assert "Could not connect" in outcome.reason
        finally:
            await aws.close()


def test_records_that_were_not_taken_are_named() -> None:
    answers = [{"RecordId": "1"}, {"ErrorCode": "ServiceUnavailableException"}, {"RecordId": "2"}, {"ErrorCode": "x"}]
    reply = aws_session.Answered({"FailedPutCount": 2, "RequestResponses": answers})
    assert _outcome("arn", reply) == Put((1, 3))


async def test_few_clients_are_kept_open_however_many_roles_there_are(
    moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_session, "MAX_CLIENTS", 2)
    arn = make_stream(moto, "many-roles")
    firehose = AwsService("firehose", moto.url)
    aws = AwsStreams(firehose, Roles(moto.url))
    try:
        for number in range(4):
            assert await aws.put(ACCOUNT, arn, f"{ROLE}-{number}", [b"{}\n"]) == Put()
        assert len(firehose._clients) == 2
    finally:
        await aws.close()


async def test_values_arrive_in_their_region_with_their_dimensions(moto: Moto) -> None:
    now = datetime.datetime.now(datetime.UTC)
    values = [
        MetricValue(
            "Delivery", (("campaign", "shipping"), ("ses:configuration-set", "tx")), 1, int(now.timestamp() * 1000)
        ),
        MetricValue("Reputation.BounceRate", (), 0.0123, int(now.timestamp() * 1000), unit=""),
    ]
    metrics = AwsMetrics(AwsService("cloudwatch", moto.url), "Posthouse/SES")
    try:
        assert await metrics.put(Scope(ACCOUNT, "eu-west-1"), values) == Kept()
    finally:
        await metrics.close()
    cloudwatch = moto.client("cloudwatch", "eu-west-1")
    found = {each["MetricName"]: each for each in cloudwatch.list_metrics(Namespace="Posthouse/SES")["Metrics"]}
    assert set(found) == {"Delivery", "Reputation.BounceRate"}
    dimensions = {each["Name"]: each["Value"] for each in found["Delivery"]["Dimensions"]}
    assert dimensions == {"campaign": "shipping", "ses:configuration-set": "tx"}
    points = cloudwatch.get_metric_statistics(
        Namespace="Posthouse/SES",
        MetricName="Delivery",
        Dimensions=found["Delivery"]["Dimensions"],
        StartTime=now - datetime.timedelta(minutes=5),
        EndTime=now + datetime.timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [(point["Sum"], point["Unit"]) for point in points] == [(1.0, "Count")]
    assert moto.client("cloudwatch", "us-east-1").list_metrics(Namespace="Posthouse/SES")["Metrics"] == []


async def test_a_cloudwatch_that_does_not_answer_is_a_failure() -> None:
    metrics = AwsMetrics(AwsService("cloudwatch", f"http://127.0.0.1:{free_port()}"), "Posthouse/SES")
    try:
        outcome = await metrics.put(Scope(ACCOUNT, "eu-west-1"), [MetricValue("Send", (), 1, 0)])
    finally:
        await metrics.close()
    assert isinstance(outcome, SinkFailed)
    assert "Could not connect" in outcome.reason
