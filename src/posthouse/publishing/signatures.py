"""What proves to subscribers that a notification is this installation's: an RSA key, and the certificate of it.

Source: Amazon SNS developer guide, "Verifying the signatures of Amazon SNS messages": RSASSA-PKCS1-v1_5 with SHA1
(version 1, the default there) or SHA256 (version 2), the public key in an X.509 certificate at SigningCertURL. The pair
is made once and kept in the store, so that all nodes sign with one key.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from posthouse.domain.subscriptions import certificate_name
from posthouse.ports.clock import Clock
from posthouse.ports.subscriptions import SigningPair, SubscriptionStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

KEY_BITS = 2048
VALID_DAYS = 3650
"""Nothing checks how long; one that expires would only break things."""


class TopicSigner:
    """Signs with the installation's key, beside the loop."""

    def __init__(self, pair: SigningPair, version: str) -> None:
        """`version`: SignatureVersion, ``1`` or ``2``."""
        self.version = version
        self.certificate_name, self._key, self._hash = _read(pair, version)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="posthouse-topics")

    async def sign(self, texts: Sequence[bytes]) -> list[bytes]:
        """A signature for each, in one go: the way to a thread and back costs as much as a third of one."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._sign, texts)

    def _sign(self, texts: Sequence[bytes]) -> list[bytes]:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        return [self._key.sign(text, PKCS1v15(), self._hash) for text in texts]

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


async def open_signer(store: SubscriptionStore, clock: Clock, version: str, host: str) -> TopicSigner:
    """The signer of the installation; its pair is made where there is none yet. `host`: named in the certificate."""
    pair = await store.signing_pair()
    if pair is None:
        now_ms = clock.now_ms()
        fresh = await asyncio.to_thread(new_pair, host, datetime.fromtimestamp(now_ms / 1000, UTC))
        pair = await store.offer_signing_pair(fresh, now_ms)
    return await asyncio.to_thread(TopicSigner, pair, version)


def new_pair(host: str, now: datetime) -> SigningPair:
    """A key and its self-signed certificate; some 100 ms."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return SigningPair(
        private_pem=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate_pem=certificate.public_bytes(pem).decode(),
    )


def name_of(certificate_pem: str) -> str:
    """The file name that a certificate is served under."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate_name(x509.load_pem_x509_certificate(certificate_pem.encode()).public_bytes(Encoding.DER))


def _read(pair: SigningPair, version: str) -> "tuple[str, RSAPrivateKey, HashAlgorithm]":
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pair.private_pem, None)
    assert isinstance(key, RSAPrivateKey)
    # SHA1 on SNS's word: most verifiers in use know no other version.
    return name_of(pair.certificate_pem), key, hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303
