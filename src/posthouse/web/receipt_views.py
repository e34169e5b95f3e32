"""Receipt rules, filters and trials as the admin API answers them. See `web/views.py`."""

from typing import Any

import msgspec

from posthouse.domain import receipt_rules
from posthouse.domain.scope import Scope
from posthouse.web.query import iso
from posthouse.web.views import Moment, NamedValue


class ReceiptAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule does with a mail."""

    type: str
    """``AddHeader``, ``Bounce``, ``Connect``, ``Lambda``, ``S3``, ``SNS``, ``Stop`` or ``WorkMail``."""
    settings: list[NamedValue]
    """Those that were given."""


class ReceiptRule(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    enabled: bool
    tls_policy: str
    scan: bool
    recipients: list[str]
    """Empty: every recipient."""
    actions: list[ReceiptAction]


class ReceiptRuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """A rule set in a list."""

    name: str
    account: str
    region: str
    created_at: Moment
    active: bool
    rule_count: int


class ReceiptRuleSetList(msgspec.Struct, frozen=True, kw_only=True):
    """By account, region and name."""

    rule_sets: list[ReceiptRuleSet]
    next: str | None


class ReceiptRuleSetDetail(ReceiptRuleSet, frozen=True, kw_only=True):
    """A rule set with its rules in the order they are applied in."""

    rules: list[ReceiptRule]


class ReceiptFilter(msgspec.Struct, frozen=True, kw_only=True):
    """From where mail is taken, or not."""

    name: str
    account: str
    region: str
    policy: str
    """``Allow`` or ``Block``."""
    cidr: str


class ReceiptFilterList(msgspec.Struct, frozen=True, kw_only=True):
    """By account, region and name."""

    filters: list[ReceiptFilter]
    next: str | None


class DoorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is told about a recipient at RCPT, as far as this account goes."""

    recipient: str
    accepted: bool
    reply: str
    """The SMTP reply that refuses it; empty where it is taken."""
    why: str


class RuleTrace(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one rule."""

    rule: str
    applies: bool
    why: str
    recipients: list[str]
    """Those that it applies to."""
    actions: list[ReceiptAction]
    """What it would do, in order; empty where it does not apply."""


class ReceiptPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done with a mail, by the rules as they stand. Nothing is done."""

    account: str
    region: str
    rule_set: str | None
    """The active one; null where none is."""
    recipients: list[DoorAnswer]
    rules: list[RuleTrace]
    """Every rule of the active rule set, in its order, asked about the recipients that were taken."""


def rule_set_fields(scope: Scope, name: str, kept: receipt_rules.RuleSet, active: bool) -> dict[str, Any]:
    """All fields of a `ReceiptRuleSet`."""
    return {
        "name": name,
        "account": scope.account,
        "region": scope.region,
        "created_at": iso(kept.created_ms),
        "active": active,
        "rule_count": len(kept.rules),
    }


def rule_view(rule: receipt_rules.ReceiptRule) -> ReceiptRule:
    return ReceiptRule(
        name=rule.name,
        enabled=rule.enabled,
        tls_policy="Require" if rule.tls_required else "Optional",
        scan=rule.scan,
        recipients=list(rule.recipients or ()),
        actions=[action_view(each) for each in rule.actions],
    )


def action_view(action: receipt_rules.Action) -> ReceiptAction:
    settings = msgspec.to_builtins(action)
    kind = settings.pop("type")
    return ReceiptAction(
        type=kind, settings=[NamedValue(name.replace("_", " "), value) for name, value in settings.items() if value]
    )
