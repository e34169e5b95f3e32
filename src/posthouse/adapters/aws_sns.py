"""SNS itself, or what speaks its protocol, by way of aiobotocore.

Credentials come from AWS's default chain (environment, shared files, the machine's role); the region is the ARN's.
aiobotocore costs a second and some 40 MB, so it is loaded when something is first published.
"""

import asyncio
import contextlib
import importlib
import logging
from typing import Any

from posthouse.domain.topics import parse_topic_arn, why_not_publishable
from posthouse.ports.topics import Published, PublishFailed, PublishOutcome, TopicUnknown

CONNECT_S, ANSWER_S = 5, 15
ATTEMPTS = 3
CONNECTIONS = 20

log = logging.getLogger("posthouse.sns")


class AwsTopics:
    """ports.topics.Topics by the real protocol; one client for each region, kept open."""

    def __init__(self, endpoint_url: str | None) -> None:
        """`endpoint_url`: where SNS is spoken, in place of AWS's own endpoint of each region."""
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        self._opened = contextlib.AsyncExitStack()

    async def publish(self, account: str, arn: str, subject: str | None, message: str) -> PublishOutcome:
        topic = parse_topic_arn(arn)
        if topic is None:
            return TopicUnknown()
        if reason := why_not_publishable(subject, message):
            return PublishFailed(reason)
        asked = {"TopicArn": arn, "Message": message} | ({} if subject is None else {"Subject": subject})
        exceptions = await asyncio.to_thread(importlib.import_module, "botocore.exceptions")
        try:
            client = await self._client(topic.region)
            answer = await client.publish(**asked)
        except exceptions.ClientError as error:
            return _refused(arn, error.response.get("Error", {}))
        except (exceptions.BotoCoreError, OSError) as error:
            log.warning("SNS could not be asked to publish to %s: %s", arn, error)
            return PublishFailed(str(error) or type(error).__name__)
        return Published(str(answer["MessageId"]))

    async def _client(self, region: str) -> Any:
        async with self._opening:
            if region not in self._clients:
                session = (await asyncio.to_thread(importlib.import_module, "aiobotocore.session")).get_session()
                config = (await asyncio.to_thread(importlib.import_module, "aiobotocore.config")).AioConfig(
                    connect_timeout=CONNECT_S,
                    read_timeout=ANSWER_S,
                    max_pool_connections=CONNECTIONS,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                )
                opening = session.create_client(
                    "sns", region_name=region, endpoint_url=self._endpoint_url, config=config
                )
                self._clients[region] = await self._opened.enter_async_context(opening)
            return self._clients[region]

    async def close(self) -> None:
        await self._opened.aclose()


def _refused(arn: str, error: dict[str, str]) -> PublishOutcome:
    """SNS answers NotFound for a topic that is none, and InvalidParameter for an ARN that is not its own."""
    code, text = error.get("Code", ""), error.get("Message", "")
    if code in ("NotFound", "NotFoundException") or (code == "InvalidParameter" and "Arn" in text):
        return TopicUnknown()
    log.warning("SNS did not publish to %s: %s %s", arn, code, text)
    return PublishFailed(f"{code}: {text}")
