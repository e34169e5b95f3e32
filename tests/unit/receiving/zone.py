"""A resolver that knows what a test writes down: the lines of a zone file, and names that fail."""

from collections import Counter
from collections.abc import Iterable

from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName

Found = tuple[str, ...] | NoSuchName | LookupFailed


class ZoneResolver:
    """``ports.resolver.Resolver`` over lines ``name TYPE value``; lookups of the names in `failing` fail."""

    def __init__(self, *lines: str, failing: Iterable[str] = ()) -> None:
        self._records: dict[tuple[str, str], list[str]] = {}
        for line in lines:
            name, type, value = line.split(maxsplit=2)
            self._records.setdefault((name.lower(), type), []).append(value)
        self._failing = set(failing)
        self.asked: Counter[tuple[str, str]] = Counter()

    def _find(self, name: str, type: str) -> Found:
        name = name.lower().rstrip(".")
        self.asked[name, type] += 1
        if name in self._failing:
            return LookupFailed("SERVFAIL")
        if (name, type) in self._records:
            return tuple(self._records[name, type])
        exists = any(known == name or known.endswith(f".{name}") for known, _ in self._records)
        return () if exists else NoSuchName()

    async def mx(self, domain: str) -> tuple[MailExchanger, ...] | NoSuchName | LookupFailed:
        found = self._find(domain, "MX")
        return tuple(MailExchanger(10, host) for host in found) if isinstance(found, tuple) else found

    async def addresses(self, host: str) -> Found:
        raise NotImplementedError("authentication asks for one family at a time")

    async def ipv4(self, host: str) -> Found:
        return self._find(host, "A")

    async def ipv6(self, host: str) -> Found:
        return self._find(host, "AAAA")

    async def ptr(self, name: str) -> Found:
        return self._find(name, "PTR")

    async def txt(self, name: str) -> Found:
        return self._find(name, "TXT")

    async def cname(self, name: str) -> Found:
        return self._find(name, "CNAME")
