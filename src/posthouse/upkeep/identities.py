"""Watching DNS for what proves identities: domain TXT records, DKIM names, MX records of custom MAIL FROM domains.

Source: SES developer guide, as `domain/dns_proof.py`, which decides; here is the looking. A failing resolver changes
nothing. Several processes may watch the same identities: what they see leads to the same change, which only the first
one makes, because each reads the record again before it writes. A lease would have to be renewed, and each renewal
would make every process forget what it keeps of records (`RecordStore.version`).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from posthouse.domain.dns_proof import (
    Seen,
    Sighting,
    dkim_name,
    dkim_target,
    feedback_host,
    is_unsettled,
    judge,
    publishes,
    same_request,
    txt_proofs,
    watched,
)
from posthouse.domain.identities import Identity
from posthouse.domain.identity_news import News, news
from posthouse.domain.scope import Scope
from posthouse.domain.verification import as_of, overdue
from posthouse.ports.clock import Clock
from posthouse.ports.records import RecordStore
from posthouse.ports.resolver import LookupFailed, NoSuchName, Resolver
from posthouse.ports.stores import StoreUnavailable

log = logging.getLogger("posthouse.upkeep")

CONCURRENCY = 20
"""Identities looked at at one time: some hundred questions under way, which any resolver takes."""
SETTLED_FACTOR = 10
"""What is verified is looked at a tenth as often as what is awaited: its loss has 72 hours to be noticed."""
SETTLED_MAX_MS = 60 * 60 * 1000
_JITTER = (0.9, 1.1)
"""So that processes that started together do not ask together for ever."""


class IdentityWatch:
    """Looks at the identities of all accounts, for as long as it runs."""

    def __init__(
        self,
        records: RecordStore,
        resolver: Resolver,
        clock: Clock,
        *,
        service_domain: str,
        recheck_s: float,
        jitter: random.Random,
        tell: Callable[[Scope, News], Awaitable[None]] | None = None,
    ) -> None:
        """`resolver` should keep no answers: what was just published shall be seen by the next look. `tell` hears of
        each change once, from whoever made it."""
        self._records, self._resolver, self._clock = records, resolver, clock
        self._service_domain, self._recheck_s, self._jitter = service_domain, recheck_s, jitter
        self._tell = tell
        self._settled_ms = min(recheck_s * 1000 * SETTLED_FACTOR, SETTLED_MAX_MS)
        self._version = -1
        self._watched: list[tuple[Scope, Identity]] = []
        self._due_ms: dict[tuple[Scope, str], float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("identities are not looked at: %s", error)
            await asyncio.sleep(self._recheck_s * self._jitter.uniform(*_JITTER))

    async def look(self) -> None:
        """One round: at all that is awaited, and at those verified ones whose time has come.

        Raises StoreUnavailable, and leaves the rest for the next round.
        """
        now_ms = self._clock.now_ms()
        await self._read()
        due = iter([each for each in self._watched if self._is_due(*each, now_ms)])

        unavailable: list[StoreUnavailable] = []

        async def take_turns() -> None:
            for scope, identity in due:
                try:
                    await self._look_at(scope, identity)
                except StoreUnavailable as error:
                    unavailable.append(error)
                if unavailable:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(take_turns())
        if unavailable:
            # Not out of the group: that would swallow a cancellation which comes at the same moment.
            raise unavailable[0]

    async def _read(self) -> None:
        """Which identities there are to watch; read again only when some record changed."""
        version = await self._records.version()
        if version == self._version:
            return
        async with self._records.reading() as reading:
            everybody = await reading.identities.everywhere()
        self._watched = [(scope, identity) for scope, _, identity in everybody if _is_watched(identity)]
        keys = [(scope, identity.name) for scope, identity in self._watched]
        self._due_ms = {key: self._due_ms[key] for key in keys if key in self._due_ms}
        self._version = version

    def _is_due(self, scope: Scope, identity: Identity, now_ms: int) -> bool:
        if not any(watched(identity)):
            return overdue(identity, now_ms)
        if is_unsettled(identity):
            return True
        # At the start they are spread over the whole time, or a restart would ask for all of them at once.
        first_ms = now_ms + self._jitter.uniform(0, self._settled_ms)
        return self._due_ms.setdefault((scope, identity.name), first_ms) <= now_ms

    async def _look_at(self, scope: Scope, identity: Identity) -> None:
        seen = await self._see(scope, identity)
        now_ms = self._clock.now_ms()
        self._due_ms[scope, identity.name] = now_ms + self._settled_ms * self._jitter.uniform(*_JITTER)
        if _after_look(identity, seen, now_ms) == identity:
            return
        async with self._records.transaction() as tx:
            current = await tx.identities.get(scope, identity.name)
            if current is None or not same_request(current, identity):
                return
            changed = _after_look(current, seen, now_ms)
            if changed == current:
                return
            await tx.identities.put(scope, identity.name, changed)
        _log(scope, current, changed)
        if self._tell is not None:
            for found in news(as_of(current, now_ms), changed):
                await self._tell(scope, found)

    # -- looking

    async def _see(self, scope: Scope, identity: Identity) -> Seen:
        asked = watched(identity)
        txt, dkim, mail_from = await asyncio.gather(
            self._see_txt(identity) if asked.txt else _unseen(),
            self._see_dkim(scope, identity) if asked.dkim else _unseen(),
            self._see_mail_from(scope, identity) if asked.mail_from else _unseen(),
        )
        return Seen(txt, dkim, mail_from)

    async def _see_txt(self, identity: Identity) -> Sighting:
        proofs = txt_proofs(identity)
        answers = await asyncio.gather(*(self._resolver.txt(name) for name, _ in proofs))
        found = [_holds(texts, value) for texts, (_, value) in zip(answers, proofs, strict=True)]
        if Sighting.FOUND in found:
            return Sighting.FOUND
        return Sighting.UNKNOWN if Sighting.UNKNOWN in found else Sighting.MISSING

    async def _see_dkim(self, scope: Scope, identity: Identity) -> Sighting:
        """All three names; one that is surely missing is enough for the whole to be."""
        found = await asyncio.gather(*(self._see_key(scope, identity, token) for token in identity.dkim.tokens))
        for sighting in (Sighting.MISSING, Sighting.UNKNOWN):
            if sighting in found:
                return sighting
        return Sighting.FOUND

    async def _see_key(self, scope: Scope, identity: Identity, token: str) -> Sighting:
        """A CNAME to our name of the key, or the public key itself."""
        name = dkim_name(token, identity.name)
        targets = await self._resolver.cname(name)
        if isinstance(targets, NoSuchName):
            return Sighting.MISSING
        if isinstance(targets, tuple) and dkim_target(token, self._service_domain).lower() in targets:
            return Sighting.FOUND
        texts = await self._resolver.txt(name)
        if isinstance(texts, tuple) and publishes(texts, await self._public_record(scope, identity, token)):
            return Sighting.FOUND
        unknown = isinstance(targets, LookupFailed) or isinstance(texts, LookupFailed)
        return Sighting.UNKNOWN if unknown else Sighting.MISSING

    async def _public_record(self, scope: Scope, identity: Identity, token: str) -> str:
        async with self._records.reading() as reading:
            keys = await reading.signing_keys.of(scope, identity.name)
        return next((key.public_record for key in keys if key.token == token), "")

    async def _see_mail_from(self, scope: Scope, identity: Identity) -> Sighting:
        """Exactly one MX record, ours: with a second one, bounces would go elsewhere (developer guide)."""
        exchangers = await self._resolver.mx(identity.mail_from.domain)
        match exchangers:
            case LookupFailed():
                return Sighting.UNKNOWN
            case NoSuchName():
                return Sighting.MISSING
        ours = feedback_host(scope.region, self._service_domain).lower()
        return Sighting.FOUND if [each.host for each in exchangers] == [ours] else Sighting.MISSING


def _is_watched(identity: Identity) -> bool:
    return any(watched(identity)) or not (identity.is_domain or identity.vouched or identity.verified)


def _after_look(identity: Identity, seen: Seen, now_ms: int) -> Identity:
    return judge(as_of(identity, now_ms), seen, now_ms)


async def _unseen() -> Sighting:
    return Sighting.UNKNOWN


def _holds(texts: Sequence[str] | NoSuchName | LookupFailed, wanted: str) -> Sighting:
    match texts:
        case LookupFailed():
            return Sighting.UNKNOWN
        case NoSuchName():
            return Sighting.MISSING
    return Sighting.FOUND if wanted in texts else Sighting.MISSING


def _log(scope: Scope, before: Identity, after: Identity) -> None:
    for what, one, other in (
        ("verification", before.status, after.status),
        ("DKIM", before.dkim.status, after.dkim.status),
        ("MAIL FROM", before.mail_from.status, after.mail_from.status),
    ):
        if one is not other:
            line = "%s of %s (account %s, %s): %s, was %s"
            log.info(line, what, after.name, scope.account, scope.region, other.value, one.value)
