"""The actions of receipt rules: one function each.

Source: SES developer guide, "Action options". An action is given a mail as its rule sees it, and says what came of it;
what follows from that is domain/receipt_progress. To add an action: one function, one line in `Actions.run`.
"""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from posthouse.domain.messages import MessageFacts
from posthouse.domain.receipt_progress import Done, Ends, Header, Hopeless, NotDone, Outcome, topic_to_tell
from posthouse.domain.receipt_rules import S3, Action, AddHeader, Bounce, Connect, Lambda, Sns, Stop, WorkMail
from posthouse.domain.topics import MAX_MESSAGE
from posthouse.domain.verdicts import Verdicts
from posthouse.mail import envelope_encryption
from posthouse.mail.receipt_notification import function_event, mail_told, notification, receipt_told
from posthouse.mail.receipt_setup import SUBJECT
from posthouse.ports.clock import Clock
from posthouse.ports.data_keys import DataKey, KeyFailed, KeyNotPermitted, KeyUnknown
from posthouse.ports.functions import Answered, CallFailed, CallNotPermitted, FunctionBroke, FunctionUnknown
from posthouse.ports.mail_stores import MailboxRefused, MailStore, NotNow
from posthouse.ports.objects import BucketUnknown, Taken, WriteFailed, WriteNotPermitted, WriterRefused
from posthouse.ports.receipt import ReceiptPorts
from posthouse.ports.topics import Published, PublishFailed, Topics, TopicUnknown
from posthouse.receiving.bouncing import Bouncing

MAX_OBJECT = 40 * 1024 * 1024
MAX_PUBLISHED = 150 * 1024
"""Octets of a mail with its header section (SES reference 10.2); larger ones are bounced."""


@dataclass(frozen=True)
class Job:
    """A mail as one rule sees it."""

    facts: MessageFacts
    rule: str
    matched: tuple[str, ...]
    """Recipients that the rule means."""
    recipients: tuple[str, ...]
    """Of those the ones for whom the action is yet to be done."""
    verdicts: Verdicts
    content: bytes
    """With what SES adds, and what the rules before have added."""
    bounced: bool
    """Its sender has been told that it is too large."""

    @cached_property
    def mail(self) -> dict[str, Any]:
        """As notifications tell it."""
        return mail_told(self.facts, self.content)


