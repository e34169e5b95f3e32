"""DKIM signing: RFC 6376, with Ed25519 of RFC 8463. The shape of the header is SES's.

Same input, same bytes: both algorithms are deterministic here. ``sign`` keeps no state and may run in threads; RSA
frees the interpreter meanwhile. Signed is CRLF text (``outgoing.crlf``).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from posthouse.mail.headers import Field

Canonicalization = Literal["relaxed/simple", "relaxed/relaxed"]

# RFC 6376 section 5.4.1 recommends these; List-* carry the unsubscribe promise (RFC 8058 asks for its signature).
_SIGNED = frozenset(
    {
        *(b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"date", b"message-id", b"in-reply-to"),
        *(b"references", b"mime-version", b"content-type", b"content-transfer-encoding", b"content-id"),
        *(b"content-description", b"resent-date", b"resent-from", b"resent-to", b"resent-cc", b"resent-message-id"),
        *(b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe", b"list-post"),
        *(b"list-owner", b"list-archive", b"feedback-id"),
    }
)
_LINE = 78
_FOLD = "\r\n\t"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
_PADDING = PKCS1v15()
_SHA256 = SHA256()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and where its public half is published: ``<selector>._domainkey.<domain>``."""

    domain: str
    """An A-label: ASCII."""
    selector: str
    private_key: RSAPrivateKey | Ed25519PrivateKey

    def __post_init__(self) -> None:
        # Both go into a header as they are.
        if not _NAME.fullmatch(self.domain) or not _NAME.fullmatch(self.selector):
            raise ValueError(f"not a domain and selector: {self.domain!r}, {self.selector!r}")

    @property
    def algorithm(self) -> str:
        """The ``a=`` tag."""
        return "rsa-sha256" if isinstance(self.private_key, RSAPrivateKey) else "ed25519-sha256"


def sign(
    fields: Sequence[Field],
    body: bytes,
    keys: Sequence[SigningKey],
    at_s: int,
    canonicalization: Canonicalization = "relaxed/simple",
    body_digest: str | None = None,
) -> list[bytes]:
    """A DKIM-Signature field for each key, in the order of the keys, each ending in CRLF; to be put above the fields.

    ``at_s`` is the time of signing in Unix seconds. ``body_digest`` is ``body_hash(body, canonicalization)`` when the
    caller has it already, as for a bulk mail whose body is the same for all.
    """
    names, signed = _chosen(fields)
    canonical = b"".join(map(relaxed_field, signed))
    digest = body_digest or body_hash(body, canonicalization)
    return [_signature(key, canonicalization, at_s, names, digest, canonical) for key in keys]


def body_hash(body: bytes, canonicalization: Canonicalization = "relaxed/simple") -> str:
    """The ``bh=`` tag: base64 of the SHA-256 of the canonical body (RFC 6376 section 3.7)."""
    return base64.b64encode(digest_of_body(body, canonicalization == "relaxed/relaxed")[0]).decode("ascii")


def digest_of_body(body: bytes, relaxed: bool, length: int | None = None) -> tuple[bytes, int]:
    """SHA-256 of the canonical body, or of its first ``length`` octets (the ``l=`` tag), and how long all of it is."""
    if relaxed:
        body = _compressed(body)
    end = _end(body)
    # Section 3.4.3: an empty body is one CRLF. Section 3.4.4: in the relaxed form it is nothing.
    last = b"\r\n" if end or not relaxed else b""
    hashed = end + len(last) if length is None else min(length, end + len(last))
    digest = hashlib.sha256(memoryview(body)[: min(end, hashed)])
    digest.update(last[: max(0, hashed - end)])
    return digest.digest(), end + len(last)


def _end(body: bytes) -> int:
    """Where the body ends without its trailing CRLFs. A bare CR or LF among them is content, and stops it."""
    tail = len(body.rstrip(b"\r\n"))
    pairs = body[tail:].replace(b"\r\n", b" ").rstrip(b" ")
    return tail + len(pairs) + pairs.count(b" ")


