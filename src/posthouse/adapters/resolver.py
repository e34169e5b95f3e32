"""ports.resolver over dnspython, with a cache of its own.

A stub resolver: it asks the configured recursive servers over UDP, and over TCP where an answer is truncated. Imported
at first use, because dnspython takes a good part of our start-up time and a capturing installation never asks.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from posthouse.ports.clock import Clock
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.resolver

LIFETIME_S = 5.0
"""A whole lookup, all servers and retries."""
TRY_S = 2.0
"""One server, once."""
SILENCE_MS = 15_000
"""So long nothing is asked of servers that let a whole lookup pass without a word: a mail that comes in has a dozen
questions, and without DNS (a laptop on its way, a closed network) each would wait for its time to run out."""
MAX_TTL_S = 3600
MAX_NEGATIVE_TTL_S = 60
"""Below what zones ask for: a record that was just published shall be seen by the next check."""
MAX_CACHED = 10_000

RecordType = Literal["MX", "A", "AAAA", "TXT", "CNAME", "PTR"]
Found = tuple[Any, ...] | NoSuchName | LookupFailed


class DnsResolver:
    """Lookups with failure as a value; answers are kept for their TTL, failures are not kept."""

    def __init__(self, servers: Sequence[str], clock: Clock, *, keep: bool = True) -> None:
        """`servers`: ``ip`` or ``ip:port`` (IPv6: ``[ip]:port``); empty: the system's. `keep` False: nothing is
        cached here, and silence not remembered, for who wants to see at once what was just published."""
        self._servers = [_server(text) for text in servers]
        self._keeps = keep
        self._clock = clock
        self._asker: dns.asyncresolver.Resolver | None = None
        self._cache: dict[tuple[str, RecordType], tuple[int, Found]] = {}
        self._asking: dict[tuple[str, RecordType], asyncio.Task[Found]] = {}
        self._answered_ms = 0
        self._silent_until_ms = 0

    async def mx(self, domain: str) -> tuple[MailExchanger, ...] | NoSuchName | LookupFailed:
        return await self._find(domain, "MX")

    async def addresses(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        if "." not in host:
            return await _system_addresses(host)
        v4, v6 = await asyncio.gather(self._find(host, "A"), self._find(host, "AAAA"))
        if isinstance(v4, tuple) and isinstance(v6, tuple):
            return v4 + v6
        # Half an answer is enough to deliver; a failed half leaves open whether there are none.
        for half, other in ((v4, v6), (v6, v4)):
            if isinstance(half, tuple) and (half or not isinstance(other, LookupFailed)):
                return half
        return v4 if isinstance(v4, LookupFailed) else v6

    async def ipv4(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(host, "A")

    async def ipv6(self, host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(host, "AAAA")

    async def ptr(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(name, "PTR")

    async def txt(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(name, "TXT")

    async def cname(self, name: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
        return await self._find(name, "CNAME")

    async def _find(self, name: str, type: RecordType) -> Found:
        key = (name.lower().removesuffix("."), type)
        cached = self._cache.get(key)
        if cached is not None:
            if self._clock.now_ms() < cached[0]:
                return cached[1]
            del self._cache[key]
        task = self._asking.get(key)
        if task is None:  # one question, however many wait for the answer
            task = self._asking[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, RecordType]) -> Found:
        name, type = key
        if not name:
            return NoSuchName()
        asked_ms = self._clock.now_ms()
        if asked_ms < self._silent_until_ms:
            return LookupFailed(f"{type} lookup of {name} failed: no name server answers")
        import dns.resolver

        try:
            found = await self._answer(key)
        except dns.resolver.LifetimeTimeout:
            # One zone's servers may be slow while all others are quick: silence is when nobody has had an answer.
            if self._keeps and self._answered_ms < asked_ms:
                self._silent_until_ms = self._clock.now_ms() + SILENCE_MS
            return LookupFailed(f"{type} lookup of {name} timed out")
        self._answered_ms = self._clock.now_ms()
        return found

    async def _answer(self, key: tuple[str, RecordType]) -> Found:
        """Raises LifetimeTimeout where nobody answers."""
        import dns.exception
        import dns.resolver

        name, type = key
        try:
            answer = await self._resolver().resolve(
                f"{name}.", type, search=False, lifetime=LIFETIME_S, raise_on_no_answer=False
            )
        except dns.resolver.LifetimeTimeout:
            raise
        except dns.resolver.NXDOMAIN as error:
            return self._keep(key, NoSuchName(), _negative_ttl_s(error))
        except (dns.resolver.NoNameservers, dns.resolver.NoResolverConfiguration) as error:
            return LookupFailed(f"{type} lookup of {name} failed: {_reason(error)}")
        except (dns.exception.DNSException, ValueError):  # UnicodeError, from IDNA, is a ValueError
            return NoSuchName()  # no well-formed name: nobody can have registered it
        ttl_s = answer.chaining_result.minimum_ttl
        if answer.rrset is None:
            return self._keep(key, (), min(ttl_s, MAX_NEGATIVE_TTL_S))
        return self._keep(key, _READERS[type](answer.rrset), min(ttl_s, MAX_TTL_S))

    def _keep(self, key: tuple[str, RecordType], found: Found, ttl_s: float) -> Found:
        if self._keeps and ttl_s > 0:
            while len(self._cache) >= MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = (self._clock.now_ms() + int(ttl_s * 1000), found)
        return found

    def _resolver(self) -> "dns.asyncresolver.Resolver":
        if self._asker is None:
            import dns.asyncresolver
            import dns.nameserver

            asker = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                asker.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in self._servers]
            asker.timeout = TRY_S
            # RFC 9715: what fits one datagram without fragments, everywhere.
            asker.use_edns(0, 0, 1232)
            self._asker = asker
        return self._asker


def _server(text: str) -> tuple[str, int]:
    if text.startswith("["):
        ip, _, port = text[1:].partition("]")
        return ip, int(port[1:] or 53)
    if text.count(":") > 1:
        return text, 53
    ip, _, port = text.partition(":")
    return ip, int(port or 53)


async def _system_addresses(host: str) -> tuple[str, ...] | NoSuchName | LookupFailed:
    """Names of one label are this network's own (``localhost``, a container): hosts file and search list know them."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            return NoSuchName()
        return LookupFailed(f"lookup of {host} failed: {error.strerror}")
    except UnicodeError:
        return NoSuchName()
    addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return tuple(sorted(addresses, key=lambda address: ":" in address))


