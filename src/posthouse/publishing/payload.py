"""What destinations are told: SES's JSON for events, and the older form of the notifications that identities have.

Source: SES developer guide, "Contents of event data that Amazon SES publishes to Amazon SNS", "... to Firehose" (one
record is the same JSON) and "Amazon SNS notification contents for Amazon SES"; recorded events for what the guide
leaves open. `event.detail` is read by the keys that its writers document (delivery/events.py, receiving/, web/).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from posthouse.domain.events import Event, EventType
from posthouse.domain.message_ids import outgoing_id
from posthouse.domain.topics import MAX_MESSAGE
from posthouse.publishing.original import Original, Shown, shown

SUBJECT = "Amazon SES Email Event Notification"
"""Of event records on SNS; notifications of identities have none."""

SHORT = 320
"""Characters of each text in what would be too long; no address is longer."""

_OPERATIONS = {"SMTP": "SendSmtpEmail"}
"""How ``ses:operation`` names what is not an operation of the API."""
_DETAIL_FIRST = (EventType.BOUNCE, EventType.COMPLAINT)
_WITHOUT_HEADERS = (EventType.RENDERING_FAILURE,)
_BY_THE_READER = (EventType.OPEN, EventType.CLICK)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_encode = msgspec.json.Encoder().encode


def event_record(event: Event, seq: int, original: Original, outgoing_ip: str) -> str:
    """An event record as one line of JSON. `seq` is the event's number in the log, `outgoing_ip` the address that
    mail leaves from."""
    name, detail = _DETAILS[event.type](event, seq)
    told = {"mail": _event_mail(event, original, outgoing_ip), name: detail}
    if event.type in _DETAIL_FIRST:
        told = {name: told[name], "mail": told["mail"]}
    return _line({"eventType": event.type.value, **told})


def identity_notification(event: Event, seq: int, original: Original, with_headers: bool) -> str:
    """A bounce, complaint or delivery as the topics of identities are told of it."""
    name, detail = _DETAILS[event.type](event, seq)
    # Who answers by himself was not delivered to by us: SES's own example has no address.
    ip = "" if event.detail.get("automatic") else event.detail.get("remote_ip")
    if ip and event.type is not EventType.COMPLAINT:
        detail = {**detail, "remoteMtaIp": ip}
    mail = _notification_mail(original, with_headers)
    told = {name: detail, "mail": mail} if event.type in _DETAIL_FIRST else {"mail": mail, name: detail}
    return _line({"notificationType": event.type.value, **told})


def feedback_id(event: Event, seq: int) -> str:
    """In the form of message ids, and the same each time the event is told."""
    digest = hashlib.sha256(f"{event.message_id}/{seq}".encode()).digest()
    return outgoing_id(event.scope.region, event.at_ms, digest[:16])


def timestamp(at_ms: int) -> str:
    """``2024-05-02T09:15:30.123Z``."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def _line(told: dict[str, Any]) -> str:
    line: bytes = _encode(told)
    if len(line) >= MAX_MESSAGE:
        line = _encode(_shortened(told))
    # The line feed is SES's (recorded).
    return line.decode() + "\n"


def _shortened(told: dict[str, Any]) -> dict[str, Any]:
    """What a topic would not take, because somebody filled it with what takes six characters to write, without its
    headers and with the beginning of long texts alone: better told so than never."""
    mail = {**told["mail"], "headersTruncated": True}
    for name, empty in (("headers", []), ("commonHeaders", {})):
        if name in mail:
            mail[name] = empty
    return {key: _begun(each) for key, each in {**told, "mail": mail}.items()}


def _begun(value: Any) -> Any:
    match value:
        case str():
            return value[:SHORT]
        case dict():
            return {name: _begun(each) for name, each in value.items()}
        case list() | tuple():
            return [_begun(each) for each in value]
    return value


# -- mail


def _event_mail(event: Event, original: Original, outgoing_ip: str) -> dict[str, Any]:
    mail: dict[str, Any] = {"timestamp": timestamp(original.accepted_ms), "source": original.source}
    if original.source_arn and _names_the_identity(event, original):
        mail["sourceArn"] = original.source_arn
    mail |= {
        "sendingAccountId": original.account,
        "messageId": original.message_id,
        "destination": original.destination,
    }
    if event.type in _WITHOUT_HEADERS:
        mail["headersTruncated"] = False
    else:
        told = event.type in _BY_THE_READER
        headers = shown(original, control=event.type is EventType.SEND, told=told)
        mail |= _headers(headers, original.message_id)
    mail["tags"] = event_tags(event, original, outgoing_ip)
    return mail


def _names_the_identity(event: Event, original: Original) -> bool:
    """Recorded: neither a reader's events do, nor the Send of what is not rendered yet."""
    return event.type not in _BY_THE_READER and (original.rendered or event.type is not EventType.SEND)


def _notification_mail(original: Original, with_headers: bool) -> dict[str, Any]:
    mail: dict[str, Any] = {"timestamp": timestamp(original.accepted_ms), "source": original.source_address}
    if original.source_arn:
        mail["sourceArn"] = original.source_arn
    mail |= {
        "sourceIp": original.source_ip,
        "callerIdentity": original.caller_identity,
        "sendingAccountId": original.account,
        "messageId": original.message_id,
        "destination": original.destination,
    }
    if with_headers:
        headers = shown(original)
        # Not ours, as in events, but the caller's (developer guide).
        mail |= _headers(headers, headers.message_id)
    return mail


