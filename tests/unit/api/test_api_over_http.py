"""The door behind a real HTTP server, called by boto3."""

import asyncio
import socket
import time
import urllib.request
from collections.abc import Iterator
from threading import Thread
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from posthouse.api.server import ApiDoor, Authentication
from posthouse.domain.scope import Caller
from posthouse.model import generated as g
from posthouse.observe import new_request_id
from posthouse.ports.credentials import Credential

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class OneCredential:
    async def find(self, access_key: str) -> Credential | None:
        return Credential(KEY, SECRET, "111122223333") if access_key == KEY else None


async def send_raw_email(request: g.SendRawEmailRequest, caller: Caller) -> g.SendRawEmailResponse:
    return g.SendRawEmailResponse(message_id=f"{caller.scope.region}-{len(request.raw_message.data)}")


async def verify_email_address(request: g.VerifyEmailAddressRequest, caller: Caller) -> g.VerifyEmailAddressResponse:
    return g.VerifyEmailAddressResponse()


async def describe_rule_set(request: g.DescribeReceiptRuleSetRequest, caller: Caller) -> None:
    name = request.rule_set_name
    raise g.RuleSetDoesNotExistException(f"Rule set does not exist: {name}", name=name)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    operations: dict[str, Any] = {
        "SendRawEmail": send_raw_email,
        "VerifyEmailAddress": verify_email_address,
        "DescribeReceiptRuleSet": describe_rule_set,
    }
    authentication = Authentication("strict", "000000000000")
    door = ApiDoor(OneCredential(), operations, authentication, lambda: time.time_ns() // 1_000_000, new_request_id)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(door, loop="uvloop", http="httptools", lifespan="off", ws="none", log_level="error")
    server = uvicorn.Server(config)
    thread = Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def client(endpoint: str, secret: str = SECRET) -> Any:
    return boto3.client(
        "ses",
        region_name="eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
def test_boto3_sends_mail_of_any_size(endpoint: str, size: int) -> None:
    answer = client(endpoint).send_raw_email(RawMessage={"Data": b"x" * size})
    assert answer["MessageId"] == f"eu-west-1-{size}"
    metadata = answer["ResponseMetadata"]
    assert metadata["HTTPHeaders"]["x-amzn-requestid"] == metadata["RequestId"]


def test_boto3_reads_an_answer_without_result(endpoint: str) -> None:
    answer = client(endpoint).verify_email_address(EmailAddress="a@example.com")
    assert set(answer) == {"ResponseMetadata"}


def test_boto3_raises_the_modelled_error(endpoint: str) -> None:
    ses = client(endpoint)
    with pytest.raises(ses.exceptions.RuleSetDoesNotExistException) as caught:
        ses.describe_receipt_rule_set(RuleSetName="nope")
    assert caught.value.response["Name"] == "nope"
    assert caught.value.response["Error"]["Message"] == "Rule set does not exist: nope"


def test_boto3_with_the_wrong_secret_is_refused(endpoint: str) -> None:
    with pytest.raises(ClientError) as caught:
        client(endpoint, "wrong").verify_email_address(EmailAddress="a@example.com")
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_presigned_url_of_boto3_works(endpoint: str) -> None:
    url = client(endpoint).generate_presigned_url(
        "verify_email_address", Params={"EmailAddress": "a+b c@example.com"}, HttpMethod="GET"
    )
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200


def test_too_long_a_request_is_answered_and_the_connection_closed(endpoint: str) -> None:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nAction=")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"<Code>RequestEntityTooLarge</Code>" in answer
