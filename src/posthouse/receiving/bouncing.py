"""Bounces that receiving sends: of bounce actions, and for mail that an action cannot take at all.

Source: SES developer guide, "Return bounce response action" (codes and words) and "Email receiving quotas" (larger mail
is bounced); RFC 3464 for the report. What must not be answered is not: mail/bounce_guard.
"""

import re
from collections.abc import Mapping

from posthouse.domain.addresses import parse_mailbox
from posthouse.domain.bounces import explanation
from posthouse.domain.messages import MessageFacts
from posthouse.domain.receipt_progress import Done, NotDone
from posthouse.domain.receipt_rules import Bounce as BounceAction
from posthouse.domain.scope import Caller
from posthouse.mail import dsn
from posthouse.mail.bounce_guard import why_not_bounced
from posthouse.mail.dsn import DeliveryStatus, RecipientStatus
from posthouse.model.errors import ServiceError
from posthouse.ports.mailstore import EventLog
from posthouse.submission.bounces import Bounce, send_bounce, send_own_bounce
from posthouse.submission.context import SubmissionContext

OPERATION = "ReceiptRule"
"""What bounces are seen as among the messages."""
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_MAX_SAID = 500


class Bouncing:
    """Sends bounces about mail that came in."""

    def __init__(self, submission: SubmissionContext, log: EventLog, service_domain: str) -> None:
        self._submission, self._log, self._service_domain = submission, log, service_domain

    async def by_action(
        self, action: BounceAction, facts: MessageFacts, recipients: tuple[str, ...], content: bytes
    ) -> Done | NotDone:
        """As its rule says, from its sender."""
        if reason := why_not_bounced(facts.source, content):
            return Done(text=f"not bounced: {reason}")
        status = action.status_code or f"{action.reply_code[0]}.0.0"
        said = f"{action.reply_code} {action.status_code} {action.message}".replace("  ", " ")
        try:
            bounce = self._bounce(facts, content, action.sender, dict.fromkeys(recipients, said), status)
            caller = Caller(facts.scope, "", facts.source_ip)
            message_id = await send_bounce(bounce, OPERATION, caller, self._submission, self._log)
        except ServiceError as error:
            # The account was paused, its sender is verified no more, its quota is used up: somebody may mend it.
            return NotDone(reason=str(error))
        return Done(text=f"bounced to {facts.source} by {message_id}")

    async def by_ourselves(self, facts: MessageFacts, content: bytes, said: Mapping[str, str]) -> str:
        """What nobody will take is told to its sender (RFC 5321 section 6.1); `said`: why, for each recipient. Returns
        what became of it."""
        if reason := why_not_bounced(facts.source, content):
            return f"not bounced: {reason}"
        bounce = self._bounce(facts, content, f"MAILER-DAEMON@{self._service_domain}", said, "5.0.0")
        try:
            message_id = await send_own_bounce(bounce, OPERATION, self._submission, self._log)
        except ServiceError as error:
            # Its envelope sender is no address that we can write to: there is nobody to tell.
            return f"not bounced: {error.message}"
        return f"bounced to {facts.source} by {message_id}"

    def _bounce(self, facts: MessageFacts, content: bytes, sender: str, said: Mapping[str, str], status: str) -> Bounce:
        shown = {recipient: text[:_MAX_SAID] for recipient, text in said.items()}
        return Bounce(
            original=facts,
            content=content,
            sender=parse_mailbox(sender),
            text=explanation(list(shown.items())),
            status=DeliveryStatus(
                reporting_mta=f"dns; inbound-smtp.{facts.scope.region}.{self._service_domain}",
                arrival_date=dsn.date(facts.accepted_ms),
                recipients=tuple(
                    RecipientStatus(
                        final_recipient=recipient,
                        action="failed",
                        status=found[0] if (found := _STATUS.search(text)) else status,
                        diagnostic_code=f"smtp; {text}",
                    )
                    for recipient, text in shown.items()
                ),
            ),
        )
