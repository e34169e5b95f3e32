"""Scanners for spam and malware, with failure as a value: a scanner that is down never means a clean mail."""

from dataclasses import dataclass
from typing import Protocol

from posthouse.domain.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedEnvelope:
    """What a spam scanner wants to know beside the mail."""

    client_ip: str
    helo: str
    mail_from: str
    recipients: tuple[str, ...]
    message_id: str = ""
    """Ours, for its log."""


@dataclass(frozen=True, slots=True)
class SpamJudged:
    verdict: Verdict
    """PASS, FAIL or GRAY."""
    detail: str
    """One line: what the scanner would do, and its score."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Nothing was found."""


@dataclass(frozen=True, slots=True)
class Infected:
    name: str
    """What the scanner calls it."""


@dataclass(frozen=True, slots=True)
class ScanFailed:
    """Nothing is known: not reached, too slow, too large for it, an answer that is none."""

    reason: str


SpamOutcome = SpamJudged | ScanFailed
VirusOutcome = Clean | Infected | ScanFailed


class SpamScanner(Protocol):
    async def judge(self, content: bytes, envelope: ScannedEnvelope) -> SpamOutcome:
        """Never raises for what the scanner does."""
        ...

    async def close(self) -> None: ...


class VirusScanner(Protocol):
    async def scan(self, content: bytes) -> VirusOutcome:
        """Never raises for what the scanner does."""
        ...
