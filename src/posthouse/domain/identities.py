"""Identities: the addresses and domains an account may send from, and how each proves itself.

Source: SES developer guide, "Verified identities"; API reference of the identity operations. Addresses are compared
case-sensitively in full, domains case-insensitively; a domain covers its addresses and all its subdomains; the most
specific identity that matches is the one whose settings apply.
"""

import re
from enum import StrEnum

import msgspec

from posthouse.domain.addresses import check_address
from posthouse.model.errors import InvalidParameterValue


class Status(StrEnum):
    """VerificationStatus of the API."""

    PENDING = "Pending"
    SUCCESS = "Success"
    FAILED = "Failed"
    TEMPORARY_FAILURE = "TemporaryFailure"
    NOT_STARTED = "NotStarted"


VERIFIED = (Status.SUCCESS, Status.TEMPORARY_FAILURE)
"""What was proven and is not revoked."""


class Dkim(msgspec.Struct, frozen=True, kw_only=True):
    """Easy DKIM of a domain."""

    enabled: bool = True
    status: Status = Status.NOT_STARTED
    tokens: tuple[str, ...] = ()
    """Selectors, in the order SES lists them, which never changes."""
    signing: str = ""
    """The token whose key signs; empty: the first."""
    requested_ms: int = 0
    failing_since_ms: int = 0
    """When the records of a verified set-up were first missed; 0: they are there."""
    vouched: bool = False
    """Verified on the operator's word or by `identities.auto_verify`: DNS is not asked, and cannot revoke it."""

    @property
    def signer(self) -> str:
        """The token whose key signs; empty where there is none."""
        return self.signing or next(iter(self.tokens), "")


class MailFrom(msgspec.Struct, frozen=True, kw_only=True):
    """A custom MAIL FROM domain (API reference of SetIdentityMailFromDomain)."""

    domain: str = ""
    """Lower case; empty: none set."""
    status: Status = Status.PENDING
    behavior: str = "UseDefaultValue"
    """BehaviorOnMXFailure: ``UseDefaultValue`` or ``RejectMessage``, while the status is not Success."""
    requested_ms: int = 0
    failing_since_ms: int = 0
    vouched: bool = False
    """Set up with `identities.auto_verify`: DNS is not asked, and cannot revoke it."""


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """Where an identity's owner hears of bounces, complaints and deliveries; topics are ARNs, empty: none."""

    bounce_topic: str = ""
    complaint_topic: str = ""
    delivery_topic: str = ""
    forwarding: bool = True
    headers_in_bounce: bool = False
    headers_in_complaint: bool = False
    headers_in_delivery: bool = False


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An address or domain that an account asked to have verified."""

    name: str
    """As given; domains in lower case."""
    status: Status
    requested_ms: int
    token: str = ""
    """Domains: the value of the TXT record at ``_amazonses.DOMAIN``."""
    dkim: Dkim = msgspec.field(default_factory=Dkim)
    failing_since_ms: int = 0
    """When the TXT record of a verified domain was first missed; 0: it is there."""
    vouched: bool = False
    """Verified on the operator's word or by `identities.auto_verify`: DNS is not asked, and cannot revoke it."""
    link_ms: int = 0
    """Addresses: when the one verification link that works was issued; 0: none does."""
    mail_from: MailFrom = msgspec.field(default_factory=MailFrom)
    notifications: Notifications = msgspec.field(default_factory=Notifications)

    @property
    def is_domain(self) -> bool:
        return is_domain_identity(self.name)

    @property
    def verified(self) -> bool:
        # TemporaryFailure: was verified, the record is missing just now; SES grants 72 hours.
        return self.status in VERIFIED


# RFC 1035 §2.3.1 with the underscore that hosts in the field carry; ASCII on purpose, no \w.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")


def is_domain_name(text: str) -> bool:
    """True for a name of labels up to 63 octets, 255 in all, without a final dot (SES refuses one)."""
    return 0 < len(text) <= 255 and all(_LABEL.match(label) for label in text.split("."))


