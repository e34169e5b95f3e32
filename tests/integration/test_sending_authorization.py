"""Two accounts on a strict server: what boto3 and an SMTP client see of sending authorization, and who signs."""

import json
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.exceptions
import pytest
from tests.support.sdk import ses_client
from tests.support.server import Server
from tests.support.sink import Sink

ARN = "arn:aws:ses:us-east-1:111111111111:identity/shop.example"
DENIED = "User `arn:aws:iam::222222222222:user/{}' is not authorized to perform `{}' on resource `" + ARN + "'"
STRICT = {"delivery.mode": "direct", "auth.mode": "strict", "identities.auto_verify": True}


@dataclass(frozen=True)
class Account:
    ses: Any
    keys: dict[str, str]


@dataclass(frozen=True)
class World:
    server: Server
    sink: Sink
    owner: Account
    delegate: Account


def open_account(server: Server, number: str) -> Account:
    made = server.cli("credentials", "create", "--account", number, "--json")
    assert made.returncode == 0, made.stderr
    keys = json.loads(made.stdout)
    return Account(ses_client(server.url, key=keys["access_key"], secret=keys["secret_key"]), keys)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Sink() as sink, Server({**STRICT, "delivery.routes": {"*": sink.address}}) as server:
        owner, delegate = open_account(server, "111111111111"), open_account(server, "222222222222")
        owner.ses.verify_domain_identity(Domain="shop.example")
        owner.ses.verify_domain_dkim(Domain="shop.example")
        yield World(server, sink, owner, delegate)


@pytest.fixture
def shared(world: World) -> Iterator[World]:
    """The delegate may send news, and nothing else, from the owner's domain."""
    statement = {
        "Sid": "Partner News",
        "Effect": "Allow",
        "Principal": {"AWS": ["222222222222"]},
        "Action": ["ses:SendEmail", "ses:SendRawEmail"],
        "Resource": ARN,
        "Condition": {
            "StringLike": {"ses:FromAddress": "news*@shop.example"},
            "StringLikeIfExists": {"aws:UserAgent": "Boto3/*"},
            "IpAddress": {"aws:SourceIp": "127.0.0.0/8"},
            "Bool": {"aws:SecureTransport": "false"},
        },
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
    world.owner.ses.put_identity_policy(Identity=ARN, PolicyName="partner", Policy=document)
    yield world
    world.owner.ses.delete_identity_policy(Identity="shop.example", PolicyName="partner")


def send(account: Account, subject: str, source: str = "news@shop.example", **more: str) -> Any:
    return account.ses.send_email(
        Source=source,
        Destination={"ToAddresses": ["bob@example.net"]},
        Message={"Subject": {"Data": f"id={subject}"}, "Body": {"Text": {"Data": "hi"}}},
        **more,
    )


def test_policies_go_and_come_over_the_wire(shared: World) -> None:
    ses = shared.owner.ses
    assert ses.list_identity_policies(Identity="shop.example")["PolicyNames"] == ["partner"]
    found = ses.get_identity_policies(Identity="shop.example", PolicyNames=["partner", "none"])["Policies"]
    assert list(found) == ["partner"]
    assert '"Sid":"Partner News","Effect":"Allow"' in found["partner"]
    wrong = {"Effect": "Allow", "Principal": {"AWS": "bob"}, "Action": "ses:*", "Resource": ARN}
    with pytest.raises(ses.exceptions.InvalidPolicyException, match="Policy contains invalid Principal"):
        ses.put_identity_policy(Identity=ARN, PolicyName="x", Policy=json.dumps({"Statement": wrong}))


def test_the_owners_key_signs_what_the_delegate_sends(shared: World) -> None:
    before = len(shared.sink.arrivals)
    send(shared.delegate, "delegated", SourceArn=ARN)
    arrival = shared.sink.wait_for(before + 1)[-1]
    assert (arrival.id, b" d=shop.example;" in arrival.content) == ("delegated", True)
    assert shared.delegate.ses.get_send_quota()["SentLast24Hours"] >= 1
    assert shared.owner.ses.get_send_quota()["SentLast24Hours"] == 0


def test_smtp_clients_name_the_identity_in_a_header(shared: World) -> None:
    keys = shared.delegate.keys
    mail = "From: {}\r\nTo: bob@example.net\r\nX-SES-SOURCE-ARN: " + ARN + "\r\nSubject: id=smtp\r\n\r\nhi\r\n"
    before = len(shared.sink.arrivals)
    with smtplib.SMTP("127.0.0.1", shared.server.submission) as client:
        client.login(keys["smtp_user"], keys["smtp_password"])
        client.sendmail("news-1@shop.example", "bob@example.net", mail.format("news-1@shop.example"))
        with pytest.raises(smtplib.SMTPDataError) as raised:
            client.sendmail("ceo@shop.example", "bob@example.net", mail.format("ceo@shop.example"))
    assert raised.value.smtp_code == 554
    told = DENIED.format(keys["access_key"], "ses:SendRawEmail")
    assert raised.value.smtp_error == f"Access denied: {told}".encode()
    arrival = shared.sink.wait_for(before + 1)[-1]
    assert (arrival.id, b"X-SES-SOURCE-ARN" in arrival.content) == ("smtp", False)


@pytest.mark.parametrize("source", ["ceo@shop.example", "News <ceo@shop.example>"])
def test_a_refusal_is_an_access_denied(shared: World, source: str) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        send(shared.delegate, "no", source, SourceArn=ARN)
    answer = raised.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert answer["Error"]["Code"] == "AccessDenied"
    assert answer["Error"]["Message"] == DENIED.format(shared.delegate.keys["access_key"], "ses:SendEmail")


def test_without_a_policy_the_answer_is_the_same(world: World) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        send(world.delegate, "no", SourceArn=ARN)
    assert raised.value.response["Error"]["Message"] == DENIED.format(
        world.delegate.keys["access_key"], "ses:SendEmail"
    )
