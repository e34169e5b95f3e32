"""DKIM keys as records: a selector, a key pair, and whose they are."""

import base64
from collections.abc import Callable

from posthouse.domain.scope import Scope
from posthouse.mail.dkim_keys import new_key_pair
from posthouse.ports.records import SigningKey


def new_signing_key(
    scope: Scope, domain: str, algorithm: str, now_ms: int, random: Callable[[int], bytes]
) -> SigningKey:
    """A fresh key pair under a selector like SES's, 32 characters of a-z2-7; slow for RSA, see `new_key_pair`."""
    pem, record = new_key_pair(algorithm)
    return SigningKey(
        scope=scope,
        domain=domain,
        token=base64.b32encode(random(20)).decode().lower(),
        algorithm=algorithm,
        private_pem=pem,
        public_record=record,
        created_ms=now_ms,
    )
