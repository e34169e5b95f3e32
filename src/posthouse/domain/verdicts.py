"""What was found out about a mail that came in, and the verdicts that SES makes of it.

Source: SES developer guide, "Contents of notifications" (spfVerdict ... dmarcPolicy) and what SES was seen to do: a
softfail is GRAY, and where a rule does not ask for a scan the verdicts are DISABLED and their headers are missing.
Nothing is refused for a verdict: that is for receipt rules and functions to do. All of it is plain data (msgspec), so
that it can be kept beside the mail; `mail/verdict_headers.py` writes it into the mail.
"""

from enum import StrEnum
from typing import Any

import msgspec


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105 - the word of SES
    FAIL = "FAIL"
    GRAY = "GRAY"
    """Neither: no policy, no signature, no scanner."""
    PROCESSING_FAILED = "PROCESSING_FAILED"
    """It was to be found out and could not be."""
    DISABLED = "DISABLED"
    """Nobody asked for it."""


class SpfResult(msgspec.Struct, frozen=True, kw_only=True):
    """The check of the MAIL FROM identity (RFC 7208)."""

    result: str
    """none, neutral, pass, fail, softfail, temperror or permerror."""
    domain: str = ""
    """Whose policy decided: the sender's domain, or where its record redirects to."""
    sender: str = ""
    """The identity that was checked; ``postmaster@`` the HELO name for mail without a return path (section 2.4)."""

    @property
    def sender_domain(self) -> str:
        return self.sender.rpartition("@")[2].lower().removesuffix(".")


class DkimResult(msgspec.Struct, frozen=True, kw_only=True):
    """One signature (RFC 6376)."""

    result: str
    """pass, fail, policy, temperror or permerror (RFC 8601 section 2.7.1)."""
    domain: str = ""
    selector: str = ""
    identity: str = ""
    """``i=``: ``@`` and the domain where the signer says no more."""
    reason: str = ""


class DmarcResult(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9989."""

    result: str
    """none, pass, fail, temperror or permerror."""
    author_domain: str = ""
    policy_domain: str = ""
    policy: str = ""
    """What the author's domain asks for mail that fails: none, quarantine or reject."""
    reason: str = ""


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """Who a mail is from, as far as that can be proven."""

    client_ip: str
    helo: str
    spf: SpfResult
    dkim: tuple[DkimResult, ...] = ()
    dmarc: DmarcResult
    arc: str = "none"
    """The chain's outcome (RFC 8617): none, pass, fail or temperror. Noted; no verdict follows from it."""


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say about one mail."""

    authentication: Authentication
    spam: Verdict
    virus: Verdict
    spam_detail: str = ""
    """What the scanner said, for who looks: action and score, or why it failed."""
    virus_detail: str = ""
    """The name of what was found, or why the scan failed."""
    client_name: str = ""
    """What DNS calls the client's address (PTR), as far as it does; nobody has proven it."""

    @property
    def spf(self) -> Verdict:
        return spf_verdict(self.authentication.spf.result)

    @property
    def dkim(self) -> Verdict:
        return dkim_verdict([each.result for each in self.authentication.dkim])

    @property
    def dmarc(self) -> Verdict:
        return dmarc_verdict(self.authentication.dmarc.result)

    @property
    def dmarc_policy(self) -> str:
        """``none``, ``quarantine`` or ``reject``, and only where DMARC failed."""
        return self.authentication.dmarc.policy if self.dmarc is Verdict.FAIL else ""

    def for_rule(self, scan_enabled: bool) -> "Verdicts":
        """As a rule sees them: without the scans, where it has not asked for them. One mail may meet both kinds."""
        if scan_enabled:
            return self
        return msgspec.structs.replace(
            self, spam=Verdict.DISABLED, virus=Verdict.DISABLED, spam_detail="", virus_detail=""
        )


_SPF = {
    "pass": Verdict.PASS,
    "fail": Verdict.FAIL,
    "softfail": Verdict.GRAY,
    "neutral": Verdict.GRAY,
    "none": Verdict.GRAY,
}
_DMARC = {"pass": Verdict.PASS, "fail": Verdict.FAIL, "none": Verdict.GRAY}


def spf_verdict(result: str) -> Verdict:
    return _SPF.get(result, Verdict.PROCESSING_FAILED)


def dkim_verdict(results: list[str]) -> Verdict:
    """Of all signatures: a valid one is enough. Where there is none and one could not be checked, nothing is known."""
    if not results:
        return Verdict.GRAY
    if "pass" in results:
        return Verdict.PASS
    return Verdict.PROCESSING_FAILED if "temperror" in results else Verdict.FAIL


def dmarc_verdict(result: str) -> Verdict:
    """A From that names several domains is ``permerror``: never taken for a mail that merely has no policy."""
    return _DMARC.get(result, Verdict.PROCESSING_FAILED)


def receipt_members(verdicts: Verdicts) -> dict[str, Any]:
    """The verdicts as members of SES's ``receipt`` object, in its order."""
    members: dict[str, Any] = {
        f"{name}Verdict": {"status": verdict.value}
        for name, verdict in (
            ("spam", verdicts.spam),
            ("virus", verdicts.virus),
            ("spf", verdicts.spf),
            ("dkim", verdicts.dkim),
            ("dmarc", verdicts.dmarc),
        )
    }
    if verdicts.dmarc_policy:
        members["dmarcPolicy"] = verdicts.dmarc_policy
    return members
