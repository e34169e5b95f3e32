"""Is a certificate chain good by the system's trust store? Asked after an opportunistic handshake that took any.

RFC 7435 wants TLS with any certificate rather than none, while the timeline of a message shall say whether the peer
proved its name. Python cannot report a failed verification and go on, so the chain is verified again, here.
"""

import ipaddress
import re
import ssl
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


class TrustStore:
    """The authorities the system trusts, read at first use (some milliseconds)."""

    def __init__(self, authorities: str = "") -> None:
        """`authorities`: a PEM file; empty: where OpenSSL looks."""
        self._path = authorities or ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"

    @cached_property
    def _store(self) -> Store | None:
        try:
            authorities = list(_readable(Path(self._path).read_bytes()))
            return Store(authorities)
        except (OSError, ValueError):
            return None

    def verify(self, host: str, chain: list[bytes]) -> bool:
        """True where the first of the DER certificates is valid for `host` now (RFC 6125)."""
        if not chain or self._store is None:
            return False
        try:
            leaf, *others = [x509.load_der_x509_certificate(der) for der in chain[:10]]
            PolicyBuilder().store(self._store).build_server_verifier(_subject(host)).verify(leaf, others)
        except (VerificationError, ValueError, x509.UnsupportedGeneralNameType):
            return False
        return True


def _readable(pem: bytes) -> Iterator[x509.Certificate]:
    """One by one: a single authority that breaks a rule of encoding must not take the others with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in _BLOCK.findall(pem):
            with suppress(ValueError):
                yield x509.load_pem_x509_certificate(block)


def _subject(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
