"""Captured mail as it would have left: made when somebody looks, since nobody receives it.

A signature is most of what a message costs, and what `prepare` makes depends on the stored message and the keys alone:
so mail that stays here is not signed while callers wait for the processor, but when its bytes are asked for. Source of
the idea and its figures: docs/decisions/0007-captured-mail-is-signed-when-read.md.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from posthouse.domain.messages import ContentKind, Direction, RecipientState, RecipientStatus, StoredMessage
from posthouse.domain.scope import Scope
from posthouse.ports.mailstore import MessageFilter, Messages

if TYPE_CHECKING:
    from posthouse.delivery.key_ring import KeyRing
    from posthouse.delivery.prepare import Origin
    from posthouse.delivery.set_options import SetOptions

log = logging.getLogger("posthouse.delivery")


def _was_tried(recipient: RecipientStatus) -> bool:
    return recipient.attempts > 0 and recipient.state is not RecipientState.REJECTED


class CapturedMessages:
    """`ports.Messages` whose `sent` also has what captured mail would have been."""

    def __init__(self, messages: Messages, signing: "Callable[[], tuple[KeyRing, SetOptions, Origin]]") -> None:
        """`signing` is asked once, when the first captured mail is read: a door that nobody looks through starts
        without what it takes to sign."""
        self._messages, self._signing = messages, signing
        self._ready: tuple[KeyRing, SetOptions, Origin] | None = None

    async def sent(self, scope: Scope, message_id: str) -> bytes | None:
        stored = await self._messages.sent(scope, message_id)
        if stored is not None:
            return stored
        message = await self._messages.get(scope, message_id)
        if message is None or not any(map(_was_tried, message.recipients)):
            return None
        return await self._made(message)

    async def _made(self, message: StoredMessage) -> bytes | None:
        facts = message.facts
        if facts.direction is Direction.IN or facts.content_kind is ContentKind.TEMPLATED:
            return None  # rendered before it counted as captured, and stored then
        content = await self._messages.content(facts.scope, facts.message_id)
        if content is None:
            return None
        from posthouse.delivery.prepare import Ingredients, prepare

        self._ready = self._ready or self._signing()
        key_ring, set_options, origin = self._ready
        keys = await key_ring.keys_for(facts.identity_scope, facts.from_domain)
        sent_by = await set_options.of(facts)
        of = Ingredients(facts=facts, content=content, keys=keys, origin=origin, mail_from="", sent_by=sent_by)
        try:
            made = await asyncio.to_thread(prepare, of)
        except Exception:
            # Whoever looks still sees what was asked for.
            log.exception("preparing captured message %s failed", facts.message_id)
            return None
        return made.content

    # -- as they are

    async def get(self, scope: Scope, message_id: str) -> StoredMessage | None:
        return await self._messages.get(scope, message_id)

    async def find(self, message_id: str) -> StoredMessage | None:
        return await self._messages.find(message_id)

    async def page(
        self, scope: Scope | None, wanted: MessageFilter, before: str, limit: int
    ) -> Sequence[StoredMessage]:
        return await self._messages.page(scope, wanted, before, limit)

    async def content(self, scope: Scope, message_id: str) -> bytes | None:
        return await self._messages.content(scope, message_id)

    async def delete_all(self, scope: Scope) -> int:
        return await self._messages.delete_all(scope)

    async def delete(self, scope: Scope, message_id: str) -> bool:
        return await self._messages.delete(scope, message_id)