def _compressed(body: bytes) -> bytes:
    """Relaxed lines (section 3.4.4): runs of blanks made one, none before a line's end. Most mail has nothing to do.

    In two steps, for a regex for blanks before a line's end would be quadratic on a long run of them.
    """
    if not body.endswith(b"\r\n"):
        body += b"\r\n"  # as the wire will have it
    body = _single_blanks(body)
    return body.replace(b" \r\n", b"\r\n") if b" \r\n" in body else body


def relaxed_field(field: Field) -> bytes:
    """A field in relaxed form (section 3.4.2), with its CRLF."""
    value = field.raw[field.raw.find(b":") + 1 :].strip(b" \t\r\n")
    if b"\n" in value:
        value = value.replace(b"\r\n", b"")
    return b"%b:%b\r\n" % (field.key, _single_blanks(value))


def _single_blanks(data: bytes) -> bytes:
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    # Halving the runs until none is left is three to ten times as fast as a regex, at worst some twenty passes.
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data


def _chosen(fields: Sequence[Field]) -> tuple[list[str], list[Field]]:
    """Names for ``h=`` and the fields they stand for, in the order a verifier will take them.

    Feedback-ID comes last, as in SES's own. A verifier takes fields of one name from the bottom up (section 5.4.2).
    From is named once more than there are, so that no second one can be added unseen (section 8.15).
    """
    chosen = [field for field in fields if field.key in _SIGNED and field.key != b"feedback-id"]
    chosen += [field for field in fields if field.key == b"feedback-id"]
    keys = [field.key for field in chosen]
    names = [field.raw[: len(field.key)].decode("ascii") for field in chosen]
    if len(set(keys)) < len(keys):
        stacks: dict[bytes, list[Field]] = {}
        for field in chosen:
            stacks.setdefault(field.key, []).append(field)
        chosen = [stacks[key].pop() for key in keys]
    at = keys.index(b"from") if b"from" in keys else 0
    return [*names[:at], "From", *names[at:]], chosen


def _signature(
    key: SigningKey, canonicalization: str, at_s: int, names: list[str], digest: str, canonical: bytes
) -> bytes:
    folded = _tags(key, canonicalization, at_s, names, digest)
    own = "dkim-signature:" + folded.replace(_FOLD, " ")
    value = _base64_signature(key.private_key, canonical + own.encode("ascii"))
    lines = [value[at : at + _LINE - 4] for at in range(0, len(value), _LINE - 4)]
    return f"DKIM-Signature: {folded}{_FOLD.join(lines)}\r\n".encode("ascii")


def _tags(key: SigningKey, canonicalization: str, at_s: int, names: list[str], digest: str) -> str:
    """The tags up to ``b=``, folded where the relaxed form has one blank: unfolding is a plain replace."""
    where = [f"s={key.selector};", f"d={key.domain};", f"t={at_s};"]
    line = " ".join(where)
    lines = [
        f"v=1; a={key.algorithm}; q=dns/txt; c={canonicalization};",
        *([line] if len(line) < _LINE else where),
        *_folded_names(names),
        f"bh={digest};",
        "b=",
    ]
    return _FOLD.join(lines)


def _folded_names(names: list[str]) -> list[str]:
    """The ``h=`` tag; white space may stand around its colons (section 3.5)."""
    lines: list[str] = []
    line = "h=" + names[0]
    for name in names[1:]:
        if len(line) + len(name) > _LINE - 4:
            lines.append(line + ":")
            line = name
        else:
            line += ":" + name
    return [*lines, line + ";"]


def _base64_signature(private_key: RSAPrivateKey | Ed25519PrivateKey, data: bytes) -> str:
    if isinstance(private_key, RSAPrivateKey):
        signature = private_key.sign(data, _PADDING, _SHA256)
    else:
        # RFC 8463 section 3: PureEdDSA over the SHA-256 of the data.
        signature = private_key.sign(hashlib.sha256(data).digest())
    return base64.b64encode(signature).decode("ascii")


def public_record(public_key: RSAPublicKey | Ed25519PublicKey) -> str:
    """The text of the key's TXT record (section 3.6.1); longer than 255 bytes for RSA-2048, so in several strings."""
    if isinstance(public_key, RSAPublicKey):
        der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode('ascii')}"
    # RFC 8463 section 4: the bare 32 bytes.
    return f"v=DKIM1; k=ed25519; p={base64.b64encode(public_key.public_bytes_raw()).decode('ascii')}"
