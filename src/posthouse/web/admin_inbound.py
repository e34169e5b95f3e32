"""/api/v1/inbound: mail comes in as by SMTP, and who sent it learns rule by rule what became of it."""

import asyncio
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.responses import Response

from posthouse.domain.events import EventType, LoggedEvent
from posthouse.domain.messages import FEEDBACK, Draft, MessageFacts, Text
from posthouse.mail import charsets, compose, headers, mailboxes
from posthouse.mail.outgoing import crlf, date_value
from posthouse.receiving.accept import InboundEnvelope, NoLongerWanted
from posthouse.receiving.trial import Delivered, deliver
from posthouse.web import bodies, views
from posthouse.web.admin_messages import POLL_S, TIMEOUT
from posthouse.web.answers import json_answer
from posthouse.web.call import Call
from posthouse.web.problems import Problem
from posthouse.web.query import Param, iso, number, pattern, text
from posthouse.wire.smtp_reply import Reply
from posthouse.wire.smtp_transaction import is_path

MAX_MAIL = 40 * 1024 * 1024
"""Of a body; what the installation takes may be less."""
MAX_RECIPIENTS = 100
TLS = "TLS"
"""What a mail is said to have come over, for who tries rules that want it."""
ENVELOPE = (
    Param("mail_from", text(), "Envelope sender; left out: the From of a composed mail, else none."),
    Param("rcpt_to", text(), "Envelope recipients, comma-separated; left out: To and Cc of a composed mail."),
    Param("client_ip", text(), "The address that the mail is said to come from.", "127.0.0.1"),
    Param("helo", pattern(r"[A-Za-z0-9._:\[\]-]{1,255}", "a host name"), "What the client calls itself.", "localhost"),
    Param("tls", number(0, 1), "1: as if it had come over TLS.", 0),
    TIMEOUT,
)
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}\Z")


async def post_inbound(call: Call) -> Response:
    media = bodies.media_type(call)
    if media not in ("message/rfc822", "application/json"):
        raise Problem(415, "This path takes message/rfc822 or application/json.")
    body = await bodies.read_bytes(call, min(MAX_MAIL, call.ctx.max_inbound))
    if media == "message/rfc822":
        content, sender, recipients = crlf(body), "", list[str]()
    else:
        mail = bodies.decode(body, views.ComposedMail)
        content = composed(mail, call.ctx.clock.now_ms())
        sender = _first_address([mail.from_])
        recipients = _addresses([*mail.to, *mail.cc])
    query = call.query
    if query["mail_from"] is not None:
        sender = query["mail_from"]
    if query["rcpt_to"]:
        recipients = [each.strip() for each in query["rcpt_to"].split(",")]
    envelope = InboundEnvelope(
        client_ip=query["client_ip"],
        helo=query["helo"],
        mail_from=sender,
        recipients=tuple(dict.fromkeys(recipients)),
        protocol="HTTP",
        tls=TLS if query["tls"] else "",
    )
    return json_answer(await try_mail(call, envelope, content, query["timeout"]))


async def try_mail(call: Call, envelope: InboundEnvelope, content: bytes, timeout_s: float) -> views.InboundTrial:
    """Lets a mail in and waits, at most so long, until its rules have been applied. For this path and for pages.

    Raises Problem (400, 404, 503).
    """
    ctx = call.ctx
    if ctx.receiving is None:
        raise Problem(404, "Mail cannot be tried out here.")
    _check(envelope)
    call.taps.check_room()
    try:
        delivered = await deliver(envelope, content, ctx.receiving(), call.viewer.account)
    except NoLongerWanted as error:
        raise Problem(503, f"The rules for {error} were changed just now.", headers={"retry-after": "1"}) from None
    logged = await _settled(call, delivered, timeout_s)
    return views.InboundTrial(
        refused=[refused(recipient, reply) for recipient, reply in delivered.refused.items()],
        messages=[result(facts, events) for facts, events in zip(delivered.messages, logged, strict=True)],
    )


