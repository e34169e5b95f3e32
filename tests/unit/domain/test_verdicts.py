"""From results to SES's verdicts."""

import msgspec
import pytest

from posthouse.domain.verdicts import (
    Authentication,
    DkimResult,
    DmarcResult,
    SpfResult,
    Verdict,
    Verdicts,
    dkim_verdict,
    receipt_members,
    spf_verdict,
)


def verdicts(
    spf: str = "pass", dkim: tuple[str, ...] = ("pass",), dmarc: str = "pass", policy: str = "reject"
) -> Verdicts:
    found = Authentication(
        client_ip="192.0.2.1",
        helo="mx.example",
        spf=SpfResult(result=spf, domain="example.com", sender="a@example.com"),
        dkim=tuple(DkimResult(result=each, domain="example.com") for each in dkim),
        dmarc=DmarcResult(result=dmarc, author_domain="example.com", policy=policy),
    )
    return Verdicts(authentication=found, spam=Verdict.PASS, virus=Verdict.FAIL, virus_detail="Eicar")


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        *(("pass", "PASS"), ("fail", "FAIL"), ("none", "GRAY"), ("neutral", "GRAY"), ("softfail", "GRAY")),
        *(("temperror", "PROCESSING_FAILED"), ("permerror", "PROCESSING_FAILED")),
    ],
)
def test_spf(result: str, verdict: str) -> None:
    """A softfail was seen to be GRAY at SES."""
    assert spf_verdict(result) == verdict


@pytest.mark.parametrize(
    ("results", "verdict"),
    [
        ([], "GRAY"),
        (["pass"], "PASS"),
        (["fail", "pass"], "PASS"),
        (["temperror", "pass"], "PASS"),
        (["fail"], "FAIL"),
        (["permerror"], "FAIL"),
        (["policy"], "FAIL"),
        (["fail", "temperror"], "PROCESSING_FAILED"),
    ],
)
def test_dkim(results: list[str], verdict: str) -> None:
    assert dkim_verdict(results) == verdict


@pytest.mark.parametrize(
    ("result", "verdict", "policy"),
    [
        ("pass", "PASS", ""),
        ("fail", "FAIL", "reject"),
        ("none", "GRAY", ""),
        ("temperror", "PROCESSING_FAILED", ""),
        ("permerror", "PROCESSING_FAILED", ""),
    ],
)
def test_dmarc_and_its_policy(result: str, verdict: str, policy: str) -> None:
    found = verdicts(dmarc=result)
    assert (found.dmarc, found.dmarc_policy) == (verdict, policy)


def test_members_of_a_receipt_are_those_of_ses() -> None:
    assert receipt_members(verdicts(dmarc="fail")) == {
        "spamVerdict": {"status": "PASS"},
        "virusVerdict": {"status": "FAIL"},
        "spfVerdict": {"status": "PASS"},
        "dkimVerdict": {"status": "PASS"},
        "dmarcVerdict": {"status": "FAIL"},
        "dmarcPolicy": "reject",
    }
    assert "dmarcPolicy" not in receipt_members(verdicts())


def test_a_rule_without_scans_sees_them_disabled() -> None:
    found = verdicts()
    assert found.for_rule(True) is found
    without = found.for_rule(False)
    assert (without.spam, without.virus, without.virus_detail) == (Verdict.DISABLED, Verdict.DISABLED, "")
    assert without.spf is Verdict.PASS


def test_they_are_kept_as_json() -> None:
    found = verdicts(dkim=("pass", "fail"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdicts) == found
