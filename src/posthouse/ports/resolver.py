"""DNS, with failure as a value: a failing resolver is a delay, never a verdict."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MailExchanger:
    preference: int
    host: str
    """Lower case, without the final dot; empty for the null MX of RFC 7505."""


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """NXDOMAIN: the name does not exist at all."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """SERVFAIL, timeout, broken answer: nothing is known."""

    reason: str


class Resolver(Protocol):
    """Answers are cached for their TTL. An existing name without such records is an empty tuple."""

    async def mx(self, domain: str) -> tuple[MailExchanger, ...] | NoSuchName | LookupFailed: ...

    async def addresses(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        """A and AAAA records as text, IPv4 first."""
        ...

    async def ipv4(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        """A records alone, of names in DNS alone: what SPF asks (RFC 7208 §5.3)."""
        ...

    async def ipv6(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        """AAAA records, likewise."""
        ...

    async def ptr(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        """Of a name under ``in-addr.arpa`` or ``ip6.arpa``: host names, lower case, without the final dot."""
        ...

    async def txt(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        """Each record with its strings joined (RFC 7208 §3.3)."""
        ...

    async def cname(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        """The target, lower case, without the final dot."""
        ...
