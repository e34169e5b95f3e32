"""Subscribers of the embedded stand-in's topics, as people and subscribers themselves manage them.

No operations of SES: SNS's own Subscribe, ConfirmSubscription and Unsubscribe, for the command line, the admin API and
the links that subscribers are sent. Source: Amazon SNS API reference.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from posthouse.domain.subscriptions import TOKEN_LIFE_MS, TopicLinks, is_token, read_endpoint, subscription_arn
from posthouse.domain.topics import parse_topic_arn
from posthouse.model.errors import InvalidParameterValue
from posthouse.ports.clock import Clock
from posthouse.ports.subscriptions import Subscription, SubscriptionStore


class Left(Enum):
    """What came of following an unsubscribe link."""

    DONE = "done"
    FORGED = "forged"
    KEPT = "kept"
    """The subscriber said when it confirmed that only its owner may end it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribing:
    """What managing subscribers takes."""

    store: SubscriptionStore
    clock: Clock
    random: Callable[[int], bytes]
    links: TopicLinks
    creates: Callable[[str], bool]
    """Whether this topic comes to exist when it is named (``local.auto_create``, ``local.topics``)."""

    async def subscribe(
        self, account: str, topic_arn: str, url: str, *, raw: bool = False, confirmed: bool = False
    ) -> Subscription:
        """The subscription of this URL, new or as it was; one that is not `confirmed` is asked to confirm itself.

        Raises InvalidParameterValue.
        """
        if parse_topic_arn(topic_arn) is None:
            raise InvalidParameterValue(f"Not the ARN of a standard SNS topic: {topic_arn[:300]}")
        endpoint = read_endpoint(url)
        if endpoint is None:
            raise InvalidParameterValue("The endpoint is no http:// or https:// URL that can be posted to.")
        wanted = Subscription(
            account=account,
            topic_arn=topic_arn,
            arn=subscription_arn(topic_arn, str(uuid.UUID(bytes=self.random(16), version=4))),
            endpoint=endpoint,
            raw=raw,
            confirmed=confirmed,
            token=self.random(32).hex(),
            created_ms=self.clock.now_ms(),
        )
        made = await self.store.subscribe(wanted, self.creates(topic_arn))
        if made is None:
            raise InvalidParameterValue(f"There is no topic {topic_arn} in account {account}.")
        return made

    async def unsubscribe(self, account: str | None, arn: str) -> bool:
        """At its owner's word; `account` None: whoever's it is. False where there is no such subscription."""
        kept = await self.store.find(arn)
        if kept is None or account not in (None, kept.subscription.account):
            return False
        return await self.store.unsubscribe(arn)

    async def confirm(self, topic_arn: str, token: str, keeps_to_owner: bool) -> Subscription | None:
        """None for a token that is none, of another topic, or too old."""
        if not is_token(token):
            return None
        return await self.store.confirm(topic_arn, token, self.clock.now_ms() - TOKEN_LIFE_MS, keeps_to_owner)

    async def leave(self, arn: str, token: str) -> Left:
        """By the link that each notification carries. To leave twice is to have left."""
        if not self.links.unsubscribes(arn, token):
            return Left.FORGED
        kept = await self.store.find(arn)
        if kept is not None and kept.subscription.keeps_to_owner:
            return Left.KEPT
        await self.store.unsubscribe(arn)
        return Left.DONE
