"""What the configuration set of a message asks for while it is delivered: as the set is now, not as it was when the
message was accepted.

Source: API reference of DeliveryOptions. A set that was deleted meanwhile asks for nothing: mail that was accepted is
delivered.
"""

from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.messages import MessageFacts
from posthouse.domain.scope import Scope
from posthouse.ports.records import RecordStore

MAX_ENTRIES = 10_000


class SetOptions:
    """Configuration sets by (scope, name), kept until any record changes."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._version = -1
        self._sets: dict[tuple[Scope, str], ConfigurationSet | None] = {}

    async def requires_tls(self, facts: MessageFacts) -> bool:
        found = await self.of(facts)
        return found is not None and found.requires_tls

    async def of(self, facts: MessageFacts) -> ConfigurationSet | None:
        """The set this message was sent by; None where it was sent by none, or that one is gone."""
        name = facts.configuration_set
        if not name:
            return None
        version = await self._records.version()
        if version != self._version or len(self._sets) > MAX_ENTRIES:
            self._sets.clear()
            self._version = version
        key = (facts.scope, name)
        if key in self._sets:
            return self._sets[key]
        async with self._records.reading() as reading:
            found = await reading.configuration_sets.get(*key)
        # While this one read, another may have noticed a change: what was read then is not kept.
        if version == self._version:
            self._sets[key] = found
        return found
