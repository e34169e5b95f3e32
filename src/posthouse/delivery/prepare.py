"""What leaves: composed or edited, checked for malware, tracked, given a way out of its list, stamped, signed. Once per
message; the same message gives the same bytes.

Source: SES developer guide, "Header fields": what is added, replaced and removed. Everything here is a function of
the stored message, the keys and the configuration set, so that a crash between preparing and settling makes the same
message again.
"""

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from posthouse.delivery import events
from posthouse.delivery.armfuls import Armfuls
from posthouse.delivery.content_check import BadContent, ContentCheck, NotScanned, refuse_test_file
from posthouse.delivery.key_ring import KeyRing
from posthouse.delivery.prepared import Postponed, Prepared, Refused
from posthouse.delivery.return_paths import ReturnPaths
from posthouse.delivery.set_options import SetOptions
from posthouse.delivery.tracking import TrackingLinks
from posthouse.delivery.unsubscribing import UnsubscribeLinks
from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.messages import ContentKind, Draft, MessageFacts, TemplatedDraft, Text
from posthouse.domain.templates import RenderingFailure, TemplateContent, no_such_template, render
from posthouse.mail.compose import compose_message
from posthouse.mail.dkim import SigningKey, sign
from posthouse.mail.headers import Field, Message, read
from posthouse.mail.outgoing import Stamp, assemble, crlf, date_value, rewrite_head
from posthouse.mail.seven_bit import fit_for_smtp, needs_fitting, to_seven_bit
from posthouse.mail.tracking import rewrite
from posthouse.mail.unsubscribe import with_way_out
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import ClaimedMessage
from posthouse.ports.scanners import VirusScanner
from posthouse.submission.template_contents import TemplateContents

_decode_draft = msgspec.json.Decoder(Draft).decode
decode_templated = msgspec.json.Decoder(TemplatedDraft).decode


