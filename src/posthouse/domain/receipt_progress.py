"""How far the receipt rules of one mail have come: what is kept between two looks at it, and what each outcome makes of
it.

A rule set is planned once, when the mail is received (SES developer guide: the active one then), and the plan goes
with the mail: a rule changed later changes nothing about it. Actions run one after the other; the next one of a rule
only where the last one was done. What fails is tried again for four hours (SES reference 24.5), then dropped with the
rest of its rule. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec
from msgspec.structs import replace

from posthouse.domain.receipt_plan import Applied, Disabled, NoRecipientMatched, Plan, TlsMissing
from posthouse.domain.receipt_rules import Action, AddHeader, Connect, Sns
from posthouse.domain.verdicts import Verdicts

FIRST_RETRY_MS, LAST_RETRY_MS = 5_000, 10 * 60_000
"""Doubled each time."""
GIVE_UP_MS = 4 * 60 * 60 * 1000
MAX_TOLD = 10
"""Recipients of a rule that are told of; those that it is applied to are all of them."""


class KeptRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that applies, as it was when the mail came."""

    name: str
    recipients: tuple[str, ...] | None
    """None: all of the mail. A mail may have a thousand, and a set two hundred rules that take them all."""
    scan: bool
    actions: tuple[Action, ...]


class RuleTold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one rule of the set, for who asks."""

    rule: str
    outcome: str
    recipients: tuple[str, ...] = ()
    """The first of those that it means."""


class Header(msgspec.Struct, frozen=True):
    name: str
    value: str


class Ends(Enum):
    """What an action that was done ends, beside itself."""

    NOTHING = "nothing"
    RULE = "rule"
    RULE_SET = "rule set"


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kept with the mail in the inbox, as JSON."""

    rule_set: str
    rules: tuple[KeptRule, ...]
    told: tuple[RuleTold, ...] = ()
    """Until the event log has it."""
    scan: bool = False
    """A rule wants the mail scanned."""
    verdicts: Verdicts | None = None
    """None: nobody has looked yet."""
    rule: int = 0
    action: int = 0
    """The action in hand."""
    acted: bool = False
    """It was done; its topic is yet to hear of it."""
    ends: Ends = Ends.NOTHING
    """What follows from it, once its topic has heard."""
    left: tuple[str, ...] | None = None
    """Recipients it is yet to be done for; None: all."""
    added: tuple[Header, ...] = ()
    """By AddHeader, in order."""
    bounced: bool = False
    """Its sender has been told that it is too large: once is enough."""
    tries: int = 0
    """That failed, of what is in hand."""
    failing_since_ms: int = 0

    @property
    def current(self) -> tuple[KeptRule, Action] | None:
        """What is in hand; None: all is done."""
        if self.rule >= len(self.rules):
            return None
        rule = self.rules[self.rule]
        return rule, rule.actions[self.action]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    text: str = ""
    """What was done, in words."""
    ends: Ends = Ends.NOTHING
    added: Header | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """It may be tried again."""

    reason: str
    left: tuple[str, ...] | None = None
    """Recipients it is yet to be done for; None: all that were left before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hopeless:
    """It will never be done for this mail."""

    reason: str
    bounced: bool = False
    """Its sender has been told."""


Outcome = Done | NotDone | Hopeless


def begun(plan: Plan, rule_set: str, recipients: Sequence[str]) -> Progress:
    """`recipients`: of the mail."""
    everybody = tuple(recipients)
    rules: dict[str, KeptRule] = {}
    for step in plan.steps:
        rule = step.rule
        rules.setdefault(
            rule.name,
            KeptRule(
                name=rule.name,
                recipients=None if step.recipients == everybody else step.recipients,
                scan=rule.scan,
                actions=rule.actions,
            ),
        )
    told = []
    for traced in plan.trace:
        match traced.outcome:
            case Applied(recipients):
                told.append(RuleTold(rule=traced.rule, outcome="applies", recipients=recipients[:MAX_TOLD]))
            case Disabled():
                told.append(RuleTold(rule=traced.rule, outcome="is disabled"))
            case NoRecipientMatched():
                told.append(RuleTold(rule=traced.rule, outcome="matches no recipient"))
            case TlsMissing(recipients):
                told.append(RuleTold(rule=traced.rule, outcome="wants TLS", recipients=recipients[:MAX_TOLD]))
    return Progress(rule_set=rule_set, rules=tuple(rules.values()), told=tuple(told), scan=plan.scan)


def topic_to_tell(action: Action) -> str:
    """The topic that hears of an action once it is done; empty: none does. An SNS action is its own notification."""
    return "" if isinstance(action, AddHeader | Connect | Sns) else action.topic


def after_done(progress: Progress, done: Done) -> Progress:
    """The action was done. Where a topic is to hear of it, that comes before the next one."""
    _, action = _in_hand(progress)
    if done.added is not None:
        progress = replace(progress, added=(*progress.added, done.added))
    if topic_to_tell(action):
        return _afresh(progress, acted=True, ends=done.ends)
    return after_told(replace(progress, ends=done.ends))


def after_told(progress: Progress) -> Progress:
    """Nothing is left to be done about the action in hand."""
    if progress.ends is Ends.RULE_SET:
        return _afresh(progress, rule=len(progress.rules), action=0)
    rule, _ = _in_hand(progress)
    if progress.ends is Ends.RULE or progress.action + 1 >= len(rule.actions):
        return _afresh(progress, rule=progress.rule + 1, action=0)
    return _afresh(progress, action=progress.action + 1)


def after_dropped(progress: Progress) -> Progress:
    """The action in hand was given up: the rest of its rule goes with it. Where only its topic has not heard, the
    action itself was done, and all goes on."""
    if progress.acted:
        return after_told(progress)
    return _afresh(progress, rule=progress.rule + 1, action=0)


def after_failure(progress: Progress, now_ms: int, left: tuple[str, ...] | None) -> tuple[Progress, int] | None:
    """What is in hand failed: the progress to keep, and when to try again; None: it has failed for long enough."""
    since_ms = progress.failing_since_ms or now_ms
    if now_ms - since_ms >= GIVE_UP_MS:
        return None
    wait_ms = min(LAST_RETRY_MS, FIRST_RETRY_MS << min(progress.tries, 10))
    kept = replace(
        progress,
        tries=progress.tries + 1,
        failing_since_ms=since_ms,
        left=progress.left if left is None else left,
    )
    return kept, now_ms + wait_ms


def _in_hand(progress: Progress) -> tuple[KeptRule, Action]:
    current = progress.current
    assert current is not None
    return current


def _afresh(
    progress: Progress,
    *,
    rule: int | None = None,
    action: int | None = None,
    acted: bool = False,
    ends: Ends = Ends.NOTHING,
) -> Progress:
    """Something else is in hand, and it has not failed yet."""
    return replace(
        progress,
        rule=progress.rule if rule is None else rule,
        action=progress.action if action is None else action,
        acted=acted,
        ends=ends,
        left=None,
        tries=0,
        failing_since_ms=0,
    )
