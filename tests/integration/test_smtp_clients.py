"""The doors against the SMTP clients that people have: smtplib, aiosmtplib, swaks."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import aiosmtplib
import pytest
import uvloop
from tests.integration.smtp_door import PASSWORD, USER, Behind, inbound, open_door, submission, tls_of
from tests.support.needs import need

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
MAIL = "From: a@b.example\r\nTo: c@d.example\r\nSubject: hi\r\n\r\n.dot\r\n..\r\nend\r\n"


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Callable[..., object]:
    def run(coroutine: object) -> object:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(coroutine)  # type: ignore[arg-type]

    return run


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def by_smtplib(port: int, implicit: bool, mechanism: str) -> list[str]:
    """Two mails over one connection; the replies to DATA."""
    client: smtplib.SMTP
    if implicit:
        client = smtplib.SMTP_SSL("127.0.0.1", port, context=trusting(), timeout=5)
    else:
        client = smtplib.SMTP("127.0.0.1", port, timeout=5)
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=trusting())
    with client:
        client.ehlo()
        client.user, client.password = USER, PASSWORD
        method = client.auth_plain if mechanism == "PLAIN" else client.auth_login
        assert client.auth(mechanism, method, initial_response_ok=mechanism == "PLAIN")[0] == 235
        replies = []
        for _ in range(2):
            client.mail("a@b.example", ["SIZE=100", "BODY=8BITMIME"])
            assert client.rcpt("c@d.example") == (250, b"Ok")
            replies.append(client.data(MAIL)[1].decode())
        return replies


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_smtplib_submits(runner: Callable[..., object], tmp_path: Path, implicit: bool, mechanism: str) -> None:
    behind = Behind()

    async def story() -> None:
        async with open_door(submission(behind, tls_of(tmp_path), implicit=implicit), behind):
            replies = await asyncio.to_thread(by_smtplib, behind.port, implicit, mechanism)
            assert replies == ["Ok out-1", "Ok out-2"]

    runner(story())
    caller, rcpt_to, content, envelope = behind.submitted[1]
    assert caller.scope == ("999988887777", "eu-west-1")
    assert rcpt_to == ("c@d.example",)
    assert content == MAIL.encode()
    assert envelope.protocol == "ESMTPSA"
    assert envelope.cipher.startswith("TLSv1.3 ")


def test_smtplib_is_told_that_its_password_is_wrong(tmp_path: Path, runner: Callable[..., object]) -> None:
    behind = Behind()

    def log_in() -> None:
        with smtplib.SMTP("127.0.0.1", behind.port, timeout=5) as client:
            client.starttls(context=trusting())
            with pytest.raises(smtplib.SMTPAuthenticationError, match="Authentication Credentials Invalid"):
                client.login(USER, "wrong")
            assert client.mail("a@b.example") == (530, b"Authentication required")

    async def story() -> None:
        async with open_door(submission(behind, tls_of(tmp_path)), behind):
            await asyncio.to_thread(log_in)

    runner(story())


def test_twenty_aiosmtplib_sessions_at_once(tmp_path: Path, runner: Callable[..., object]) -> None:
    behind = Behind()

    async def send(number: int) -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=behind.port, start_tls=True, tls_context=trusting())
        async with client:
            await client.login(USER, PASSWORD)
            for _ in range(3):
                await client.sendmail(f"s{number}@b.example", ["c@d.example"], MAIL.replace("hi", f"mail {number}"))

    async def story() -> None:
        async with open_door(submission(behind, tls_of(tmp_path)), behind):
            await asyncio.gather(*(send(number) for number in range(20)))

    runner(story())
    assert len(behind.submitted) == 60
    assert all(f"mail {e.mail_from[1:].partition('@')[0]}\r".encode() in body for _, _, body, e in behind.submitted)


def test_large_message_comes_through_unharmed(runner: Callable[..., object], tmp_path: Path) -> None:
    behind = Behind()
    mail = MAIL + "".join(f".{number} {'x' * 70}\r\n" for number in range(40_000))

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", behind.port, timeout=10) as client:
            client.starttls(context=trusting())
            client.sendmail("a@b.example", ["c@d.example"], mail)

    async def story() -> None:
        async with open_door(inbound(behind, tls_of(tmp_path), max_size=len(mail)), behind):
            await asyncio.to_thread(send)

    runner(story())
    assert behind.accepted[0][1] == mail.encode()


@pytest.mark.parametrize("extra", [["--auth", "PLAIN"], ["--auth", "LOGIN"], ["--auth", "PLAIN", "--pipeline"]])
async def test_swaks_submits(tmp_path: Path, extra: list[str]) -> None:
    need("swaks")
    behind = Behind()
    # In the clear: swaks knows TLS only where Perl has Net::SSLeay.
    async with open_door(submission(behind, tls_of(tmp_path), plain_auth=True), behind):
        swaks = await asyncio.create_subprocess_exec(
            "swaks", "--server", f"127.0.0.1:{behind.port}", "--from", "a@b.example", "--to", "c@d.example,e@f.example",
            "--auth-user", USER, "--auth-password", PASSWORD, "--timeout", "5", *extra,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        transcript, _ = await asyncio.wait_for(swaks.communicate(), 20)
    assert swaks.returncode == 0, transcript.decode()
    assert b"250 Ok out-1" in transcript
    assert behind.submitted[0][1] == ("c@d.example", "e@f.example")
