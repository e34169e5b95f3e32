"""What an account's owner is told of its identities, when a look at DNS has changed them: each change once.

Source: SES developer guide, "Amazon SES domain verification problems", "DKIM record revocation" (their subjects end in
REVOCATION WARNING, CANCELLATION and REVOCATION) and "Custom MAIL FROM setup states"; the subject of a success as users
quote it. How long there is to mend something is `dns_proof.GRACE_MS`.
"""

from enum import StrEnum
from typing import NamedTuple

from posthouse.domain.dns_proof import GRACE_MS
from posthouse.domain.identities import Dkim, Identity, MailFrom, Status


class Part(StrEnum):
    """What has changed, as the subject says it."""

    DOMAIN = "Domain Verification"
    DKIM = "DKIM Setup"
    MAIL_FROM = "Custom MAIL FROM Domain Setup"


class Turn(StrEnum):
    """How it has changed."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    """Never seen within the time for it."""
    WARNING = "REVOCATION WARNING"
    """It was there and is missed."""
    CANCELLATION = "REVOCATION CANCELLATION"
    """It is back."""
    REVOCATION = "REVOCATION"


class News(NamedTuple):
    part: Part
    turn: Turn
    identity: str
    what: str
    """The domain that is looked at: the identity's, or its MAIL FROM domain."""
    until_ms: int = 0
    """With a warning: when it is revoked."""


_TURNS = {
    (Status.PENDING, Status.SUCCESS): Turn.SUCCESS,
    (Status.PENDING, Status.FAILED): Turn.FAILURE,
    (Status.FAILED, Status.SUCCESS): Turn.SUCCESS,
    (Status.SUCCESS, Status.TEMPORARY_FAILURE): Turn.WARNING,
    (Status.TEMPORARY_FAILURE, Status.SUCCESS): Turn.CANCELLATION,
    (Status.TEMPORARY_FAILURE, Status.FAILED): Turn.REVOCATION,
}


def news(before: Identity, after: Identity) -> tuple[News, ...]:
    """What the owner is told of a change; of an address nothing but its MAIL FROM domain: it has its own mail."""
    parts: list[tuple[Part, Identity | Dkim | MailFrom, Identity | Dkim | MailFrom, str]] = [
        (Part.DKIM, before.dkim, after.dkim, after.name),
        (Part.MAIL_FROM, before.mail_from, after.mail_from, after.mail_from.domain),
    ]
    if after.is_domain:
        parts.insert(0, (Part.DOMAIN, before, after, after.name))
    told = []
    for part, was, now, what in parts:
        turn = _TURNS.get((was.status, now.status))
        if turn is not None:
            until_ms = now.failing_since_ms + GRACE_MS if turn is Turn.WARNING else 0
            told.append(News(part, turn, after.name, what, until_ms))
    return tuple(told)


def subject(found: News, region: str) -> str:
    """SES names what it revokes without the word for setting it up, and itself in front."""
    about = f"{found.what} in region {region}"
    if found.turn in (Turn.SUCCESS, Turn.FAILURE):
        return f"{found.part.value} {found.turn.value} for {about}"
    return f"Amazon SES {found.part.value.removesuffix(' Setup')} {found.turn.value} for {about}"


_MISSED = {
    Part.DOMAIN: "Mail from it is refused from then on.",
    Part.DKIM: "Mail from it is not signed for the domain from then on.",
    Part.MAIL_FROM: "Meanwhile mail leaves as the identity's BehaviorOnMXFailure says.",
}


def text(found: News, account: str, region: str, until: str) -> str:
    """The mail's text. `until`: the time of `until_ms`, as a date."""
    says = {
        Turn.SUCCESS: "The DNS records were found; it is in use.",
        Turn.FAILURE: "The DNS records were not found in time, and are looked for no more. Start it again to have them "
        "looked for.",
        Turn.WARNING: f"The DNS records are gone. Where they are not back by {until}, it is revoked. "
        f"{_MISSED[found.part]}",
        Turn.CANCELLATION: "The DNS records are back; nothing is revoked.",
        Turn.REVOCATION: "The DNS records did not come back in time, and it is revoked. Start it again once they are "
        "published.",
    }[found.turn]
    return (
        f"{found.part.value} of {found.what}: {found.turn.value.lower()}.\n\n{says}\n\n"
        f"Identity: {found.identity}\nAccount: {account}\nRegion: {region}\n"
    )
