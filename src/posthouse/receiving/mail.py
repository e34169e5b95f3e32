"""Mail for somebody here, from the inbox through the receipt rules that were active when it came.

The plan was made at the door (accept.receive) and came with the mail. Verdicts are found out once, then action follows
action; after each one, how far the mail came is written down with what was done, so that a crash repeats at most the
action in flight. What fails is tried again, later and later, for four hours, and then dropped: told by an event and
counted.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from posthouse.domain.events import Event
from posthouse.domain.messages import MessageFacts
from posthouse.domain.receipt_progress import (
    Done,
    Hopeless,
    KeptRule,
    NotDone,
    Outcome,
    Progress,
    after_done,
    after_dropped,
    after_failure,
    after_told,
)
from posthouse.domain.receipt_rules import Action, kind_of
from posthouse.domain.verdicts import Verdicts
from posthouse.mail.headers import field
from posthouse.mail.verdict_headers import added_head, receipt_token, with_verdicts
from posthouse.observe import Metrics
from posthouse.ports.clock import Clock
from posthouse.ports.mailstore import ClaimedMail, Inbox, MailSettlement, Settled
from posthouse.receiving import events
from posthouse.receiving.actions import Actions, Job
from posthouse.receiving.inspection import InspectedMail
from posthouse.receiving.worker import keep

ACTIONS = "posthouse_receipt_actions_total"
"""Results: ``success``, ``failure`` (to be tried again) and ``expired`` (dropped), as SES's metrics PublishSuccess,
PublishFailure and PublishExpired."""

log = logging.getLogger("posthouse.receiving")


class Inspect(Protocol):
    async def __call__(self, content: bytes, mail: InspectedMail, *, scan: bool) -> Verdicts: ...


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one mail: what stays the same during it."""

    mail: ClaimedMail
    content: bytes

    @property
    def facts(self) -> MessageFacts:
        return self.mail.facts


class MailHandler:
    """worker.Handle for mail that receipt rules apply to."""

    def __init__(
        self,
        *,
        actions: Actions,
        inspect: Inspect,
        inbox: Inbox,
        owner: str,
        clock: Clock,
        service_domain: str,
        receipt_key: Callable[[], bytes],
        metrics: Metrics | None = None,
    ) -> None:
        """`owner`: the worker that holds the mails. `receipt_key`: what X-SES-RECEIPT is made with."""
        self._actions, self._inspect, self._inbox, self._owner, self._clock = actions, inspect, inbox, owner, clock
        self._service_domain, self._receipt_key = service_domain, receipt_key
        self._metrics = metrics or Metrics()
        self._metrics.describe(ACTIONS, "counter", "actions of receipt rules, by action and result")

    async def handle(self, mail: ClaimedMail, content: bytes) -> MailSettlement:
        if not mail.stage:
            return await keep(mail, content)
        look = Look(mail, content)
        told: list[Event] = []
        progress = msgspec.json.decode(mail.stage, type=Progress)
        if progress.verdicts is None:
            progress = await self._inspected(look, progress, told)
        while (current := progress.current) is not None:
            if told:
                # Before anything is done: what was found out is not asked for again, what was done is not done again.
                if not await self._keep(look, progress, told):
                    # Somebody else has it now; this look settles nothing.
                    return self._settlement(look, [])
                told = []
            progress, due_ms = await self._advance(look, progress, *current, told)
            if due_ms is not None:
                return self._settlement(look, told, due_ms=due_ms, stage=_written(progress))
        return self._settlement(look, told)

    async def _inspected(self, look: Look, progress: Progress, told: list[Event]) -> Progress:
        facts, recipients = look.facts, look.mail.recipients
        mail = InspectedMail(
            message_id=facts.message_id,
            client_ip=facts.source_ip,
            helo=facts.helo,
            mail_from=facts.source,
            recipients=recipients,
        )
        verdicts = await self._inspect(look.content, mail, scan=progress.scan)
        told.append(events.rules_applied(facts, recipients, progress, verdicts, last=progress.current is None))
        return msgspec.structs.replace(progress, verdicts=verdicts, told=())

    async def _advance(
        self, look: Look, progress: Progress, rule: KeptRule, action: Action, told: list[Event]
    ) -> tuple[Progress, int | None]:
        """What is in hand is done, or put off until then, or dropped."""
        job = self._job(look, progress, rule)
        telling = progress.acted
        outcome: Outcome = await (self._actions.tell(action, job) if telling else self._actions.run(action, job))
        now_ms, due_ms = self._clock.now_ms(), None
        match outcome:
            case Done():
                result, text = events.DONE, outcome.text
                progress = after_told(progress) if telling else after_done(progress, outcome)
            case NotDone():
                failed, text = after_failure(progress, now_ms, outcome.left), outcome.reason
                result = events.AGAIN if failed else events.EXPIRED
                progress, due_ms = failed or (after_dropped(progress), None)
            case Hopeless():
                result, text = events.FAILED, outcome.reason
                progress = after_dropped(progress)
                if outcome.bounced:
                    progress = msgspec.structs.replace(progress, bounced=True)
        # What functions and mail stores say may have many lines; events and the log have one.
        text = " ".join(text.split())
        self._count(action, result, text, look)
        told.append(
            events.action_run(
                look.facts,
                job.recipients,
                events.Run(rule.name, action, telling, result, text, due_ms, last=progress.current is None),
                now_ms,
            )
        )
        return progress, due_ms

    def _job(self, look: Look, progress: Progress, rule: KeptRule) -> Job:
        facts = look.facts
        assert progress.verdicts is not None  # they are found out before the first action
        verdicts = progress.verdicts.for_rule(rule.scan)
        scope = f"{facts.scope.account}/{facts.scope.region}"
        receipt = receipt_token(self._receipt_key(), facts.message_id, scope, verdicts)
        added = b"".join(field(each.name, each.value).raw for each in progress.added)
        head = added_head(verdicts, self._service_domain, receipt) + added
        content = with_verdicts(look.content, head, self._service_domain)
        matched = look.mail.recipients if rule.recipients is None else rule.recipients
        left = matched if progress.left is None else progress.left
        return Job(facts, rule.name, matched, left, verdicts, content, progress.bounced)

    def _count(self, action: Action, result: str, text: str, look: Look) -> None:
        name = kind_of(action)
        self._metrics.add(ACTIONS, action=name, result=_RESULTS[result])
        if result != events.DONE:
            log.warning("%s of %s: %s: %s", name, look.facts.message_id, result, text)

    async def _keep(self, look: Look, progress: Progress, told: list[Event]) -> bool:
        settlement = self._settlement(look, told, stage=_written(progress), holds=True)
        [settled] = await self._inbox.settle(self._owner, [settlement])
        return settled is Settled.WRITTEN

    @staticmethod
    def _settlement(
        look: Look, told: list[Event], *, due_ms: int | None = None, stage: str = "", holds: bool = False
    ) -> MailSettlement:
        facts = look.facts
        return MailSettlement(facts.scope, facts.message_id, tuple(told), due_ms, stage, holds)


_RESULTS = {
    events.DONE: "success",
    events.AGAIN: "failure",
    events.EXPIRED: "expired",
    events.FAILED: "expired",
}


def _written(progress: Progress) -> str:
    return msgspec.json.encode(progress).decode()
