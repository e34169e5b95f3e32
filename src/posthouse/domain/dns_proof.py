"""What DNS proves about an identity: which records are looked for, and what follows from finding them or not.

Source: SES developer guide, "Verifying a domain", "Easy DKIM", "Using a custom MAIL FROM domain", "Amazon SES domain
verification problems" and "Amazon SES custom MAIL FROM setup states": a record is looked for during 72 hours, then the
request has failed and is looked at no more until it is made again; what was verified and is missed gets 72 hours to
come back, then it is revoked.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from posthouse.domain.identities import VERIFIED, Dkim, Identity, MailFrom, Status, proven

GRACE_MS = 72 * 60 * 60 * 1000


class Sighting(StrEnum):
    """What was seen of a record."""

    FOUND = "found"
    MISSING = "missing"
    """The answer was whole, and the record is not in it."""
    UNKNOWN = "unknown"
    """Not looked at, or the resolver failed: a delay, never a verdict."""


class Seen(NamedTuple):
    """What one look at an identity found."""

    txt: Sighting = Sighting.UNKNOWN
    dkim: Sighting = Sighting.UNKNOWN
    mail_from: Sighting = Sighting.UNKNOWN


class Watched(NamedTuple):
    """Which parts of an identity DNS decides about."""

    txt: bool
    dkim: bool
    mail_from: bool


# -- what is looked for


def txt_proofs(identity: Identity) -> tuple[tuple[str, str], ...]:
    """(name, value) of the TXT records either of which verifies the domain.

    The second is for providers that refuse names with an underscore (developer guide).
    """
    return (f"_amazonses.{identity.name}", identity.token), (identity.name, f"amazonses:{identity.token}")


def dkim_name(token: str, domain: str) -> str:
    return f"{token}._domainkey.{domain}"


def dkim_target(token: str, service_domain: str) -> str:
    """Where the CNAME of a token leads, and its public key is published."""
    return f"{token}.dkim.{service_domain}"


def feedback_host(region: str, service_domain: str) -> str:
    """What the one MX record of a custom MAIL FROM domain names: where bounces come back to."""
    return f"feedback-smtp.{region}.{service_domain}"


def spf_advice(service_domain: str) -> str:
    """What to publish at a custom MAIL FROM domain so that SPF passes; nobody but the receivers looks."""
    return f"v=spf1 include:{service_domain} ~all"


def publishes(texts: Iterable[str], public_record: str) -> bool:
    """True where a TXT record carries this public key, however its other tags are written (RFC 6376 §3.6.1)."""
    wanted = _key_of(public_record)
    return wanted != "" and any(_key_of(text) == wanted for text in texts)


def _key_of(record: str) -> str:
    """The value of ``p=`` without the white space that may fold it."""
    for tag in record.split(";"):
        name, equals, value = tag.partition("=")
        if equals and name.strip() == "p":
            return "".join(value.split())
    return ""


# -- what follows


def watched(identity: Identity) -> Watched:
    return Watched(
        txt=identity.is_domain and bool(identity.token) and _is_open(identity),
        dkim=bool(identity.dkim.tokens) and _is_open(identity.dkim),
        mail_from=bool(identity.mail_from.domain) and _is_open(identity.mail_from),
    )


def _is_open(part: Identity | Dkim | MailFrom) -> bool:
    return not part.vouched and (part.status in VERIFIED or part.status is Status.PENDING)


def is_unsettled(identity: Identity) -> bool:
    """True while something is awaited: a first sighting, or the return of what went missing."""
    statuses = (identity.status, identity.dkim.status, identity.mail_from.status)
    asked = zip(watched(identity), statuses, strict=True)
    return any(looked_at and status is not Status.SUCCESS for looked_at, status in asked)


def same_request(one: Identity, other: Identity) -> bool:
    """True where both ask DNS for the same records: what was seen for one may be held against the other."""
    return all(
        this == that
        for this, that in (
            (one.token, other.token),
            (one.dkim.tokens, other.dkim.tokens),
            (one.mail_from.domain, other.mail_from.domain),
        )
    )


def judge(identity: Identity, seen: Seen, now_ms: int) -> Identity:
    """The identity after a look at DNS; an equal one where nothing changed."""
    asked = watched(identity)
    dkim = _after(identity.dkim, seen.dkim, now_ms) if asked.dkim else identity.dkim
    mail_from = _after(identity.mail_from, seen.mail_from, now_ms) if asked.mail_from else identity.mail_from
    if asked.txt:
        identity = _after(identity, _either(seen.txt, seen.dkim if asked.dkim else Sighting.MISSING), now_ms)
    elif asked.dkim and dkim.status is Status.SUCCESS and not identity.verified:
        # API reference of VerifyDomainDkim: DKIM verifies the domain too, whether or not its TXT record ever came.
        identity = proven(identity)
    return msgspec.structs.replace(identity, dkim=dkim, mail_from=mail_from)


def _either(one: Sighting, other: Sighting) -> Sighting:
    """One of two proofs is enough, and only both missing is none."""
    for sighting in (Sighting.FOUND, Sighting.UNKNOWN):
        if sighting in (one, other):
            return sighting
    return Sighting.MISSING


P = TypeVar("P", Identity, Dkim, MailFrom)


def _after(part: P, seen: Sighting, now_ms: int) -> P:
    match seen:
        case Sighting.UNKNOWN:
            return part
        case Sighting.FOUND:
            return msgspec.structs.replace(part, status=Status.SUCCESS, failing_since_ms=0)
        case Sighting.MISSING if part.status is Status.SUCCESS:
            return msgspec.structs.replace(part, status=Status.TEMPORARY_FAILURE, failing_since_ms=now_ms)
    since_ms = part.requested_ms if part.status is Status.PENDING else part.failing_since_ms
    return msgspec.structs.replace(part, status=Status.FAILED) if now_ms >= since_ms + GRACE_MS else part
