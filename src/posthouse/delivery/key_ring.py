"""The keys a message is signed with: its From domain's, and the service domain's beside it.

Source: ses-observable behaviour: every message carries a signature of the service domain, and one of the identity's own
where Easy DKIM is enabled and its records were seen; a subdomain or address inherits the nearest domain's keys.
"""

import asyncio
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posthouse.domain.identities import VERIFIED, candidates
from posthouse.domain.scope import Scope
from posthouse.mail.dkim import SigningKey
from posthouse.ports.records import SERVICE_SCOPE, RecordStore
from posthouse.ports.records import SigningKey as StoredKey

MAX_ENTRIES = 10_000

Keys = tuple[SigningKey, ...]


class KeyRing:
    """Keys by (scope, From domain), loaded once and kept until any record changes."""

    def __init__(self, records: RecordStore, service_domain: str, service_signature: str) -> None:
        """`service_signature` is ``auto``, ``rsa``, ``ed25519`` or ``none``; auto takes RSA where it stands alone, and
        Ed25519, a tenth of the cost, beside the identity's own."""
        self._records = records
        self._service_domain = service_domain
        self._service_signature = service_signature
        self._version = -1
        self._keys: dict[tuple[Scope, str], Keys] = {}
        self._loading = asyncio.Lock()

    async def keys_for(self, scope: Scope, from_domain: str) -> Keys:
        version = await self._records.version()
        if version != self._version or len(self._keys) > MAX_ENTRIES:
            self._keys.clear()
            self._version = version
        known = self._keys.get((scope, from_domain))
        if known is None:
            async with self._loading:
                known = await self._load(scope, from_domain)
            # While this one read, another may have noticed a change: what was read then is not kept.
            if version == self._version:
                self._keys[scope, from_domain] = known
        return known

    async def _load(self, scope: Scope, from_domain: str) -> Keys:
        async with self._records.reading() as reading:
            names = candidates(from_domain)
            identities = await reading.identities.get_many(scope, names)
            own: Sequence[StoredKey] = ()
            domain = ""
            for name in names:
                if name in identities and identities[name].dkim.tokens:
                    dkim, domain = identities[name].dkim, name
                    if dkim.enabled and dkim.status in VERIFIED:
                        own = [key for key in await reading.signing_keys.of(scope, name) if key.token == dkim.signer]
                    break
            service = await reading.signing_keys.of(SERVICE_SCOPE, self._service_domain)
        keys = [_usable(own[0], domain)] if own else []
        return (*keys, *self._service_key(service, alone=not keys))

    def _service_key(self, stored: Sequence[StoredKey], alone: bool) -> Keys:
        wanted = self._service_signature
        if wanted == "auto":
            wanted = "rsa" if alone else "ed25519"
        matching = [key for key in stored if key.algorithm.startswith(wanted)]
        return (_usable(matching[0], self._service_domain),) if matching else ()


def _usable(stored: StoredKey, domain: str) -> SigningKey:
    private = load_pem_private_key(stored.private_pem, password=None)
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise TypeError(f"signing key {stored.token} is neither RSA nor Ed25519")
    return SigningKey(domain, stored.token, private)
