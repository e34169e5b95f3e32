"""The messages that events are about, read once and kept for the events that follow soon."""

import logging
from collections import OrderedDict
from collections.abc import Iterable

from posthouse.domain.events import Event, EventType
from posthouse.domain.identity_arns import identity_arn
from posthouse.ports.mailstore import MessageKey, Messages
from posthouse.ports.publications import Publications, StoredMail
from posthouse.ports.stores import StoreUnavailable
from posthouse.publishing.facts import Facts
from posthouse.publishing.original import Original, address_of, is_templated, original_of, remains_of

log = logging.getLogger("posthouse.publishing")

KEPT = 2000
"""Messages; each with at most 32 KiB of header section."""

_Key = tuple[MessageKey, bool]


class Originals:
    def __init__(self, publications: Publications, messages: Messages, facts: Facts) -> None:
        self._publications = publications
        self._messages = messages
        self._facts = facts
        self._kept: OrderedDict[_Key, Original] = OrderedDict()

    async def of(self, events: Iterable[Event]) -> dict[_Key, Original]:
        """The originals of the events, by `key_of`."""
        listed = list(events)
        missing = {key[0] for event in listed if (key := key_of(event)) not in self._kept}
        mails = await self._publications.mails(missing) if missing else {}
        found: dict[_Key, Original] = {}
        for event in listed:
            key = key_of(event)
            if key in found:
                continue
            if key in self._kept:
                self._kept.move_to_end(key)
                found[key] = self._kept[key]
            elif (mail := mails.get(key[0])) is not None:
                found[key] = self._kept[key] = await self._read(mail, event, rendered=key[1])
            else:
                found[key] = remains_of(event)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    async def _read(self, mail: StoredMail, event: Event, rendered: bool) -> Original:
        try:
            return await self._made(mail, rendered)
        except StoreUnavailable:
            raise
        except Exception:
            # Its events are told all the same, and those of other messages with them.
            log.exception("message %s could not be read for its events", mail.facts.message_id)
            return remains_of(event)

    async def _made(self, mail: StoredMail, rendered: bool) -> Original:
        facts = mail.facts
        identity = await self._facts.governing(facts.identity_scope, address_of(facts.source))
        arn = identity_arn(facts.identity_scope, identity.name) if identity is not None else ""
        sent = None
        if rendered and is_templated(facts):
            sent = await self._messages.sent(facts.scope, facts.message_id)
        return original_of(mail, arn, sent)


def key_of(event: Event) -> _Key:
    """A message made from a template is not rendered yet for its Send event, as SES tells it; later it is."""
    return MessageKey(event.scope, event.message_id), event.type is not EventType.SEND
