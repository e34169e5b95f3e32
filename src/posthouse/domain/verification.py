"""Proof that an address is its owner's: the link sent to it, what following the link decides, and the templates of
custom verification e-mails.

Source: SES developer guide, "Verifying an email address identity" and "Using custom verification email templates"; API
reference of VerifyEmailIdentity and of the operations named ...CustomVerificationEmail...: a link is good for one
address, once, for 24 hours.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from posthouse.domain.identities import Identity, Status, email_address, proven
from posthouse.domain.scope import Scope
from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    CustomVerificationEmailTemplateAlreadyExistsException,
    CustomVerificationEmailTemplateDoesNotExistException,
    FromEmailAddressNotVerifiedException,
    LimitExceededException,
)

LINK_LIFE_MS = 24 * 60 * 60 * 1000
MAX_TEMPLATES = 50
MAX_TEMPLATE_NAME = 64
"""Characters; SES names no limit for these templates, this is the one of its e-mail templates."""
MAX_URL = 2048
_PURPOSE = b"posthouse: an address verifies itself by following a link\0"
_MAC_BYTES = hashlib.sha256().digest_size
_TOKEN = re.compile(r"[A-Za-z0-9_-]{48,2048}\Z")
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~:-]+\Z")


class Link(msgspec.Struct, frozen=True, array_like=True):
    """What a verification link stands for."""

    account: str
    region: str
    address: str
    issued_ms: int
    template: str = ""
    """Of a custom verification e-mail: whose redirections are meant."""

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)


_decode_link = msgspec.json.Decoder(Link).decode


@dataclass(frozen=True, slots=True)
class Links:
    """Writes links and reads them back."""

    key: Callable[[], bytes]
    """Reads the secret of the installation that is for nothing else; asked for when it is needed."""
    public_url: str
    """``http.public_url``: where people reach the web door."""

    def url(self, link: Link) -> str:
        return f"{self.public_url.rstrip('/')}/verify/{token_of(link, self.key())}"

    def read(self, token: str) -> Link | None:
        return link_of(token, self.key())


def token_of(link: Link, key: bytes) -> str:
    """The link as a signed word of base64url without padding (RFC 4648 section 5)."""
    body = msgspec.json.encode(link)
    return base64.urlsafe_b64encode(_mac(key, body) + body).rstrip(b"=").decode()


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + body, "sha256")


def link_of(token: str, key: bytes) -> Link | None:
    """What a token stands for; None for every text but exactly one that `token_of` wrote with this key.

    Base64 readers forgive: padding, foreign characters, spare bits at the end. Hence the comparison with its own
    writing: an edited link is dead even where it would lead to the right place.
    """
    if not _TOKEN.match(token):
        return None
    # 4n+1 characters are the writing of nothing; the decoder would raise.
    if len(token) % 4 == 1:
        return None
    packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    if base64.urlsafe_b64encode(packed).rstrip(b"=").decode() != token:
        return None
    body = packed[_MAC_BYTES:]
    return _decode_link(body) if hmac.compare_digest(packed[:_MAC_BYTES], _mac(key, body)) else None


class DeadLink(StrEnum):
    """Why a link that we did write proves nothing."""

    USED = "used"
    EXPIRED = "expired"
    REPLACED = "replaced"
    """A newer one was asked for, or the address is no identity any more."""


def with_link(identity: Identity, now_ms: int) -> Identity:
    """The identity with a new link, told by its time; the one before is dead."""
    return msgspec.structs.replace(identity, link_ms=max(now_ms, identity.link_ms + 1))


def followed(identity: Identity | None, link: Link, now_ms: int) -> Identity | DeadLink:
    """The identity once its live link was followed, which uses the link up; else why that link is dead."""
    if identity is None:
        return DeadLink.REPLACED
    if identity.link_ms != link.issued_ms:
        return DeadLink.USED if identity.verified else DeadLink.REPLACED
    if now_ms >= link.issued_ms + LINK_LIFE_MS:
        return DeadLink.EXPIRED
    return msgspec.structs.replace(proven(identity), link_ms=0)


def overdue(identity: Identity, now_ms: int) -> bool:
    """True for an address whose 24 hours ended without its link being followed."""
    waiting = identity.status is Status.PENDING and not identity.is_domain
    return waiting and now_ms >= identity.requested_ms + LINK_LIFE_MS


def as_of(identity: Identity, now_ms: int) -> Identity:
    """The identity with the status it has at this time, whether or not upkeep has been there already."""
    return msgspec.structs.replace(identity, status=Status.FAILED) if overdue(identity, now_ms) else identity


# -- custom verification e-mails


class VerificationTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A custom verification e-mail without its content, which may have 10 MB: lists do not need it."""

    from_address: str
    subject: str
    success_url: str
    failure_url: str


class VerificationContent(msgspec.Struct, frozen=True):
    """The content of a template of the same name."""

    html: str


def recipient_address(text: str) -> str:
    """SendCustomVerificationEmail's address, or the text of SES that refuses it (observed)."""
    if not text.strip(" \t\r\n"):
        raise InvalidParameterValue("Email address not specified.")
    return email_address(text)


def is_template_name(name: str) -> bool:
    return 0 < len(name) <= MAX_TEMPLATE_NAME and not _CONTROL.search(name)


def check_template_name(name: str) -> None:
    if not is_template_name(name):
        raise InvalidParameterValue(f"Invalid template name <{name}>.")


def check_template(template: VerificationTemplate) -> None:
    """Raises InvalidParameterValue for a subject that is no header line and for addresses that lead nowhere."""
    if not template.subject:
        raise InvalidParameterValue("The subject must be specified.")
    if _CONTROL.search(template.subject):
        raise InvalidParameterValue("Subject contains control characters")
    for which, url in (("success", template.success_url), ("failure", template.failure_url)):
        if not _leads_somewhere(url):
            raise InvalidParameterValue(f"The {which} redirection URL is invalid")


def _leads_somewhere(url: str) -> bool:
    """An http or https URL with a host (observed); nothing that urlsplit or a header would silently cut."""
    if len(url) > MAX_URL or _BLANK_OR_CONTROL.search(url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(_HOST.match(parts.hostname or "")) and parts.port != 0
    except ValueError:
        return False


def no_such_template(name: str, *, sending: bool = False) -> CustomVerificationEmailTemplateDoesNotExistException:
    what = "Template" if sending else "Custom verification email template"
    return CustomVerificationEmailTemplateDoesNotExistException(
        f"{what} <{name}> does not exist", custom_verification_email_template_name=name
    )


def check_new_template(name: str, known: bool, count: int) -> None:
    """May one more template have this name?"""
    if known:
        raise CustomVerificationEmailTemplateAlreadyExistsException(
            f"Custom verification email template <{name}> already exists", custom_verification_email_template_name=name
        )
    if count >= MAX_TEMPLATES:
        raise LimitExceededException(f"Custom verification email template limit of {MAX_TEMPLATES} exceeded.")


def from_not_verified(address: str) -> FromEmailAddressNotVerifiedException:
    """Creating or changing a template. Nothing but a bare address can be verified."""
    return FromEmailAddressNotVerifiedException(
        f"The from email address <{address}> is not verified", from_email_address=address
    )


def from_no_longer_verified(address: str, region: str) -> FromEmailAddressNotVerifiedException:
    """Sending by a template (observed)."""
    return FromEmailAddressNotVerifiedException(
        "Email address is not verified. The following identities failed the check in region "
        f"{region.upper()}: {address}",
        from_email_address=address,
    )
