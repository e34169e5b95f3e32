"""AWS Signature Version 4, the verifying side: no sockets, no clock, no store of secrets.

Source: "Signature Version 4 signing process" of the AWS General Reference and its published test suite; refusal texts
as AWS prints them. Two steps, since the secret lies elsewhere: ``read`` says who claims to call, ``verify`` proves it.

    claim = read(request)                                                 # the secret of claim.access_key is looked up
    verify(claim, request, secret, session_token, now_ms, keys)           # returns, or raises

What a signature must cover here: the method, the path, the whole query, the body (hashed here, whatever a header says),
``host`` and every ``x-amz-*`` header that is present. Both forms are read: the Authorization header, and a pre-signed
query. A query is signed by its meaning, so that no other spelling of it passes unless it means the same.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from posthouse.model.errors import (
    IncompleteSignature,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    RequestExpired,
    SignatureDoesNotMatch,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SERVICES = ("ses", "email")
"""The name SES signs with, and the name of its host, which some clients sign with."""
WINDOW_MS = 15 * 60 * 1000
"""How far the clocks of caller and service may stand apart (AWS General Reference)."""
MAX_EXPIRES_S = 604_800
"""A pre-signed request lives a week at most (AWS General Reference)."""
MAX_ECHO = 1024
"""So much of what the caller sent is repeated in an error: the Authorization header of an SDK as a whole."""

_STAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z", re.ASCII)
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT", re.ASCII
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_REGION = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_LOOSE_CREDENTIAL = re.compile(rb"Credential=([^/&,\s]{1,128})/[0-9]{1,8}/([a-z][a-z0-9-]{0,62})/")
_BLANKS = re.compile(rb"[ \t]{2,}|\t")


class Request(NamedTuple):
    """An HTTP request as it came over the wire."""

    method: str
    path: bytes
    """Still percent-encoded."""
    query: bytes
    """What follows the question mark, still encoded."""
    headers: Mapping[bytes, bytes]
    """Made by ``fold``: names in lower case, values trimmed, the values of a repeated header joined by commas."""
    body: bytes


class Claim(NamedTuple):
    """Who says to have signed, and how; nothing of it is proven yet."""

    access_key: str
    date: str
    region: str
    service: str
    terminator: str
    stamp: str
    """The time of signing as it is signed: ``20240502T091530Z``."""
    signed_ms: int
    signed_headers: str
    signature: bytes
    session_token: str | None = None
    expires_s: int | None = None
    """Set for a pre-signed request that names its end."""
    presigned: bool = False

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


class SigningKeys:
    """Derived keys, the latest used kept: a key serves a secret for one day, region and service."""

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._keys: dict[tuple[str, str], bytes] = {}

    def derive(self, secret: str, scope: str) -> bytes:
        name = (secret, scope)
        key = self._keys.pop(name, None)
        if key is None:
            key = ("AWS4" + secret).encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= self._capacity:
                del self._keys[next(iter(self._keys))]
        self._keys[name] = key
        return key


def fold(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; a header that comes several times is joined by commas, as signers do."""
    folded: dict[bytes, bytes] = {}
    for name, value in headers:
        value = value.strip(b" \t")
        folded[name] = folded[name] + b"," + value if name in folded else value
    return folded


def claimed_credential(request: Request) -> tuple[str, str] | None:
    """(access key, region) as claimed by a signature of any quality, for callers who need not prove anything."""
    found = _LOOSE_CREDENTIAL.search(request.headers.get(b"authorization", b""))
    if found is None and b"X-Amz-Credential=" in request.query:
        found = _LOOSE_CREDENTIAL.search(unquote_to_bytes(request.query))
    return None if found is None else (found[1].decode("latin-1"), found[2].decode())


def read(request: Request) -> Claim:
    """What the request claims. Raises MissingAuthenticationToken or IncompleteSignature."""
    authorization = request.headers.get(b"authorization")
    if authorization is not None:
        return _read_header(authorization.decode("latin-1"), request.headers)
    if b"X-Amz-" in request.query:
        return _read_query(_amz_parameters(request.query))
    raise MissingAuthenticationToken