def domain_name(text: str) -> str:
    """The domain in lower case.

    Raises InvalidParameterValue with SES's text for anything that is no domain name of at least two labels.
    """
    if "." not in text or not is_domain_name(text):
        raise InvalidParameterValue(f"Invalid domain name {text}.")
    return text.lower()


def email_address(text: str) -> str:
    """The address as it is; raises InvalidParameterValue with SES's text for anything that is no bare address."""
    try:
        check_address(text)
    except InvalidParameterValue:
        raise InvalidParameterValue(f"Invalid email address<{text}>.") from None
    if len(text) > 320:
        raise InvalidParameterValue(f"Invalid email address<{text}>.")
    return text


def is_domain_identity(name: str) -> bool:
    return "@" not in name


def asked_to_verify(known: Identity | None, name: str, now_ms: int, token: str = "") -> Identity:
    """The identity after one more request to verify it.

    What is verified stays so, a pending request starts anew, a failed one is Pending again; a domain keeps the token
    it was given first (API reference of VerifyDomainIdentity, VerifyEmailIdentity).
    """
    if known is None:
        return Identity(name=name, status=Status.PENDING, requested_ms=now_ms, token=token)
    token = known.token or token
    if known.verified:
        return msgspec.structs.replace(known, token=token)
    return msgspec.structs.replace(known, token=token, status=Status.PENDING, requested_ms=now_ms, failing_since_ms=0)


def proven(identity: Identity) -> Identity:
    """The identity once its proof was seen."""
    return msgspec.structs.replace(identity, status=Status.SUCCESS, failing_since_ms=0)


def vouched_for(identity: Identity) -> Identity:
    """The identity verified on somebody's word, its DKIM too: what DNS says of either counts no more."""
    dkim = identity.dkim
    if dkim.tokens:
        dkim = msgspec.structs.replace(dkim, status=Status.SUCCESS, failing_since_ms=0, vouched=True)
    return msgspec.structs.replace(proven(identity), vouched=True, dkim=dkim)


def with_dkim_asked(identity: Identity, tokens: tuple[str, ...], now_ms: int) -> Identity:
    """Easy DKIM asked for: the tokens stay the same however often (probed on the live service).

    What is verified stays so, a pending request starts anew, a failed one is Pending again, as for the domain itself.
    """
    dkim = identity.dkim
    if dkim.tokens and dkim.status in VERIFIED:
        return identity
    asked = msgspec.structs.replace(
        dkim, tokens=dkim.tokens or tokens, status=Status.PENDING, requested_ms=now_ms, failing_since_ms=0
    )
    return msgspec.structs.replace(identity, dkim=asked)


def with_next_signer(identity: Identity) -> Identity:
    """The next token in turn signs from now on; the names of all stay published, so mail under way verifies."""
    return msgspec.structs.replace(
        identity, dkim=msgspec.structs.replace(identity.dkim, signing=next_signer(identity.dkim))
    )


def next_signer(dkim: Dkim) -> str:
    """The token whose turn to sign is next: the one that has not signed for longest. There must be tokens."""
    return dkim.tokens[(dkim.tokens.index(dkim.signer) + 1) % len(dkim.tokens)]


def with_dkim_enabled(identity: Identity, enabled: bool) -> Identity:
    """Signing switched; the DKIM status is another matter and stays (probed on the live service)."""
    return msgspec.structs.replace(identity, dkim=msgspec.structs.replace(identity.dkim, enabled=enabled))


def key_of(name: str) -> str:
    """The name under which an identity is kept: addresses as they are, domains in lower case."""
    return name if "@" in name else name.lower()


def candidates(address: str) -> tuple[str, ...]:
    """Names of the identities that would cover this address or domain, the most specific first.

    ``user+label@d`` is covered by ``user@d`` too; a domain covers its subdomains (developer guide).
    """
    local, at, domain = address.rpartition("@")
    domain = domain.lower()
    names = []
    if at:
        names.append(address)
        base, plus, _ = local.partition("+")
        if plus and base:
            names.append(f"{base}@{address.rpartition('@')[2]}")
    labels = domain.split(".")
    names += [".".join(labels[i:]) for i in range(len(labels))]
    return tuple(names)
