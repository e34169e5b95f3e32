"""SPF, DKIM, DMARC and ARC of whole mails."""

import asyncio
import time

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.receiving.zone import Found, ZoneResolver

from posthouse.domain.verdicts import Authentication
from posthouse.mail import dkim, headers
from posthouse.receiving import authentication
from posthouse.receiving.authentication import Origin, authenticate

NOW_S = int(time.time())
KEY = generate_private_key(65537, 1024)
RSA = dkim.SigningKey("ex.test", "r1", KEY)
ED25519 = dkim.SigningKey("ex.test", "e1", Ed25519PrivateKey.generate())
MAIL = b"From: Ann <a@ex.test>\r\nTo: b@x\r\nSubject: Hello\r\n\r\nHello you\r\n"
SPF = "ex.test TXT v=spf1 ip4:192.0.2.1 -all"
DMARC = "_dmarc.ex.test TXT v=DMARC1; p=reject"
KEYS = tuple(
    f"{key.selector}._domainkey.ex.test TXT {dkim.public_record(key.private_key.public_key())}"
    for key in (RSA, ED25519)
)
ORIGIN = Origin(client_ip="192.0.2.1", helo="mx.ex.test", mail_from="a@ex.test")
STRANGER = Origin(client_ip="198.51.100.9", helo="evil.test", mail_from="x@evil.test")


def signed(mail: bytes = MAIL, *keys: dkim.SigningKey) -> bytes:
    message = headers.read(mail)
    return b"".join(dkim.sign(message.fields, message.body, keys or (RSA,), NOW_S)) + mail


async def judged(content: bytes, resolver: ZoneResolver, origin: Origin = ORIGIN) -> Authentication:
    return await authenticate(content, origin, resolver, receiver="in.example", now_s=NOW_S)


def results(found: Authentication) -> tuple[str, list[str], str]:
    return found.spf.result, [each.result for each in found.dkim], found.dmarc.result


async def test_honest_mail_passes_everything() -> None:
    found = await judged(signed(MAIL, RSA, ED25519), ZoneResolver(SPF, DMARC, *KEYS))
    assert results(found) == ("pass", ["pass", "pass"], "pass")
    assert (found.dmarc.author_domain, found.dmarc.policy, found.arc) == ("ex.test", "reject", "none")
    assert [(each.domain, each.selector, each.identity) for each in found.dkim] == [
        ("ex.test", "r1", "@ex.test"),
        ("ex.test", "e1", "@ex.test"),
    ]


async def test_a_forged_author_fails_dmarc_whatever_passes_for_the_forger() -> None:
    found = await judged(MAIL, ZoneResolver(SPF, DMARC, "evil.test TXT v=spf1 +all"), STRANGER)
    assert results(found) == ("pass", [], "fail")
    assert (found.dmarc.policy_domain, found.dmarc.policy) == ("ex.test", "reject")


async def test_forwarded_mail_passes_by_its_signature() -> None:
    found = await judged(signed(), ZoneResolver(SPF, DMARC, *KEYS), STRANGER)
    assert results(found) == ("none", ["pass"], "pass")


async def test_mail_of_a_domain_that_says_nothing() -> None:
    assert results(await judged(MAIL, ZoneResolver())) == ("none", [], "none")


async def test_a_key_that_cannot_be_looked_up_leaves_everything_open() -> None:
    found = await judged(signed(), ZoneResolver(DMARC, failing=["r1._domainkey.ex.test"]), STRANGER)
    assert results(found) == ("none", ["temperror"], "temperror")
    assert found.dkim[0].reason == "the key lookup failed"


async def test_a_missing_key_is_the_signers_mistake() -> None:
    found = await judged(signed(), ZoneResolver(DMARC), STRANGER)
    assert results(found) == ("none", ["permerror"], "fail")


async def test_dns_that_fails_altogether() -> None:
    class Down(ZoneResolver):
        def _find(self, name: str, type: str) -> Found:
            return authentication.LookupFailed("timed out")

    assert results(await judged(signed(), Down())) == ("temperror", ["temperror"], "temperror")


async def test_dns_that_never_answers_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(ZoneResolver):
        async def txt(self, name: str) -> Found:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(authentication, "IDENTITY_S", 0.02)
    monkeypatch.setattr(authentication, "POLICY_S", 0.02)
    found = await asyncio.wait_for(judged(signed(), Silent()), 10)
    assert results(found) == ("temperror", ["temperror"], "temperror")


async def test_two_authors_are_an_error_and_none_is_nobody() -> None:
    two = MAIL.replace(b"From:", b"From: b@other.test\r\nFrom:")
    assert (await judged(two, ZoneResolver(SPF, DMARC))).dmarc.result == "permerror"
    assert (await judged(b"Subject: x\r\n\r\n", ZoneResolver(SPF, DMARC))).dmarc.result == "none"


async def test_ten_signatures_are_looked_at_and_their_keys_asked_for_once() -> None:
    resolver = ZoneResolver(SPF, DMARC, *KEYS)
    found = await judged(signed(MAIL, *[RSA] * 30), resolver)
    assert len(found.dkim) == 10
    assert resolver.asked["r1._domainkey.ex.test", "TXT"] == 1


async def test_of_who_signed_only_so_much_is_kept() -> None:
    named = signed().replace(b"s=r1;", b"s=r1; i=" + b"x" * 5000 + b"@ex.test;")
    [found] = (await judged(named, ZoneResolver(*KEYS))).dkim
    assert (found.result, len(found.identity)) == ("fail", 320)


async def test_a_chain_is_noted_and_changes_no_verdict() -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    mail = b"Authentication-Results: ex.test; dmarc=pass\r\n" + MAIL
    sealed = b"".join(dkimpy.arc_sign(mail, b"r1", b"ex.test", pem, b"ex.test", include_headers=[b"from"])) + mail
    found = await judged(sealed, ZoneResolver(DMARC, *KEYS), STRANGER)
    assert (found.arc, found.dmarc.result) == ("pass", "fail")
    assert (await judged(sealed.replace(b"Hello", b"hello"), ZoneResolver(DMARC, *KEYS), STRANGER)).arc == "fail"


async def test_policies_of_subdomains_that_do_not_exist() -> None:
    resolver = ZoneResolver("_dmarc.ex.test TXT v=DMARC1; p=none; sp=quarantine; np=reject", "real.ex.test A 192.0.2.7")
    for author, policy in (("ex.test", "none"), ("real.ex.test", "quarantine"), ("gone.ex.test", "reject")):
        found = await judged(MAIL.replace(b"a@ex.test", b"a@" + author.encode()), resolver, STRANGER)
        assert (found.dmarc.result, found.dmarc.policy) == ("fail", policy), author


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=80), st.text(max_size=80))
def test_any_mail_is_judged(noise: bytes, helo: str, sender: str) -> None:
    origin = Origin(client_ip="192.0.2.1", helo=helo, mail_from=sender)
    for content in (noise, b"From: a@ex.test\r\nDKIM-Signature: " + noise, signed() + noise):
        found = asyncio.run(judged(content, ZoneResolver(SPF, DMARC, *KEYS), origin))
        assert found.dmarc.result
