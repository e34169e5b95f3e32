"""Subscribers of topics: where they are, what they are sent, when they are tried again. Pure.

Source: Amazon SNS developer guide, "Parsing Amazon SNS message formats", "Verifying the signatures of Amazon SNS
messages", "Fanout Amazon SNS notifications to HTTPS endpoints" (logins in URLs; 5xx and 429 are retried, all other
refusals are not), "Amazon SNS message delivery retries".
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

MAX_ENDPOINT = 2048
TOKEN_LIFE_MS = 2 * 24 * 60 * 60 * 1000
"""SNS: "confirmation tokens are valid for two days"."""
ANSWER_S = 15.0
"""SNS: an endpoint that did not answer within 15 seconds has failed."""
_PRINTABLE = re.compile(r"[!-~]+\Z")
_TOKEN = re.compile(r"[0-9a-f]{64}\Z")
_UNSUBSCRIBE = b"posthouse: a subscription is ended by its link\0"


class MessageType(StrEnum):
    NOTIFICATION = "Notification"
    CONFIRMATION = "SubscriptionConfirmation"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a subscriber takes notifications."""

    url: str
    """Without login: fit to be shown."""
    login: str = ""
    """``user:password`` for HTTP Basic authentication (RFC 7617); empty: none."""

    @property
    def protocol(self) -> str:
        """``http`` or ``https``."""
        return self.url.partition(":")[0]


def read_endpoint(text: str) -> Endpoint | None:
    """None for what is no URL that a notification can be posted to. Whether it may be is seen when it is."""
    if len(text) > MAX_ENDPOINT or not _PRINTABLE.match(text) or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    login, _, place = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.fragment:
        return None
    url = urlunsplit((parts.scheme, place.lower(), parts.path or "/", parts.query, ""))
    return Endpoint(url=url, login=unquote(login) if ":" in login or not login else f"{unquote(login)}:")


def subscription_arn(topic_arn: str, name: str) -> str:
    """`name`: a UUID."""
    return f"{topic_arn}:{name}"


def is_token(text: str) -> bool:
    """Whether it has the form of a confirmation token: 32 octets in lower-case hexadecimal."""
    return bool(_TOKEN.match(text))


# -- links


@dataclass(frozen=True, slots=True)
class TopicLinks:
    """URLs of ours that envelopes name."""

    key: Callable[[], bytes]
    """Reads the secret of the installation that is for nothing else; asked for when it is needed."""
    public_url: str
    """``http.public_url``."""

    @property
    def base(self) -> str:
        return self.public_url.rstrip("/")

    def confirm(self, topic_arn: str, token: str) -> str:
        return f"{self.base}/?Action=ConfirmSubscription&TopicArn={quote(topic_arn, safe=':')}&Token={token}"

    def unsubscribe(self, arn: str) -> str:
        """SNS's own has no token: there a subscription's ARN is the secret. Ours are listed, so they are none."""
        return f"{self.base}/?Action=Unsubscribe&SubscriptionArn={quote(arn, safe=':')}&Token={self._token(arn)}"

    def unsubscribes(self, arn: str, token: str) -> bool:
        return hmac.compare_digest(self._token(arn).encode(), token.encode())

    def certificate(self, name: str) -> str:
        return f"{self.base}/{name}"

    def _token(self, arn: str) -> str:
        return hmac.digest(self.key(), _UNSUBSCRIBE + arn.encode(), "sha256").hex()


def certificate_name(certificate_der: bytes) -> str:
    """The file name SNS's certificates have; it changes with the certificate, which clients keep by its URL."""
    return f"SimpleNotificationService-{hashlib.sha256(certificate_der).hexdigest()[:32]}.pem"


# -- what is sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What SNS wraps a message in. Fields are named and ordered as on the wire; empty ones are left out."""

    type: MessageType
    message_id: str
    topic_arn: str
    subject: str = ""
    message: str
    timestamp: str
    token: str = ""
    subscribe_url: str = ""


def text_to_sign(envelope: Envelope) -> bytes:
    """Names and values of the signed fields in their fixed order, each on a line ("Verifying the signatures")."""
    if envelope.type is MessageType.NOTIFICATION:
        fields = [
            ("Message", envelope.message),
            ("MessageId", envelope.message_id),
            ("Subject", envelope.subject),
            ("Timestamp", envelope.timestamp),
        ]
    else:
        fields = [
            ("Message", envelope.message),
            ("MessageId", envelope.message_id),
            ("SubscribeURL", envelope.subscribe_url),
            ("Timestamp", envelope.timestamp),
            ("Token", envelope.token),
        ]
    fields += [("TopicArn", envelope.topic_arn), ("Type", envelope.type.value)]
    return "".join(f"{name}\n{value}\n" for name, value in fields if name != "Subject" or value).encode()


