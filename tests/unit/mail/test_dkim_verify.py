"""Verifying DKIM signatures: dkimpy's and our own signer's, the examples of the RFCs, and whatever else may come."""

import base64
import time
from collections.abc import Callable

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mail import dkim, dkim_verify, headers
from posthouse.mail.dkim_verify import Refusal

NOW_S = int(time.time())  # dkimpy signs at no other time
RSA = dkim.SigningKey("example.com", "r1", generate_private_key(65537, 1024))
ED25519 = dkim.SigningKey("example.com", "e1", Ed25519PrivateKey.generate())
RECORDS = {key.selector: dkim.public_record(key.private_key.public_key()) for key in (RSA, ED25519)}
PEM = RSA.private_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
SEED = base64.b64encode(ED25519.private_key.private_bytes_raw())
HEAD = b"From: Ann <a@example.com>\r\nTo: b@x\r\nTo: c@x,\r\n\td@x\r\nSubject: a  b\r\n \tc \r\nX-Other: y\r\n"
BODY = b"Hello  you \t\r\n \r\n.\r\n\r\n\r\n"


def own(
    head: bytes = HEAD, body: bytes = BODY, key: dkim.SigningKey = RSA, form: dkim.Canonicalization = "relaxed/simple"
) -> bytes:
    return b"".join(dkim.sign(headers.fields(head), body, [key], NOW_S, form)) + head + b"\r\n" + body


def by_dkimpy(selector: str = "r1", form: tuple[bytes, bytes] = (b"relaxed", b"simple"), **more: object) -> bytes:
    message = HEAD + b"\r\n" + BODY
    signer = dkimpy.DKIM(message, signature_algorithm=b"rsa-sha256" if selector == "r1" else b"ed25519-sha256")
    key = PEM if selector == "r1" else SEED
    made: bytes = signer.sign(selector.encode(), b"example.com", key, canonicalize=form, **more)
    return made + message


def outcomes(raw: bytes, records: dict[str, str] = RECORDS, now_s: int = NOW_S) -> list[Refusal]:
    """Of every signature; a valid one is ``("pass", "")``."""
    message = headers.read(raw)
    digest = dkim_verify.digests_of(message.body)
    found = []
    for field in message.fields:
        if field.key != b"dkim-signature":
            continue
        claim = dkim_verify.read(field, now_s)
        refusal = claim.refusal
        if refusal is None:
            key = dkim_verify.read_key([records[claim.selector]] if claim.selector in records else [], claim)
            refusal = key if isinstance(key, Refusal) else dkim_verify.check(claim, key, message.fields, digest)
        found.append(refusal or Refusal("pass", ""))
    return found


def outcome(raw: bytes, records: dict[str, str] = RECORDS, now_s: int = NOW_S) -> Refusal:
    [found] = outcomes(raw, records, now_s)
    return found


PASS = Refusal("pass", "")


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("form", ["relaxed/simple", "relaxed/relaxed"])
def test_what_we_sign_is_valid(key: dkim.SigningKey, form: dkim.Canonicalization) -> None:
    assert outcome(own(key=key, form=form)) == PASS


@pytest.mark.parametrize("selector", ["r1", "e1"])
@pytest.mark.parametrize("header", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body", [b"simple", b"relaxed"])
def test_what_dkimpy_signs_is_valid(selector: str, header: bytes, body: bytes) -> None:
    assert outcome(by_dkimpy(selector, (header, body))) == PASS


FOOTBALL = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")


def test_the_example_of_rfc_8463_is_valid() -> None:
    records = {"brisbane": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}
    assert outcome(FOOTBALL, records) == PASS
    assert outcome(FOOTBALL.replace(b"hungry", b"Hungry"), records).result == "fail"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"Subject: a", b"Subject: A"),
        lambda raw: raw.replace(b"\r\n\r\nHello", b"\r\n\r\nhello"),
        lambda raw: raw.replace(b"From: Ann", b"From: Bob <b@x>\r\nFrom: Ann"),
        lambda raw: raw.replace(b"d=example.com", b"d=example.net"),
        lambda raw: raw.replace(b"To: c@x", b"To: e@x"),
    ],
    ids=["subject", "body", "second-from", "domain", "to"],
)
def test_a_changed_mail_is_not_valid(change: Callable[[bytes], bytes]) -> None:
    assert outcome(change(own())).result == "fail"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"Subject: a  b\r\n \tc \r\n", b"SUBJECT :  a b c\r\n"),
        lambda raw: b"X-Added: above\r\n" + raw,
        lambda raw: raw + b"\r\n\r\n",
        lambda raw: raw.replace(b"X-Other: y", b"X-Other: z"),
    ],
    ids=["refolded", "unsigned-above", "empty-lines-below", "unsigned-changed"],
)
def test_what_the_canonical_form_forgives_is_valid(change: Callable[[bytes], bytes]) -> None:
    assert outcome(change(own())) == PASS


