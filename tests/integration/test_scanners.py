"""The scanners' adapters against real clamd and rspamd, and against what may stand in their place."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.support.clamd import EICAR, Clamd
from tests.support.processes import free_port
from tests.support.rspamd import Rspamd
from tests.support.unbound import Unbound

from posthouse.adapters.clamd import ClamdScanner
from posthouse.adapters.rspamd import RspamdScanner
from posthouse.domain.verdicts import Verdict
from posthouse.ports.scanners import Clean, Infected, ScanFailed, ScannedEnvelope, SpamJudged

MAIL = (
    b"From: a@ex.test\r\nTo: b@in.test\r\nSubject: Hello\r\nDate: Thu, 2 May 2024 09:19:57 +0000\r\n\r\nHello you\r\n"
)
# In two pieces, so that no scanner of a developer's machine takes this file for spam.
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
ENVELOPE = ScannedEnvelope(
    client_ip="192.0.2.1", helo="mx.ex.test", mail_from="a@ex.test", recipients=("b@in.test", "c@in.test")
)


@pytest.fixture(scope="module")
def clamd() -> Iterator[Clamd]:
    with Clamd() as running:
        yield running


@pytest.fixture(scope="module")
def rspamd() -> Iterator[Rspamd]:
    with Unbound() as unbound, Rspamd(unbound.address) as running:
        yield running


# -- clamd


@pytest.mark.parametrize("over", ["address", "socket"])
async def test_clamd_tells_clean_from_infected(clamd: Clamd, over: str) -> None:
    scanner = ClamdScanner(getattr(clamd, over), 30)
    assert await scanner.scan(MAIL) == Clean()
    assert await scanner.scan(MAIL + EICAR) == Infected("Eicar-Test.UNOFFICIAL")
    part = b"MIME-Version: 1.0\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n"
    assert isinstance(await scanner.scan(part + MAIL.replace(b"Hello you", base64.b64encode(EICAR))), Infected)
    assert await scanner.scan(b"") == Clean()


async def test_many_scans_at_once(clamd: Clamd) -> None:
    scanner = ClamdScanner(clamd.address, 60)
    contents = [MAIL + (EICAR if number % 2 else b"") for number in range(20)]
    found = await asyncio.gather(*map(scanner.scan, contents))
    assert [isinstance(each, Infected) for each in found] == [bool(number % 2) for number in range(20)]


async def test_what_is_too_large_for_clamd_is_not_clean(clamd: Clamd) -> None:
    """It says so and hangs up while we still write: StreamMaxLength is one megabyte here."""
    found = await ClamdScanner(clamd.address, 30).scan(MAIL + b"x" * 8_000_000)
    assert isinstance(found, ScanFailed)
    assert "size limit exceeded" in found.reason or "hung up" in found.reason


async def test_clamd_that_is_not_there() -> None:
    assert isinstance(await ClamdScanner(f"127.0.0.1:{free_port()}", 5).scan(MAIL), ScanFailed)
    assert isinstance(await ClamdScanner("/nowhere/clamd.sock", 5).scan(MAIL), ScanFailed)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """Somebody who answers this to whatever is asked; None: who never answers."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await done.wait()
        else:
            await reader.read(1024)
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer", [b"", b"stream: ", b"stream: OK, I think\0", b"\xff\xfe" * 5000, b"UNKNOWN COMMAND\0", None]
)
async def test_an_answer_that_is_none_is_no_clean_mail(answer: bytes | None) -> None:
    async with answering(answer) as port:
        assert isinstance(await ClamdScanner(f"127.0.0.1:{port}", 0.3).scan(MAIL), ScanFailed)


# -- rspamd


async def test_rspamd_tells_spam_from_mail(rspamd: Rspamd) -> None:
    scanner = RspamdScanner(f"http://127.0.0.1:{rspamd.port}/", 60)
    found = await scanner.judge(MAIL, ENVELOPE)
    assert isinstance(found, SpamJudged)
    assert found.verdict is Verdict.PASS
    assert found.detail.startswith("no action, score ")
    spam = await scanner.judge(MAIL.replace(b"Hello you", GTUBE), ENVELOPE)
    assert isinstance(spam, SpamJudged)
    assert (spam.verdict, spam.detail.partition(",")[0]) == (Verdict.FAIL, "reject")
    await scanner.close()


async def test_rspamd_hears_the_envelope_whatever_strangers_put_into_it(rspamd: Rspamd) -> None:
    scanner = RspamdScanner(f"http://127.0.0.1:{rspamd.port}", 60)
    envelope = ScannedEnvelope(
        client_ip="2001:db8::1", helo="\r\nX: y", mail_from="", recipients=("\u00e4@in.test",) * 500
    )
    assert isinstance(await scanner.judge(MAIL, envelope), SpamJudged)
    await scanner.close()


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage",
        http("500 Oh", b"{}"),
        http("302 There", b""),
        http("200 OK", b""),
        http("200 OK", b"{}"),
        http("200 OK", b'{"action": 7}'),
        http("200 OK", b"\xff{"),
        None,
    ],
)
async def test_an_answer_that_is_none_is_no_verdict(answer: bytes | None) -> None:
    async with answering(answer) as port:
        scanner = RspamdScanner(f"http://127.0.0.1:{port}", 0.5)
        assert isinstance(await scanner.judge(MAIL, ENVELOPE), ScanFailed)
        await scanner.close()


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        *(("no action", "PASS"), ("greylist", "GRAY"), ("soft reject", "GRAY"), ("add header", "FAIL")),
        *(("rewrite subject", "FAIL"), ("reject", "FAIL"), ("our own", "GRAY")),
    ],
)
async def test_actions_make_verdicts(action: str, verdict: str) -> None:
    async with answering(
        http("200 OK", b'{"action": "%b", "score": 1.25, "required_score": 6, "x": []}' % action.encode())
    ) as port:
        scanner = RspamdScanner(f"http://127.0.0.1:{port}", 10)
        found = await scanner.judge(MAIL, ENVELOPE)
        assert found == SpamJudged(Verdict(verdict), f"{action}, score 1.2 of 6.0")
        await scanner.close()


async def test_a_mail_that_rspamd_skipped_was_not_judged() -> None:
    async with answering(http("200 OK", b'{"action": "no action", "is_skipped": true}')) as port:
        scanner = RspamdScanner(f"http://127.0.0.1:{port}", 10)
        found = await scanner.judge(MAIL, ENVELOPE)
        assert isinstance(found, SpamJudged)
        assert found.verdict is Verdict.GRAY
        await scanner.close()


async def test_rspamd_that_is_not_there() -> None:
    scanner = RspamdScanner(f"http://127.0.0.1:{free_port()}", 5)
    assert isinstance(await scanner.judge(MAIL, ENVELOPE), ScanFailed)
    await scanner.close()