def _negative_ttl_s(error: "dns.resolver.NXDOMAIN") -> float:
    """What the SOA record in the answer allows (RFC 2308 §5)."""
    import dns.exception

    ttls: list[float] = [MAX_NEGATIVE_TTL_S]
    for response in error.kwargs.get("responses", {}).values():
        try:
            ttls.append(response.resolve_chaining().minimum_ttl)
        except dns.exception.DNSException:
            return 0
    return min(ttls)


def _reason(error: Exception) -> str:
    """What each server said, short: the text of dnspython spans the whole history."""
    said = [
        str(item[3]) if isinstance(item[3], str) else f"{type(item[3]).__name__} {item[3]}".strip()
        for item in getattr(error, "kwargs", {}).get("errors", ())
    ]
    return ", ".join(dict.fromkeys(said))[:200] or type(error).__name__


def _host(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower().removesuffix(".")


def _exchangers(records: Any) -> tuple[MailExchanger, ...]:
    # The null MX of RFC 7505 is the root, which to_text writes as a dot.
    return tuple(MailExchanger(r.preference, _host(r.exchange)) for r in records)


_READERS: dict[RecordType, Callable[[Any], Found]] = {
    "MX": _exchangers,
    "A": lambda records: tuple(r.address for r in records),
    "AAAA": lambda records: tuple(r.address for r in records),
    "TXT": lambda records: tuple(b"".join(r.strings).decode("utf-8", "replace") for r in records),
    "CNAME": lambda records: tuple(_host(r.target) for r in records),
    "PTR": lambda records: tuple(_host(r.target) for r in records),
}