def test_several_signatures_are_judged_one_by_one() -> None:
    fields = headers.fields(HEAD)
    both = b"".join(dkim.sign(fields, BODY, [RSA, ED25519], NOW_S)) + HEAD + b"\r\n" + BODY
    assert outcomes(both) == [PASS, PASS]
    assert [found.result for found in outcomes(both, {"r1": RECORDS["r1"]})] == ["pass", "permerror"]


def test_a_body_that_goes_on_behind_what_is_signed_is_not_accepted() -> None:
    """RFC 6376 section 8.2: with l= anybody may write below."""
    signed = by_dkimpy(length=True)
    assert outcome(signed) == PASS
    assert outcome(signed + b"Send money.\r\n") == ("policy", "only a part of the body is signed")


def _tagged(old: bytes, new: bytes) -> bytes:
    raw = own()
    assert old in raw
    return raw.replace(old, new, 1)


@pytest.mark.parametrize(
    ("raw", "result", "reason"),
    [
        (_tagged(b"v=1;", b"v=2;"), "permerror", "v= is unknown"),
        (_tagged(b"v=1; ", b""), "permerror", "v= is missing"),
        (_tagged(b"a=rsa-sha256", b"a=rsa-sha1"), "policy", "SHA-1 is too weak"),
        (_tagged(b"a=rsa-sha256", b"a=dsa"), "permerror", "a= is unknown"),
        (_tagged(b"q=dns/txt", b"q=http"), "permerror", "q= is unknown"),
        (_tagged(b"c=relaxed/simple", b"c=loose"), "permerror", "c= is unknown"),
        (_tagged(b"h=From:From:", b"h="), "permerror", "From is not signed"),
        (_tagged(b"s=r1;", b"s=r1; i=@example.net;"), "permerror", "i= is not in the domain"),
        (_tagged(b"s=r1;", b"s=r1; i=@badexample.com;"), "permerror", "i= is not in the domain"),
        (_tagged(b"s=r1;", b"s=r1; l=-1;"), "permerror", "l= is no number"),
        (_tagged(b"s=r1;", b"s=r1; s=r1;"), "permerror", "no list of tags"),
        (_tagged(b"s=r1;", b"s=r1; x;"), "permerror", "no list of tags"),
        (_tagged(b"s=r1;", b"s=r 1;"), "permerror", "d= or s= is no name"),
        (_tagged(b"d=example.com", b"d=exa\xc3\xa4mple.com"), "permerror", "d= or s= is no name"),
        (_tagged(b"\tb=", b"\tb=!"), "permerror", "b= is no base64"),
        (_tagged(b"bh=", b"bh=!"), "permerror", "bh= is no base64"),
        (_tagged(b"s=r1;", b"s=r1; x=1714000000;"), "permerror", "signature has expired"),
        (_tagged(b"t=%d" % NOW_S, b"t=%d" % (NOW_S + 86_400)), "permerror", "signed in the future"),
        (_tagged(b"s=r1;", b"s=r2;"), "permerror", "no key for this signature"),
        (_tagged(b"h=From", b"h=" + b"x:" * 1000 + b"From"), "permerror", "h= is too long"),
        (_tagged(b"v=1;", b"v=1; n=" + b"x" * 40_000 + b";"), "permerror", "signature too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_signature_says_why(raw: bytes, result: str, reason: str) -> None:
    assert outcome(raw) == (result, reason)


P = RECORDS["r1"].partition("p=")[2]


@pytest.mark.parametrize(
    ("record", "result", "reason"),
    [
        (f"p={P}", "pass", ""),
        (f"k=rsa; p={P[:40]} {P[40:]};", "pass", ""),
        (f"v=DKIM1; h=sha1:sha256; s=*; t=y; n=note; p={P}", "pass", ""),
        ("v=spf1 -all", "permerror", "no key record"),
        (f"v=DKIM2; p={P}", "permerror", "no key record"),
        ("v=DKIM1; p=", "permerror", "the key is revoked"),
        (f"v=DKIM1; h=sha1; p={P}", "permerror", "the key is not for SHA-256"),
        (f"v=DKIM1; s=tlsrpt; p={P}", "permerror", "the key is not for mail"),
        (f"v=DKIM1; k=ed25519; p={P}", "permerror", "the key is of another kind"),
        ("v=DKIM1; p=AAAA", "permerror", "the key cannot be read"),
        ("v=DKIM1; p=!", "permerror", "the key cannot be read"),
    ],
)
def test_keys_are_read_as_they_are_published(record: str, result: str, reason: str) -> None:
    assert outcome(own(), {"r1": record}) == (result, reason)


def test_a_bare_rsa_key_is_understood_too() -> None:
    """RFC 6376 errata: PKCS #1 instead of SubjectPublicKeyInfo is what some publish."""
    bare = RSA.private_key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert outcome(own(), {"r1": f"p={base64.b64encode(bare).decode()}"}) == PASS


def test_a_short_key_is_never_valid() -> None:
    """RFC 8301 section 3.2."""
    # OpenSSL makes no such keys any more: 512 bits, of an old example.
    short = (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu"
        "KUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
    )
    assert outcome(own(), {"r1": f"p={short}"}) == ("policy", "an RSA key of 512 bits")


def test_a_key_may_be_for_the_domain_alone() -> None:
    raw = by_dkimpy(identity=b"@news.example.com")
    assert outcome(raw) == PASS
    assert outcome(raw, {"r1": RECORDS["r1"] + "; t=s"}) == ("permerror", "the key is not for subdomains")
    assert outcome(own(), {"r1": RECORDS["r1"] + "; t=y:s"}) == PASS


def test_a_mail_of_blanks_takes_no_longer_than_another() -> None:
    """Canonicalization by regular expressions would take hours."""
    body = b" " * 1_000_000 + b"x\r\n" + b"\r\n" * 500_000
    assert outcome(own(body=body, form="relaxed/relaxed")) == PASS
    head = HEAD + b"X-Long: " + b" \t" * 50_000 + b"x\r\nDKIM-Signature: v=1; b=" + b" " * 20_000 + b"\r\n"
    assert outcomes(own(head=head, body=body))[0] == PASS


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abAB \t\r\n;:=,\x00é", max_size=60), st.sampled_from(["r1", "e1"]), st.integers(0, 3))
def test_dkimpy_and_we_agree_about_any_change(inserted: str, selector: str, where: int) -> None:
    raw = by_dkimpy(selector, (b"relaxed", b"relaxed"))
    mark = (b"Subject: a", b"Hello", b"X-Other: ", b"d@x")[where]
    changed = raw.replace(mark, mark + inserted.encode("utf-8").replace(b"\r", b"").replace(b"\n", b""), 1)

    def dns(name: bytes, timeout: int = 5) -> bytes:
        return RECORDS[name.decode().partition(".")[0]].encode()

    try:
        theirs = dkimpy.DKIM(changed).verify(dnsfunc=dns)
    except dkimpy.DKIMException:
        theirs = False
    assert (outcome(changed) == PASS) is theirs


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=100))
def test_any_field_and_any_record_is_taken(value: bytes, record: str) -> None:
    field = headers.fields(b"DKIM-Signature: " + value + b"\r\n")[0]
    claim = dkim_verify.read(field, NOW_S)
    assert claim.refusal is not None or claim.domain
    valid = dkim_verify.read(headers.read(own()).fields[0], NOW_S)
    assert isinstance(dkim_verify.read_key([record], valid), Refusal)
