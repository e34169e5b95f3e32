"""Receipt rules through the operations: what comes back, every refusal with its text, what is tried out when."""

import json
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses
from tests.support.receipt import MemoryReceipt

from posthouse.domain.scope import Caller
from posthouse.model.errors import ServiceError
from posthouse.ports.data_keys import KeyFailed, KeyUnknown
from posthouse.ports.functions import CallNotPermitted, FunctionUnknown
from posthouse.ports.objects import BucketUnknown, WriteFailed, WriteNotPermitted, WriterRefused

ARN = "arn:aws:{}:us-east-1:111111111111:"
TOPIC = ARN.format("sns") + "mail"
FUNCTION = ARN.format("lambda") + "function:triage"
KEY = ARN.format("kms") + "key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROLE = "arn:aws:iam::111111111111:role/ses-writes"
PREFIX = "Rule.Actions.member.{}."
SETUP = "AMAZON_SES_SETUP_NOTIFICATION"

Form = dict[str, str]
S3_ACTION: Form = {"S3Action.BucketName": "mail"}
STOP: Form = {"StopAction.Scope": "RuleSet"}
HEADER: Form = {"AddHeaderAction.HeaderName": "X-A", "AddHeaderAction.HeaderValue": "v"}
BOUNCE: Form = {
    "BounceAction.SmtpReplyCode": "550",
    "BounceAction.StatusCode": "5.1.1",
    "BounceAction.Message": "Mailbox does not exist",
    "BounceAction.Sender": "postmaster@shop.example",
    "BounceAction.TopicArn": TOPIC,
}


def a_rule(*actions: Form, name: str = "keep", **more: str) -> Form:
    form = {"RuleSetName": "inbound", "Rule.Name": name, **{key.replace("__", "."): more[key] for key in more}}
    for number, action in enumerate(actions, 1):
        form |= {PREFIX.format(number) + key: value for key, value in action.items()}
    return form


async def prepare(ses: Ses) -> None:
    await ses.call("CreateReceiptRuleSet", RuleSetName="inbound")
    await ses.call("VerifyDomainIdentity", Domain="shop.example")


async def refused(ses: Ses, operation: str, caller: Caller = Callers.ANN, /, **given: str) -> tuple[str, str, Form]:
    with pytest.raises(ServiceError) as error:
        await ses.call(operation, caller, **given)
    return error.value.code, error.value.message, error.value.members


async def shown(ses: Ses, name: str = "keep") -> Any:
    return (await ses.call("DescribeReceiptRule", RuleSetName="inbound", RuleName=name)).rule


async def in_order(ses: Ses) -> list[str]:
    return [rule.name for rule in (await ses.call("DescribeReceiptRuleSet", RuleSetName="inbound")).rules]


# -- what comes back


async def test_a_bare_rule_has_its_defaults() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("CreateReceiptRule", **a_rule())
        rule = await shown(ses)
        assert (rule.name, rule.enabled, rule.scan_enabled, rule.tls_policy) == ("keep", False, False, "Optional")
        assert (rule.recipients, rule.actions) == (None, ())


async def test_every_action_comes_back_as_it_was_given() -> None:
    actions: list[Form] = [
        HEADER,
        BOUNCE,
        {"LambdaAction.FunctionArn": FUNCTION},
        {
            "LambdaAction.FunctionArn": f"{FUNCTION}:live",
            "LambdaAction.InvocationType": "RequestResponse",
            "LambdaAction.TopicArn": TOPIC,
        },
        {
            **S3_ACTION,
            "S3Action.ObjectKeyPrefix": "in/",
            "S3Action.KmsKeyArn": KEY,
            "S3Action.IamRoleArn": ROLE,
            "S3Action.TopicArn": TOPIC,
        },
        {"SNSAction.TopicArn": TOPIC, "SNSAction.Encoding": "Base64"},
        {"SNSAction.TopicArn": TOPIC},
        {
            "WorkmailAction.OrganizationArn": ARN.format("workmail") + "organization/m-1",
            "WorkmailAction.TopicArn": TOPIC,
        },
        {
            "ConnectAction.InstanceARN": ARN.format("connect") + "instance/0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f",
            "ConnectAction.IAMRoleARN": ROLE,
        },
        {**STOP, "StopAction.TopicArn": TOPIC},
    ]
    async with open_ses() as ses:
        await prepare(ses)
        more = {"Rule__Enabled": "true", "Rule__ScanEnabled": "true", "Rule__TlsPolicy": "Require"}
        more |= {"Rule__Recipients__member__1": "Z@Shop.example", "Rule__Recipients__member__2": "shop.example"}
        await ses.call("CreateReceiptRule", **a_rule(*actions, **more))
        rule = await shown(ses)
        assert (rule.enabled, rule.scan_enabled, rule.tls_policy) == (True, True, "Require")
        assert rule.recipients == ("shop.example", "z@shop.example")
        told = []
        for action in rule.actions:
            (member,) = (m for m in action.MEMBERS if getattr(action, m.attribute) is not None)
            inner = getattr(action, member.attribute)
            told.append(
                {
                    f"{member.name}.{m.name}": value
                    for m in inner.MEMBERS
                    if (value := getattr(inner, m.attribute)) is not None
                }
            )
        # The encoding has a default that is shown; the invocation type has none.
        actions[6]["SNSAction.Encoding"] = "UTF-8"
        assert told == actions