def _headers(headers: Shown, message_id: str) -> dict[str, Any]:
    common = {**headers.common, "messageId": message_id} if message_id else headers.common
    return {"headersTruncated": headers.truncated, "headers": headers.headers, "commonHeaders": common}


def event_tags(event: Event, original: Original, outgoing_ip: str) -> dict[str, list[str]]:
    """The tags that SES puts on every event, and the caller's own."""
    automatic = {
        "ses:operation": _OPERATIONS.get(original.operation, original.operation),
        "ses:configuration-set": event.configuration_set or original.configuration_set,
        "ses:source-ip": original.source_ip,
        "ses:from-domain": original.from_domain,
        "ses:caller-identity": original.caller_identity,
    }
    if event.type in _WITHOUT_HEADERS:
        automatic = {"ses:configuration-set": automatic["ses:configuration-set"]}
    tags = {name: [value] for name, value in automatic.items() if value}
    if event.type not in _WITHOUT_HEADERS:
        for name, value in original.tags:
            tags.setdefault(name, []).append(value)
    if event.type is EventType.DELIVERY and outgoing_ip:
        tags["ses:outgoing-ip"] = [outgoing_ip]
    return tags


# -- what happened

Detail = tuple[str, dict[str, Any]]


def _send(event: Event, seq: int) -> Detail:
    return "send", {}


def _reject(event: Event, seq: int) -> Detail:
    return "reject", {"reason": event.detail.get("reason") or "Bad content"}


def _bounce(event: Event, seq: int) -> Detail:
    detail = event.detail
    kind = detail.get("kind") or {}
    told: dict[str, Any] = {
        "feedbackId": feedback_id(event, seq),
        "bounceType": kind.get("type", "Undetermined"),
        "bounceSubType": kind.get("subtype", "Undetermined"),
        "bouncedRecipients": [
            _recipient(each, ("action", "status", "diagnostic_code")) for each in recipients_of(event)
        ],
        "timestamp": timestamp(event.at_ms),
    }
    if detail.get("reporting_mta"):
        told["reportingMTA"] = f"dns; {_host(detail['reporting_mta'])}"
    return "bounce", told


def _complaint(event: Event, seq: int) -> Detail:
    detail = event.detail
    told: dict[str, Any] = {
        "feedbackId": feedback_id(event, seq),
        "complaintSubType": detail.get("subtype") or None,
        "complainedRecipients": [{"emailAddress": each["recipient"]} for each in recipients_of(event)],
        "timestamp": timestamp(event.at_ms),
    }
    if detail.get("user_agent"):
        told["userAgent"] = detail["user_agent"]
    if detail.get("feedback_type"):
        told["complaintFeedbackType"] = detail["feedback_type"]
    if detail.get("arrival_ms"):
        told["arrivalDate"] = timestamp(detail["arrival_ms"])
    return "complaint", told


def _delivery(event: Event, seq: int) -> Detail:
    detail = event.detail
    return "delivery", {
        "timestamp": timestamp(event.at_ms),
        "processingTimeMillis": detail.get("processing_ms", 0),
        "recipients": [each["recipient"] for each in recipients_of(event)],
        "smtpResponse": detail.get("smtp_response", ""),
        "reportingMTA": _host(detail.get("reporting_mta", "")),
    }


def _open(event: Event, seq: int) -> Detail:
    detail = event.detail
    return "open", {
        "timestamp": timestamp(event.at_ms),
        "userAgent": detail.get("user_agent", ""),
        "ipAddress": detail.get("ip", ""),
    }


def _click(event: Event, seq: int) -> Detail:
    detail = event.detail
    return "click", {
        "timestamp": timestamp(event.at_ms),
        "ipAddress": detail.get("ip", ""),
        "userAgent": detail.get("user_agent", ""),
        "link": detail.get("link", ""),
        "linkTags": link_tags(event) or None,
    }


def _failure(event: Event, seq: int) -> Detail:
    detail = event.detail
    return "failure", {
        "errorMessage": detail.get("error_message", ""),
        "templateName": detail.get("template_name", ""),
    }


_DETAILS: dict[EventType, Callable[[Event, int], Detail]] = {
    EventType.SEND: _send,
    EventType.REJECT: _reject,
    EventType.BOUNCE: _bounce,
    EventType.COMPLAINT: _complaint,
    EventType.DELIVERY: _delivery,
    EventType.OPEN: _open,
    EventType.CLICK: _click,
    EventType.RENDERING_FAILURE: _failure,
}


def link_tags(event: Event) -> Mapping[str, Sequence[str]]:
    """Tags of the link that was followed, each with its values."""
    found: Mapping[str, Sequence[str]] = event.detail.get("link_tags") or {}
    return found


def recipients_of(event: Event) -> list[dict[str, str]]:
    """Whom a bounce, complaint or delivery is about, with what is known of each: those of the detail that the event is
    still true for; a store may have left some out since it was made."""
    listed = event.detail.get("recipients") or ()
    each = [{"recipient": one} if isinstance(one, str) else dict(one) for one in listed]
    if not event.recipients:
        return each
    known = {one["recipient"]: one for one in each}
    return [known.get(recipient, {"recipient": recipient}) for recipient in event.recipients]


def _recipient(given: Mapping[str, str], keys: Sequence[str]) -> dict[str, str]:
    names = {"diagnostic_code": "diagnosticCode"}
    return {"emailAddress": given["recipient"], **{names.get(key, key): given[key] for key in keys if given.get(key)}}


def _host(reporting_mta: str) -> str:
    """``dns; host`` without its type."""
    return reporting_mta.partition(";")[2].strip() if ";" in reporting_mta else reporting_mta
