"""DKIM signatures, judged by dkimpy."""

import re

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mail import headers, outgoing
from posthouse.mail.dkim import Canonicalization, SigningKey, body_hash, public_record, sign

RSA = SigningKey("example.com", "rsa1", generate_private_key(65537, 1024))
ED25519 = SigningKey("service.example", "ed1", Ed25519PrivateKey.generate())
FORMS: list[Canonicalization] = ["relaxed/simple", "relaxed/relaxed"]
AT_S = 1714641330
HEAD = (
    b"From: Ann <a@example.com>\r\nReply-To: r@x\r\nTo: b@x\r\nTo: c@x,\r\n\td@x\r\nSubject: a  b\r\n \tc \r\n"
    b"X-Other: y\r\nMIME-Version: 1.0\r\nFeedback-ID: 1.x:AmazonSES\r\n"
    b"List-Unsubscribe: <https://x.example/u>\r\nMessage-ID: <i@x>\r\n"
)


def dns(name: bytes, timeout: int = 5) -> bytes | None:
    records = {f"{key.selector}._domainkey.{key.domain}.".encode(): key for key in (RSA, ED25519)}
    return public_record(records[name].private_key.public_key()).encode() if name in records else None


def signed(head: bytes, body: bytes, form: Canonicalization = "relaxed/simple") -> bytes:
    fields = headers.fields(head)
    return outgoing.assemble(sign(fields, body, [RSA, ED25519], AT_S, form), fields, body)


def verifies(raw: bytes) -> bool:
    message = dkimpy.DKIM(raw)
    try:
        return all(message.verify(index, dnsfunc=dns) for index in range(2))
    except dkimpy.DKIMException:
        return False


BODIES = [
    b"",
    b"\r\n",
    b"\r\n\r\n\r\n",
    b"x\r\n",
    b"x",
    b"x\r\n\r\n\r\n",
    b" \r\n\t\r\n",
    b" ",
    b"a  b\t\tc \t \r\n",
    b"trailing \r\n blanks\t\r\n\r\n \r\n",
    b"bare\rcr\r\n",
    b"bare cr at the end\r\r\n",
    b"\xe9\xff\0 eight bit\r\n",
    b".\r\n..\r\n",
    b"x" * 5000 + b"\r\n",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("body", BODIES)
def test_dkimpy_verifies_bodies_of_every_kind(body: bytes, form: Canonicalization) -> None:
    # As SMTP delivers it: a last line without CRLF gets one on the wire.
    on_wire = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
    assert verifies(signed(HEAD, body, form)[: -len(body) or None] + on_wire)


HEADS = [
    b"From: a@b\r\n",
    b"from:a@b\r\n",
    b"FROM:\ta@b \t \r\n",
    b"From:\r\n a@b\r\n",
    b"From: a@b\r\nSubject:\r\n",
    b"From: a@b\r\nSubject: \r\n \t\r\n",
    b"From: a@b\r\nSubject: a\t \tb\r\n\t\tc\r\n",
    b"From: a@b\r\nSubject: \xc3\xa9 \xff\r\n",
    b"From: a@b\r\nSubject: x:y:z\r\n",
    b"From: a@b\r\nReferences: <" + b"x" * 3000 + b">\r\n",
    b"From: a@b\r\nTo: 1@x\r\nTo: 2@x\r\nCc: 3@x\r\nTo: 4@x\r\nCc: 5@x\r\n",
    b"From: a@b\r\nFrom: c@d\r\n",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("head", HEADS)
def test_dkimpy_verifies_header_sections_of_every_kind(head: bytes, form: Canonicalization) -> None:
    assert verifies(signed(head, b"body\r\n", form))


PIECES = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"b:c", b"\xe9", b"=", b"\r\n\r\n", b"   "]), max_size=25
)
VALUES = st.lists(st.sampled_from([b" ", b"\t", b"a", b"b:c", b"\xe9", b"\r\n x", b"\r\n\ty"]), max_size=10).map(
    b"".join
)
NAMES = st.sampled_from(
    [b"To", b"Cc", b"Subject", b"References", b"X-Not-Signed", b"List-Id", b"sUBJECT", b"Feedback-ID"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), PIECES.map(b"".join), st.sampled_from(FORMS))