async def test_an_update_replaces_the_whole_rule_in_its_place() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        for name in ("third", "keep", "first"):
            await ses.call("CreateReceiptRule", **a_rule(HEADER, name=name, Rule__Enabled="true"))
        await ses.call("UpdateReceiptRule", **a_rule(Rule__ScanEnabled="true"))
        rule = await shown(ses)
        assert (rule.enabled, rule.scan_enabled, rule.actions) == (False, True, ())
        assert await in_order(ses) == ["first", "keep", "third"]
        assert await refused(ses, "UpdateReceiptRule", **a_rule(name="other")) == (
            "RuleDoesNotExist", "Rule does not exist: other", {"Name": "other"},
        )  # fmt: skip


async def test_order() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("CreateReceiptRule", **a_rule(name="a"))
        await ses.call("CreateReceiptRule", **a_rule(name="b"))
        await ses.call("CreateReceiptRule", **a_rule(name="c", After="b"))
        assert await in_order(ses) == ["b", "c", "a"]
        await ses.call("SetReceiptRulePosition", RuleSetName="inbound", RuleName="b", After="a")
        assert await in_order(ses) == ["c", "a", "b"]
        await ses.call("SetReceiptRulePosition", RuleSetName="inbound", RuleName="b", After="b")
        assert await in_order(ses) == ["c", "a", "b"]
        await ses.call("SetReceiptRulePosition", RuleSetName="inbound", RuleName="b")
        assert await in_order(ses) == ["b", "c", "a"]
        await ses.call("DeleteReceiptRule", RuleSetName="inbound", RuleName="c")
        await ses.call("DeleteReceiptRule", RuleSetName="inbound", RuleName="c")
        assert await in_order(ses) == ["b", "a"]


# -- refusals


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("CreateReceiptRule", a_rule()),
        ("UpdateReceiptRule", a_rule()),
        ("DeleteReceiptRule", {"RuleName": "keep"}),
        ("DescribeReceiptRule", {"RuleName": "keep"}),
        ("SetReceiptRulePosition", {"RuleName": "keep"}),
    ],
)
async def test_the_rule_set_must_be_there_and_be_the_callers(operation: str, given: Form) -> None:
    async with open_ses() as ses:
        await prepare(ses)
        missing = ("RuleSetDoesNotExist", "Rule set does not exist: {}")
        for name, caller in (("nope", Callers.ANN), ("inbound", Callers.BOB), ("inbound", Callers.ANN_ELSEWHERE)):
            told = await refused(ses, operation, caller, **{**given, "RuleSetName": name})
            assert told == (missing[0], missing[1].format(name), {"Name": name})
        told = await refused(ses, operation, **{**given, "RuleSetName": "-bad"})
        assert told == ("InvalidParameterValue", "Not a valid ruleSetName: -bad", {})
        told = await refused(ses, operation, **{**given, "RuleSetName": "no way"})
        pattern = "^[a-zA-Z0-9_.-]+$"
        assert told[0] == "ValidationError"
        assert told[1] == (
            "1 validation error detected: Value at 'ruleSetName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {pattern}"
        )


@pytest.mark.parametrize("operation", ["DeleteReceiptRule", "DescribeReceiptRule", "SetReceiptRulePosition"])
async def test_the_rule_must_have_a_name_that_could_be_one(operation: str) -> None:
    async with open_ses() as ses:
        told = await refused(ses, operation, RuleSetName="nope", RuleName="bad-")
        assert told == ("InvalidParameterValue", "Not a valid ruleName: bad-", {})