def _read_header(authorization: str, headers: Mapping[bytes, bytes]) -> Claim:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{algorithm[:MAX_ECHO]}'")
    parts: dict[str, str] = {}
    for item in rest.split(","):
        name, _, value = item.strip(" \t").partition("=")
        if name in parts:
            raise IncompleteSignature(f"Authorization header has more than one '{name[:MAX_ECHO]}'")
        parts[name] = value
    date = headers.get(b"x-amz-date") or headers.get(b"date")
    needed = ("Credential", "Signature", "SignedHeaders")
    missing = [f"Authorization header requires '{name}' parameter." for name in needed if not parts.get(name)]
    if not date:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing or not date:
        raise IncompleteSignature(f"{' '.join(missing)} Authorization={authorization[:MAX_ECHO]}")
    stamp, signed_ms = _read_date(date.decode("latin-1"))
    token = headers.get(b"x-amz-security-token")
    return Claim(
        *_read_credential(parts["Credential"]),
        stamp=stamp,
        signed_ms=signed_ms,
        signed_headers=parts["SignedHeaders"],
        signature=parts["Signature"].encode("latin-1"),
        session_token=None if token is None else token.decode("latin-1"),
    )


def _read_query(parameters: Mapping[str, str]) -> Claim:
    needed = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    missing = [f"AWS query-string parameters must include '{name}'." for name in needed if not parameters.get(name)]
    if missing:
        raise IncompleteSignature(f"{' '.join(missing)} Re-examine the query-string parameters.")
    if parameters["X-Amz-Algorithm"] != ALGORITHM:
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{parameters['X-Amz-Algorithm'][:MAX_ECHO]}'")
    stamp, signed_ms = _read_date(parameters["X-Amz-Date"])
    return Claim(
        *_read_credential(parameters["X-Amz-Credential"]),
        stamp=stamp,
        signed_ms=signed_ms,
        signed_headers=parameters["X-Amz-SignedHeaders"],
        signature=parameters["X-Amz-Signature"].encode(),
        session_token=parameters.get("X-Amz-Security-Token"),
        expires_s=_read_expires(parameters.get("X-Amz-Expires")),
        presigned=True,
    )


def _amz_parameters(query: bytes) -> dict[str, str]:
    """The ``X-Amz-`` parameters of a query."""
    found: dict[str, str] = {}
    for pair in query.split(b"&"):
        raw_name, _, raw_value = pair.partition(b"=")
        name = unquote_to_bytes(raw_name).decode("utf-8", "replace")
        if not name.startswith("X-Amz-"):
            continue
        if name in found:
            raise IncompleteSignature(f"AWS query-string parameters must include '{name[:MAX_ECHO]}' only once.")
        found[name] = unquote_to_bytes(raw_value.replace(b"+", b" ")).decode("utf-8", "replace")
    return found


def _read_credential(text: str) -> tuple[str, str, str, str, str]:
    parts = text.split("/", 5)
    if len(parts) != 5:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{text[:MAX_ECHO]}'"
        )
    access_key, date, region, service, terminator = parts
    return access_key, date, region, service, terminator


def _read_date(text: str) -> tuple[str, int]:
    """The stamp that is signed, and its moment in ms. A ``Date`` header may hold an HTTP date instead."""
    try:
        if found := _STAMP.fullmatch(text):
            year, month, day, hour, minute, second = map(int, found.groups())
            return text, _at_ms(year, month, day, hour, minute, second)
        if found := _HTTP_DATE.fullmatch(text):
            day, year, hour, minute, second = map(int, found.group(1, 3, 4, 5, 6))
            at_ms = _at_ms(year, _MONTHS.index(found[2]) + 1, day, hour, minute, second)
            return _stamp(at_ms), at_ms
    except ValueError:
        pass  # the right digits, and no date: day 32
    raise IncompleteSignature(
        f"Date must be in ISO-8601 'basic format'. Got '{text[:MAX_ECHO]}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def _at_ms(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 1000


def _stamp(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment.year:04}{moment.month:02}{moment.day:02}T{moment.hour:02}{moment.minute:02}{moment.second:02}Z"


def _read_expires(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,6}", text) or not 0 < int(text) <= MAX_EXPIRES_S:
        raise IncompleteSignature(f"X-Amz-Expires must be between 1 and {MAX_EXPIRES_S} seconds")
    return int(text)


def verify(
    claim: Claim,
    request: Request,
    secret: str,
    session_token: str | None,
    now_ms: int,
    keys: SigningKeys,
    services: tuple[str, ...] = SERVICES,
) -> None:
    """Returns when the claim holds for this request.

    ``secret`` and ``session_token`` are those of ``claim.access_key``; ``keys`` may be shared by all callers. Raises
    SignatureDoesNotMatch, InvalidClientTokenId (session token) or RequestExpired (pre-signed).
    """
    if (claim.session_token or "").encode() != (session_token or "").encode():
        raise InvalidClientTokenId
    _check_scope(claim, services)
    _check_time(claim, now_ms)
    _check_coverage(claim, request.headers)
    body_hash = sha256(request.body).hexdigest()
    if request.headers.get(b"x-amz-content-sha256", body_hash.encode()) != body_hash.encode():
        raise SignatureDoesNotMatch
    canonical = canonical_request(claim, request, body_hash)
    scope = claim.scope
    to_sign = f"{ALGORITHM}\n{claim.stamp}\n{scope}\n{sha256(canonical).hexdigest()}"
    expected = hmac.digest(keys.derive(secret, scope), to_sign.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), claim.signature):
        raise SignatureDoesNotMatch


