"""ports.http_calls on aiohttp: the one client for URLs that users give.

A name is resolved here, every address is checked, and the connection goes to exactly a checked one: between check and
connection nobody is asked again, so a name that changes its mind (DNS rebinding) gains nothing. A kept connection
stays with the address it was opened to. aiohttp takes a good part of our start-up time, so it is loaded at the first
call.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posthouse.domain.reachability import why_not_callable
from posthouse.ports.http_calls import HttpAnswer, HttpFailed, HttpOutcome, HttpRefused
from posthouse.ports.resolver import LookupFailed, NoSuchName, Resolver

if TYPE_CHECKING:
    import aiohttp
    import yarl

MAX_URL = 2048
CONNECTIONS = 256
KEPT_S = 4.0
"""A connection that nobody used for so long is closed: below what servers keep theirs open (uvicorn and Node 5 s), so
that a call seldom runs into one that is just being closed."""
CHUNK = 16 * 1024

# What urllib, browsers and aiohttp read differently has no place in a URL of ours.
_PRINTABLE = re.compile(r"[!-~]+\Z")


class NotCallable(OSError):
    """An address that may not be called; raised inside aiohttp, which passes on OSErrors."""


class AiohttpCalls:
    """ports.http_calls.HttpCalls. Made and used inside one loop."""

    def __init__(self, resolver: Resolver, *, allow_private: bool, tls: ssl.SSLContext | None = None) -> None:
        """`allow_private`: loopback and private addresses may be called too. `tls`: whom to trust; by default those
        whom the system trusts."""
        self._resolver = resolver
        self._allow_private = allow_private
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, max_answer: int = 64 * 1024
    ) -> HttpOutcome:
        try:
            async with asyncio.timeout(timeout_s):
                session = await self._opened()
                target = _read(url)
                if isinstance(target, HttpRefused):
                    return target
                if reason := self._why_not_literal(target.raw_host or ""):
                    return HttpRefused(reason)
                return await self._call(session, target, body, headers, max_answer)
        except TimeoutError:
            return HttpFailed(f"no answer within {timeout_s:g} s", timed_out=True)

    async def _call(
        self, session: "aiohttp.ClientSession", url: "yarl.URL", body: bytes, headers: Mapping[str, str], most: int
    ) -> HttpOutcome:
        import aiohttp

        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return HttpAnswer(answer.status, await _some(answer.content, most))
        except aiohttp.InvalidURL as error:
            return HttpRefused(f"no URL that can be called: {error}")
        except aiohttp.ClientConnectorError as error:
            cause = error.os_error
            return HttpRefused(str(cause)) if isinstance(cause, NotCallable) else HttpFailed(_reason(cause))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: an answer that is no HTTP in ways that aiohttp leaves to its parsers.
            return HttpFailed(_reason(error))

    def _why_not_literal(self, host: str) -> str:
        """aiohttp asks no resolver where the host is an address already."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return ""
        return why_not_callable(host, self._allow_private)

    async def _opened(self) -> "aiohttp.ClientSession":
        if self._session is not None:
            return self._session
        async with self._opening:
            if self._session is None:
                await asyncio.to_thread(_load)
                self._session = self._open()
        return self._session

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp

        connector = aiohttp.TCPConnector(
            resolver=_checked_resolver(self._resolver, self._allow_private),
            use_dns_cache=False,
            ssl=self._tls or True,
            limit=CONNECTIONS,
            keepalive_timeout=KEPT_S,
            socket_factory=self._socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            # What is never unpacked cannot be a bomb.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers=("Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        )

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """The last gate: whatever way an address came to aiohttp, no socket is made for one that may not be called."""
        family, kind, protocol, _, where = address
        if reason := why_not_callable(str(where[0]), self._allow_private):
            raise NotCallable(reason)
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _load() -> None:
    """In a thread, so that the loop goes on meanwhile."""
    import aiohttp  # noqa: F401


def _read(text: str) -> "yarl.URL | HttpRefused":
    import yarl

    if len(text) > MAX_URL or not _PRINTABLE.match(text):
        return HttpRefused("no URL that can be called: too long, or with characters that belong in none")
    try:
        url = yarl.URL(text)
        port = url.port
    except ValueError as error:
        return HttpRefused(f"no URL that can be called: {error}")
    if url.scheme not in ("http", "https") or not url.raw_host:
        return HttpRefused("no URL that can be called: neither http:// nor https:// with a host")
    if url.raw_user is not None or url.raw_password is not None:
        return HttpRefused("no URL that can be called: it holds a user name or password")
    return url if port else HttpRefused("no URL that can be called: its port is 0")


def _checked_resolver(resolver: Resolver, allow_private: bool) -> Any:
    """aiohttp's AbstractResolver, whose class is only known once aiohttp is loaded."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class CheckedResolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [_result(host, address, port) for address in await _callable(resolver, host, allow_private)]

        async def close(self) -> None:
            """Nothing of its own is open."""

    def _result(host: str, address: str, port: int) -> ResolveResult:
        return {
            "hostname": host,
            "host": address,
            "port": port,
            "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
            "proto": socket.IPPROTO_TCP,
            "flags": socket.AI_NUMERICHOST,
        }

    return CheckedResolver()


async def _callable(resolver: Resolver, host: str, allow_private: bool) -> list[str]:
    """The addresses of a name that may be called. Raises NotCallable where it has others only, OSError for none."""
    found = await resolver.addresses(host)
    if isinstance(found, NoSuchName) and allow_private:
        # A name that only this machine or its container network knows; it leads to what is private anyway.
        found = await _system_addresses(host)
    if isinstance(found, LookupFailed):
        raise OSError(found.reason)
    if isinstance(found, NoSuchName) or not found:
        raise OSError(f"{host} has no address")
    reasons = {address: why_not_callable(address, allow_private) for address in found}
    allowed = [address for address, reason in reasons.items() if not reason]
    if not allowed:
        raise NotCallable(f"{host}: {next(iter(reasons.values()))}")
    return allowed


async def _system_addresses(host: str) -> tuple[str, ...]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


async def _some(content: "aiohttp.StreamReader", most: int) -> bytes:
    """The body as far as it was asked for; leaving the rest unread ends the connection."""
    parts: list[bytes] = []
    left = most
    while left > 0 and (part := await content.read(min(left, CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _reason(error: BaseException) -> str:
    """One line without the noise around it."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return " ".join(str(error).split())[:300] or type(error).__name__
