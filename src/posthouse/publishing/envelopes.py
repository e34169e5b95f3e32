"""Bodies and headers of what is posted to subscribers: a notification in SNS's envelope, signed once for all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from posthouse.domain.subscriptions import (
    Envelope,
    MessageType,
    TopicLinks,
    confirmation_text,
    headers,
    moment,
    render,
    text_to_sign,
)
from posthouse.ports.subscriptions import Delivery, Subscription
from posthouse.publishing.signatures import TopicSigner

KEPT = 4096
"""Signatures of the last notifications: all subscribers of a topic get the same."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Letter:
    """What is posted."""

    body: bytes
    headers: dict[str, str]


class Envelopes:
    """Writes letters. One for all subscribers of a process."""

    def __init__(self, open_signer: Callable[[], Awaitable[TopicSigner]], links: TopicLinks) -> None:
        """`open_signer` is called when something is first signed: most installations have no subscribers."""
        self._open_signer = open_signer
        self._signer: TopicSigner | None = None
        self._links = links
        self._signatures: dict[_Key, bytes] = {}
        self._turn = asyncio.Lock()

    async def write(self, subscription: Subscription, deliveries: Sequence[Delivery]) -> list[Letter]:
        envelopes = [_envelope(self._links, subscription, each) for each in deliveries]
        wrapped = [each for each in envelopes if not _is_bare(subscription, each)]
        signed = dict(zip(map(_key, wrapped), await self._wrap(subscription, wrapped), strict=True))
        return [_letter(subscription, each, signed.get(_key(each))) for each in envelopes]

    async def _wrap(self, subscription: Subscription, envelopes: Sequence[Envelope]) -> list[bytes]:
        """Bodies in SNS's envelope."""
        if not envelopes:
            return []
        # One after the other: who comes second with the same notification finds it signed.
        async with self._turn:
            if self._signer is None:
                self._signer = await self._open_signer()
            signatures = await self._sign(self._signer, envelopes)
        certificate = self._links.certificate(self._signer.certificate_name)
        end = self._links.unsubscribe(subscription.arn)
        return [
            render(
                each,
                self._signer.version,
                signatures[_key(each)],
                certificate,
                end if each.type is MessageType.NOTIFICATION else "",
            )
            for each in envelopes
        ]

    async def _sign(self, signer: TopicSigner, envelopes: Sequence[Envelope]) -> dict[_Key, bytes]:
        missing = [each for each in envelopes if _key(each) not in self._signatures]
        if missing:
            made = await signer.sign([text_to_sign(each) for each in missing])
            self._signatures.update(zip(map(_key, missing), made, strict=True))
        found = {_key(each): self._signatures[_key(each)] for each in envelopes}
        while len(self._signatures) > KEPT:
            del self._signatures[next(iter(self._signatures))]
        return found

    def close(self) -> None:
        if self._signer is not None:
            self._signer.close()


def _letter(subscription: Subscription, envelope: Envelope, wrapped: bytes | None) -> Letter:
    head = headers(
        envelope.type,
        envelope.message_id,
        envelope.topic_arn,
        subscription.arn,
        raw=wrapped is None,
        login=subscription.endpoint.login,
    )
    return Letter(envelope.message.encode() if wrapped is None else wrapped, head)


def _key(envelope: Envelope) -> _Key:
    return envelope.topic_arn, envelope.message_id


def _is_bare(subscription: Subscription, envelope: Envelope) -> bool:
    return subscription.raw and envelope.type is MessageType.NOTIFICATION


def _envelope(links: TopicLinks, subscription: Subscription, delivery: Delivery) -> Envelope:
    given = delivery.notification
    if delivery.type is MessageType.CONFIRMATION:
        return Envelope(
            type=delivery.type,
            message_id=given.message_id,
            topic_arn=subscription.topic_arn,
            message=confirmation_text(subscription.topic_arn),
            timestamp=moment(given.published_ms),
            token=subscription.token,
            subscribe_url=links.confirm(subscription.topic_arn, subscription.token),
        )
    return Envelope(
        type=delivery.type,
        message_id=given.message_id,
        topic_arn=subscription.topic_arn,
        subject=given.subject or "",
        message=given.message,
        timestamp=moment(given.published_ms),
    )
