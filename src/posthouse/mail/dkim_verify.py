"""Verifying DKIM signatures: RFC 6376 section 6, with RFC 8301 (what is too weak) and RFC 8463 (Ed25519).

Made for strangers' mail and strangers' key records: linear in the message, bounded in all else, and never raising.
Why not the library that the tests use as a judge: docs/decisions/0010-own-dkim-verifier.md. Keys are looked up by the
caller, between ``read`` and ``check``; `check` costs a hash of the message and one public-key operation, and may run in
a thread. ``mail/arc.py`` verifies its seals with the same pieces.
"""

import binascii
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from posthouse.mail.dkim import digest_of_body, relaxed_field
from posthouse.mail.headers import Field

MAX_FIELD = 32 * 1024
"""Bytes of a signature field; real ones have one or two thousand."""
MAX_NAMES = 1000
"""Names in ``h=``."""
RSA_BITS = (1024, 8192)
"""RFC 8301 section 3.2: less is never valid. More than 4096 need not be verified; 8192 still costs little."""
CLOCK_SLACK_S = 36_000
"""How far ahead of our clock ``t=`` may be, and how long after ``x=`` a signature is still good: clocks differ."""
REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")
_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\Z")
_DIGITS = re.compile(r"[0-9]{1,15}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}\Z")
_BLANKS = str.maketrans("", "", " \t\r\n")
_PADDING, _SHA256 = PKCS1v15(), SHA256()
_KEY_TYPES = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}


class Refusal(NamedTuple):
    """Why there is no valid signature: a result of RFC 8601 section 2.7.1 and the reason in a few words."""

    result: str
    reason: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature field, read."""

    field: Field
    tags: Mapping[str, str]
    names: tuple[bytes, ...]
    """Of ``h=``, lower case."""
    refusal: Refusal | None
    """It is not valid, whatever its key may be."""

    @property
    def domain(self) -> str:
        """``d=``, lower case; empty where there is no usable one."""
        domain = self.tags.get("d", "")
        return domain.lower() if _NAME.match(domain) else ""

    @property
    def selector(self) -> str:
        selector = self.tags.get("s", "")
        return selector if _NAME.match(selector) else ""

    @property
    def identity(self) -> str:
        """``i=``: who in the domain signed; by default anybody."""
        return self.tags.get("i") or f"@{self.domain}"

    @property
    def algorithm(self) -> str:
        return self.tags.get("a", "").lower()

    @property
    def key_name(self) -> str:
        """Where its key record is."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def relaxed(self) -> tuple[bool, bool]:
        """Whether header and body are canonicalized in the relaxed form."""
        header, _, body = self.tags.get("c", "simple").lower().partition("/")
        return header == "relaxed", body == "relaxed"


PublicKey = RSAPublicKey | Ed25519PublicKey
BodyDigest = Callable[[bool, int | None], tuple[bytes, int]]
"""(relaxed, length) -> digest and whole length, of the body of one message."""


def digests_of(body: bytes) -> BodyDigest:
    """`dkim.digest_of_body` of one body, which several signatures ask for: computed once for each way of asking."""
    known: dict[tuple[bool, int | None], tuple[bytes, int]] = {}

    def digest(relaxed: bool, length: int | None) -> tuple[bytes, int]:
        if (relaxed, length) not in known:
            known[relaxed, length] = digest_of_body(body, relaxed, length)
        return known[relaxed, length]

    return digest


def read(field: Field, now_s: int) -> Claim:
    """A DKIM-Signature field: what it claims, and whether it can be valid at all (section 6.1.1)."""
    claim = read_tags_of(field, REQUIRED)
    return claim if claim.refusal else _with_refusal(claim, _why_not(claim, now_s))


def read_tags_of(field: Field, required: Iterable[str]) -> Claim:
    """The tags of any field of this form, ARC's too: there, with a domain, selector and algorithm that can be used."""
    if len(field.raw) > MAX_FIELD:
        return Claim(field, {}, (), Refusal("permerror", "signature too long"))
    tags = read_tags(field.raw[field.raw.find(b":") + 1 :].decode("iso-8859-1"))
    if tags is None:
        return Claim(field, {}, (), Refusal("permerror", "no list of tags"))
    names = tuple(name.strip(" \t\r\n").lower().encode("iso-8859-1") for name in tags.get("h", "").split(":"))
    claim = Claim(field, tags, names, None)
    return _with_refusal(claim, _why_unusable(claim, required))


