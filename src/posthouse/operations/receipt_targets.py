"""What the actions of a receipt rule name, tried out: topics, buckets, keys, functions, the sender of bounces.

Source: SES developer guide, "Giving permissions"; SES reference 24.5: a rule is only made, or changed, once SES has
published to its topics and written into its buckets. Texts as observed; the first that fails is told.
"""

from posthouse.domain.identities import candidates, email_address, key_of
from posthouse.domain.receipt_forms import function_region, key_region, no_such_bucket, topic_of, unusable_key
from posthouse.domain.receipt_rules import S3, Action, Bounce, Lambda, ReceiptRule
from posthouse.domain.scope import Caller, Scope
from posthouse.domain.sending import is_verified
from posthouse.domain.topics import parse_topic_arn
from posthouse.mail.receipt_setup import MESSAGE_ID, SUBJECT, setup_mail, setup_notification
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    InvalidLambdaFunctionException,
    InvalidS3ConfigurationException,
    InvalidSnsTopicException,
)
from posthouse.operations.context import Context
from posthouse.ports.data_keys import DataKey
from posthouse.ports.functions import MayBeCalled
from posthouse.ports.objects import BucketUnknown, Taken, WriterRefused
from posthouse.ports.topics import Published


async def try_targets(rule: ReceiptRule, caller: Caller, ctx: Context) -> None:
    """Raises SES's error for the first action that names something which is not there, or not ours to use."""
    for action in rule.actions:
        await _try_topic(action, caller, ctx)
        if isinstance(action, S3):
            await _try_bucket(action, caller, ctx)
        elif isinstance(action, Lambda):
            await _try_function(action, caller, ctx)
        elif isinstance(action, Bounce):
            await _check_sender(action.sender, caller.scope, ctx)


async def _try_topic(action: Action, caller: Caller, ctx: Context) -> None:
    arn = topic_of(action)
    if arn is None:
        return
    topic = parse_topic_arn(arn)
    if topic is not None and topic.region == caller.scope.region:
        message = setup_notification(action, ctx.clock.now_ms())
        if isinstance(await ctx.topics.publish(caller.scope.account, arn, SUBJECT, message), Published):
            return
    raise InvalidSnsTopicException(f"Could not publish to SNS topic: {arn}", topic=arn)


async def _try_bucket(action: S3, caller: Caller, ctx: Context) -> None:
    account = caller.scope.account
    if action.kms_key:
        await _try_key(action, caller, ctx)
    content = setup_mail("S3 bucket", ctx.clock.now_ms()).encode()
    outcome = await ctx.receipt.objects.put(account, action.bucket, action.key(MESSAGE_ID), content, {}, action.role)
    match outcome:
        case Taken():
            return
        case BucketUnknown():
            raise no_such_bucket(action.bucket)
        case WriterRefused():
            raise InvalidS3ConfigurationException("Could not assume the provided IAM role", bucket=action.bucket)
        case _:
            raise InvalidS3ConfigurationException(f"Could not write to bucket: {action.bucket}", bucket=action.bucket)


async def _try_key(action: S3, caller: Caller, ctx: Context) -> None:
    keys, account = ctx.receipt.data_keys, caller.scope.account
    # A key of another region is none that SES can use (developer guide).
    if key_region(action.kms_key) == caller.scope.region:
        made = await keys.generate(account, action.kms_key, {"aws:ses:source-account": account}, action.role)
        if isinstance(made, DataKey):
            return
    raise unusable_key(action)


async def _try_function(action: Lambda, caller: Caller, ctx: Context) -> None:
    if function_region(action.function) == caller.scope.region:
        outcome = await ctx.receipt.functions.check(caller.scope.account, action.function)
        if isinstance(outcome, MayBeCalled):
            return
    raise InvalidLambdaFunctionException(
        f"Could not invoke Lambda function: {action.function}", function_arn=action.function
    )


async def _check_sender(sender: str, scope: Scope, ctx: Context) -> None:
    unverified = InvalidParameterValue(f"Identity is not verified: {sender}")
    try:
        names = map(key_of, candidates(email_address(sender)))
    except InvalidParameterValue:
        raise unverified from None
    async with ctx.stores.records.reading() as reading:
        identities = await reading.identities.get_many(scope, names)
    if not is_verified(sender, identities):
        raise unverified
