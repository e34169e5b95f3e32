"""The embedded stand-in for SNS: topics kept in the stores, each with the last notifications it was given."""

import logging
import uuid
from collections.abc import Callable, Collection

from posthouse.domain.topics import parse_topic_arn, why_not_publishable
from posthouse.ports.clock import Clock
from posthouse.ports.stores import StoreUnavailable
from posthouse.ports.topics import Notification, Published, PublishFailed, PublishOutcome, TopicStore, TopicUnknown

log = logging.getLogger("posthouse.topics")


class LocalTopics:
    """ports.topics.Topics without AWS."""

    def __init__(
        self,
        store: TopicStore,
        clock: Clock,
        random: Callable[[int], bytes],
        auto_create: bool,
        preset: Collection[str],
    ) -> None:
        """`auto_create`: a topic comes to exist when it is first named; else only the ARNs in `preset` do."""
        self._store = store
        self._clock = clock
        self._random = random
        self._auto_create = auto_create
        self._preset = frozenset(preset)

    async def publish(
        self, account: str, arn: str, subject: str | None, message: str, *, chain: str = ""
    ) -> PublishOutcome:
        if parse_topic_arn(arn) is None:
            return TopicUnknown()
        if reason := why_not_publishable(subject, message):
            return PublishFailed(reason)
        message_id = str(uuid.UUID(bytes=self._random(16), version=4))
        notification = Notification(
            message_id=message_id, subject=subject, message=message, published_ms=self._clock.now_ms(), chain=chain
        )
        try:
            taken = await self._store.add(account, arn, notification, self._auto_create or arn in self._preset)
        except StoreUnavailable as trouble:
            log.warning("a notification to %s could not be kept: %s", arn, trouble)
            return PublishFailed(str(trouble))
        return Published(message_id) if taken else TopicUnknown()

    async def close(self) -> None:
        """Nothing is held open: the store is closed by who opened it."""
