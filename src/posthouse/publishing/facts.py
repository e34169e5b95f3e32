"""What publishing needs to know of configuration sets and identities, kept for as long as nobody changes any record."""

from typing import Any, TypeVar

from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.identities import Identity, candidates, key_of
from posthouse.domain.publishing import governing_identity
from posthouse.domain.scope import Scope
from posthouse.ports.records import RecordStore, Transaction

MAX_ENTRIES = 20_000

T = TypeVar("T")


class Facts:
    """Reads through to the records; forgets everything when their version moves, whoever moved it."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._version = -1
        self._kept: dict[tuple[str, Scope, str], Any] = {}

    async def configuration_set(self, scope: Scope, name: str) -> ConfigurationSet | None:
        found: ConfigurationSet | None = await self._known("set", scope, name)
        return found

    async def identity(self, scope: Scope, name: str) -> Identity | None:
        found: Identity | None = await self._known("identity", scope, name)
        return found

    async def governing(self, scope: Scope, address: str) -> Identity | None:
        """The identity that mail from `address` is sent from."""
        found: Identity | None = await self._known("governing", scope, address)
        return found

    async def _known(self, kind: str, scope: Scope, name: str) -> Any:
        version = await self._records.version()
        if version != self._version or len(self._kept) > MAX_ENTRIES:
            self._kept.clear()
            self._version = version
        key = (kind, scope, name)
        if key not in self._kept:
            async with self._records.reading() as reading:
                found = await _read(reading, kind, scope, name)
            # While this one read, another may have noticed a change: what was read then is not kept.
            if version != self._version:
                return found
            self._kept[key] = found
        return self._kept[key]


async def _read(reading: Transaction, kind: str, scope: Scope, name: str) -> ConfigurationSet | Identity | None:
    match kind:
        case "set":
            return await reading.configuration_sets.get(scope, name)
        case "identity":
            return await reading.identities.get(scope, name)
        case _:
            return governing_identity(name, await reading.identities.get_many(scope, map(key_of, candidates(name))))
