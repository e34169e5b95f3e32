"""A receipt rule as the API has it, read into what is kept and shown again.

Source: API reference, data types ReceiptRule and ReceiptAction; texts as probed on the live service. The topics,
buckets, functions and senders that actions name are looked at in operations/receipt_targets.py.
"""

import re

from posthouse.domain.receipt_patterns import accepted_patterns
from posthouse.domain.receipt_rules import (
    MAX_ACTIONS,
    S3,
    Action,
    AddHeader,
    Bounce,
    Connect,
    Lambda,
    ReceiptRule,
    Sns,
    Stop,
    WorkMail,
    check_rule_name,
)
from posthouse.domain.topics import parse_topic_arn
from posthouse.model import generated as api
from posthouse.model.errors import InvalidParameterValue

MAX_HEADER_VALUE = 2048
MAX_TEXT = 2048
"""Of what SES names no limit for: a bounce's message, an ARN; and of an object's key S3 takes 1024 octets."""
MAX_BUCKET = 255
"""Of the oldest buckets; today's have 63."""
SCOPE = "RuleSet"

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,50}\Z")
_REPLY_CODE = re.compile(r"[45][0-9]{2}\Z")
_STATUS_CODE = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}\Z")
_FUNCTION_ARN = re.compile(
    r"arn:aws[a-z-]{0,30}:lambda:([a-z0-9-]{1,30}):[0-9]{12}:function:[A-Za-z0-9_-]{1,140}(?::[A-Za-z0-9$_-]{1,128})?\Z"
)
_KEY_ARN = re.compile(r"arn:aws[a-z-]{0,30}:kms:([a-z0-9-]{1,30}):[0-9]{12}:(?:key|alias)/[A-Za-z0-9/_-]{1,250}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def read_rule(given: api.ReceiptRule) -> ReceiptRule:
    """Raises InvalidParameterValue, or the error of the thing named, for what breaks a rule of its own."""
    check_rule_name(given.name)
    actions = tuple(_read_action(action) for action in given.actions or ())
    if len(actions) > MAX_ACTIONS:
        raise api.LimitExceededException("Too many actions")
    if any(isinstance(action, Stop) for action in actions[:-1]):
        raise InvalidParameterValue("Stop action, if any, must be placed at the end of the actions list")
    for action in actions:
        _check(action)
    return ReceiptRule(
        name=given.name,
        enabled=bool(given.enabled),
        tls_required=given.tls_policy == "Require",
        recipients=accepted_patterns(given.recipients),
        scan=bool(given.scan_enabled),
        actions=actions,
    )


def _read_action(given: api.ReceiptAction) -> Action:
    named = [value for member in given.MEMBERS if (value := getattr(given, member.attribute)) is not None]
    if len(named) != 1:
        raise InvalidParameterValue("Exactly one action type must be specified for each ReceiptAction")
    match named[0]:
        case api.AddHeaderAction() as it:
            return AddHeader(name=it.header_name, value=it.header_value)
        case api.BounceAction() as it:
            return Bounce(
                reply_code=it.smtp_reply_code,
                status_code=it.status_code or "",
                message=it.message,
                sender=it.sender,
                topic=it.topic_arn or "",
            )
        case api.ConnectAction() as it:
            return Connect(instance=it.instance_arn, role=it.iam_role_arn)
        case api.LambdaAction() as it:
            return Lambda(function=it.function_arn, invocation=it.invocation_type or "", topic=it.topic_arn or "")
        case api.S3Action() as it:
            return S3(
                bucket=it.bucket_name,
                prefix=it.object_key_prefix or "",
                kms_key=it.kms_key_arn or "",
                role=it.iam_role_arn or "",
                topic=it.topic_arn or "",
            )
        case api.SNSAction() as it:
            return Sns(topic=it.topic_arn, encoding=it.encoding or "UTF-8")
        case api.StopAction() as it:
            return Stop(topic=it.topic_arn or "")
        case api.WorkmailAction() as it:
            return WorkMail(organization=it.organization_arn, topic=it.topic_arn or "")
    raise AssertionError(f"the service model has an action that is not known here: {named[0]}")


def _check(action: Action) -> None:
    """What can be said of an action without looking at anything else."""
    if isinstance(action, AddHeader):
        _check_header(action)
    elif isinstance(action, Bounce):
        _check_bounce(action)
    elif isinstance(action, Lambda):
        _check_function(action.function)
    elif isinstance(action, S3):
        _check_bucket(action)
    elif isinstance(action, WorkMail) and len(action.organization) > MAX_TEXT:
        raise InvalidParameterValue("Invalid WorkMail organization ARN")
    if (topic := topic_of(action)) is not None and parse_topic_arn(topic) is None:
        raise api.InvalidSnsTopicException(f"Invalid SNS topic: {topic}", topic=topic)


def _check_header(action: AddHeader) -> None:
    if not _HEADER_NAME.match(action.name):
        raise InvalidParameterValue(f"Invalid header name: {printable(action.name)}")
    if len(action.value) > MAX_HEADER_VALUE or _CONTROL.search(action.value):
        raise InvalidParameterValue(f"Invalid header value: {printable(action.value)}")


def _check_bounce(action: Bounce) -> None:
    if not _REPLY_CODE.match(action.reply_code):
        raise InvalidParameterValue(f"Invalid SMTP reply code: {printable(action.reply_code)}")
    if action.status_code and not _STATUS_CODE.match(action.status_code):
        raise InvalidParameterValue(f"Invalid SMTP status code: {printable(action.status_code)}")
    if not action.message or len(action.message) > MAX_TEXT or _CONTROL.search(action.message):
        raise InvalidParameterValue(f"Invalid SMTP response message: {printable(action.message)}")


def _check_function(arn: str) -> None:
    if not arn:
        raise InvalidParameterValue("Lambda function ARN must not be empty")
    if function_region(arn) is None:
        raise api.InvalidLambdaFunctionException(f"Invalid Lambda function: {printable(arn)}", function_arn=arn)


def _check_bucket(action: S3) -> None:
    if not action.bucket:
        raise InvalidParameterValue("Bucket name must not be empty")
    if len(action.bucket) > MAX_BUCKET:
        raise no_such_bucket(action.bucket)
    if len(action.prefix) > MAX_TEXT or "\0" in action.prefix:
        raise InvalidParameterValue(f"Invalid object key prefix: {printable(action.prefix)}")
    if action.kms_key and key_region(action.kms_key) is None:
        raise unusable_key(action)


def topic_of(action: Action) -> str | None:
    """The topic that hears of the action, or that the action is; None for actions without one."""
    if isinstance(action, AddHeader | Connect):
        return None
    # An SNS action has its topic always; an empty one is as wrong as any other.
    return action.topic if action.topic or isinstance(action, Sns) else None


def function_region(arn: str) -> str | None:
    """The region of a function's ARN; None for what is no such ARN."""
    found = _FUNCTION_ARN.match(arn)
    return found[1] if found else None


def key_region(arn: str) -> str | None:
    found = _KEY_ARN.match(arn)
    return found[1] if found else None


def no_such_bucket(name: str) -> api.InvalidS3ConfigurationException:
    return api.InvalidS3ConfigurationException(f"No such bucket: {printable(name)}", bucket=name)


def unusable_key(action: S3) -> api.InvalidS3ConfigurationException:
    text = f"Unable to use AWS KMS key: {printable(action.kms_key)}"
    return api.InvalidS3ConfigurationException(text, bucket=action.bucket)


def printable(text: str) -> str:
    """Control characters by their numbers, as SES echoes them (probed)."""
    return _CONTROL.sub(lambda found: f"0x{ord(found[0]):04x}", text)


def shown_rule(rule: ReceiptRule) -> api.ReceiptRule:
    """Every rule with its switches and TLS policy, and with its list of actions even where that is empty (probed)."""
    return api.ReceiptRule(
        name=rule.name,
        enabled=rule.enabled,
        tls_policy="Require" if rule.tls_required else "Optional",
        recipients=rule.recipients,
        actions=tuple(map(_shown_action, rule.actions)),
        scan_enabled=rule.scan,
    )


def _shown_action(action: Action) -> api.ReceiptAction:
    match action:
        case AddHeader():
            return api.ReceiptAction(
                add_header_action=api.AddHeaderAction(header_name=action.name, header_value=action.value)
            )
        case Bounce():
            return api.ReceiptAction(
                bounce_action=api.BounceAction(
                    smtp_reply_code=action.reply_code,
                    status_code=action.status_code or None,
                    message=action.message,
                    sender=action.sender,
                    topic_arn=action.topic or None,
                )
            )
        case Connect():
            return api.ReceiptAction(
                connect_action=api.ConnectAction(instance_arn=action.instance, iam_role_arn=action.role)
            )
        case Lambda():
            return api.ReceiptAction(
                lambda_action=api.LambdaAction(
                    function_arn=action.function,
                    invocation_type=action.invocation or None,
                    topic_arn=action.topic or None,
                )
            )
        case S3():
            return api.ReceiptAction(
                s3_action=api.S3Action(
                    bucket_name=action.bucket,
                    object_key_prefix=action.prefix or None,
                    kms_key_arn=action.kms_key or None,
                    iam_role_arn=action.role or None,
                    topic_arn=action.topic or None,
                )
            )
        case Sns():
            return api.ReceiptAction(sns_action=api.SNSAction(topic_arn=action.topic, encoding=action.encoding))
        case Stop():
            return api.ReceiptAction(stop_action=api.StopAction(scope=SCOPE, topic_arn=action.topic or None))
        case WorkMail():
            return api.ReceiptAction(
                workmail_action=api.WorkmailAction(organization_arn=action.organization, topic_arn=action.topic or None)
            )
