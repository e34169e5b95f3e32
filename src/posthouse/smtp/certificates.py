"""The SMTP doors' TLS: a certificate of our own making until the operator gives one, and the server contexts."""

import datetime
import os
import ssl
from pathlib import Path

FILE_NAME = "smtp-self-signed.pem"
VALID_DAYS = 3650
"""Nobody can check a self-signed certificate anyway; one that expires only breaks things."""


def self_signed(directory: Path, hostname: str) -> Path:
    """The path of a PEM file with key and certificate, made where there is none yet. Raises OSError.

    Safe to call from several processes at once: all get the same file.
    """
    target = directory / FILE_NAME
    if target.exists():
        return target
    directory.mkdir(parents=True, exist_ok=True)
    scratch = directory / f".{FILE_NAME}.{os.getpid()}"
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_key_and_certificate(hostname))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(scratch, target)  # fails where another process was first; a rename would replace its file
    except FileExistsError:
        return target
    finally:
        scratch.unlink()
    return target


def _key_and_certificate(hostname: str) -> bytes:
    # Imported here: an operator with a certificate of their own need not wait for it at every start.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())  # a handshake costs half of what it costs with RSA-2048
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and later, with this certificate chain; `key` may stand in the same file. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Renegotiation lets a client make us work without end, and nobody needs it.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context
