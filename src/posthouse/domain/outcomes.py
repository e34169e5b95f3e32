"""Temporary or permanent: the question of every delivery attempt, answered as a type.

Source: RFC 5321 §4.2.1 and §4.5.4 (replies, retrying), RFC 3463 (enhanced status codes), SES developer guide
"Bounce types". A soft bounce is told once, when retrying ends, never per attempt.
"""

import re
from dataclasses import dataclass
from typing import Protocol


class Reply(Protocol):
    """What the other side said (or what we say in its stead: no route, no answer)."""

    @property
    def code(self) -> int: ...
    @property
    def enhanced(self) -> str:
        """``x.y.z`` of RFC 3463, empty where none was given."""
        ...

    @property
    def text(self) -> str:
        """One line, without the codes."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """A reply in our own words, where no server has spoken: no route, no connection, too old."""

    code: int
    enhanced: str
    text: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """In the place of a reply where nobody was asked: the address is on a suppression list, or simulated."""

    kind: "BounceKind"
    text: str
    diagnostic: str = ""
    """What the sender is told as diagnostic code, where it is not the text."""
    code: int = 550
    enhanced: str = "5.1.1"
    complaint: bool = False
    """It is told as a complaint, not as a bounce."""


MAX_LINE = 1000
"""Characters kept of a reply: it goes into rows, events and bounce mails, and a server may write any amount."""


def reply_line(reply: Reply) -> str:
    """The reply as SES prints it: ``550 5.1.1 No such user``."""
    line = " ".join(part for part in (str(reply.code), reply.enhanced, reply.text) if part)
    return line if len(line) <= MAX_LINE else line[:MAX_LINE]


def diagnostic_code(reply: Reply) -> str:
    """As DSNs and SES print it: ``smtp; 550 5.1.1 No such user`` (RFC 3464 §2.3.6)."""
    return (reply.diagnostic or reply.text) if isinstance(reply, NotSent) else f"smtp; {reply_line(reply)}"


def status_of(reply: Reply) -> str:
    """The enhanced status code, or the most general one of its class where the server gave none (RFC 3463 §3.1)."""
    return reply.enhanced or f"{5 if reply.code >= 500 else 2 if reply.code < 300 else 4}.0.0"


# RFC 3463 section 2, wherever it stands in a text: some write ``550 5.1.1``, many a comment around it.
_STATUS = re.compile(r"(?<![0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")


def status_in(text: str) -> str:
    """The first enhanced status code in a text, or an empty one."""
    found = _STATUS.search(text)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class BounceKind:
    """SES's bounceType and bounceSubType."""

    type: str
    subtype: str


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """How long to keep trying."""

    waits_s: tuple[float, ...]
    """Before the second, third ... attempt; the last one repeats."""
    max_age_ms: int

    def wait_ms(self, attempts: int, jitter: float) -> int:
        """The wait after `attempts` attempts; `jitter` in [0, 1) spreads it over 80 to 120 %."""
        wait_s = self.waits_s[min(attempts, len(self.waits_s)) - 1]
        return int(wait_s * 1000 * (0.8 + 0.4 * jitter))


def shortest_wait_ms(plan: RetryPlan) -> int:
    """No recipient is tried again sooner than this."""
    return int(min(plan.waits_s) * 800)


@dataclass(frozen=True, slots=True)
class Delivered:
    reply: Reply


@dataclass(frozen=True, slots=True)
class Deferred:
    until_ms: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Bounced:
    kind: BounceKind
    reply: Reply
    expired: bool = False
    """Retrying ended by age: the recipient's last reply was temporary."""


Outcome = Delivered | Deferred | Bounced

# RFC 3463 subject.detail -> SES's sub type; the class digit decides temporary or permanent, not this table.
_SUBTYPES = {
    "1.1": BounceKind("Permanent", "NoEmail"),
    "1.10": BounceKind("Permanent", "NoEmail"),
    "2.2": BounceKind("Transient", "MailboxFull"),
    "2.3": BounceKind("Transient", "MessageTooLarge"),
    "3.4": BounceKind("Transient", "MessageTooLarge"),
    "6.1": BounceKind("Transient", "ContentRejected"),
    "7.1": BounceKind("Permanent", "General"),
}
# RFC 5321 §4.2.2: 552 is "exceeded storage allocation", for the mailbox at RCPT and the message size at MAIL and DATA.
_BY_CODE = {552: BounceKind("Transient", "MailboxFull")}


def bounce_kind(reply: Reply) -> BounceKind:
    """SES's type and sub type for a reply that ends delivery."""
    if isinstance(reply, NotSent):
        return reply.kind
    known = _SUBTYPES.get(reply.enhanced.partition(".")[2])
    if known is not None:
        return known
    if reply.code in _BY_CODE and not reply.enhanced:
        return _BY_CODE[reply.code]
    return BounceKind("Permanent", "General") if reply.code >= 500 else BounceKind("Transient", "General")


def delay_type(reply: Reply) -> str:
    """SES's delayType for a temporary reply (developer guide, "DeliveryDelay object")."""
    detail = reply.enhanced.partition(".")[2]
    if detail in ("2.2", "3.1"):
        return "MailboxFull" if detail == "2.2" else "RecipientServerError"
    if detail.startswith("4."):
        return "TransientCommunicationFailure"
    if detail.startswith("3.") or reply.code in (421, 451):
        return "RecipientServerError"
    return "General"


def judge(reply: Reply, attempts: int, queued_ms: int, now_ms: int, plan: RetryPlan, jitter: float) -> Outcome:
    """What follows from the answer to attempt number `attempts` (from 1) of a recipient queued at `queued_ms`.

    Anything but 2yz and 5yz is temporary. A wait never goes past the greatest age: the last attempt comes when it is
    reached, and only its failure is the end.
    """
    if 200 <= reply.code < 300:
        return Delivered(reply)
    if reply.code >= 500:
        return Bounced(bounce_kind(reply), reply)
    last_ms = queued_ms + plan.max_age_ms
    if now_ms >= last_ms:
        return Bounced(BounceKind("Transient", "General"), expiry(reply, plan), expired=True)
    return Deferred(min(now_ms + plan.wait_ms(attempts, jitter), last_ms), reply)


def expiry(reply: Reply, plan: RetryPlan) -> Notice:
    """The reply of an expired message, in SES's words (observed): the last temporary reply stands at its end."""
    minutes = max(1, plan.max_age_ms // 60_000)
    said = reply_line(reply)
    return Notice(550, "4.4.7", f"Message expired: unable to deliver in {minutes} minutes.<{said}>")