class Actions:
    """Runs actions on what they name."""

    def __init__(
        self,
        ports: ReceiptPorts,
        mail_store: MailStore,
        topics: Topics,
        bouncing: Bouncing,
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self._ports, self._mail_store, self._topics, self._bouncing = ports, mail_store, topics, bouncing
        self._clock, self._random = clock, random

    async def run(self, action: Action, job: Job) -> Outcome:
        match action:
            case AddHeader():
                return Done(text=f"{action.name}: {action.value}", added=Header(action.name, action.value))
            case Bounce():
                return await self._bouncing.by_action(action, job.facts, job.recipients, job.content)
            case Connect():
                return Hopeless(reason="there is no Amazon Connect here")
            case Lambda():
                return await self._call(action, job)
            case S3():
                return await self._write(action, job)
            case Sns():
                return await self._publish_whole(action, job)
            case Stop():
                return Done(text="no rule after this one is applied", ends=Ends.RULE_SET)
            case WorkMail():
                return await self._deliver(job)

    async def tell(self, action: Action, job: Job) -> Done | NotDone:
        """The action's topic that it was done."""
        return await self._publish(topic_to_tell(action), notification(job.mail, self._receipt(action, job)), job)

    # -- one each

    async def _write(self, action: S3, job: Job) -> Outcome:
        if len(job.content) > MAX_OBJECT:
            return await self._too_large(job, MAX_OBJECT)
        content, metadata = job.content, dict[str, str]()
        if action.kms_key:
            sealed = await self._encrypted(action, job)
            if isinstance(sealed, NotDone):
                return sealed
            content, metadata = sealed
        account, key = job.facts.scope.account, action.key(job.facts.message_id)
        match await self._ports.objects.put(account, action.bucket, key, content, metadata, action.role):
            case Taken():
                return Done(text=f"written to s3://{action.bucket}/{key}")
            case BucketUnknown():
                return NotDone(reason=f"there is no bucket {action.bucket}")
            case WriterRefused(reason):
                return NotDone(reason=f"the role {action.role} cannot be assumed: {reason}")
            case WriteNotPermitted(reason) | WriteFailed(reason):
                return NotDone(reason=f"the bucket {action.bucket} took nothing: {reason}")

    async def _encrypted(self, action: S3, job: Job) -> tuple[bytes, dict[str, str]] | NotDone:
        scope = job.facts.scope
        context = envelope_encryption.encryption_context(scope, job.facts.message_id, job.rule, action.kms_key)
        match await self._ports.data_keys.generate(scope.account, action.kms_key, context, action.role):
            case DataKey(plaintext, sealed):
                iv = self._random(envelope_encryption.IV_BYTES)
                text = await asyncio.to_thread(envelope_encryption.encrypt, job.content, plaintext, iv)
                return text, envelope_encryption.metadata(len(job.content), iv, sealed, context)
            case KeyUnknown():
                return NotDone(reason=f"there is no key {action.kms_key}")
            case KeyNotPermitted(reason) | KeyFailed(reason):
                return NotDone(reason=f"the key {action.kms_key} gave no data key: {reason}")

    async def _publish_whole(self, action: Sns, job: Job) -> Outcome:
        if len(job.content) > MAX_PUBLISHED:
            return await self._too_large(job, MAX_PUBLISHED)
        if action.encoding == "Base64":
            content = base64.b64encode(job.content).decode("ascii")
        else:
            # What is no UTF-8 is lost, as the guide warns; Base64 keeps it.
            content = job.content.decode("utf-8", "replace")
        message = notification(job.mail, self._receipt(action, job), content)
        if len(message.encode()) > MAX_MESSAGE:
            # Characters that JSON spells out, very many of them.
            return await self._too_large(job, MAX_PUBLISHED)
        return await self._publish(action.topic, message, job)

    async def _call(self, action: Lambda, job: Job) -> Outcome:
        event = function_event(job.mail, self._receipt(action, job))
        account = job.facts.scope.account
        match await self._ports.functions.call(account, action.function, event, action.decides):
            case Answered(payload):
                return _decided(payload) if action.decides else Done(text="called")
            case FunctionUnknown():
                return NotDone(reason=f"there is no function {action.function}")
            case FunctionBroke(reason):
                return NotDone(reason=f"the function ended in an error: {reason}")
            case CallNotPermitted(reason) | CallFailed(reason):
                return NotDone(reason=f"the function was not called: {reason}")

    async def _deliver(self, job: Job) -> Outcome:
        facts = job.facts
        outcomes = await self._mail_store.deliver(facts.message_id, facts.source, job.recipients, job.content)
        later = {who: each.reason for who, each in outcomes.items() if isinstance(each, NotNow)}
        refused = {who: each.reason for who, each in outcomes.items() if isinstance(each, MailboxRefused)}
        told = f"; {await self._bouncing.by_ourselves(facts, job.content, refused)}" if refused else ""
        if later:
            return NotDone(reason=f"{_listed(later)}{told}", left=tuple(later))
        if refused:
            stored = [who for who in outcomes if who not in refused]
            text = f"refused: {_listed(refused)}{told}"
            return Done(text=f"stored for {', '.join(stored)}; {text}") if stored else Hopeless(reason=text)
        return Done(text=f"stored for {', '.join(job.recipients)}")

    # -- what several do

    def _receipt(self, action: Action, job: Job) -> dict[str, Any]:
        return receipt_told(job.facts, job.matched, job.verdicts, action, self._clock.now_ms())

    async def _publish(self, topic: str, message: str, job: Job) -> Done | NotDone:
        match await self._topics.publish(job.facts.scope.account, topic, SUBJECT, message):
            case Published():
                return Done(text=f"published to {topic}")
            case TopicUnknown():
                return NotDone(reason=f"there is no topic {topic}")
            case PublishFailed(reason):
                return NotDone(reason=f"the topic {topic} took nothing: {reason}")

    async def _too_large(self, job: Job, limit: int) -> Hopeless:
        reason = f"the mail has {len(job.content)} octets, and {limit} are taken"
        if job.bounced:
            return Hopeless(reason=reason)
        said = dict.fromkeys(job.matched, "552 5.3.4 Message too large")
        return Hopeless(
            reason=f"{reason}; {await self._bouncing.by_ourselves(job.facts, job.content, said)}", bounced=True
        )


class _Answer(msgspec.Struct):
    disposition: Any = None


_DISPOSITIONS = {"STOP_RULE": Ends.RULE, "STOP_RULE_SET": Ends.RULE_SET}


def _decided(payload: bytes) -> Done:
    """What a function that was waited for answered; anything but these two words means to go on."""
    try:
        disposition = msgspec.json.decode(payload, type=_Answer).disposition
    except (msgspec.MsgspecError, RecursionError):
        disposition = None
    if not isinstance(disposition, str) or disposition not in _DISPOSITIONS:
        return Done(text="called; it says to go on")
    return Done(text=f"called; it says {disposition}", ends=_DISPOSITIONS[disposition])


def _listed(reasons: dict[str, str]) -> str:
    return ", ".join(f"{who}: {reason}" for who, reason in reasons.items())