def _check_scope(claim: Claim, services: tuple[str, ...]) -> None:
    wrong = []
    if not _REGION.fullmatch(claim.region):
        wrong.append(f"Credential should be scoped to a valid region, not '{claim.region[:MAX_ECHO]}'.")
    if claim.service not in services:
        wrong.append(f"Credential should be scoped to correct service: '{services[0]}'.")
    if claim.terminator != TERMINATOR:
        wrong.append(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{claim.terminator[:MAX_ECHO]}'."
        )
    if claim.date != claim.stamp[:8]:
        wrong.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date[:MAX_ECHO]}' != '{claim.stamp[:8]}', from '{claim.stamp}'."
        )
    if wrong:
        raise SignatureDoesNotMatch(" ".join(wrong))


def _check_time(claim: Claim, now_ms: int) -> None:
    if claim.signed_ms > now_ms + WINDOW_MS:
        raise SignatureDoesNotMatch(
            f"Signature not yet current: {claim.stamp} is still later than {_stamp(now_ms + WINDOW_MS)} "
            f"({_stamp(now_ms)} + 15 min.)"
        )
    if claim.expires_s is not None:
        if now_ms > claim.signed_ms + claim.expires_s * 1000:
            raise RequestExpired
    elif claim.signed_ms < now_ms - WINDOW_MS:
        raise SignatureDoesNotMatch(
            f"Signature expired: {claim.stamp} is now earlier than {_stamp(now_ms - WINDOW_MS)} "
            f"({_stamp(now_ms)} - 15 min.)"
        )


def _check_coverage(claim: Claim, headers: Mapping[bytes, bytes]) -> None:
    """Names in order, each present and named once; nothing that matters left out."""
    names = claim.signed_headers.split(";")
    if "host" not in names:
        raise SignatureDoesNotMatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if names != sorted(set(names)):
        raise SignatureDoesNotMatch
    for name in headers:
        if name.startswith(b"x-amz-") and name.decode("latin-1") not in names:
            raise SignatureDoesNotMatch(
                f"'{name.decode('latin-1')[:MAX_ECHO]}' must be a 'SignedHeader' in the AWS Authorization."
            )


def canonical_request(claim: Claim, request: Request, body_hash: str) -> bytes:
    """The request in the one spelling that is signed. Raises SignatureDoesNotMatch when a signed header is absent."""
    lines = [
        request.method.encode("latin-1"),
        b"/" if request.path in (b"/", b"") else _canonical_path(request.path),
        _canonical_query(request.query, claim.presigned) if request.query else b"",
    ]
    for text in claim.signed_headers.split(";"):
        name = text.encode("latin-1", "replace")
        value = request.headers.get(name)
        if value is None:
            raise SignatureDoesNotMatch
        if b"  " in value or b"\t" in value:
            value = _BLANKS.sub(b" ", value)
        lines.append(name + b":" + value)
    lines += [b"", claim.signed_headers.encode("latin-1", "replace"), body_hash.encode()]
    return b"\n".join(lines)


def _canonical_path(path: bytes) -> bytes:
    """Without empty and dot segments, then encoded once more (every service but S3 does)."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    slash = "/" if kept and path.endswith((b"/", b"/.", b"/..")) else ""
    return ("/" + "/".join(quote(segment, safe="-_.~") for segment in kept) + slash).encode()


def _canonical_query(query: bytes, presigned: bool) -> bytes:
    """By encoded name, then value. A plus sign is the blank that a form makes of it."""
    pairs = []
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        coded = _recode(name)
        if pair and not (presigned and coded == "X-Amz-Signature"):
            pairs.append((coded, _recode(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)).encode()


def _recode(raw: bytes) -> str:
    return quote(unquote_to_bytes(raw.replace(b"+", b" ")), safe="-_.~")
