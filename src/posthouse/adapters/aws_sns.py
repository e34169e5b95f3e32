"""SNS itself, or what speaks its protocol. The region is the ARN's."""

import logging

from posthouse.adapters.aws_session import Answered, AwsService, Denied, Unreached
from posthouse.domain.topics import parse_topic_arn, why_not_publishable
from posthouse.ports.topics import Published, PublishFailed, PublishOutcome, TopicUnknown

log = logging.getLogger("posthouse.sns")


class AwsTopics:
    """ports.topics.Topics by the real protocol."""

    def __init__(self, sns: AwsService) -> None:
        self._sns = sns

    async def publish(
        self, account: str, arn: str, subject: str | None, message: str, *, chain: str = ""
    ) -> PublishOutcome:
        topic = parse_topic_arn(arn)
        if topic is None:
            return TopicUnknown()
        if reason := why_not_publishable(subject, message):
            return PublishFailed(reason)
        asked = {"TopicArn": arn, "Message": message} | ({} if subject is None else {"Subject": subject})
        match await self._sns.ask(topic.region, "publish", asked):
            case Answered(body):
                return Published(str(body["MessageId"]))
            case Denied(code, text):
                return _refused(arn, code, text)
            case Unreached(reason):
                log.warning("SNS could not be asked to publish to %s: %s", arn, reason)
                return PublishFailed(reason)

    async def close(self) -> None:
        await self._sns.close()


def _refused(arn: str, code: str, text: str) -> PublishOutcome:
    """SNS answers NotFound for a topic that is none, and InvalidParameter for an ARN that is not its own."""
    if code in ("NotFound", "NotFoundException") or (code == "InvalidParameter" and "Arn" in text):
        return TopicUnknown()
    log.warning("SNS did not publish to %s: %s %s", arn, code, text)
    return PublishFailed(f"{code}: {text}")
