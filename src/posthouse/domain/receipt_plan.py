"""Which receipt rules apply to a mail, what they do in which order, and why those that do not apply do not.

Source: SES developer guide, "Email receiving concepts" (process) and "Creating receipt rules" (patterns, TLS). Rules
are applied in order, all that match; within a rule its actions in order, once for the mail, with the recipients that
the rule matched. Whether a Stop or a function ends it early shows when the plan is run.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from posthouse.domain.identities import candidates, key_of
from posthouse.domain.receipt_patterns import patterns_of
from posthouse.domain.receipt_rules import Action, ReceiptRule, RuleSet


@dataclass(frozen=True, slots=True)
class Applied:
    recipients: tuple[str, ...]
    """As the envelope has them, in its order."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """The rule is switched off."""


@dataclass(frozen=True, slots=True)
class NoRecipientMatched:
    """None of its patterns means a recipient of this mail."""


@dataclass(frozen=True, slots=True)
class TlsMissing:
    """The rule wants mail over TLS only, and this one came in the clear: SES bounces it for these recipients."""

    recipients: tuple[str, ...]


Outcome = Applied | Disabled | NoRecipientMatched | TlsMissing


@dataclass(frozen=True, slots=True)
class Traced:
    """What became of one rule."""

    rule: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Step:
    """One action to be run."""

    rule: ReceiptRule
    position: int
    """Of the action within its rule, from 0."""
    recipients: tuple[str, ...]

    @property
    def action(self) -> Action:
        return self.rule.actions[self.position]


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    trace: tuple[Traced, ...]
    """Of every rule of the set, in its order."""
    unmatched: tuple[str, ...]
    """Recipients that no enabled rule means."""
    unverified: tuple[str, ...]
    """Recipients that no verified identity of the account covers: no rule is asked about them."""
    refused: tuple[str, ...]
    """Recipients of rules that want TLS and did not get it."""
    scan: bool
    """A rule that applies wants the mail scanned."""


@dataclass(frozen=True, slots=True)
class MailFacts:
    """What rules ask of a mail beside its recipients."""

    tls: bool
    """It came over TLS."""


class RuleIndex:
    """A rule set, turned round so that a recipient finds its rules without asking each one: read once, used for as long
    as the rule set stays as it is."""

    def __init__(self, rule_set: RuleSet) -> None:
        self.rules = rule_set.rules
        self._by_pattern: dict[str, list[int]] = {}
        self._of_all: list[int] = []
        for position, rule in enumerate(rule_set.rules):
            if not rule.enabled:
                continue
            for pattern in rule.recipients or ():
                self._by_pattern.setdefault(pattern, []).append(position)
            if not rule.recipients:
                self._of_all.append(position)

    def matching(self, recipient: str) -> list[int]:
        """Positions of the enabled rules that mean this recipient, ascending."""
        found = set(self._of_all)
        for pattern in patterns_of(recipient):
            found.update(self._by_pattern.get(pattern, ()))
        return sorted(found)


def covered(recipient: str, verified: Collection[str]) -> bool:
    """Whether one of these verified identities (names as they are kept) is the address or a domain above it."""
    return any(key_of(name) in verified for name in candidates(recipient))


def accepts(index: RuleIndex, recipient: str, tls: bool) -> Applied | NoRecipientMatched | TlsMissing:
    """What a recipient is answered at RCPT; that a verified identity covers it is known already."""
    matching = index.matching(recipient)
    if not matching:
        return NoRecipientMatched()
    if not tls and any(index.rules[position].tls_required for position in matching):
        return TlsMissing((recipient,))
    return Applied((recipient,))


def plan(index: RuleIndex, recipients: Sequence[str], verified: Collection[str], facts: MailFacts) -> Plan:
    """The actions of all rules that apply, in order. `verified`: the account's verified identities."""
    matched: dict[int, list[str]] = {}
    unmatched, unverified = [], []
    for recipient in dict.fromkeys(recipients):
        if not covered(recipient, verified):
            unverified.append(recipient)
            continue
        positions = index.matching(recipient)
        if not positions:
            unmatched.append(recipient)
        for position in positions:
            matched.setdefault(position, []).append(recipient)
    judged = [(rule, _outcome(rule, tuple(matched.get(place, ())), facts)) for place, rule in enumerate(index.rules)]
    applied = [(rule, outcome.recipients) for rule, outcome in judged if isinstance(outcome, Applied)]
    refused = (each for _, outcome in judged if isinstance(outcome, TlsMissing) for each in outcome.recipients)
    return Plan(
        steps=tuple(Step(rule, place, those) for rule, those in applied for place in range(len(rule.actions))),
        trace=tuple(Traced(rule.name, outcome) for rule, outcome in judged),
        unmatched=tuple(unmatched),
        unverified=tuple(unverified),
        refused=tuple(dict.fromkeys(refused)),
        scan=any(rule.scan for rule, _ in applied),
    )


def _outcome(rule: ReceiptRule, recipients: tuple[str, ...], facts: MailFacts) -> Outcome:
    if not rule.enabled:
        return Disabled()
    if not recipients:
        return NoRecipientMatched()
    if rule.tls_required and not facts.tls:
        return TlsMissing(recipients)
    return Applied(recipients)
