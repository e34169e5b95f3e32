"""Events of a configuration set at all three kinds of destination: built in, and by AWS's protocols at an emulator."""

import datetime
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.moto import ACCESS, ACCOUNT, Moto
from tests.support.sdk import ses_client
from tests.support.server import Server

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses-firehose"
STREAM = f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/mail-events"
DIMENSIONS = [
    {"DimensionName": "campaign", "DimensionValueSource": "messageTag", "DefaultDimensionValue": "none"},
    {"DimensionName": "ses:configuration-set", "DimensionValueSource": "messageTag", "DefaultDimensionValue": "none"},
]


def wait(is_so: Callable[[], bool], server: Server) -> None:
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends, server.log[-3000:]
        time.sleep(0.05)


def send_through_a_set(server: Server) -> str:
    ses = ses_client(server.url)
    ses.verify_domain_identity(Domain="shop.example")
    ses.create_configuration_set(ConfigurationSet={"Name": "tx"})
    places: dict[str, dict[str, Any]] = {
        "to-firehose": {"KinesisFirehoseDestination": {"IAMRoleARN": ROLE, "DeliveryStreamARN": STREAM}},
        "to-cloudwatch": {"CloudWatchDestination": {"DimensionConfigurations": DIMENSIONS}},
    }
    for name, place in places.items():
        destination = {"Name": name, "Enabled": True, "MatchingEventTypes": ["send", "delivery"], **place}
        ses.create_configuration_set_event_destination(ConfigurationSetName="tx", EventDestination=destination)
    answer = ses.send_email(
        Source="orders@shop.example",
        Destination={"ToAddresses": ["dana@far.example"]},
        Message={"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}},
        ConfigurationSetName="tx",
        Tags=[{"Name": "campaign", "Value": "shipping"}],
    )
    return str(answer["MessageId"])


def test_the_built_in_ones_keep_files_and_series() -> None:
    with Server() as server:
        message_id = send_through_a_set(server)

        def lines() -> list[str]:
            return [
                line
                for path in Path(server.data_dir, "firehose", "mail-events").rglob("*.jsonl")
                for line in path.read_text().splitlines()
            ]

        wait(lambda: len(lines()) == 2, server)
        events = [json.loads(line) for line in lines()]
        assert {event["eventType"] for event in events} == {"Send", "Delivery"}
        assert {event["mail"]["messageId"] for event in events} == {message_id}
        wait(lambda: len(server.admin("/metrics")["metrics"]) == 2, server)
        for series in server.admin("/metrics")["metrics"]:
            assert series["dimensions"] == {"campaign": "shipping", "ses:configuration-set": "tx"}
            assert (series["sum"], series["samples"]) == (1.0, 1)
        text = server.get("/metrics")[1].decode()
        labels = f'account="{ACCOUNT}",dimensions="campaign=shipping,ses:configuration-set=tx",metric="Send"'
        assert f'posthouse_cloudwatch_total{{{labels},region="us-east-1"}} 1\n' in text


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Moto]:
    with Moto(tmp_path) as moto:
        yield moto


def test_by_their_protocols_events_arrive_at_aws(moto: Moto) -> None:
    moto.client("s3").create_bucket(Bucket="events")
    bucket = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::events"}
    moto.client("firehose").create_delivery_stream(
        DeliveryStreamName="mail-events", ExtendedS3DestinationConfiguration=bucket
    )
    settings = {"firehose.backend": "aws", "cloudwatch.backend": "aws", "aws.endpoint_url": moto.url}
    server = Server({**settings, "cloudwatch.namespace": "Posthouse/SES"})
    server.environment.update(ACCESS)
    with server:
        message_id = send_through_a_set(server)
        s3, cloudwatch = moto.client("s3"), moto.client("cloudwatch")

        def written() -> list[dict[str, Any]]:
            found = [each["Key"] for each in s3.list_objects_v2(Bucket="events").get("Contents", [])]
            text = b"".join(s3.get_object(Bucket="events", Key=key)["Body"].read() for key in found).decode()
            return [json.loads(line) for line in text.splitlines()]

        wait(lambda: len(written()) == 2, server)
        assert {event["mail"]["messageId"] for event in written()} == {message_id}
        wait(lambda: len(cloudwatch.list_metrics(Namespace="Posthouse/SES")["Metrics"]) == 2, server)
        now = datetime.datetime.now(datetime.UTC)
        sums = cloudwatch.get_metric_statistics(
            Namespace="Posthouse/SES",
            MetricName="Delivery",
            Dimensions=[{"Name": "campaign", "Value": "shipping"}, {"Name": "ses:configuration-set", "Value": "tx"}],
            StartTime=now - datetime.timedelta(minutes=5),
            EndTime=now + datetime.timedelta(minutes=5),
            Period=600,
            Statistics=["Sum"],
        )["Datapoints"]
        assert [point["Sum"] for point in sums] == [1.0]
