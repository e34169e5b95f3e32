"""Signatures as SNS's public algorithm verifies them, by OpenSSL's own word."""

import base64
import json
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from posthouse.domain.subscriptions import Endpoint, MessageType, TopicLinks
from posthouse.ports.subscriptions import Delivery, SigningPair, Subscription
from posthouse.ports.topics import Notification
from posthouse.publishing.envelopes import Envelopes
from posthouse.publishing.signatures import TopicSigner, name_of, new_pair

SUBSCRIPTION = Subscription(
    account="111111111111",
    topic_arn="arn:aws:sns:us-east-1:111111111111:mail",
    arn="arn:aws:sns:us-east-1:111111111111:mail:1",
    endpoint=Endpoint(url="http://a/"),
    raw=False,
    confirmed=True,
    token="f" * 64,
    created_ms=0,
)


@pytest.fixture(scope="module")
def pair() -> SigningPair:
    return new_pair("sns.posthouse.test", datetime(2027, 1, 1, tzinfo=UTC))


def delivery(type: MessageType = MessageType.NOTIFICATION, subject: str | None = "Süßes") -> Delivery:
    note = Notification(message_id="id", subject=subject, message='{"a": "✓"}\n', published_ms=1_800_000_000_123)
    return Delivery(number=1, type=type, notification=note, attempts=0)


def opening(signer: TopicSigner) -> Callable[[], Awaitable[TopicSigner]]:
    async def open_signer() -> TopicSigner:
        return signer

    return open_signer


@pytest.mark.parametrize(("version", "digest"), [("1", "-sha1"), ("2", "-sha256")])
@pytest.mark.parametrize("type", list(MessageType))
async def test_openssl_verifies_what_is_signed(
    tmp_path: Path, pair: SigningPair, version: str, digest: str, type: MessageType
) -> None:
    envelopes = Envelopes(opening(TopicSigner(pair, version)), TopicLinks(lambda: b"key", "https://ses.test"))
    (letter,) = await envelopes.write(SUBSCRIPTION, [delivery(type)])
    envelopes.close()
    found = json.loads(letter.body)
    assert found["SignatureVersion"] == version
    assert found["SigningCertURL"] == f"https://ses.test/{name_of(pair.certificate_pem)}"
    names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    text = "".join(f"{name}\n{found[name]}\n" for name in names if name in found)
    (tmp_path / "text").write_text(text)
    (tmp_path / "signature").write_bytes(base64.b64decode(found["Signature"]))
    (tmp_path / "certificate.pem").write_text(pair.certificate_pem)
    key = subprocess.run(
        ["openssl", "x509", "-in", "certificate.pem", "-pubkey", "-noout"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    (tmp_path / "key.pem").write_bytes(key.stdout)
    done = subprocess.run(
        ["openssl", "dgst", digest, "-verify", "key.pem", "-signature", "signature", "text"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.stdout == b"Verified OK\n", done.stderr


async def test_a_notification_is_signed_once_for_all_its_subscribers(pair: SigningPair) -> None:
    signer = TopicSigner(pair, "1")
    signed: list[bytes] = []
    sign = signer.sign

    class Counting:
        version, certificate_name = signer.version, signer.certificate_name

        async def sign(self, texts: list[bytes]) -> list[bytes]:
            signed.extend(texts)
            return await sign(texts)

    envelopes = Envelopes(opening(Counting()), TopicLinks(lambda: b"key", ""))  # type: ignore[arg-type]
    bodies = [(await envelopes.write(SUBSCRIPTION, [delivery()]))[0].body for _ in range(3)]
    assert len(signed) == 1
    assert len(set(bodies)) == 1
    signer.close()


def test_the_certificate_is_served_under_a_name_that_clients_know(pair: SigningPair) -> None:
    name = name_of(pair.certificate_pem)
    assert name.startswith("SimpleNotificationService-")
    assert name.endswith(".pem")
    assert name != name_of(new_pair("x", datetime(2027, 1, 1, tzinfo=UTC)).certificate_pem)
