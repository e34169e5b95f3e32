"""All verdicts about one mail: who it is from, and what the scanners say. What a receiving engine calls.

    verdicts = await inspect(content, InspectedMail(...), scan=plan.scan)       once for each mail
    verdicts.for_rule(rule.scan_enabled)                                         as a rule sees them
    mail.verdict_headers.with_verdicts(content, added_head(...), service_domain) the mail with SES's fields

Authentication and both scanners go beside each other, each with its own deadline.
"""

import asyncio
import ipaddress
from dataclasses import dataclass

from posthouse.domain.verdicts import Verdict, Verdicts
from posthouse.ports.clock import Clock
from posthouse.ports.resolver import Resolver
from posthouse.ports.scanners import (
    Clean,
    Infected,
    ScanFailed,
    ScannedEnvelope,
    SpamJudged,
    SpamScanner,
    VirusScanner,
)
from posthouse.receiving.authentication import Origin, authenticate

CLIENT_NAME_S = 5.0
_Scanned = tuple[Verdict, str]
_NOT_WANTED: _Scanned = (Verdict.DISABLED, "")
_NO_SCANNER: _Scanned = (Verdict.GRAY, "no scanner is configured")


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedMail:
    """What is known of a mail beside its content."""

    message_id: str
    client_ip: str
    helo: str
    mail_from: str
    recipients: tuple[str, ...]


class Inspection:
    """Inspects mail; None in the place of a scanner: there is none, and its verdict is GRAY."""

    def __init__(
        self, resolver: Resolver, clock: Clock, hostname: str, spam: SpamScanner | None, virus: VirusScanner | None
    ) -> None:
        self._resolver, self._clock, self._hostname = resolver, clock, hostname
        self._spam, self._virus = spam, virus

    async def __call__(self, content: bytes, mail: InspectedMail, *, scan: bool) -> Verdicts:
        """`scan`: a rule that applies asks for the scans; without, both verdicts are DISABLED."""
        origin = Origin(client_ip=mail.client_ip, helo=mail.helo, mail_from=mail.mail_from)
        now_s = self._clock.now_ms() // 1000
        async with asyncio.TaskGroup() as tasks:
            authenticated = tasks.create_task(
                authenticate(content, origin, self._resolver, receiver=self._hostname, now_s=now_s)
            )
            spam = tasks.create_task(self._spam_verdict(content, mail, scan))
            virus = tasks.create_task(self._virus_verdict(content, scan))
            name = tasks.create_task(self._client_name(mail.client_ip))
        return Verdicts(
            authentication=authenticated.result(),
            spam=spam.result()[0],
            spam_detail=spam.result()[1],
            virus=virus.result()[0],
            virus_detail=virus.result()[1],
            client_name=name.result(),
        )

    async def _client_name(self, client_ip: str) -> str:
        """What the client's address is called by who has it (RFC 5321 §4.4 lets a receiver note that); not proven."""
        try:
            pointer = ipaddress.ip_address(client_ip).reverse_pointer
        except ValueError:
            return ""
        try:
            async with asyncio.timeout(CLIENT_NAME_S):
                names = await self._resolver.ptr(pointer)
        except TimeoutError:
            return ""
        return names[0] if isinstance(names, tuple) and names else ""

    async def _spam_verdict(self, content: bytes, mail: InspectedMail, wanted: bool) -> _Scanned:
        if not wanted:
            return _NOT_WANTED
        if self._spam is None:
            return _NO_SCANNER
        envelope = ScannedEnvelope(
            client_ip=mail.client_ip,
            helo=mail.helo,
            mail_from=mail.mail_from,
            recipients=mail.recipients,
            message_id=mail.message_id,
        )
        match await self._spam.judge(content, envelope):
            case SpamJudged(verdict, detail):
                return verdict, detail
            case ScanFailed(reason):
                return Verdict.PROCESSING_FAILED, reason

    async def _virus_verdict(self, content: bytes, wanted: bool) -> _Scanned:
        if not wanted:
            return _NOT_WANTED
        if self._virus is None:
            return _NO_SCANNER
        match await self._virus.scan(content):
            case Clean():
                return Verdict.PASS, ""
            case Infected(name):
                return Verdict.FAIL, name
            case ScanFailed(reason):
                return Verdict.PROCESSING_FAILED, reason

    async def close(self) -> None:
        if self._spam is not None:
            await self._spam.close()
