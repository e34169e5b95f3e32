"""Making DKIM key pairs: the one place where key material is born (RFC 6376 section 3.3, RFC 8463).

The only function of this room that is not pure: the randomness is OpenSSL's, as it should be for a key.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

RSA_BITS = 2048
"""As Easy DKIM since 2021."""


def new_key_pair(algorithm: str) -> tuple[bytes, str]:
    """A fresh private key as PEM (PKCS #8, in the clear) and the TXT record that publishes its public half.

    `algorithm` is ``rsa-sha256`` or ``ed25519-sha256``. RSA takes some 100 ms: call it in a thread.
    """
    # A tenth of a start, for what few calls need.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from posthouse.mail.dkim import public_record

    private: Ed25519PrivateKey | RSAPrivateKey
    if algorithm == "ed25519-sha256":
        private = Ed25519PrivateKey.generate()
    else:
        private = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public_record(private.public_key())
