"""The message that the payload files are about, and the events of it, as our own log would have them."""

import json
from pathlib import Path
from typing import Any

import msgspec

from posthouse.domain.events import Event, EventType
from posthouse.domain.messages import ContentKind, Direction, Draft, MessageFacts, Text
from posthouse.domain.scope import Scope
from posthouse.ports.publications import StoredMail
from posthouse.publishing.original import Original, original_of

SCOPE = Scope("111122223333", "eu-west-1")
ACCEPTED_MS = 1_714_641_330_256
MESSAGE_ID = "0102018f3c2a7b10-5f0e6c1d-8a42-4c37-9b6e-2d71f0a94c55-000000"
SOURCE_ARN = "arn:aws:ses:eu-west-1:111122223333:identity/shop.example"
OUTGOING_IP = "192.0.2.17"
DANA = "dana@mail.example"
MTA = "a4-17.smtp-out.eu-west-1.amazonses.com"
RAW = (
    b"From: Shop Desk <orders@shop.example>\r\n"
    b"To: dana@mail.example\r\n"
    b"Message-ID: <7741.a@shop.example>\r\n"
    b"Subject: Order 7741 shipped\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=UTF-8\r\n"
    b"Content-Transfer-Encoding: 7bit\r\n"
    b"Date: Thu, 2 May 2024 09:15:29 +0000\r\n"
    b"X-SES-CONFIGURATION-SET: transactional\r\n"
    b"\r\n"
    b"Hello\r\n"
)
DRAFT = Draft(
    source="Shop Desk <orders@shop.example>",
    to=(DANA,),
    subject=Text("Order 7741 shipped"),
    text=Text("Hello"),
    html=Text("<p>Hello</p>"),
)


def payload(name: str) -> Any:
    return json.loads((Path(__file__).parent / "payloads" / f"{name}.json").read_text())


def facts(**changes: Any) -> MessageFacts:
    given: dict[str, Any] = {
        "scope": SCOPE,
        "message_id": MESSAGE_ID,
        "direction": Direction.OUT,
        "accepted_ms": ACCEPTED_MS,
        "operation": "SendEmail",
        "source": "Shop Desk <orders@shop.example>",
        "from_domain": "shop.example",
        "feedback_to": "orders@shop.example",
        "subject": "Order 7741 shipped",
        "size": 10,
        "content_kind": ContentKind.DRAFT,
        "configuration_set": "transactional",
        "tags": (("campaign", "shipping"), ("tier", "gold")),
        "source_ip": "203.0.113.41",
        "access_key": "mailer-app",
    }
    return MessageFacts(**{**given, **changes})


def drafted(draft: Draft = DRAFT, recipients: tuple[str, ...] = (DANA,), **changes: Any) -> Original:
    mail = StoredMail(facts(**changes), recipients, msgspec.json.encode(draft))
    return original_of(mail, SOURCE_ARN)


def raw(content: bytes = RAW, recipients: tuple[str, ...] = (DANA,), **changes: Any) -> Original:
    changes = {"content_kind": ContentKind.RAW, "operation": "SendRawEmail", **changes}
    return original_of(StoredMail(facts(**changes), recipients, content), SOURCE_ARN)


def event(type: EventType, at_ms: int = ACCEPTED_MS, to: tuple[str, ...] = (DANA,), **detail: Any) -> Event:
    return Event(
        scope=SCOPE,
        message_id=MESSAGE_ID,
        type=type,
        at_ms=at_ms,
        recipients=to,
        detail=detail,
        configuration_set="transactional",
    )


def bounce(at_ms: int = ACCEPTED_MS + 2748, to: tuple[str, ...] = (DANA,), **detail: Any) -> Event:
    given: dict[str, Any] = {
        "kind": {"type": "Permanent", "subtype": "General"},
        "recipients": [
            {
                "recipient": recipient,
                "action": "failed",
                "status": "5.1.1",
                "diagnostic_code": "smtp; 550 5.1.1 user unknown",
            }
            for recipient in to
        ],
        "reporting_mta": MTA,
        "remote_ip": "198.51.100.25",
        "conversation": ["C: RCPT"],
    }
    return event(EventType.BOUNCE, at_ms, to, **{**given, **detail})


def complaint(**detail: Any) -> Event:
    given: dict[str, Any] = {
        "recipients": [DANA],
        "user_agent": "MailExample-FBL/2.1",
        "feedback_type": "abuse",
        "arrival_ms": 1_714_716_118_000,
    }
    return event(EventType.COMPLAINT, 1_714_716_131_000, **{**given, **detail})


def delivery() -> Event:
    return event(
        EventType.DELIVERY,
        ACCEPTED_MS + 2655,
        recipients=[DANA],
        processing_ms=2655,
        smtp_response="250 2.0.0 Ok: queued as 4F1B2C0A9D",
        reporting_mta=MTA,
        remote_ip="198.51.100.25",
        attempt=1,
    )