@dataclass(frozen=True, slots=True)
class Origin:
    """What this installation puts on its messages."""

    service_domain: str
    outgoing_ip: str
    """Shown in X-SES-Outgoing."""
    tracking: TrackingLinks | None = None
    """Where tracked links lead; None: nothing is tracked (``tracking.enabled``)."""
    unsubscribing: UnsubscribeLinks | None = None
    """Where the way out of mailing lists leads; None: nobody could follow it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is looked up for each message; each keeps what it has looked up."""

    key_ring: KeyRing
    return_paths: ReturnPaths
    set_options: SetOptions
    templates: TemplateContents


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What the bytes of one message are made from: the same again make the same bytes."""

    facts: MessageFacts
    content: bytes
    keys: Sequence[SigningKey]
    origin: Origin
    mail_from: str
    """The envelope sender."""
    sent_by: ConfigurationSet | None = None
    template: TemplateContent | None = None
    """Of templated mail."""


SIGNING_NICENESS = 15
"""Signing is most of what a message costs, and nobody waits for it: it gets the processor when no caller wants it. Only
the threads step back, not the process: what holds the database must never wait for a turn."""


def _step_back() -> None:
    # Linux: niceness is a thread's own (setpriority(2), "C library/kernel differences").
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SIGNING_NICENESS)


class Preparer:
    """Prepares messages in threads, since RSA frees the interpreter: the loop stays free for connections."""

    def __init__(
        self,
        sources: Sources,
        origin: Origin,
        clock: Clock,
        threads: int,
        all_captured: bool = False,
        virus: VirusScanner | None = None,
    ) -> None:
        """`all_captured`: no mail leaves, whoever it is for; its bytes are then made by who reads them
        (`captured.CapturedMessages`), but for what may fail to be made. `virus` sees mail that carries files."""
        self._all_captured = all_captured
        self._sources, self._origin, self._clock = sources, origin, clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sign", initializer=_step_back)
        self._armfuls = Armfuls(prepare, self._pool, threads)
        self._content_check = ContentCheck(virus, self._pool)

    async def __call__(self, claimed: ClaimedMessage) -> Prepared | Refused | Postponed:
        facts = claimed.facts
        require_tls = await self._sources.set_options.requires_tls(facts)
        if claimed.sent is not None:
            # A retry sends exactly what the first attempt sent.
            return Prepared(
                content=claimed.sent,
                mail_from=await self._sources.return_paths.path_for(facts),
                eight_bit=not claimed.sent.isascii(),
                new=False,
                require_tls=require_tls,
            )
        try:
            await self._content_check.scan(claimed)
            if self._all_captured and await self._may_be_made_later(claimed):
                return Prepared(content=b"", mail_from="")
            made = await self._armfuls.do(await self._ingredients(claimed))
        except RenderingFailure as failure:
            return self._not_rendered(claimed, failure.message)
        except BadContent as found:
            return self._rejected(claimed, str(found))
        except NotScanned as failure:
            return Postponed(failure.reply)
        return replace(made, require_tls=True) if require_tls else made

    async def _may_be_made_later(self, claimed: ClaimedMessage) -> bool:
        """False where making it may end in an event: that has to be seen in capture mode too."""
        is_templated = claimed.facts.content_kind is ContentKind.TEMPLATED
        return not is_templated and await self._content_check.is_above_suspicion(claimed.content)

    async def _ingredients(self, claimed: ClaimedMessage) -> Ingredients:
        """Raises RenderingFailure for a template whose content is gone."""
        facts, sources = claimed.facts, self._sources
        template = None
        if facts.content_kind is ContentKind.TEMPLATED:
            draft = decode_templated(claimed.content)
            template = await sources.templates.get(facts.scope, draft.content)
            if template is None:
                error = no_such_template(draft.template)
                raise RenderingFailure(error.message, type(error))
        return Ingredients(
            facts=facts,
            content=claimed.content,
            keys=await sources.key_ring.keys_for(facts.identity_scope, facts.from_domain),
            origin=self._origin,
            mail_from=await sources.return_paths.path_for(facts),
            sent_by=await sources.set_options.of(facts),
            template=template,
        )

    def _not_rendered(self, claimed: ClaimedMessage, why: str) -> Refused:
        template = decode_templated(claimed.content).template
        recipients = [each.recipient for each in claimed.recipients]
        event = events.rendering_failure(claimed.facts, recipients, self._clock.now_ms(), template, why)
        return Refused(event, f"Rendering failed: {why}")

    def _rejected(self, claimed: ClaimedMessage, why: str) -> Refused:
        recipients = [each.recipient for each in claimed.recipients]
        return Refused(events.reject(claimed.facts, recipients, self._clock.now_ms()), why)

    async def seven_bit(self, facts: MessageFacts, leaving: bytes) -> bytes | None:
        """What `prepare` made, for a server without 8BITMIME; None where it cannot be put into seven bits."""
        keys = await self._sources.key_ring.keys_for(facts.identity_scope, facts.from_domain)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, in_seven_bits, facts, leaving, keys)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def prepare(of: Ingredients) -> Prepared:
    """The bytes that leave. CPU work of some 0.5 ms with an RSA key: call it in a thread. Raises RenderingFailure and
    BadContent."""
    facts = of.facts
    made = _message(of)
    refuse_test_file(made)
    message = _with_way_out(_tracked(made, of), of)
    fields = message.fields if facts.as_is else rewrite_head(message.fields, _stamp(facts, of.origin))
    signatures = sign(fields, message.body, of.keys, facts.accepted_ms // 1000) if of.keys else []
    leaving = assemble(signatures, fields, message.body)
    return Prepared(
        content=leaving,
        mail_from=of.mail_from,
        eight_bit=not leaving.isascii(),
        new=True,
    )


def in_seven_bits(facts: MessageFacts, leaving: bytes, keys: Sequence[SigningKey]) -> bytes | None:
    """The message in seven bits under signatures of its own, in the place of those that the conversion breaks; None
    where it cannot be. To be called in a thread, as `prepare`."""
    message = read(leaving)
    converted = to_seven_bit(Message(_without_our_signatures(message.fields, facts), message.body))
    if converted is None:
        return None
    signatures = sign(converted.fields, converted.body, keys, facts.accepted_ms // 1000) if keys else []
    return assemble(signatures, converted.fields, converted.body)


def _without_our_signatures(fields: list[Field], facts: MessageFacts) -> list[Field]:
    """Ours stand on top and bear the message's own time; those of the caller are not ours to take off."""
    time = b"t=%d;" % (facts.accepted_ms // 1000)
    for at, field in enumerate(fields):
        if field.key != b"dkim-signature" or time not in field.raw:
            return fields[at:]
    return []


def _message(of: Ingredients) -> Message:
    match of.facts.content_kind:
        case ContentKind.DRAFT:
            return compose_message(_decode_draft(of.content), of.facts.message_id)
        case ContentKind.TEMPLATED:
            assert of.template is not None, "whoever prepares templated mail looks its template up"
            return compose_message(_rendered(decode_templated(of.content), of.template), of.facts.message_id)
        case ContentKind.RAW:
            raw = crlf(of.content)
            # RFC 5321 4.5.3.1.6: a relay may cut longer lines, or refuse them. Encoded before signing, they arrive.
            return fit_for_smtp(read(raw)) if needs_fitting(raw) else read(raw)


def _rendered(draft: TemplatedDraft, template: TemplateContent) -> Draft:
    made = render(template, draft.data)
    return Draft(
        source=draft.source,
        to=draft.to,
        cc=draft.cc,
        bcc=draft.bcc,
        reply_to=draft.reply_to,
        subject=Text(made.subject),
        text=None if made.text is None else Text(made.text),
        html=None if made.html is None else Text(made.html),
    )


def _tracked(message: Message, of: Ingredients) -> Message:
    tracking = of.origin.tracking
    plan = tracking.plan(of.facts, of.sent_by) if tracking is not None else None
    return message if plan is None else rewrite(message, plan) or message


def _with_way_out(message: Message, of: Ingredients) -> Message:
    """After tracking: to leave a list is no click to be counted."""
    url = of.origin.unsubscribing.link(of.facts) if of.origin.unsubscribing is not None else ""
    return with_way_out(message, url) if url else message


def _stamp(facts: MessageFacts, origin: Origin) -> Stamp:
    region, domain = facts.scope.region, origin.service_domain
    # Where SES says email.amazonses.com in us-east-1 and REGION.amazonses.com elsewhere.
    host = f"email.{domain}" if region == "us-east-1" else f"{region}.{domain}"
    day = datetime.fromtimestamp(facts.accepted_ms / 1000, UTC)
    sender = hashlib.sha256(f"{facts.scope.account}/{facts.from_domain}".encode()).digest()
    return Stamp(
        message_id=f"<{facts.message_id}@{host}>",
        date=date_value(facts.accepted_ms),
        outgoing=f"{day:%Y.%m.%d}-{origin.outgoing_ip}",
        feedback_id=f"::1.{region}.{base64.b64encode(sender).decode()}:AmazonSES",
    )