def test_dkimpy_verifies_generated_mail(fields: list[tuple[bytes, bytes]], body: bytes, form: Canonicalization) -> None:
    head = b"From: a@b\r\n" + b"".join(b"%b:%b\r\n" % field for field in fields)
    assert verifies(signed(head, body + b"\r\n", form))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: a", b"Subject: A"),
        (b"From: Ann", b"From: Eve"),
        (b"body", b"Body"),
        (b"To: b@x\r\n", b""),
        (b"Feedback-ID: 1", b"Feedback-ID: 2"),
        (b"From: Ann", b"From: eve@x\r\nFrom: Ann"),
        (b"t=1714641330", b"t=1714641331"),
        (b"\r\n\r\nbody", b"\r\nFrom: eve@x\r\n\r\nbody"),
    ],
)
def test_a_change_to_what_is_signed_breaks_the_signature(old: bytes, new: bytes) -> None:
    raw = signed(HEAD, b"body\r\n")
    assert verifies(raw)
    assert old in raw
    assert not verifies(raw.replace(old, new, 1))


def test_fields_that_are_not_signed_may_change() -> None:
    assert verifies(signed(HEAD, b"body\r\n").replace(b"X-Other: y", b"X-Other: z"))


def test_the_signature_has_the_shape_of_ses() -> None:
    first, second = sign(headers.fields(HEAD), b"body\r\n", [RSA, ED25519], AT_S)
    unfolded = re.sub(rb"\r\n\t", b" ", first).decode()
    assert re.fullmatch(
        r"DKIM-Signature: v=1; a=rsa-sha256; q=dns/txt; c=relaxed/simple; s=rsa1; d=example\.com; t=1714641330; "
        r"h=[A-Za-z: -]+; bh=[A-Za-z0-9+/=]{44}; b=[A-Za-z0-9+/= ]+\r\n",
        unfolded,
    )
    assert b"a=ed25519-sha256" in second
    assert b"d=service.example" in second
    for line in (first + second).split(b"\r\n"):
        assert len(line) <= 78


def test_names_follow_the_message_with_from_twice_and_feedback_id_last() -> None:
    (signature,) = sign(headers.fields(HEAD), b"", [RSA], AT_S)
    names = re.search(rb"h=([^;]+);", signature)
    assert names is not None
    assert re.sub(rb"\s", b"", names[1]).decode() == (
        "From:From:Reply-To:To:To:Subject:MIME-Version:List-Unsubscribe:Message-ID:Feedback-ID"
    )


def test_the_same_input_gives_the_same_bytes() -> None:
    assert signed(HEAD, b"body\r\n") == signed(HEAD, b"body\r\n")


@pytest.mark.parametrize("form", FORMS)
def test_a_body_hash_made_beforehand_is_used(form: Canonicalization) -> None:
    fields, body = headers.fields(HEAD), b"a  b \r\n\r\n"
    digest = body_hash(body, form)
    assert sign(fields, body, [RSA], AT_S, form, digest) == sign(fields, body, [RSA], AT_S, form)
    assert sign(fields, b"", [RSA], AT_S, form, digest) == sign(fields, body, [RSA], AT_S, form)


def test_long_domains_and_selectors_fit() -> None:
    key = SigningKey(".".join(["a" * 60] * 4), "s" * 63, ED25519.private_key)
    (signature,) = sign(headers.fields(HEAD), b"", [key], AT_S)
    assert max(map(len, signature.split(b"\r\n"))) < 260
    record = public_record(ED25519.private_key.public_key()).encode()
    raw = outgoing.assemble([signature], headers.fields(HEAD), b"")
    assert dkimpy.DKIM(raw).verify(dnsfunc=lambda name, timeout=5: record)


@pytest.mark.parametrize(
    ("domain", "selector"), [("a\r\nX: y", "s"), ("a;b", "s"), ("a b", "s"), ("é.x", "s"), ("", "s"), ("d", "")]
)
def test_what_is_no_domain_or_selector_makes_no_key(domain: str, selector: str) -> None:
    with pytest.raises(ValueError, match="not a domain and selector"):
        SigningKey(domain, selector, ED25519.private_key)


def test_the_records_are_those_of_the_rfcs() -> None:
    assert re.fullmatch(r"v=DKIM1; k=rsa; p=MI[A-Za-z0-9+/]+=*", public_record(RSA.private_key.public_key()))
    assert re.fullmatch(r"v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=", public_record(ED25519.private_key.public_key()))


def test_known_hashes_of_empty_bodies() -> None:
    # RFC 6376 sections 3.4.3 and 3.4.4 give both.
    assert body_hash(b"", "relaxed/simple") == "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
    assert body_hash(b"", "relaxed/relaxed") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(
    "body", [b" " * 5_000_000, b"\r\n" * 2_500_000, b" \t" * 2_500_000, b" \r\n" * 1_500_000, b"\r" * 5_000_000]
)
def test_hostile_bodies_take_linear_time(body: bytes) -> None:
    for form in FORMS:
        assert len(body_hash(body, form)) == 44
