"""Feedback by mail: a sender is told of bounces, complaints and automatic replies at his feedback address.

Source: SES developer guide, "Receiving Amazon SES notifications through email". Who is told and when is
`domain.publishing`; what he is told, `feedback_mail`; here it is written and handed to submission. Nothing goes round
in circles: feedback leaves under the null path, what becomes of it is told to nobody, and no return path of ours is
ever written to.
"""

import asyncio
import logging

from posthouse.domain.events import Event, EventType
from posthouse.domain.publishing import feedback_address
from posthouse.mail import verp
from posthouse.mail.outgoing import REMOVED
from posthouse.ports.mailstore import Messages
from posthouse.ports.publications import StoredMail
from posthouse.publishing.feedback import Feedback
from posthouse.publishing.feedback_mail import Subject, bounce_letter, complaint_letter, reply_letter
from posthouse.publishing.original import original_of
from posthouse.submission.context import SubmissionContext
from posthouse.submission.system_mail import Letter, send_letter

log = logging.getLogger("posthouse.publishing")


class FeedbackForwarder:
    """`publishing.feedback.ForwardFeedback`."""

    def __init__(self, messages: Messages, submission: SubmissionContext, service_domain: str) -> None:
        self._messages, self._submission, self._service_domain = messages, submission, service_domain

    async def __call__(self, feedback: Feedback) -> None:
        facts = feedback.mail.facts
        # Asked again: what waited for a topic that is gone comes here too, whatever mail it is about.
        to = feedback_address(facts)
        if not to or verp.is_shaped(to.rpartition("@")[0]):
            return
        letter = await self._letter(feedback, to)
        if letter is not None:
            await send_letter(letter, facts.scope, self._submission)

    async def _letter(self, feedback: Feedback, to: str) -> Letter | None:
        event, domain = feedback.event, self._service_domain
        if event.type is EventType.BOUNCE and event.detail.get("automatic") is True:
            return await self._reply(event, Subject(feedback.mail.facts, b""), to)
        about = Subject(feedback.mail.facts, await self._left(feedback.mail))
        if event.type is EventType.COMPLAINT:
            report = await self._report(event)
            return await asyncio.to_thread(complaint_letter, event, about, to, domain, report)
        return await asyncio.to_thread(bounce_letter, event, about, to, domain)

    async def _reply(self, event: Event, about: Subject, to: str) -> Letter | None:
        kept = await self._report(event)
        if kept is None:
            log.info("an automatic reply about %s is not handed on: it was deleted", event.message_id)
            return None
        letter = await asyncio.to_thread(reply_letter, kept, about, to, self._service_domain)
        if letter is None:
            log.warning("an automatic reply about %s is not handed on: it has gone in circles", event.message_id)
        return letter

    async def _report(self, event: Event) -> bytes | None:
        """The mail that told of it; None where none did, or it was deleted since."""
        report_id = event.detail.get("report_message_id")
        return await self._messages.content(event.scope, report_id) if report_id else None

    async def _left(self, mail: StoredMail) -> bytes:
        """What left; where that was not kept, the header section as it was handed in, less what never leaves."""
        facts = mail.facts
        sent = await self._messages.sent(facts.scope, facts.message_id)
        if sent is not None:
            return sent
        fields = [each.raw for each in original_of(mail, "").fields if each.key and each.key not in REMOVED]
        return b"".join([*fields, b"\r\n"])