async def test_a_rule_that_is_not_there() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        expected = ("RuleDoesNotExist", "Rule does not exist: x", {"Name": "x"})
        assert await refused(ses, "DescribeReceiptRule", RuleSetName="inbound", RuleName="x") == expected
        assert await refused(ses, "SetReceiptRulePosition", RuleSetName="inbound", RuleName="x") == expected
        assert await refused(ses, "CreateReceiptRule", **a_rule(After="x")) == expected
        await ses.call("CreateReceiptRule", **a_rule())
        assert (
            await refused(ses, "SetReceiptRulePosition", RuleSetName="inbound", RuleName="keep", After="x") == expected
        )
        told = await refused(ses, "CreateReceiptRule", **a_rule(After="x"))
        assert told == ("AlreadyExists", "Rule already exists: keep", {"Name": "keep"})


INVALID = "InvalidParameterValue"


@pytest.mark.parametrize(
    ("actions", "code", "message", "members"),
    [
        ([{**STOP, **HEADER}], INVALID, "Exactly one action type must be specified for each ReceiptAction", {}),
        ([HEADER] * 11, "LimitExceeded", "Too many actions", {}),
        ([STOP, HEADER], INVALID, "Stop action, if any, must be placed at the end of the actions list", {}),
        ([{**HEADER, "AddHeaderAction.HeaderName": "X A"}], INVALID, "Invalid header name: X A", {}),
        ([{**HEADER, "AddHeaderAction.HeaderName": "X:A"}], INVALID, "Invalid header name: X:A", {}),
        ([{**HEADER, "AddHeaderAction.HeaderName": ""}], INVALID, "Invalid header name: ", {}),
        ([{**HEADER, "AddHeaderAction.HeaderName": "x" * 51}], INVALID, f"Invalid header name: {'x' * 51}", {}),
        ([{**HEADER, "AddHeaderAction.HeaderValue": "a\nb"}], INVALID, "Invalid header value: a0x000ab", {}),
        ([{**HEADER, "AddHeaderAction.HeaderValue": "a\r\0"}], INVALID, "Invalid header value: a0x000d0x0000", {}),
        ([{**HEADER, "AddHeaderAction.HeaderValue": "v" * 2049}], INVALID, f"Invalid header value: {'v' * 2049}", {}),
        ([{**BOUNCE, "BounceAction.SmtpReplyCode": ""}], INVALID, "Invalid SMTP reply code: ", {}),
        ([{**BOUNCE, "BounceAction.SmtpReplyCode": "250"}], INVALID, "Invalid SMTP reply code: 250", {}),
        ([{**BOUNCE, "BounceAction.StatusCode": "5.1"}], INVALID, "Invalid SMTP status code: 5.1", {}),
        ([{**BOUNCE, "BounceAction.Message": ""}], INVALID, "Invalid SMTP response message: ", {}),
        ([{**BOUNCE, "BounceAction.Message": "a\r\nb"}], INVALID, "Invalid SMTP response message: a0x000d0x000ab", {}),
        ([{**BOUNCE, "BounceAction.Sender": "a@x.example"}], INVALID, "Identity is not verified: a@x.example", {}),
        ([{**BOUNCE, "BounceAction.Sender": "shop.example"}], INVALID, "Identity is not verified: shop.example", {}),
        ([{"S3Action.BucketName": ""}], INVALID, "Bucket name must not be empty", {}),
        (
            [{"S3Action.BucketName": "b" * 256}],
            "InvalidS3Configuration",
            f"No such bucket: {'b' * 256}",
            {"Bucket": "b" * 256},
        ),
        (
            [{**S3_ACTION, "S3Action.KmsKeyArn": "my key"}],
            "InvalidS3Configuration",
            "Unable to use AWS KMS key: my key",
            {"Bucket": "mail"},
        ),
        (
            [{**S3_ACTION, "S3Action.KmsKeyArn": KEY.replace("us-east-1", "eu-west-1")}],
            "InvalidS3Configuration",
            f"Unable to use AWS KMS key: {KEY.replace('us-east-1', 'eu-west-1')}",
            {"Bucket": "mail"},
        ),
        ([{"LambdaAction.FunctionArn": ""}], INVALID, "Lambda function ARN must not be empty", {}),
        (
            [{"LambdaAction.FunctionArn": "triage"}],
            "InvalidLambdaFunction",
            "Invalid Lambda function: triage",
            {"FunctionArn": "triage"},
        ),
        (
            [{"LambdaAction.FunctionArn": FUNCTION.replace("us-east-1", "eu-west-1")}],
            "InvalidLambdaFunction",
            f"Could not invoke Lambda function: {FUNCTION.replace('us-east-1', 'eu-west-1')}",
            {"FunctionArn": FUNCTION.replace("us-east-1", "eu-west-1")},
        ),
        ([{"SNSAction.TopicArn": ""}], "InvalidSnsTopic", "Invalid SNS topic: ", {"Topic": ""}),
        ([{"SNSAction.TopicArn": "mail"}], "InvalidSnsTopic", "Invalid SNS topic: mail", {"Topic": "mail"}),
        (
            [{**STOP, "StopAction.TopicArn": f"{TOPIC}.fifo"}],
            "InvalidSnsTopic",
            f"Invalid SNS topic: {TOPIC}.fifo",
            {"Topic": f"{TOPIC}.fifo"},
        ),
        (
            [{**STOP, "StopAction.TopicArn": TOPIC.replace("us-east-1", "eu-west-1")}],
            "InvalidSnsTopic",
            f"Could not publish to SNS topic: {TOPIC.replace('us-east-1', 'eu-west-1')}",
            {"Topic": TOPIC.replace("us-east-1", "eu-west-1")},
        ),
    ],
)  # fmt: skip
async def test_an_action_that_is_wrong_by_itself(actions: list[Form], code: str, message: str, members: Form) -> None:
    receipt = MemoryReceipt()
    async with open_ses(receipt=receipt) as ses:
        await prepare(ses)
        for operation in ("CreateReceiptRule", "UpdateReceiptRule"):
            if operation == "UpdateReceiptRule":
                await ses.call("CreateReceiptRule", **a_rule())
            assert await refused(ses, operation, **a_rule(*actions)) == (code, message, members)
        assert (await shown(ses)).actions == ()
        assert receipt.objects.written == {}


