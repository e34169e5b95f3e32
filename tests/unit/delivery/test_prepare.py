"""What leaves, made anew for servers that take seven bits only."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from posthouse.delivery.prepare import Ingredients, Origin, in_seven_bits, prepare
from posthouse.domain.messages import ContentKind, Direction, MessageFacts
from posthouse.domain.scope import Scope
from posthouse.mail import headers
from posthouse.mail.dkim import SigningKey

ORIGIN = Origin("posthouse.test", "192.0.2.1")
KEYS = tuple(SigningKey(domain, "s", Ed25519PrivateKey.from_private_bytes(b"k" * 32)) for domain in ("b.c", "x.test"))
THEIRS = b"DKIM-Signature: v=1; d=their.example; t=1500000000; b=abc\r\n"
HEAD = THEIRS + b"From: a@b.c\r\nTo: d@e.f\r\nContent-Type: text/plain; charset=utf-8\r\n"


def facts(size: int) -> MessageFacts:
    return MessageFacts(
        scope=Scope("111111111111", "us-east-1"),
        message_id="0100018f",
        direction=Direction.OUT,
        accepted_ms=1_600_000_000_123,
        operation="SendRawEmail",
        source="a@b.c",
        from_domain="b.c",
        feedback_to="a@b.c",
        subject="",
        size=size,
        content_kind=ContentKind.RAW,
    )


def prepared(raw: bytes) -> bytes:
    of = Ingredients(facts=facts(len(raw)), content=raw, keys=KEYS, origin=ORIGIN, mail_from="")
    return prepare(of).content


def signers(message: bytes) -> list[str]:
    found = [field.value for field in headers.read(message).fields if field.key == b"dkim-signature"]
    return [next(tag[2:] for tag in value.replace(";", " ").split() if tag.startswith("d=")) for value in found]


@pytest.mark.parametrize("keys", [KEYS, KEYS[:1], ()])
def test_our_signatures_are_replaced_and_the_callers_stays(keys: tuple[SigningKey, ...]) -> None:
    raw = HEAD + "\r\nGrüße und noch viel mehr Text dazu\r\n".encode()
    leaving = prepared(raw)
    assert signers(leaving) == ["b.c", "x.test", "their.example"]
    seven = in_seven_bits(facts(len(raw)), leaving, keys)
    assert seven is not None
    assert seven.isascii()
    # By the keys of now, which may not be those of the first attempt any more.
    assert signers(seven) == [*(key.domain for key in keys), "their.example"]
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in seven
    assert in_seven_bits(facts(len(raw)), leaving, keys) == seven


def test_what_must_not_be_touched_is_left() -> None:
    raw = b"From: a@b.c\r\nTo: d@e.f\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n"
    raw += b"--s\r\n\r\n\xc3\xa9\r\n--s--\r\n"
    leaving = prepared(raw)
    assert in_seven_bits(facts(len(raw)), leaving, KEYS) is None
