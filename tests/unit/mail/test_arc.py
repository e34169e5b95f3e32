"""ARC chains, sealed by dkimpy and judged by us."""

import time

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.mail import arc, dkim, dkim_verify, headers
from posthouse.mail.dkim_verify import Refusal

NOW_S = int(time.time())
KEY = generate_private_key(65537, 1024)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
RECORD = dkim.public_record(KEY.public_key())
MAIL = (
    b"Authentication-Results: one.example; spf=pass smtp.mailfrom=a@example.com; arc=none\r\n"
    b"From: Ann <a@example.com>\r\nTo: b@x\r\nSubject: a  b\r\n\r\nHello  you \r\n"
)


def sealed(raw: bytes = MAIL, name: bytes = b"one.example") -> bytes:
    fields = dkimpy.arc_sign(raw, b"s1", name, PEM, name, include_headers=[b"from", b"to", b"subject"])
    assert fields
    return b"".join(fields) + raw


def sealed_twice() -> bytes:
    passed_on = b"Authentication-Results: two.example; arc=pass\r\n" + sealed()
    return sealed(passed_on, b"two.example")


def outcome(raw: bytes, record: str | None = RECORD) -> Refusal:
    message = headers.read(raw)
    chain = arc.read(message.fields)
    keys = {
        claim.key_name: Refusal("temperror", "the key lookup failed")
        if record is None
        else dkim_verify.read_key([record], claim)
        for claim in chain.claims
        if claim.refusal is None
    }
    return arc.check(chain, keys, message.fields, dkim_verify.digests_of(message.body))


def test_a_mail_without_a_chain_has_none() -> None:
    assert outcome(MAIL) == ("none", "")


def test_chains_of_one_and_two_pass() -> None:
    assert outcome(sealed()) == ("pass", "")
    assert outcome(sealed_twice()) == ("pass", "")


def test_a_body_changed_behind_the_last_server_breaks_it() -> None:
    assert outcome(sealed().replace(b"Hello", b"hello")) == ("fail", "the body was changed")


def test_results_changed_behind_their_server_break_it() -> None:
    raw = sealed_twice()
    at = raw.index(b"spf=pass", raw.index(b"ARC-Authentication-Results: i=1"))
    assert outcome(raw[:at] + b"spf=fail" + raw[at + 8 :]) == ("fail", "the seal at 2 does not match")


def test_a_key_that_cannot_be_looked_up_leaves_it_open() -> None:
    assert outcome(sealed(), None).result == "temperror"
    assert outcome(sealed(), "p=").result == "fail"


def _without(raw: bytes, key: bytes) -> bytes:
    message = headers.read(raw)
    return headers.Message([field for field in message.fields if field.key != key], message.body).to_bytes()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (_without(sealed(), b"arc-seal"), "a set is not complete"),
        (_without(sealed(), b"arc-authentication-results"), "a set is not complete"),
        (b"ARC-Seal: i=1; cv=none\r\n" + sealed(), "an instance is missing or stands twice"),
        (b"ARC-Seal: cv=none\r\n" + MAIL, "an instance is missing or stands twice"),
        (sealed().replace(b"cv=none", b"cv=pass"), "the chain was broken at 1"),
        (sealed_twice().replace(b"cv=pass", b"cv=fail"), "the chain was broken at 2"),
        (sealed().replace(b"i=1", b"i=2"), "a set is not complete"),
        (
            b"".join(b"ARC-Seal: i=%d; cv=pass\r\n" % number for number in range(1, 30)) + MAIL,
            "a longer chain than is looked at",
        ),
    ],
)
def test_a_chain_that_is_none_fails(raw: bytes, reason: str) -> None:
    assert outcome(raw) == ("fail", reason)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abi=12;: \t\x00é", max_size=30), st.sampled_from([b"i=1;", b"ARC-Seal:", b"i=2;", b"cv="]))
def test_no_field_of_a_chain_raises(inserted: str, mark: bytes) -> None:
    raw = sealed_twice()
    assert outcome(raw.replace(mark, mark + inserted.encode(), 1)).result in ("pass", "fail")
