"""Receipt rules through AWS's own SDK, and what the MX door makes of them, against a real server with its stand-ins."""

import smtplib
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.sdk import ses_client
from tests.support.server import Server

TOPIC = "arn:aws:sns:us-east-1:123456789012:mail"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:triage"
SETUP = "AMAZON_SES_SETUP_NOTIFICATION"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {
        "local.auto_create": False,
        "local.topics": [TOPIC],
        "local.buckets": ["mail"],
        "lambda.functions": {"triage": "http://127.0.0.1:9/"},
        "processes.doors": 2,
        "processes.engines": 1,
    }
    with Server(settings) as server:
        yield server


@pytest.fixture
def ses(server: Server) -> Iterator[Any]:
    """A client of an account with a verified domain, and nothing about receiving."""
    client = ses_client(server.url)
    client.verify_domain_identity(Domain="shop.example")
    yield client
    client.set_active_receipt_rule_set()
    for rule_set in client.list_receipt_rule_sets()["RuleSets"]:
        client.delete_receipt_rule_set(RuleSetName=rule_set["Name"])
    for kept in client.list_receipt_filters()["Filters"]:
        client.delete_receipt_filter(FilterName=kept["Name"])


def refusal(call: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**given)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def rcpt(server: Server, *recipients: str, tls: bool = False) -> list[tuple[int, str]]:
    """What the MX door answers to each."""
    with smtplib.SMTP("127.0.0.1", server.inbound, timeout=10) as client:
        client.ehlo("client.example")
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            client.ehlo("client.example")
        client.mail("someone@client.example")
        return [(code, text.decode()) for code, text in map(client.rcpt, recipients)]


UNKNOWN = (550, "5.1.1 mailbox unavailable")
OK = (250, "2.1.5 Ok")


def test_rules_come_back_as_they_were_given(ses: Any, server: Server) -> None:
    assert "Metadata" not in ses.describe_active_receipt_rule_set()
    ses.create_receipt_rule_set(RuleSetName="inbound")
    bare = {"Name": "bare"}
    ses.create_receipt_rule(RuleSetName="inbound", Rule=bare)
    shown = ses.describe_receipt_rule(RuleSetName="inbound", RuleName="bare")["Rule"]
    assert shown == {"Name": "bare", "Enabled": False, "TlsPolicy": "Optional", "Actions": [], "ScanEnabled": False}
    rule = {
        "Name": "full",
        "Enabled": True,
        "TlsPolicy": "Require",
        "Recipients": ["shop.example", "user@shop.example"],
        "ScanEnabled": True,
        "Actions": [
            {"AddHeaderAction": {"HeaderName": "X-Test", "HeaderValue": "value<&"}},
            {"S3Action": {"BucketName": "mail", "ObjectKeyPrefix": "in", "TopicArn": TOPIC}},
            {"SNSAction": {"TopicArn": TOPIC, "Encoding": "Base64"}},
            {"LambdaAction": {"FunctionArn": FUNCTION, "InvocationType": "RequestResponse"}},
            {
                "BounceAction": {
                    "SmtpReplyCode": "550",
                    "StatusCode": "5.1.1",
                    "Message": "no",
                    "Sender": "postmaster@shop.example",
                }
            },
            {"StopAction": {"Scope": "RuleSet"}},
        ],
    }
    ses.create_receipt_rule(RuleSetName="inbound", Rule=rule, After="bare")
    assert ses.describe_receipt_rule(RuleSetName="inbound", RuleName="full")["Rule"] == rule
    ses.set_receipt_rule_position(RuleSetName="inbound", RuleName="full")
    ses.update_receipt_rule(RuleSetName="inbound", Rule={**bare, "Enabled": True})
    described = ses.describe_receipt_rule_set(RuleSetName="inbound")
    assert described["Metadata"]["Name"] == "inbound"
    assert [(each["Name"], each["Enabled"]) for each in described["Rules"]] == [("full", True), ("bare", True)]
    ses.reorder_receipt_rule_set(RuleSetName="inbound", RuleNames=["bare", "full"])
    ses.clone_receipt_rule_set(RuleSetName="copy", OriginalRuleSetName="inbound")
    ses.set_active_receipt_rule_set(RuleSetName="inbound")
    active = ses.describe_active_receipt_rule_set()
    assert [each["Name"] for each in active["Rules"]] == ["bare", "full"]
    assert active["Rules"] == ses.describe_receipt_rule_set(RuleSetName="copy")["Rules"]
    ses.delete_receipt_rule(RuleSetName="inbound", RuleName="bare")
    assert len(ses.describe_active_receipt_rule_set()["Rules"]) == 1
    assert {each["Name"] for each in ses.list_receipt_rule_sets()["RuleSets"]} == {"inbound", "copy"}
    # What was tried out on the way.
    assert (server.data_dir / "s3" / "mail" / "in" / SETUP).read_bytes().startswith(b"Date: ")
    told = server.admin(f"/topics/{TOPIC}/notifications")["notifications"]
    assert len(told) == 2
    assert all(SETUP in each["message"] for each in told)