def _check(envelope: InboundEnvelope) -> None:
    """What the SMTP door's protocol would not have let through. Raises Problem (400)."""
    if not envelope.recipients:
        raise Problem(400, "The mail is for nobody.", parameter="rcpt_to")
    if len(envelope.recipients) > MAX_RECIPIENTS:
        raise Problem(400, f"A mail here has at most {MAX_RECIPIENTS} recipients.", parameter="rcpt_to")
    for recipient in envelope.recipients:
        if not is_path(recipient) or "@" not in recipient:
            raise Problem(400, f"{recipient!r} is no address.", parameter="rcpt_to")
    if envelope.mail_from and not is_path(envelope.mail_from):
        raise Problem(400, f"{envelope.mail_from!r} is no address.", parameter="mail_from")
    try:
        ipaddress.ip_address(envelope.client_ip)
    except ValueError:
        raise Problem(400, f"{envelope.client_ip!r} is no IP address.", parameter="client_ip") from None


async def _settled(call: Call, delivered: Delivered, timeout_s: float) -> list[Sequence[LoggedEvent]]:
    """The events of each message, once all is done about all of them, or time is over."""
    ends = asyncio.get_running_loop().time() + timeout_s
    with call.taps.waiting():
        while True:
            seen = call.taps.count
            found = [
                await call.ctx.stores.events.of_message(each.scope, each.message_id) for each in delivered.messages
            ]
            left_s = ends - asyncio.get_running_loop().time()
            all_done = all(is_done(facts, events) for facts, events in zip(delivered.messages, found, strict=True))
            if all_done or left_s <= 0 or call.ctx.closing.is_set() or await call.request.is_disconnected():
                return found
            await call.taps.next(seen, min(left_s, POLL_S))


# -- a mail from its parts


def composed(mail: views.ComposedMail, now_ms: int) -> bytes:
    """Raises Problem (400) for what cannot stand in a mail."""
    for each in mail.headers:
        if not _FIELD_NAME.match(each.name):
            raise Problem(400, f"{each.name!r} is no name of a header field.")
    draft = Draft(
        source=mail.from_,
        to=tuple(mail.to),
        cc=tuple(mail.cc),
        subject=Text(mail.subject),
        text=_part(mail.text if mail.html is not None else mail.text or ""),
        html=_part(mail.html),
    )
    stamp = [headers.field("Date", date_value(now_ms)), headers.field("Message-ID", f"<{now_ms}@localhost>")]
    try:
        made = compose.compose_message(draft, str(now_ms))
        more = [headers.field(each.name, each.value) for each in mail.headers]
    except charsets.Unencodable as error:
        raise Problem(400, f"The mail cannot be written: {error}") from None
    return headers.Message([*stamp, *more, *made.fields], made.body).to_bytes()


def _part(text: str | None) -> Text | None:
    return None if text is None else Text(text)


def _addresses(given: Iterable[str]) -> list[str]:
    return [mailbox.address for each in given for mailbox in mailboxes.parse(each)]


def _first_address(given: Iterable[str]) -> str:
    return next(iter(_addresses(given)), "")


# -- what became of it


def is_done(facts: MessageFacts, events: Sequence[LoggedEvent]) -> bool:
    """Nothing more will be done about a mail that came in."""
    received = [each.event for each in events if each.event.type is EventType.RECEIVED]
    return any(event.detail.get("end") is True or facts.operation == FEEDBACK for event in received)


def refused(recipient: str, reply: Reply) -> views.RefusedRecipient:
    return views.RefusedRecipient(recipient=recipient, reply=str(reply))


def result(facts: MessageFacts, events: Sequence[LoggedEvent]) -> views.InboundResult:
    """What the event log says of a mail that came in (keys: receiving/events.py)."""
    told = [each.event for each in events if each.event.type is EventType.RECEIVED]
    plan = next((event.detail for event in told if "rules" in event.detail), {})
    return views.InboundResult(
        message_id=facts.message_id,
        account=facts.scope.account,
        region=facts.scope.region,
        done=is_done(facts, events),
        rule_set=plan.get("rule_set"),
        rules=[_rule(each) for each in plan.get("rules", [])],
        verdicts=plan.get("verdicts", {}),
        actions=[_action(event.detail, event.at_ms) for event in told if "action" in event.detail],
    )


def _rule(told: dict[str, Any]) -> views.RuleOutcome:
    return views.RuleOutcome(rule=told["rule"], outcome=told["outcome"], recipients=list(told.get("recipients", [])))


def _action(detail: dict[str, Any], at_ms: int) -> views.ActionOutcome:
    due_ms = detail.get("due_ms")
    return views.ActionOutcome(
        rule=detail["rule"],
        action=detail["action"],
        notification=detail.get("telling", False),
        result=detail["result"],
        text=detail.get("text", ""),
        at=iso(at_ms),
        again_at=None if due_ms is None else iso(due_ms),
    )