def _with_refusal(claim: Claim, refusal: Refusal | None) -> Claim:
    return Claim(claim.field, claim.tags, claim.names, refusal) if refusal else claim


def _why_unusable(claim: Claim, required: Iterable[str]) -> Refusal | None:
    tags = claim.tags
    for name in required:
        if not tags.get(name):
            return Refusal("permerror", f"{name}= is missing")
    if not claim.domain or not claim.selector:
        return Refusal("permerror", "d= or s= is no name")
    if claim.algorithm not in _KEY_TYPES:
        # RFC 8301 section 3.1: what is signed with SHA-1 is not signed.
        weak = claim.algorithm == "rsa-sha1"
        return Refusal("policy", "SHA-1 is too weak") if weak else Refusal("permerror", "a= is unknown")
    if len(claim.names) > MAX_NAMES:
        return Refusal("permerror", "h= is too long")
    if _bytes_of(tags["b"]) is None:
        return Refusal("permerror", "b= is no base64")
    return None


def _why_not(claim: Claim, now_s: int) -> Refusal | None:
    tags = claim.tags
    if tags["v"] != "1":
        return Refusal("permerror", "v= is unknown")
    if b"from" not in claim.names:
        return Refusal("permerror", "From is not signed")
    return _why_no_body_hash(tags) or _why_no_identity(claim) or _why_not_now(tags, now_s)


def _why_no_body_hash(tags: Mapping[str, str]) -> Refusal | None:
    if _bytes_of(tags["bh"]) is None:
        return Refusal("permerror", "bh= is no base64")
    header, _, body = tags.get("c", "simple").lower().partition("/")
    if header not in ("simple", "relaxed") or body not in ("", "simple", "relaxed"):
        return Refusal("permerror", "c= is unknown")
    if "l" in tags and not _DIGITS.match(tags["l"]):
        return Refusal("permerror", "l= is no number")
    if "dns/txt" not in [method.strip(" \t\r\n").lower() for method in tags.get("q", "dns/txt").split(":")]:
        return Refusal("permerror", "q= is unknown")
    return None


def _why_no_identity(claim: Claim) -> Refusal | None:
    domain = claim.identity.rpartition("@")[2].lower()
    if "@" not in claim.identity or not (domain == claim.domain or domain.endswith(f".{claim.domain}")):
        return Refusal("permerror", "i= is not in the domain")
    return None


def _why_not_now(tags: Mapping[str, str], now_s: int) -> Refusal | None:
    if not all(_DIGITS.match(tags.get(name, "0")) for name in "tx"):
        return Refusal("permerror", "t= or x= is no number")
    if int(tags.get("t", "0")) > now_s + CLOCK_SLACK_S:
        return Refusal("permerror", "signed in the future")
    if "x" in tags and int(tags["x"]) + CLOCK_SLACK_S < now_s:
        return Refusal("permerror", "signature has expired")
    return None


def read_tags(text: str) -> dict[str, str] | None:
    """A list of tags (section 3.2), values without the blanks around them and without line ends; None where it is
    none, or names a tag twice."""
    found: dict[str, str] = {}
    pieces = text.split(";")
    for position, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        name = name.strip(" \t\r\n")
        if not name and not equals and position == len(pieces) - 1:
            break  # a final semicolon
        if not equals or not _TAG_NAME.match(name) or name in found:
            return None
        found[name] = value.replace("\r", "").replace("\n", "").strip(" \t")
    return found


def _bytes_of(text: str) -> bytes | None:
    flat = text.translate(_BLANKS)
    if not _BASE64.match(flat):
        return None
    try:
        return binascii.a2b_base64(flat)
    except binascii.Error:
        return None


# -- keys


def read_key(records: Sequence[str], claim: Claim) -> PublicKey | Refusal:
    """The key that a claim names, of the TXT records at its `key_name` (section 6.1.2). Of several key records, which
    nobody should publish (section 3.6.2.2), the first counts."""
    found = [tags for record in records[:10] if (tags := read_tags(record)) is not None and "p" in tags]
    if not found:
        return Refusal("permerror", "no key record" if records else "no key for this signature")
    tags = found[0]
    if tags.get("v", "DKIM1") != "DKIM1":
        return Refusal("permerror", "no key record")
    return _why_key_is_not_for(tags, claim) or _public_key(tags, claim)


