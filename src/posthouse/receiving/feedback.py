"""Mail to the return path of a message of ours: at the door, and from the inbox to events of that message.

A return path names its message and carries a signature (mail/verp.py): who can write to one has had the message, or
knows somebody who has. Nothing is ever answered, so that no report of ours meets a report of theirs (RFC 3834 section
2, RFC 3464 section 2), and no receipt rule sees it.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from posthouse.domain.events import Event, EventType, LoggedEvent
from posthouse.domain.feedback import LateBounce, LateComplaint, Meaning, meaning, told_by
from posthouse.domain.identities import candidates, key_of
from posthouse.domain.mail_from import may_have_left_under, sender_of
from posthouse.domain.messages import Direction, MessageFacts, StoredMessage, domain_of
from posthouse.domain.simulator import count_simulated
from posthouse.mail import verp
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import Basis, ClaimedMail, EventLog, MailSettlement, Messages
from posthouse.ports.records import RecordStore
from posthouse.receiving import events, reports
from posthouse.receiving.reports import ReadReport

MAX_AGE_MS = 14 * 24 * 60 * 60 * 1000
"""Of a message that may still be reported about. Most servers give up after five days (RFC 5321 section 4.5.4.1), and
complaints come within a few; what comes later is likelier a harvested address."""


class FeedbackAddresses:
    """The return paths of this installation."""

    def __init__(
        self, messages: Messages, records: RecordStore, clock: Clock, *, service_domain: str, key: bytes
    ) -> None:
        """`key`: what return paths are signed with."""
        self._messages, self._records, self._clock = messages, records, clock
        self._service_domain, self._key = service_domain, key

    def is_one(self, address: str) -> bool:
        """True for what has the form of one, whoever wrote it: it is nobody's own address."""
        return verp.is_shaped(address.rpartition("@")[0])

    async def original(self, address: str) -> StoredMessage | None:
        """The message whose return path this is, as the door asks; None for a forged or edited one, and for a message
        that is gone, too old, or has not left under that domain."""
        message = await self.named_by(address)
        if message is None or self._clock.now_ms() - message.facts.accepted_ms > MAX_AGE_MS:
            return None
        return message if await self._is_ours(domain_of(address), message.facts) else None

    async def named_by(self, address: str) -> StoredMessage | None:
        """The message that a return path names, as is asked of what was taken: whatever has changed since."""
        message_id = verp.read(address.rpartition("@")[0], self._key)
        message = None if message_id is None else await self._messages.find(message_id)
        return message if message is not None and message.facts.direction is Direction.OUT else None

    async def _is_ours(self, domain: str, facts: MessageFacts) -> bool:
        if domain == f"{facts.scope.region}.{self._service_domain}":
            return True
        # Not where return_paths would send it from now: a MAIL FROM domain may have been changed since.
        names = map(key_of, candidates(sender_of(facts)))
        async with self._records.reading() as reading:
            identities = await reading.identities.get_many(facts.identity_scope, names)
        return may_have_left_under(domain, identities)


class FeedbackReader:
    """Reads reports out of the inbox."""

    def __init__(
        self, addresses: FeedbackAddresses, log: EventLog, clock: Clock, simulators: frozenset[str] = frozenset()
    ) -> None:
        """`simulators`: domains of the mailbox simulator, whose reports count in no reputation."""
        self._addresses, self._log, self._clock, self._simulators = addresses, log, clock, simulators

    async def handle(self, mail: ClaimedMail, content: bytes) -> MailSettlement:
        """The report as events of the message that it is about; see receiving/worker.Handle."""
        facts = mail.facts
        [address] = mail.recipients
        original = await self._addresses.named_by(address)
        if original is None:
            outcome = "the message that it is about is gone"
            return _settlement(mail, events.report_read(facts, mail.recipients, "", "mail", outcome))
        read = await _read(content, facts.source)
        logged = await self._log.of_message(original.facts.scope, original.facts.message_id)
        found = _meaning(read, original, logged)
        told = [self._event(each, original.facts, mail, read, logged) for each in found.found]
        about = original.facts.message_id
        told.append(events.report_read(facts, mail.recipients, about, read.kind, found.outcome))
        # Another process may be reading another report about the same message: it is told once.
        return _settlement(mail, *told, basis=Basis(about, logged[-1].seq if logged else 0))

    def _event(
        self,
        found: LateBounce | LateComplaint,
        original: MessageFacts,
        mail: ClaimedMail,
        read: ReadReport,
        logged: Sequence[LoggedEvent],
    ) -> Event:
        event = self._plain(found, original, mail, read, logged)
        simulated = count_simulated(event.recipients, self._simulators)
        return msgspec.structs.replace(event, simulated=simulated, uncounted=original.system)

    def _plain(
        self,
        found: LateBounce | LateComplaint,
        original: MessageFacts,
        mail: ClaimedMail,
        read: ReadReport,
        logged: Sequence[LoggedEvent],
    ) -> Event:
        at_ms, report_id = self._clock.now_ms(), mail.facts.message_id
        if isinstance(found, LateComplaint):
            return events.complaint(original, found, at_ms, report_id)
        return events.late_bounce(
            original,
            found,
            at_ms,
            reporting_mta=read.reporting_mta,
            remote_ip=_delivered_to(found.recipients[0].recipient, logged),
            report_message_id=report_id,
        )


async def _read(content: bytes, mail_from: str) -> ReadReport:
    return await asyncio.to_thread(reports.read, content, mail_from)


def _meaning(read: ReadReport, original: StoredMessage, logged: Sequence[LoggedEvent]) -> Meaning:
    if read.report is None:
        return Meaning((), "it reports nothing")
    recipients = [each.recipient for each in original.recipients]
    return meaning(read.report, recipients, told_by(each.event for each in logged))


def _delivered_to(recipient: str, logged: Sequence[LoggedEvent]) -> str:
    """The address of the server that took the message for this recipient; empty where none did."""
    for each in reversed(logged):
        if each.event.type is EventType.DELIVERY and recipient in each.event.recipients:
            found = each.event.detail.get("remote_ip")
            return found if isinstance(found, str) else ""
    return ""


def _settlement(mail: ClaimedMail, *told: Event, basis: Basis | None = None) -> MailSettlement:
    return MailSettlement(mail.facts.scope, mail.facts.message_id, told, basis=basis)
