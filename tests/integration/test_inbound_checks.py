"""Verdicts about a mail as the configuration asks for them: real resolver, real scanners, one call."""

import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.dns_server import DnsServer
from tests.support.clamd import EICAR, Clamd
from tests.support.processes import free_port
from tests.support.rspamd import Rspamd
from tests.support.server import as_environment
from tests.support.unbound import Unbound

from posthouse import config
from posthouse.assembly.context import SystemClock
from posthouse.assembly.outside import inspection_of
from posthouse.domain.verdicts import Verdict, Verdicts
from posthouse.mail import dkim, headers
from posthouse.mail.verdict_headers import added_head, with_verdicts
from posthouse.receiving.inspection import InspectedMail

KEY = dkim.SigningKey("partner.test", "k1", Ed25519PrivateKey.generate())
RECORDS = [
    'partner.test. TXT "v=spf1 include:_spf.partner.test -all"',
    '_spf.partner.test. TXT "v=spf1 a:mx.partner.test -all"',
    "mx.partner.test. A 198.51.100.140",
    '_dmarc.partner.test. TXT "v=DMARC1; p=reject"',
    f'k1._domainkey.partner.test. TXT "{dkim.public_record(KEY.private_key.public_key())}"',
]
MAIL = (
    b"From: Amy <amy@partner.test>\r\nTo: help@shop.test\r\nSubject: Invoice\r\n"
    b"Date: Thu, 2 May 2024 09:19:57 +0000\r\nMessage-ID: <i@partner.test>\r\n\r\nWhich one?\r\n"
)


@pytest.fixture(scope="module")
def settings() -> Iterator[config.Config]:
    with Unbound(records=RECORDS) as unbound, Rspamd(unbound.address) as rspamd, Clamd() as clamd:
        yield _config(
            {
                "dns.resolvers": [unbound.address],
                "scan.rspamd_url": f"http://127.0.0.1:{rspamd.port}",
                "scan.clamd": clamd.socket,
            }
        )


def _config(keys: dict[str, object]) -> config.Config:
    return config.load(None, as_environment(keys))


async def inspected(settings: config.Config, content: bytes, client_ip: str = "198.51.100.140") -> Verdicts:
    inspection = inspection_of(settings, SystemClock())
    mail = InspectedMail(
        message_id="m1",
        client_ip=client_ip,
        helo="mx.partner.test",
        mail_from="amy@partner.test",
        recipients=("help@shop.test",),
    )
    try:
        return await inspection(content, mail, scan=True)
    finally:
        await inspection.close()


def signed(mail: bytes) -> bytes:
    message = headers.read(mail)
    return b"".join(dkim.sign(message.fields, message.body, [KEY], int(time.time()))) + mail


async def test_honest_mail_passes_everything_and_says_so(settings: config.Config) -> None:
    content = signed(MAIL)
    found = await inspected(settings, content)
    assert [found.spf, found.dkim, found.dmarc, found.spam, found.virus] == [Verdict.PASS] * 5
    marked = with_verdicts(content, added_head(found, "ses.test", "x"), "ses.test")
    assert headers.read(marked).fields[3].value == (
        "ses.test; spf=pass (spfCheck: domain of partner.test designates 198.51.100.140 as permitted sender) "
        "client-ip=198.51.100.140; envelope-from=amy@partner.test; helo=mx.partner.test; "
        "dkim=pass header.i=@partner.test; dmarc=pass header.from=partner.test;"
    )


async def test_a_forger_with_a_virus_passes_nothing(settings: config.Config) -> None:
    found = await inspected(settings, signed(MAIL).replace(b"Which", b"What") + EICAR, "203.0.113.66")
    assert (found.spf, found.dkim, found.dmarc) == (Verdict.FAIL, Verdict.FAIL, Verdict.FAIL)
    assert (found.dmarc_policy, found.virus, found.virus_detail) == ("reject", Verdict.FAIL, "Eicar-Test.UNOFFICIAL")


async def test_nothing_passes_while_everything_is_down() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    async with DnsServer() as dns:
        dns.faults = dict.fromkeys(("partner.test", "k1._domainkey.partner.test", "_dmarc.partner.test"), "servfail")
        down = _config({"dns.resolvers": [dns.address], "scan.rspamd_url": f"http://{nobody}", "scan.clamd": nobody})
        found = await inspected(down, signed(MAIL))
    assert [found.spf, found.dkim, found.dmarc, found.spam, found.virus] == [Verdict.PROCESSING_FAILED] * 5