async def test_names_and_recipients_are_told_before_the_rule_set_is_looked_up() -> None:
    async with open_ses() as ses:
        given = {**a_rule(name="-bad"), "RuleSetName": "nope"}
        assert await refused(ses, "CreateReceiptRule", **given) == (INVALID, "Not a valid ruleName: -bad", {})
        given = {**a_rule(Rule__Recipients__member__1="not valid"), "RuleSetName": "nope"}
        assert await refused(ses, "CreateReceiptRule", **given) == (INVALID, "Invalid recipient: not valid", {})


async def test_what_the_service_model_says_of_a_rule() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        at, null = (
            "Value at '{}' failed to satisfy constraint: Member must {}",
            "Value null at '{}' failed to satisfy constraint: Member must not be null",
        )
        code, message, _ = await refused(
            ses,
            "CreateReceiptRule",
            **a_rule(
                {"BounceAction.TopicArn": TOPIC},
                {"SNSAction.Encoding": "x", "SNSAction.TopicArn": TOPIC},
                {"StopAction.Scope": "Rule"},
                Rule__TlsPolicy="Never",
            ),
        )  # fmt: skip
        action = "rule.actions.{}.member.{}"
        assert (code, message) == (
            "ValidationError",
            "6 validation errors detected: "
            + "; ".join(
                [
                    at.format("rule.tlsPolicy", "satisfy enum value set: [Optional, Require]"),
                    *(
                        null.format(action.format(1, f"bounceAction.{m}"))
                        for m in ("smtpReplyCode", "sender", "message")
                    ),
                    at.format(action.format(2, "sNSAction.encoding"), "satisfy enum value set: [Base64, UTF-8]"),
                    at.format(action.format(3, "stopAction.scope"), "satisfy enum value set: [RuleSet]"),
                ]
            ),
        )


# -- what is tried out


async def test_a_bucket_is_written_to_under_the_prefix() -> None:
    receipt = MemoryReceipt()
    async with open_ses(receipt=receipt) as ses:
        await prepare(ses)
        with_prefix = {**S3_ACTION, "S3Action.ObjectKeyPrefix": "help"}
        await ses.call("CreateReceiptRule", **a_rule(S3_ACTION, with_prefix))
        assert list(receipt.objects.written) == [("mail", SETUP), ("mail", f"help/{SETUP}")]
        mail = receipt.objects.written["mail", SETUP].decode()
        head, _, body = mail.partition("\r\n\r\n")
        assert head.split("\r\n") == [
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
            "To: recipient@example.com",
            "From: Amazon Web Services <no-reply-aws@amazon.com>",
            "Subject: Amazon SES Setup Notification",
            f"Message-ID: {SETUP}",
        ]
        assert "S3 bucket" in body
        receipt.objects.written.clear()
        await ses.call("UpdateReceiptRule", **a_rule(S3_ACTION))
        assert list(receipt.objects.written) == [("mail", SETUP)]


