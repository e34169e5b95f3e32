"""Who is looking, and proof of it: console credentials, signed cookies, form tokens.

A cookie names the access key and when it ends, and is signed; the credential is looked up at each request, so revoking
it ends its sessions at once.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

from posthouse.ports.credentials import Credential, CredentialStore

COOKIE = "posthouse_session"
LIFETIME_MS = 12 * 60 * 60 * 1000
_COOKIE_FORM = re.compile(r"([A-Za-z0-9_-]{1,200})\.([0-9]{1,15})\.([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who may look."""

    name: str
    """The access key; empty in open mode."""
    account: str | None
    """The one account this viewer may see; None: all of them (open mode)."""


ANYBODY = Viewer("", None)


def _mac(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def cookie_for(key: bytes, access_key: str, now_ms: int) -> str:
    name = base64.urlsafe_b64encode(access_key.encode()).decode().rstrip("=")
    ends = str(now_ms + LIFETIME_MS)
    return f"{name}.{ends}.{_mac(key, 'session', access_key, ends)}"


def access_key_of(key: bytes, cookie: str, now_ms: int) -> str | None:
    """The access key a cookie was made for; None where it is forged, broken or over."""
    match = _COOKIE_FORM.match(cookie)
    if match is None:
        return None
    try:
        access_key = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(match[3], _mac(key, "session", access_key, match[2])):
        return None
    return access_key if now_ms < int(match[2]) else None


def form_token(key: bytes, viewer: Viewer) -> str:
    """What a form of ours carries: a page of another origin can neither read nor make it."""
    return _mac(key, "form", viewer.name)


def is_form_token(key: bytes, viewer: Viewer, token: str) -> bool:
    return hmac.compare_digest(form_token(key, viewer).encode(), token.encode())


async def sign_in(credentials: CredentialStore, access_key: str, secret: str, now_ms: int) -> Viewer | None:
    """The viewer with this access key and secret; None where they do not fit or may not use the console."""
    found = await credentials.find(access_key) if _plausible(access_key) else None
    expected = found.secret_key if found is not None else ""
    if not hmac.compare_digest(expected.encode(), secret.encode()) or found is None:
        return None
    return _viewer(found, now_ms)


async def resume(credentials: CredentialStore, key: bytes, cookie: str, now_ms: int) -> Viewer | None:
    """The viewer of a session cookie, as long as the credential still lives."""
    access_key = access_key_of(key, cookie, now_ms)
    found = await credentials.find(access_key) if access_key is not None else None
    return _viewer(found, now_ms) if found is not None else None


def _plausible(access_key: str) -> bool:
    return re.fullmatch(r"[!-~]{1,128}", access_key) is not None


def _viewer(credential: Credential, now_ms: int) -> Viewer | None:
    # Temporary credentials belong to programs: their session token cannot be shown in a login form.
    if not credential.console or credential.session_token is not None:
        return None
    if credential.expires_ms is not None and credential.expires_ms <= now_ms:
        return None
    return Viewer(credential.access_key, credential.account)


def basic(header: str) -> tuple[str, str] | None:
    """User and password of an Authorization header (RFC 7617); None for any other or a broken one."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic" or len(given) > 1024:
        return None
    try:
        user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None
