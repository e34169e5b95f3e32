"""Both forms of the world that is told: the built-in stand-ins, and AWS's protocols as moto speaks them.

Each shows the same: what a topic was given, the records of the stream, sums of metrics.
"""

import base64
import datetime
import gzip
import http.server
import json
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Protocol

from tests.support.moto import ACCOUNT, Moto
from tests.support.server import Server

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:"
TOPICS = ("mail-events", "mail-notifications")
STREAM = "mail-events"
STREAM_ARN = f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/{STREAM}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses-events"
NAMESPACE = "Posthouse/SES"
Dimensions = dict[str, str]


class Outside(Protocol):
    settings: dict[str, Any]
    """Of the server that tells it."""

    def prepare(self, server: Server) -> None: ...

    def messages(self, topic: str) -> list[dict[str, Any]]:
        """SNS envelopes that a subscriber of the topic got, in the order of their arrival."""
        ...

    def records(self) -> list[str]:
        """Lines of the stream."""
        ...

    def total(self, metric: str, dimensions: Dimensions) -> float: ...


class StandIns:
    """The embedded services, and a real HTTP subscriber that follows the link it is sent."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.posted: list[tuple[dict[str, str], dict[str, Any]]] = []
        """Headers and envelopes."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if told["Type"] == "SubscriptionConfirmation":
                    urllib.request.urlopen(told["SubscribeURL"], timeout=10).read()
                outer.posted.append(({name.lower(): value for name, value in self.headers.items()}, told))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._hook.serve_forever, daemon=True).start()

    def __enter__(self) -> "StandIns":
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.shutdown()
        self._hook.server_close()

    def prepare(self, server: Server) -> None:
        self._server = server
        for topic in TOPICS:
            asked = urllib.request.Request(
                f"{server.url}/api/v1/topics/{TOPIC}{topic}/subscriptions",
                json.dumps({"endpoint": f"http://127.0.0.1:{self._hook.server_port}/{topic}"}).encode(),
                {"Content-Type": "application/json"},
            )
            urllib.request.urlopen(asked, timeout=10).read()
        ends = time.monotonic() + 20
        while sum(told["Type"] == "SubscriptionConfirmation" for _, told in self.posted) < len(TOPICS):
            assert time.monotonic() < ends, "no confirmation came"
            time.sleep(0.01)

    def messages(self, topic: str) -> list[dict[str, Any]]:
        return [told for _, told in self.posted if told["TopicArn"] == TOPIC + topic and told["Type"] == "Notification"]

    def records(self) -> list[str]:
        files = sorted((self._server.data_dir / "firehose" / STREAM).glob("*/*/*/*/*.jsonl"))
        return [line for file in files for line in file.read_text().splitlines(keepends=True)]

    def total(self, metric: str, dimensions: Dimensions) -> float:
        named = ",".join(f"{name}={value}" for name, value in sorted(dimensions.items()))
        wanted = (
            f'posthouse_cloudwatch_total{{account="{ACCOUNT}",dimensions="{named}",metric="{metric}",'
            'region="us-east-1"} '
        )
        lines = self._server.get("/metrics")[1].decode().splitlines()
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


class Aws:
    """moto: a queue hears what the topics are given, a bucket has what the stream was."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
        self._heard: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {
            "sns.backend": "aws",
            "firehose.backend": "aws",
            "cloudwatch.backend": "aws",
            "cloudwatch.namespace": NAMESPACE,
            "aws.endpoint_url": moto.url,
        }

    def prepare(self, server: Server) -> None:
        sqs, sns = self._moto.client("sqs"), self._moto.client("sns")
        self._queue = sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for topic in TOPICS:
            sns.create_topic(Name=topic)
            sns.subscribe(TopicArn=TOPIC + topic, Protocol="sqs", Endpoint=arn)
        self._moto.client("s3").create_bucket(Bucket=STREAM)
        bucket = {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{STREAM}"}
        self._moto.client("firehose").create_delivery_stream(
            DeliveryStreamName=STREAM, ExtendedS3DestinationConfiguration=bucket
        )

    def messages(self, topic: str) -> list[dict[str, Any]]:
        sqs = self._moto.client("sqs")
        while found := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
            self._heard += [json.loads(each["Body"]) for each in found]
            for each in found:
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return [told for told in self._heard if told["TopicArn"] == TOPIC + topic]

    def records(self) -> list[str]:
        s3 = self._moto.client("s3")
        found = s3.list_objects_v2(Bucket=STREAM).get("Contents", [])
        bodies = [s3.get_object(Bucket=STREAM, Key=each["Key"])["Body"].read() for each in found]
        plain = [gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies]
        return b"".join(plain).decode().splitlines(keepends=True)

    def total(self, metric: str, dimensions: Dimensions) -> float:
        points = self._moto.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=self._since,
            EndTime=datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))


def openssl_verifies(envelope: dict[str, Any], certificate_pem: bytes) -> bool:
    """Whether OpenSSL finds the envelope signed, by the words of SNS's manual: for a Notification these members, each
    name and value on a line of its own, in this order; Subject only where there is one."""
    names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "text").write_text(text)
        (place / "signature").write_bytes(base64.b64decode(envelope["Signature"]))
        (place / "certificate").write_bytes(certificate_pem)
        key = subprocess.run(
            ["openssl", "x509", "-in", place / "certificate", "-noout", "-pubkey"], capture_output=True, check=True
        ).stdout
        (place / "key").write_bytes(key)
        digest = {"1": "-sha1", "2": "-sha256"}[envelope["SignatureVersion"]]
        given = ["-verify", place / "key", "-signature", place / "signature", place / "text"]
        done = subprocess.run(["openssl", "dgst", digest, *given], capture_output=True)
    return done.returncode == 0