async def test_topics_hear_of_it_once_an_action() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        sns = {"SNSAction.TopicArn": TOPIC, "SNSAction.Encoding": "Base64"}
        await ses.call("CreateReceiptRule", **a_rule(BOUNCE, sns, HEADER, STOP))
        kept = await ses.ctx.stores.topics.notifications(Callers.ANN.scope.account, TOPIC, None, 10)
        assert kept is not None
        told = [(each.notification.subject, json.loads(each.notification.message)) for each in reversed(kept)]
        assert {subject for subject, _ in told} == {"Amazon SES Email Receipt Notification"}
        assert [message["receipt"]["action"] for _, message in told] == [
            {
                "type": "Bounce",
                "topicArn": TOPIC,
                "smtpReplyCode": "550",
                "statusCode": "5.1.1",
                "message": "Mailbox does not exist",
                "sender": "postmaster@shop.example",
            },
            {"type": "SNS", "topicArn": TOPIC, "encoding": "BASE64"},
        ]
        assert {message["mail"]["messageId"] for _, message in told} == {SETUP}
        assert ["content" in message for _, message in told] == [False, True]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (BucketUnknown(), "No such bucket: mail"),
        (WriteNotPermitted("no"), "Could not write to bucket: mail"),
        (WriteFailed("no"), "Could not write to bucket: mail"),
        (WriterRefused("no"), "Could not assume the provided IAM role"),
    ],
)
async def test_a_bucket_that_takes_nothing(refusal: Any, message: str) -> None:
    receipt = MemoryReceipt()
    async with open_ses(receipt=receipt) as ses:
        await prepare(ses)
        await ses.call("CreateReceiptRule", **a_rule(S3_ACTION))
        receipt.objects.refusals["mail"] = refusal
        expected = ("InvalidS3Configuration", message, {"Bucket": "mail"})
        assert await refused(ses, "CreateReceiptRule", **a_rule(HEADER, S3_ACTION, name="other")) == expected
        assert await refused(ses, "UpdateReceiptRule", **a_rule(S3_ACTION, Rule__Enabled="true")) == expected
        assert await in_order(ses) == ["keep"]
        assert not (await shown(ses)).enabled


@pytest.mark.parametrize("refusal", [KeyUnknown(), KeyFailed("no")])
async def test_a_key_that_cannot_be_used(refusal: Any) -> None:
    receipt = MemoryReceipt()
    receipt.data_keys.refusals[KEY] = refusal
    async with open_ses(receipt=receipt) as ses:
        await prepare(ses)
        told = await refused(ses, "CreateReceiptRule", **a_rule({**S3_ACTION, "S3Action.KmsKeyArn": KEY}))
        assert told == ("InvalidS3Configuration", f"Unable to use AWS KMS key: {KEY}", {"Bucket": "mail"})
        assert receipt.objects.written == {}


@pytest.mark.parametrize("refusal", [FunctionUnknown(), CallNotPermitted("no")])
async def test_a_function_that_cannot_be_called(refusal: Any) -> None:
    receipt = MemoryReceipt()
    receipt.functions.refusals[FUNCTION] = refusal
    async with open_ses(receipt=receipt) as ses:
        await prepare(ses)
        told = await refused(ses, "CreateReceiptRule", **a_rule({"LambdaAction.FunctionArn": FUNCTION}))
        message = f"Could not invoke Lambda function: {FUNCTION}"
        assert told == ("InvalidLambdaFunction", message, {"FunctionArn": FUNCTION})
        assert receipt.functions.called == []


async def test_a_topic_that_is_not_there() -> None:
    async with open_ses(auto_create_topics=False) as ses:
        await prepare(ses)
        told = await refused(ses, "CreateReceiptRule", **a_rule({**STOP, "StopAction.TopicArn": TOPIC}))
        assert told == ("InvalidSnsTopic", f"Could not publish to SNS topic: {TOPIC}", {"Topic": TOPIC})


async def test_nothing_is_written_for_a_rule_that_cannot_be() -> None:
    receipt = MemoryReceipt()
    async with open_ses(receipt=receipt) as ses:
        await prepare(ses)
        await refused(ses, "CreateReceiptRule", **{**a_rule(S3_ACTION), "RuleSetName": "nope"})
        await refused(ses, "UpdateReceiptRule", **a_rule(S3_ACTION))
        await refused(ses, "CreateReceiptRule", **a_rule(S3_ACTION, STOP, HEADER))
        assert receipt.objects.written == {}


async def test_a_bounce_comes_from_any_verified_address() -> None:
    async with open_ses() as ses:
        await prepare(ses)
        await ses.call("VerifyEmailIdentity", EmailAddress="ann@post.example")
        for number, sender in enumerate(("x@shop.example", "x@deep.shop.example", "ann+l@post.example")):
            await ses.call("CreateReceiptRule", **a_rule({**BOUNCE, "BounceAction.Sender": sender}, name=f"r{number}"))