def test_refusals(ses: Any) -> None:
    ses.create_receipt_rule_set(RuleSetName="inbound")
    ses.set_active_receipt_rule_set(RuleSetName="inbound")
    ses.create_receipt_rule(RuleSetName="inbound", Rule={"Name": "a"})
    create, rule_set = ses.create_receipt_rule, {"RuleSetName": "inbound"}
    assert refusal(ses.create_receipt_rule_set, **rule_set) == ("AlreadyExists", "Rule set already exists: inbound")
    assert refusal(ses.delete_receipt_rule_set, **rule_set) == (
        "CannotDelete", "Cannot delete active rule set: inbound",
    )  # fmt: skip
    for call, given in (
        (ses.describe_receipt_rule_set, {}),
        (ses.set_active_receipt_rule_set, {}),
        (ses.reorder_receipt_rule_set, {"RuleNames": ["a"]}),
        (ses.create_receipt_rule, {"Rule": {"Name": "b"}}),
        (ses.update_receipt_rule, {"Rule": {"Name": "a"}}),
        (ses.delete_receipt_rule, {"RuleName": "a"}),
        (ses.describe_receipt_rule, {"RuleName": "a"}),
        (ses.set_receipt_rule_position, {"RuleName": "a"}),
    ):
        assert refusal(call, RuleSetName="nope", **given) == ("RuleSetDoesNotExist", "Rule set does not exist: nope")
    assert refusal(ses.clone_receipt_rule_set, RuleSetName="copy", OriginalRuleSetName="nope") == (
        "RuleSetDoesNotExist", "Rule set does not exist: nope",
    )  # fmt: skip
    assert refusal(create, **rule_set, Rule={"Name": "a"}) == ("AlreadyExists", "Rule already exists: a")
    assert refusal(create, **rule_set, Rule={"Name": "b"}, After="x") == ("RuleDoesNotExist", "Rule does not exist: x")
    other = "arn:aws:sns:us-east-1:123456789012:other"
    function = FUNCTION.replace("triage", "other")
    for action, expected in (
        ({"S3Action": {"BucketName": "other"}}, ("InvalidS3Configuration", "No such bucket: other")),
        ({"SNSAction": {"TopicArn": other}}, ("InvalidSnsTopic", f"Could not publish to SNS topic: {other}")),
        (
            {"LambdaAction": {"FunctionArn": function}},
            ("InvalidLambdaFunction", f"Could not invoke Lambda function: {function}"),
        ),
    ):
        assert refusal(create, **rule_set, Rule={"Name": "b", "Actions": [action]}) == expected
    assert [each["Name"] for each in ses.describe_receipt_rule_set(**rule_set)["Rules"]] == ["a"]


def test_the_door_asks_the_active_rule_set(ses: Any, server: Server) -> None:
    assert rcpt(server, "x@shop.example", "x@other.example") == [OK, UNKNOWN]
    ses.create_receipt_rule_set(RuleSetName="inbound")
    ses.create_receipt_rule(
        RuleSetName="inbound", Rule={"Name": "help", "Enabled": True, "Recipients": ["help@shop.example"]}
    )
    secret = {"Name": "secret", "Enabled": True, "TlsPolicy": "Require", "Recipients": ["secret@shop.example"]}
    ses.create_receipt_rule(RuleSetName="inbound", Rule=secret)
    ses.set_active_receipt_rule_set(RuleSetName="inbound")
    wanted = ["HELP+label@shop.example", "secret@shop.example", "x@shop.example"]
    assert rcpt(server, *wanted) == [OK, (530, "5.7.0 Must issue a STARTTLS command first"), UNKNOWN]
    assert rcpt(server, *wanted, tls=True) == [OK, OK, UNKNOWN]
    with smtplib.SMTP("127.0.0.1", server.inbound, timeout=10) as client:
        refused = client.sendmail("a@client.example", [wanted[0], wanted[2]], b"Subject: hi\r\n\r\nhi\r\n")
    assert list(refused) == [wanted[2]]
    (message,) = server.admin(f"/messages?recipient={wanted[0].replace('+', '%2B')}")["messages"]
    assert message["direction"] == "in"


def test_the_door_asks_the_filters(ses: Any, server: Server) -> None:
    def create(name: str, policy: str, cidr: str) -> None:
        ses.create_receipt_filter(Filter={"Name": name, "IpFilter": {"Policy": policy, "Cidr": cidr}})

    create("all", "Block", "0.0.0.0/0")
    blocked = (550, "5.7.1 Client host blocked by an IP address filter of the recipient")
    assert rcpt(server, "x@shop.example", "x@other.example") == [blocked, UNKNOWN]
    create("us", "Allow", "127.0.0.1/8")
    assert rcpt(server, "x@shop.example") == [OK]
    assert ses.list_receipt_filters()["Filters"] == [
        {"Name": "all", "IpFilter": {"Policy": "Block", "Cidr": "0.0.0.0/0"}},
        {"Name": "us", "IpFilter": {"Policy": "Allow", "Cidr": "127.0.0.1/8"}},
    ]
    ses.delete_receipt_filter(FilterName="us")
    assert rcpt(server, "x@shop.example") == [blocked]


def test_where_a_rule_is_required_nothing_is_taken_without_one() -> None:
    with Server({"receiving.require_rule": True, "processes.doors": 1, "processes.engines": 1}) as server:
        ses = ses_client(server.url)
        ses.verify_domain_identity(Domain="shop.example")
        assert rcpt(server, "x@shop.example") == [UNKNOWN]
        ses.create_receipt_rule_set(RuleSetName="inbound")
        ses.create_receipt_rule(RuleSetName="inbound", Rule={"Name": "all", "Enabled": True})
        ses.set_active_receipt_rule_set(RuleSetName="inbound")
        assert rcpt(server, "x@shop.example") == [OK]
