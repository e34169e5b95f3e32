"""What leaves: composed or edited, tracked, stamped, signed. Once per message; the same message gives the same bytes.

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

from posthouse.delivery.key_ring import KeyRing
from posthouse.delivery.prepared import Prepared, Refused
from posthouse.delivery.return_paths import ReturnPaths
from posthouse.delivery.set_options import SetOptions
from posthouse.delivery.tracking import TrackingLinks
from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.messages import ContentKind, Draft, MessageFacts
from posthouse.mail.compose import compose_message
from posthouse.mail.dkim import SigningKey, sign
from posthouse.mail.headers import Message, read
from posthouse.mail.outgoing import Stamp, assemble, crlf, date_value, rewrite_head
from posthouse.mail.tracking import rewrite
from posthouse.ports.mailstore import ClaimedMessage

_decode_draft = msgspec.json.Decoder(Draft).decode


@dataclass(frozen=True, slots=True)
class Origin:
    """What this installation puts on its messages."""

    service_domain: str
    outgoing_ip: str
    """Shown in X-SES-Outgoing."""
    tracking: TrackingLinks | None = None
    """Where tracked links lead; None: nothing is tracked (``tracking.enabled``)."""


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
        key_ring: KeyRing,
        return_paths: ReturnPaths,
        set_options: SetOptions,
        origin: Origin,
        threads: int,
        all_captured: bool = False,
    ) -> None:
        """`all_captured`: no mail leaves, whoever it is for; its bytes are then made by who reads them
        (`captured.CapturedMessages`)."""
        self._all_captured = all_captured
        self._key_ring, self._return_paths, self._origin = key_ring, return_paths, origin
        self._set_options = set_options
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sign", initializer=_step_back)

    async def __call__(self, claimed: ClaimedMessage) -> Prepared | Refused:
        facts = claimed.facts
        mail_from = await self._return_paths.path_for(facts)
        require_tls = await self._set_options.requires_tls(facts)
        if claimed.sent is not None:
            # A retry sends exactly what the first attempt sent.
            return Prepared(
                content=claimed.sent,
                mail_from=mail_from,
                eight_bit=not claimed.sent.isascii(),
                new=False,
                require_tls=require_tls,
            )
        if self._all_captured:
            return Prepared(content=b"", mail_from=mail_from)
        keys = await self._key_ring.keys_for(facts.identity_scope, facts.from_domain)
        sent_by = await self._set_options.of(facts)
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(
            self._pool, prepare, facts, claimed.content, keys, self._origin, mail_from, sent_by
        )
        return replace(made, require_tls=True) if require_tls else made

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def prepare(
    facts: MessageFacts,
    content: bytes,
    keys: Sequence[SigningKey],
    origin: Origin,
    mail_from: str,
    sent_by: ConfigurationSet | None = None,
) -> Prepared:
    """The bytes that leave; `mail_from` is their envelope sender, `sent_by` the configuration set. CPU work of some
    0.5 ms with an RSA key: call it in a thread."""
    message = _tracked(_message(facts, content), facts, origin, sent_by)
    fields = rewrite_head(message.fields, _stamp(facts, origin))
    signatures = sign(fields, message.body, keys, facts.accepted_ms // 1000) if keys else []
    leaving = assemble(signatures, fields, message.body)
    return Prepared(
        content=leaving,
        mail_from=mail_from,
        eight_bit=not leaving.isascii(),
        new=True,
    )


def _message(facts: MessageFacts, content: bytes) -> Message:
    if facts.content_kind is ContentKind.DRAFT:
        return compose_message(_decode_draft(content), facts.message_id)
    return read(crlf(content))


def _tracked(message: Message, facts: MessageFacts, origin: Origin, sent_by: ConfigurationSet | None) -> Message:
    plan = origin.tracking.plan(facts, sent_by) if origin.tracking is not None else None
    return message if plan is None else rewrite(message, plan) or message


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