def render(envelope: Envelope, version: str, signature: bytes, certificate_url: str, unsubscribe_url: str) -> bytes:
    """The body that is posted, laid out as SNS does."""
    fields = [
        ("Type", envelope.type.value),
        ("MessageId", envelope.message_id),
        ("Token", envelope.token),
        ("TopicArn", envelope.topic_arn),
        ("Subject", envelope.subject),
        ("Message", envelope.message),
        ("SubscribeURL", envelope.subscribe_url),
        ("Timestamp", envelope.timestamp),
        ("SignatureVersion", version),
        ("Signature", base64.b64encode(signature).decode()),
        ("SigningCertURL", certificate_url),
        ("UnsubscribeURL", unsubscribe_url),
    ]
    lines = [f'  "{name}" : '.encode() + msgspec.json.encode(value) for name, value in fields if value]
    return b"{\n" + b",\n".join(lines) + b"\n}"


def moment(at_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, as SNS writes a Timestamp."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def confirmation_text(topic_arn: str) -> str:
    """SNS's words."""
    return (
        f"You have chosen to subscribe to the topic {topic_arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )


def headers(
    type: MessageType, message_id: str, topic_arn: str, subscription_arn: str, *, raw: bool, login: str
) -> dict[str, str]:
    """What is posted with the body. The login goes along at once; SNS waits to be asked for it with a 401."""
    found = {
        "x-amz-sns-message-type": type.value,
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": topic_arn,
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    if type is MessageType.NOTIFICATION:
        found["x-amz-sns-subscription-arn"] = subscription_arn
        if raw:
            found["x-amz-sns-rawdelivery"] = "true"
    if login:
        found["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    return found


# -- what follows


@dataclass(frozen=True, slots=True)
class Arrived:
    """The subscriber has it."""


@dataclass(frozen=True, slots=True)
class Again:
    due_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to."""

    status: int | None
    """None: no answer."""
    reason: str = ""
    """Why there is none."""

    @property
    def is_up(self) -> bool:
        """Somebody answers there, whatever the answer to this one notification."""
        return self.status is not None and not is_retryable(self.status)


def is_retryable(status: int) -> bool:
    return status >= 500 or status == 429


def judge(answer: Answer, attempts: int, waits_s: Sequence[float], now_ms: int) -> Arrived | Again | Dead:
    """`attempts`: with this one. A refused address may be another one tomorrow: names are given new addresses."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Arrived()
    reason = answer.reason or f"HTTP status {answer.status}"
    if answer.status is not None and not is_retryable(answer.status):
        return Dead(reason)
    if attempts > len(waits_s):
        return Dead(reason)
    return Again(now_ms + round(waits_s[attempts - 1] * 1000), reason)


def patience_ms(waits_s: Sequence[float]) -> int:
    """How long after its publication a notification for a subscriber that is down may wait: as long as all its tries
    would take."""
    return round((sum(waits_s) + (len(waits_s) + 1) * ANSWER_S) * 1000)


SLOW_S = 1.0
SLOW_SIZE = 4
DOWN = 5
"""Failures in a row after which a subscriber is only probed."""
TRUST = 40
DOUBT_S = 0.25
"""As long as calls have failed no longer than this, one that answered well so far has the benefit of the doubt: where
half of all calls fail, five in a row come every other second, and pauses would be most of the time."""


@dataclass(frozen=True, slots=True)
class Window:
    """How many calls a subscriber gets at once: few at first, more while it answers fast, fewer when it does not.

    So that one that hangs or is gone keeps few of the calls that all subscribers share (RFC 5681 in spirit).
    """

    size: int = 2
    failures: int = 0
    """In a row; calls that failed together count once, and so do those that trust is spent on."""
    trust: int = 0
    """Earned by good answers."""
    lost_s: float = 0.0
    """Spent on calls that failed since the last good answer."""

    def after(self, is_up: bool, took_s: float, most: int) -> "Window":
        if not is_up:
            lost_s, size = self.lost_s + took_s, max(1, self.size // 2)
            if self.failures == DOWN - 1 and self.trust and lost_s < DOUBT_S:
                return Window(size, self.failures, self.trust - 1, lost_s)
            return Window(size, self.failures + 1, self.trust, lost_s)
        room = min(SLOW_SIZE, most) if took_s > SLOW_S else most
        size = self.size + 1 if self.size < room else max(room, self.size - 1)
        return Window(size, trust=min(TRUST, self.trust + 1))


def opening(failures: int) -> Window:
    """The window of a subscriber that had failed so often in a row when it was last called."""
    return Window(1 if failures >= DOWN else Window().size, failures)


def pause_ms(failures: int) -> int:
    """How long a subscriber that fails is left alone: doubling from half a second to twenty, SNS's own distance."""
    if failures < DOWN:
        return 0
    return min(20_000, 500 << min(failures - DOWN, 10))