def _why_key_is_not_for(tags: Mapping[str, str], claim: Claim) -> Refusal | None:
    if tags.get("k", "rsa").lower() != _KEY_TYPES[claim.algorithm]:
        return Refusal("permerror", "the key is of another kind")
    if "h" in tags and "sha256" not in _words(tags["h"]):
        return Refusal("permerror", "the key is not for SHA-256")
    if not {"*", "email"} & set(_words(tags.get("s", "*"))):
        return Refusal("permerror", "the key is not for mail")
    # Section 3.6.1, t=s: no subdomain may sign with this key.
    if "s" in _words(tags.get("t", "")) and claim.identity.rpartition("@")[2].lower() != claim.domain:
        return Refusal("permerror", "the key is not for subdomains")
    return None


def _words(text: str) -> list[str]:
    return [word.strip(" \t").lower() for word in text.split(":")]


def _public_key(tags: Mapping[str, str], claim: Claim) -> PublicKey | Refusal:
    if not tags["p"]:
        return Refusal("permerror", "the key is revoked")
    data = _bytes_of(tags["p"])
    if data is None:
        return Refusal("permerror", "the key cannot be read")
    try:
        if claim.algorithm == "ed25519-sha256":
            return Ed25519PublicKey.from_public_bytes(data)
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return Refusal("permerror", "the key cannot be read")
    if not isinstance(key, RSAPublicKey):
        return Refusal("permerror", "the key is of another kind")
    if not RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
        return Refusal("policy", f"an RSA key of {key.key_size} bits")
    return key


# -- the deed


def check(claim: Claim, key: PublicKey, fields: Sequence[Field], digest: BodyDigest) -> Refusal | None:
    """None: the signature is valid (section 6.1.3). `fields` are those of the message, the claim's own among them."""
    length = int(claim.tags["l"]) if "l" in claim.tags else None
    found, whole = digest(claim.relaxed[1], length)
    if found != _bytes_of(claim.tags["bh"]):
        return Refusal("fail", "the body was changed")
    if not verify(key, claim, signed_text(claim, fields)):
        return Refusal("fail", "the signature does not match")
    if length is not None and length < whole:
        # Section 8.2: anybody may have written what follows.
        return Refusal("policy", "only a part of the body is signed")
    return None


def signed_text(claim: Claim, fields: Sequence[Field]) -> bytes:
    """The canonical header fields that are signed, the signature's own last, without its value (section 3.7)."""
    stacks: dict[bytes, list[Field]] = {}
    wanted = set(claim.names)
    for field in fields:
        if field.key in wanted and field is not claim.field:
            stacks.setdefault(field.key, []).append(field)
    # Names beyond the fields there are stand for nothing (section 5.4.2).
    chosen = [stack.pop() for name in claim.names if (stack := stacks.get(name))]
    return canonical(chosen, claim.relaxed[0]) + canonical_own(claim)


def canonical(fields: Collection[Field], relaxed: bool) -> bytes:
    return b"".join([relaxed_field(field) if relaxed else _ended(field.raw) for field in fields])


def canonical_own(claim: Claim, relaxed: bool | None = None) -> bytes:
    """The signature field itself, its ``b=`` emptied, without a final line end."""
    emptied = Field(claim.field.key, _without_signature(claim.field.raw))
    return canonical([emptied], claim.relaxed[0] if relaxed is None else relaxed)[:-2]


def _ended(raw: bytes) -> bytes:
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def _without_signature(raw: bytes) -> bytes:
    """The field without what stands behind ``b=``, blanks included (section 3.5, ``b=``)."""
    colon = raw.find(b":") + 1
    pieces = raw[colon:].split(b";")
    for position, piece in enumerate(pieces):
        name, equals, _ = piece.partition(b"=")
        if equals and name.strip(b" \t\r\n") == b"b":
            pieces[position] = name + equals
    return raw[:colon] + b";".join(pieces)


def verify(key: PublicKey, claim: Claim, text: bytes) -> bool:
    """Whether `text` is what ``b=`` signs."""
    signature = _bytes_of(claim.tags["b"]) or b""
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, text, _PADDING, _SHA256)
        else:
            # RFC 8463 section 3: PureEdDSA over the SHA-256 of the data.
            key.verify(signature, sha256(text).digest())
    except (InvalidSignature, ValueError):
        return False
    return True
