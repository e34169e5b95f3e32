"""From the event log to publications: reads on behind the cursor, decides who hears of each event, writes it down.

Every process of the role may route: the cursor is moved only from where it was read, so that the second of two finds
that there was nothing left to do.
"""

import logging
from collections.abc import Sequence

from posthouse.domain.publishing import NOTIFIED, Notified, Target, feedback_address, route, target_key
from posthouse.domain.scope import Scope
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import MessageKey
from posthouse.ports.publications import Publications, Replay, Routed, Unrouted
from posthouse.ports.stores import StoreUnavailable
from posthouse.publishing.facts import Facts
from posthouse.publishing.original import address_of

log = logging.getLogger("posthouse.publishing")

LOST = -1
"""Somebody else was faster."""


class Router:
    def __init__(self, publications: Publications, facts: Facts, clock: Clock, *, batch: int, forwards: bool) -> None:
        """`forwards`: there is somebody to write feedback mail."""
        self._publications = publications
        self._facts = facts
        self._clock = clock
        self._batch = batch
        self._forwards = forwards
        self.written = 0
        """Publications that the last step made."""
        self.lag_ms = 0
        """How long ago the first event of the last step happened."""

    async def step(self, most: int) -> int:
        """Routes the next events, so many at most; how many, or LOST."""
        self.written = 0
        cursor = await self._publications.cursor()
        if cursor.seq >= cursor.last_seq:
            return 0
        page = await self._publications.page(cursor.seq, cursor.last_seq, min(most, self._batch))
        upto = page[-1].seq if page else cursor.last_seq
        routed = await self._route(page)
        now_ms = self._clock.now_ms()
        done = await self._publications.route(cursor.seq, upto, routed, now_ms)
        if not done:
            return LOST
        self.written, self.lag_ms = len(routed), now_ms - page[0].event.at_ms if page else 0
        return len(page)

    async def step_replay(self, replay: Replay) -> bool:
        """Routes the next events of a replay to its destination; False where somebody else was faster."""
        page = await self._publications.page(replay.after, replay.until, self._batch)
        upto = page[-1].seq if page else replay.until
        routed = [each for each in await self._route(page) if each.destination == replay.destination]
        return await self._publications.route_again(replay, upto, routed, self._clock.now_ms())

    async def _route(self, page: Sequence[Unrouted]) -> list[Routed]:
        return [
            Routed(target_key(target), _owner(target), each.seq, MessageKey(each.event.scope, each.event.message_id))
            for each in page
            for target in await self._heard_by(each)
        ]

    async def _heard_by(self, unrouted: Unrouted) -> tuple[Target, ...]:
        try:
            return await heard_by(unrouted, self._facts, forwards=self._forwards)
        except StoreUnavailable:
            raise
        except Exception:
            # An event that we cannot route must not hold up all that follow; it can be replayed once we can.
            log.exception("event %d could not be routed, and is told to nobody", unrouted.seq)
            return ()


async def heard_by(unrouted: Unrouted, records: Facts, *, forwards: bool) -> tuple[Target, ...]:
    """Who hears of an event, as the records stand now. `forwards`: there is somebody to write feedback mail."""
    event, facts = unrouted.event, unrouted.facts
    name = event.configuration_set
    found = await records.configuration_set(event.scope, name) if name else None
    if event.type not in NOTIFIED or facts is None or facts.system:
        return route(event, found)
    address = address_of(facts.source)
    notified = []
    for scope in dict.fromkeys((facts.identity_scope, facts.scope)):
        identity = await records.governing(scope, address)
        if identity is not None:
            notified.append(Notified(scope, identity))
    may_forward = forwards and bool(feedback_address(facts))
    return route(event, found, notified, may_forward=may_forward)


def _owner(target: Target) -> Scope:
    return target.scope
