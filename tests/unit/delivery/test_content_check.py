"""Bad content: SES accepts it, and then nobody gets it. Everything but the scanner is as the server has it."""

import base64

import pytest
from tests.support.clamd import EICAR
from tests.support.context import Ses, open_ses
from tests.support.preparing import preparing
from tests.unit.delivery.fakes import Delivering

from posthouse.delivery.events import reject
from posthouse.delivery.prepared import Postponed, Prepared, Refused
from posthouse.domain.events import EventType
from posthouse.domain.messages import RecipientState
from posthouse.domain.outcomes import Notice
from posthouse.ports.mailstore import ClaimedMessage
from posthouse.ports.scanners import Clean, Infected, ScanFailed, VirusOutcome

TO = {"Destinations__member__1": "bob@example.net", "Destinations__member__2": "cc@example.net"}
HEAD = b"From: ann@example.com\r\nTo: bob@example.net\r\nSubject: s\r\nMIME-Version: 1.0\r\n"


def with_file(data: bytes) -> bytes:
    return (
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the file.\r\n--b\r\n"
        b"Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(data).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


class Virus:
    def __init__(self, outcome: VirusOutcome) -> None:
        self.outcome = outcome
        self.scanned: list[bytes] = []

    async def scan(self, content: bytes) -> VirusOutcome:
        self.scanned.append(content)
        return self.outcome


async def send_raw(ses: Ses, raw: bytes) -> None:
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    encoded = base64.b64encode(raw).decode()
    await ses.call("SendRawEmail", RawMessage__Data=encoded, Source="ann@example.com", **TO)


async def send_text(ses: Ses, text: str) -> None:
    await ses.call("VerifyDomainIdentity", Domain="example.com")
    await ses.call(
        "SendEmail",
        Source="ann@example.com",
        Destination__ToAddresses__member__1="bob@example.net",
        Message__Subject__Data="s",
        Message__Body__Text__Data=text,
    )


async def claimed(ses: Ses) -> ClaimedMessage:
    [message] = await ses.ctx.stores.queue.claim("me", ses.clock.now_ms(), 1000, 10)
    return message


@pytest.mark.parametrize("all_captured", [False, True])
async def test_the_test_file_is_rejected_without_any_scanner(all_captured: bool) -> None:
    async with open_ses() as ses, preparing(ses, all_captured) as prepare:
        await send_raw(ses, with_file(EICAR))
        message = await claimed(ses)
        made = await prepare(message)
    assert isinstance(made, Refused)
    assert (made.event.type, made.event.detail) == (EventType.REJECT, {"reason": "Bad content"})
    assert set(made.event.recipients) == {"bob@example.net", "cc@example.net"}
    assert made.event.at_ms == ses.clock.now_ms()
    assert made.reason == "Bad content: the EICAR anti-virus test file"


@pytest.mark.parametrize("all_captured", [False, True])
async def test_in_the_text_of_send_email_too(all_captured: bool) -> None:
    async with open_ses() as ses, preparing(ses, all_captured) as prepare:
        await send_text(ses, f"Take this: {EICAR.decode()}")
        assert isinstance(await prepare(await claimed(ses)), Refused)


@pytest.mark.parametrize("all_captured", [False, True])
async def test_a_mail_that_only_speaks_of_it_is_sent(all_captured: bool) -> None:
    async with open_ses() as ses, preparing(ses, all_captured) as prepare:
        await send_text(ses, "Have you heard of EICAR-STANDARD-ANTIVIRUS-TEST-FILE?")
        assert isinstance(await prepare(await claimed(ses)), Prepared)


async def test_captured_mail_that_cannot_hold_it_is_not_made() -> None:
    async with open_ses() as ses, preparing(ses, True) as prepare:
        await send_raw(ses, with_file(bytes(range(256)) * 400))
        made = await prepare(await claimed(ses))
    assert isinstance(made, Prepared)
    assert made.content == b"", "its bytes are made by who reads them"


@pytest.mark.parametrize("all_captured", [False, True])
async def test_what_a_scanner_finds_is_rejected_by_its_name(all_captured: bool) -> None:
    virus = Virus(Infected("Win.Test"))
    async with open_ses() as ses, preparing(ses, all_captured, virus=virus) as prepare:
        await send_raw(ses, with_file(b"MZ evil"))
        made = await prepare(await claimed(ses))
    assert isinstance(made, Refused)
    assert (made.event.detail, made.reason) == ({"reason": "Bad content"}, "Bad content: Win.Test")


async def test_clean_mail_is_sent_and_a_retry_is_not_scanned_again() -> None:
    virus = Virus(Clean())
    async with open_ses() as ses, preparing(ses, virus=virus) as prepare:
        await send_raw(ses, with_file(b"PK"))
        message = await claimed(ses)
        made = await prepare(message)
        assert isinstance(made, Prepared)
        assert len(virus.scanned) == 1
        again = ClaimedMessage(message.facts, message.recipients, message.content, made.content)
        assert isinstance(await prepare(again), Prepared)
    assert len(virus.scanned) == 1


async def test_text_is_not_scanned() -> None:
    virus = Virus(Infected("anything"))
    async with open_ses() as ses, preparing(ses, virus=virus) as prepare:
        await send_text(ses, "Hello")
        assert isinstance(await prepare(await claimed(ses)), Prepared)
    async with open_ses() as ses, preparing(ses, virus=virus) as prepare:
        await send_raw(ses, HEAD + b"\r\nHello\r\n")
        assert isinstance(await prepare(await claimed(ses)), Prepared)
    assert virus.scanned == []


@pytest.mark.parametrize("all_captured", [False, True])
async def test_while_the_scanner_is_down_nothing_leaves_unscanned(all_captured: bool) -> None:
    virus = Virus(ScanFailed("clamd cannot be reached"))
    async with open_ses() as ses, preparing(ses, all_captured, virus=virus) as prepare:
        await send_raw(ses, with_file(b"PK"))
        made = await prepare(await claimed(ses))
    assert isinstance(made, Postponed)
    assert made.reply.code == 451
    assert "clamd cannot be reached" in made.reply.text


async def test_postponed_mail_is_tried_again_and_goes_out_then() -> None:
    tries = 0

    async def prepare(message: ClaimedMessage) -> Prepared | Postponed:
        nonlocal tries
        tries += 1
        if tries == 1:
            return Postponed(Notice(451, "4.3.0", "scanner down"))
        return Prepared(message.content, message.facts.source)

    async with Delivering(prepare=prepare) as d:
        server = d.network.server()
        d.queue.add("m1", "bob@ex.net")
        await d.queue.until(d.queue.all_final)
    assert len(server.taken) == 1
    assert [event.type for event in d.queue.events] == ["DeliveryDelay", "Send", "Delivery"]
    assert d.queue.events[0].detail["recipients"][0]["diagnostic_code"] == "smtp; 451 4.3.0 scanner down"


async def test_rejected_mail_reaches_nobody() -> None:
    async def prepare(message: ClaimedMessage) -> Refused:
        recipients = [each.recipient for each in message.recipients]
        return Refused(reject(message.facts, recipients, 5), "Bad content: Win.Test")

    async with Delivering(prepare=prepare) as d:
        server = d.network.server()
        d.queue.add("m1", "bob@ex.net", "cc@ex.net")
        await d.queue.until(d.queue.all_final)
    assert server.taken == []
    assert set(d.queue.states().values()) == {RecipientState.REJECTED}
    assert [event.type for event in d.queue.events] == ["Reject"]
