"""All verdicts of a mail together; scanners are those of the test."""

import asyncio

from tests.support.context import FixedClock
from tests.unit.receiving.zone import ZoneResolver

from posthouse.domain.verdicts import Verdict, Verdicts
from posthouse.ports.scanners import (
    Clean,
    Infected,
    ScanFailed,
    ScannedEnvelope,
    SpamJudged,
    SpamOutcome,
    VirusOutcome,
)
from posthouse.receiving.inspection import InspectedMail, Inspection

MAIL = InspectedMail(
    message_id="m1", client_ip="192.0.2.1", helo="mx.ex.test", mail_from="a@ex.test", recipients=("b@in.test",)
)
CONTENT = b"From: a@ex.test\r\nSubject: Hello\r\n\r\nHello\r\n"
ZONE = ("ex.test TXT v=spf1 ip4:192.0.2.1 -all", "_dmarc.ex.test TXT v=DMARC1; p=reject")


class Spam:
    def __init__(self, outcome: SpamOutcome) -> None:
        self.outcome = outcome
        self.envelopes: list[ScannedEnvelope] = []
        self.closed = False

    async def judge(self, content: bytes, envelope: ScannedEnvelope) -> SpamOutcome:
        self.envelopes.append(envelope)
        return self.outcome

    async def close(self) -> None:
        self.closed = True


class Virus:
    def __init__(self, outcome: VirusOutcome) -> None:
        self.outcome = outcome
        self.scanned = 0

    async def scan(self, content: bytes) -> VirusOutcome:
        self.scanned += 1
        return self.outcome


async def inspected(spam: Spam | None, virus: Virus | None, scan: bool = True) -> Verdicts:
    inspection = Inspection(ZoneResolver(*ZONE), FixedClock(), "in.example", spam, virus)
    return await inspection(CONTENT, MAIL, scan=scan)


async def test_everything_is_found_out_at_once() -> None:
    spam, virus = Spam(SpamJudged(Verdict.PASS, "no action")), Virus(Clean())
    found = await inspected(spam, virus)
    assert (found.spf, found.dkim, found.dmarc) == (Verdict.PASS, Verdict.GRAY, Verdict.PASS)
    assert (found.spam, found.virus) == (Verdict.PASS, Verdict.PASS)
    assert spam.envelopes == [
        ScannedEnvelope(
            client_ip="192.0.2.1",
            helo="mx.ex.test",
            mail_from="a@ex.test",
            recipients=("b@in.test",),
            message_id="m1",
        )
    ]


async def test_without_scanners_nobody_can_tell() -> None:
    found = await inspected(None, None)
    assert (found.spam, found.virus) == (Verdict.GRAY, Verdict.GRAY)


async def test_scanners_are_not_asked_where_no_rule_wants_it() -> None:
    spam, virus = Spam(SpamJudged(Verdict.FAIL, "reject")), Virus(Infected("Eicar"))
    found = await inspected(spam, virus, scan=False)
    assert (found.spam, found.virus) == (Verdict.DISABLED, Verdict.DISABLED)
    assert (spam.envelopes, virus.scanned) == ([], 0)
    assert found.spf is Verdict.PASS


async def test_scanners_that_fail_never_mean_a_clean_mail() -> None:
    found = await inspected(Spam(ScanFailed("down")), Virus(ScanFailed("slow")))
    assert (found.spam, found.virus) == (Verdict.PROCESSING_FAILED, Verdict.PROCESSING_FAILED)
    assert (found.spam_detail, found.virus_detail) == ("down", "slow")


async def test_what_scanners_find_is_told_by_name() -> None:
    found = await inspected(Spam(SpamJudged(Verdict.FAIL, "reject, score 15.0")), Virus(Infected("Eicar")))
    assert (found.spam, found.spam_detail) == (Verdict.FAIL, "reject, score 15.0")
    assert (found.virus, found.virus_detail) == (Verdict.FAIL, "Eicar")


async def test_closing_closes_the_scanner() -> None:
    spam = Spam(SpamJudged(Verdict.PASS, ""))
    await Inspection(ZoneResolver(), FixedClock(), "in.example", spam, None).close()
    await asyncio.wait_for(Inspection(ZoneResolver(), FixedClock(), "in.example", None, None).close(), 1)
    assert spam.closed


async def test_the_clients_name_is_noted_where_dns_has_one() -> None:
    named = Inspection(ZoneResolver(*ZONE, "1.2.0.192.in-addr.arpa PTR mx.ex.test"), FixedClock(), "in", None, None)
    assert (await named(CONTENT, MAIL, scan=False)).client_name == "mx.ex.test"
    failing = Inspection(ZoneResolver(*ZONE, failing=["1.2.0.192.in-addr.arpa"]), FixedClock(), "in", None, None)
    assert (await failing(CONTENT, MAIL, scan=False)).client_name == ""
    nobody = InspectedMail(message_id="m1", client_ip="", helo="", mail_from="", recipients=())
    assert (await named(CONTENT, nobody, scan=False)).client_name == ""
