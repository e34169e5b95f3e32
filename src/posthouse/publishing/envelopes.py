"""Bodies and headers of what is posted to subscribers: a notification in SNS's envelope, signed once for all."""

import asyncio
from collections.abc import Sequence
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

    def __init__(self, signer: TopicSigner, links: TopicLinks) -> None:
        self._signer = signer
        self._links = links
        self._signatures: dict[_Key, bytes] = {}
        self._turn = asyncio.Lock()

    async def write(self, subscription: Subscription, deliveries: Sequence[Delivery]) -> list[Letter]:
        envelopes = [_envelope(self._links, subscription, each) for each in deliveries]
        signed = [each for each in envelopes if not _is_bare(subscription, each)]
        signatures = await self._sign(signed) if signed else {}
        return [self._letter(subscription, each, signatures.get(_key(each))) for each in envelopes]

    def _letter(self, subscription: Subscription, envelope: Envelope, signature: bytes | None) -> Letter:
        head = headers(
            envelope.type,
            envelope.message_id,
            envelope.topic_arn,
            subscription.arn,
            raw=signature is None,
            login=subscription.endpoint.login,
        )
        if signature is None:
            return Letter(envelope.message.encode(), head)
        certificate = self._links.certificate(self._signer.certificate_name)
        is_notification = envelope.type is MessageType.NOTIFICATION
        end = self._links.unsubscribe(subscription.arn) if is_notification else ""
        return Letter(render(envelope, self._signer.version, signature, certificate, end), head)

    async def _sign(self, envelopes: Sequence[Envelope]) -> dict[_Key, bytes]:
        # One after the other: who comes second with the same notification finds it signed.
        async with self._turn:
            missing = [each for each in envelopes if _key(each) not in self._signatures]
            if missing:
                made = await self._signer.sign([text_to_sign(each) for each in missing])
                self._signatures.update(zip(map(_key, missing), made, strict=True))
            found = {_key(each): self._signatures[_key(each)] for each in envelopes}
            while len(self._signatures) > KEPT:
                del self._signatures[next(iter(self._signatures))]
            return found


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
