"""Mail comes in and its rules act on AWS itself, here an emulator of it: S3 with KMS and a role, SNS, Lambda."""

import base64
import io
import json
import smtplib
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.moto import ACCESS, ACCOUNT, Moto
from tests.support.s3_encryption_client import read_encrypted
from tests.support.sdk import ses_client
from tests.support.server import Server, refusing_dns

REGION, DOMAIN = "us-east-1", "shop.example"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:triage"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ses-to-s3"
MAIL = b"From: amy@partner.example\r\nTo: help@shop.example\r\nSubject: hello\r\n\r\nWhere is it?\r\n"


def make_function(moto: Moto) -> None:
    """One that exists; without containers it answers with what it is called with."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("triage.py", "def handle(event, context): return event")
    role = moto.client("iam").create_role(RoleName="triage", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    moto.client("lambda").create_function(
        FunctionName="triage",
        Runtime="python3.11",
        Role=role,
        Handler="triage.handle",
        Code={"ZipFile": code.getvalue()},
    )
    body = json.dumps({"lambda": {"use_docker": False}}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{moto.url}/moto-api/config", body)).close()


def listener(moto: Moto) -> tuple[str, str]:
    """A topic, and a queue that hears what it is given."""
    sqs, sns = moto.client("sqs"), moto.client("sns")
    topic = sns.create_topic(Name="mail-in")["TopicArn"]
    queue = sqs.create_queue(QueueName="mail-in")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return topic, queue


def heard(moto: Moto, queue: str) -> list[dict[str, Any]]:
    got = moto.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    told = [json.loads(json.loads(each["Body"])["Message"]) for each in got]
    return [each for each in told if each["mail"]["messageId"] != "AMAZON_SES_SETUP_NOTIFICATION"]


def test_rules_act_on_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    with Moto(tmp_path) as moto:
        s3 = moto.client("s3")
        for bucket in ("plain", "sealed"):
            s3.create_bucket(Bucket=bucket)
        key = moto.client("kms").create_key()["KeyMetadata"]["Arn"]
        topic, queue = listener(moto)
        make_function(moto)
        backends = {f"{service}.backend": "aws" for service in ("s3", "sns", "lambda", "kms")}
        with Server({**backends, "aws.endpoint_url": moto.url, **refusing_dns()}) as server:
            ses = ses_client(server.url)
            ses.verify_domain_identity(Domain=DOMAIN)
            ses.create_receipt_rule_set(RuleSetName="main")
            actions = [
                {"S3Action": {"BucketName": "plain", "ObjectKeyPrefix": "in", "IamRoleArn": ROLE, "TopicArn": topic}},
                {"S3Action": {"BucketName": "sealed", "KmsKeyArn": key}},
                {"SNSAction": {"TopicArn": topic, "Encoding": "Base64"}},
                {"LambdaAction": {"FunctionArn": FUNCTION, "InvocationType": "RequestResponse"}},
            ]
            rule = {"Name": "desk", "Enabled": True, "Actions": actions}
            ses.create_receipt_rule(RuleSetName="main", Rule=rule)
            ses.set_active_receipt_rule_set(RuleSetName="main")
            bad = {"Name": "bad", "Actions": [{"S3Action": {"BucketName": "nobodys"}}]}
            with pytest.raises(ses.exceptions.ClientError, match="No such bucket: nobodys"):
                ses.create_receipt_rule(RuleSetName="main", Rule=bad)
            with smtplib.SMTP("127.0.0.1", server.inbound, timeout=20) as client:
                client.sendmail("amy@partner.example", [f"help@{DOMAIN}"], MAIL)
            details = wait_until_done(server)
            done = [(each["action"], each["result"], each["text"]) for each in details if "action" in each]
        assert [(action, result) for action, result, _ in done] == [
            ("S3", "done"), ("S3", "done"), ("S3", "done"), ("SNS", "done"), ("Lambda", "done")
        ], done  # fmt: skip
        stored, published = heard(moto, queue)
        message_id = stored["mail"]["messageId"]
        assert stored["receipt"]["action"]["objectKey"] == f"in/{message_id}"
        mail = base64.b64decode(published["content"])
        assert mail.endswith(MAIL)
        assert s3.get_object(Bucket="plain", Key=f"in/{message_id}")["Body"].read() == mail
        assert read_encrypted(moto.url, REGION, key, "sealed", message_id) == mail


def wait_until_done(server: Server) -> list[dict[str, Any]]:
    """What was told of the one mail that came in, once all is done about it."""
    ends = time.monotonic() + 30
    while True:
        found = [each["detail"] for each in server.admin("/events?type=Received")["events"]]
        if any(each.get("end") for each in found):
            return found
        assert time.monotonic() < ends, server.log[-3000:]
        time.sleep(0.05)
