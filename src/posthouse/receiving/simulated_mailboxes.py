"""What the mailboxes of the simulator write back: an automatic reply, a complaint.

Source: SES developer guide, "Using the mailbox simulator": ooto@ and complaint@ take the mail, then answer by mail (RFC
3834, RFC 5965). They write to the return path as anybody does, by the same way in; what comes of it is not theirs.
"""

from collections.abc import Sequence

from posthouse.domain.messages import MessageFacts
from posthouse.domain.simulator import Box, box_of
from posthouse.mail import arf, auto_reply, dsn
from posthouse.mail.report import Head, Returned
from posthouse.receiving.accept import InboundEnvelope, ReceivingContext, receive

AGENT = "Amazon SES Mailbox Simulator"
"""What SES's own complaints are from (observed)."""
LOOPBACK = "127.0.0.1"


class SimulatedMailboxes:
    """Writes to return paths by the inbox of this installation."""

    def __init__(self, ctx: ReceivingContext) -> None:
        self._ctx = ctx

    async def answer(self, facts: MessageFacts, return_path: str, recipients: Sequence[str], content: bytes) -> None:
        """`recipients`: those of a message that the simulator has just taken; `content`: the bytes that left, empty
        where they were not made yet. Nobody answers what came under the null path (RFC 3834 section 2)."""
        if not return_path:
            return
        for recipient in recipients:
            if box_of(recipient) is Box.OUT_OF_OFFICE:
                await self._write("", return_path, _away(facts, recipient, return_path))
        complaining = [recipient for recipient in recipients if box_of(recipient) is Box.COMPLAINT]
        if complaining:
            complaint = _complaint(facts, complaining, return_path, content)
            await self._write(complaining[0], return_path, complaint)

    async def _write(self, mail_from: str, return_path: str, content: bytes) -> None:
        envelope = InboundEnvelope(
            client_ip=LOOPBACK, helo="mailbox-simulator", mail_from=mail_from, recipients=(return_path,)
        )
        await receive(envelope, content, self._ctx)


def _away(facts: MessageFacts, recipient: str, return_path: str) -> bytes:
    head = Head(from_=recipient, to=return_path, subject=f"Out of the office: {facts.subject}")
    return auto_reply.write(head, "This is an automatic reply of the mailbox simulator: nobody is in the office.")


def _complaint(facts: MessageFacts, recipients: Sequence[str], return_path: str, content: bytes) -> bytes:
    head = Head(from_=recipients[0], to=return_path, subject=f"Complaint about: {facts.subject}", auto_submitted="")
    told = arf.FeedbackReport(
        user_agent=AGENT,
        original_mail_from=return_path,
        original_recipients=tuple(recipients),
        arrival_date=dsn.date(facts.accepted_ms),
        reported_domains=(facts.from_domain,),
    )
    return arf.write(head, "The mailbox simulator says that this is spam.", told, Returned(content, bool(content)))
