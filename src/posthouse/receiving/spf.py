"""SPF of an incoming mail, by spftrace over our own resolver. Imported at first use.

Follows RFC 7208: the MAIL FROM identity is checked (section 2.4), within its limits of terms and void lookups (4.6.4),
and within a bound of time and of queries that is ours.
"""

import logging

from spftrace import BaseResolver, DnsError, Evaluator, Limits
from spftrace.resolver import NOERROR, NXDOMAIN
from spftrace.trace import Trace

from posthouse.domain.verdicts import SpfResult
from posthouse.ports.resolver import LookupFailed, MailExchanger, NoSuchName, Resolver

logger = logging.getLogger("posthouse.receiving")

MAX_QUERIES = 75
"""Of one check: ten terms of ten MX hosts each would be more, and nobody needs them."""
MAX_NAME = 253
MAX_SENDER = 320
RESULTS = frozenset({"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"})


class _Lookups(BaseResolver):
    """`ports.Resolver` as spftrace asks it."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def _lookup(self, name: str, rtype: str) -> tuple[str, list[str]]:
        if len(name) > MAX_NAME + 1:
            return NXDOMAIN, []
        found = await self._find(name, rtype)
        if isinstance(found, LookupFailed):
            raise DnsError(found.reason)
        if isinstance(found, NoSuchName):
            return NXDOMAIN, []
        return NOERROR, [each.host if isinstance(each, MailExchanger) else each for each in found]

    async def _find(self, name: str, rtype: str) -> tuple[str | MailExchanger, ...] | NoSuchName | LookupFailed:
        match rtype:
            case "TXT":
                return await self._resolver.txt(name)
            case "A":
                return await self._resolver.ipv4(name)
            case "AAAA":
                return await self._resolver.ipv6(name)
            case "MX":
                return await self._resolver.mx(name)
            case "PTR":
                return await self._resolver.ptr(name)
        raise ValueError(f"SPF asks for no {rtype} records")


async def check(
    client_ip: str, helo: str, mail_from: str, resolver: Resolver, receiver: str, time_s: float
) -> SpfResult:
    """Never raises: what the evaluator trips over is our fault, and must not keep a mail from being delivered."""
    helo = helo[:MAX_NAME]
    sender = (mail_from if "@" in mail_from else f"postmaster@{helo}")[:MAX_SENDER]
    limits = Limits(time_limit=time_s, max_queries=MAX_QUERIES)
    try:
        found = await Evaluator(_Lookups(resolver), limits, receiver=receiver).evaluate(client_ip, sender, helo)
    except Exception:
        logger.exception("SPF of %r from %s could not be evaluated", sender, client_ip)
        return SpfResult(result="temperror", sender=sender)
    result = found.result if found.result in RESULTS else "permerror"
    return SpfResult(result=result, domain=_decider(found.trace), sender=sender)


def _decider(trace: Trace) -> str:
    """Whose policy gave the result: the last evaluation to end is the outermost one, or where it redirected to."""
    ended = (event.data.get("domain", "") for event in reversed(trace.events) if event.kind == "eval_done")
    return str(next(ended, ""))
