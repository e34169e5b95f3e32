"""Receipt rules: what is to be done with mail that comes in, kept in ordered sets of which one is active.

Source: API reference of the operations named ...ReceiptRule... and its data types; SES developer guide, "Email
receiving concepts" and "Service quotas". Texts, and the order in which mistakes are told, as probed on the live
service.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from posthouse.model.errors import InvalidParameterValue
from posthouse.model.generated import (
    AlreadyExistsException,
    CannotDeleteException,
    LimitExceededException,
    RuleDoesNotExistException,
    RuleSetDoesNotExistException,
)

MAX_RULE_SETS = 40
MAX_RULES = 200
MAX_ACTIONS = 10
MAX_PATTERNS = 20_000
"""Recipients of all rules of a set, as many as 200 rules of the 100 that the guide allows each. The live service takes
more in one rule; the doors read the active sets of everybody whenever anything changed, so there is an end."""
MAX_NAME = 64
ACTIVE = "active"
"""The name of the one record of a scope that says which rule set is active."""

# A dot is taken, although the page says otherwise for rule sets (probed); other characters break the service model.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?\Z")


class AddHeader(msgspec.Struct, frozen=True, kw_only=True, tag="AddHeader"):
    """Puts a header field below those that SES adds itself; later actions see it."""

    name: str
    value: str


class Bounce(msgspec.Struct, frozen=True, kw_only=True, tag="Bounce"):
    """Sends the mail back to its envelope sender, as a report from `sender`."""

    reply_code: str
    status_code: str = ""
    """RFC 3463; empty: not given."""
    message: str
    sender: str
    topic: str = ""
    """ARN of the topic that hears of it, here and below; empty: none does."""


class Connect(msgspec.Struct, frozen=True, kw_only=True, tag="Connect"):
    instance: str
    role: str


class Lambda(msgspec.Struct, frozen=True, kw_only=True, tag="Lambda"):
    """Calls a function with what is known of the mail, without its body."""

    function: str
    invocation: str = ""
    """``Event`` or ``RequestResponse``; empty: not given, which means Event."""
    topic: str = ""

    @property
    def decides(self) -> bool:
        """The function is waited for, and its answer may stop the rule or the rule set."""
        return self.invocation == "RequestResponse"


class S3(msgspec.Struct, frozen=True, kw_only=True, tag="S3"):
    """Writes the mail into a bucket."""

    bucket: str
    prefix: str = ""
    kms_key: str = ""
    """ARN of the key whose data keys encrypt the mail before it is written; empty: it is not encrypted."""
    role: str = ""
    """ARN of the role that writes, in place of SES itself."""
    topic: str = ""

    def key(self, message_id: str) -> str:
        """The prefix is a folder, whether it ends in a slash or not (developer guide, "Deliver to S3 bucket")."""
        slash = "/" if self.prefix and not self.prefix.endswith("/") else ""
        return f"{self.prefix}{slash}{message_id}"


class Sns(msgspec.Struct, frozen=True, kw_only=True, tag="SNS"):
    """Publishes the whole mail."""

    topic: str
    encoding: str = "UTF-8"
    """``UTF-8`` or ``Base64``."""


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="Stop"):
    """Ends the rule set, for there is no other scope: no rule below is applied."""

    topic: str = ""


class WorkMail(msgspec.Struct, frozen=True, kw_only=True, tag="WorkMail"):
    """Puts the mail into the mailboxes of its recipients."""

    organization: str
    topic: str = ""


Action = AddHeader | Bounce | Connect | Lambda | S3 | Sns | Stop | WorkMail


def kind_of(action: Action) -> str:
    """``S3``, ``SNS`` ..."""
    return str(action.__struct_config__.tag)


class ReceiptRule(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    enabled: bool = False
    tls_required: bool = False
    recipients: tuple[str, ...] | None = None
    """Patterns (domain/receipt_patterns.py), sorted; none given, and none in the list: every recipient."""
    scan: bool = False
    """Mail that this rule applies to is scanned for spam and viruses."""
    actions: tuple[Action, ...] = ()


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """Kept under its name."""

    created_ms: int
    rules: tuple[ReceiptRule, ...] = ()
    """In the order in which they are applied."""


class ActiveRuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """Which rule set of a scope is active; no record: none is."""

    name: str


def check_rule_set_name(name: str) -> None:
    if not is_name(name):
        raise InvalidParameterValue(f"Not a valid ruleSetName: {name}")


def check_rule_name(name: str) -> None:
    if not is_name(name):
        raise InvalidParameterValue(f"Not a valid ruleName: {name}")


def is_name(text: str) -> bool:
    """Of a rule, a rule set or a filter."""
    return len(text) <= MAX_NAME and _NAME.match(text) is not None


def no_such_rule_set(name: str) -> RuleSetDoesNotExistException:
    return RuleSetDoesNotExistException(f"Rule set does not exist: {name}", name=name)


def no_such_rule(name: str) -> RuleDoesNotExistException:
    return RuleDoesNotExistException(f"Rule does not exist: {name}", name=name)


def check_new_rule_set(name: str, exists: bool, count: int) -> None:
    """`count`: of the rule sets that are there already."""
    if exists:
        raise AlreadyExistsException(f"Rule set already exists: {name}", name=name)
    if count >= MAX_RULE_SETS:
        raise LimitExceededException("Too many rule sets")


def check_not_active(name: str, active: ActiveRuleSet | None) -> None:
    """The active rule set cannot be deleted."""
    if active is not None and active.name == name:
        raise CannotDeleteException(f"Cannot delete active rule set: {name}", name=name)


def with_new_rule(rule_set: RuleSet, rule: ReceiptRule, after: str | None) -> RuleSet:
    """Behind the rule named, or in front of all where none is."""
    rules = rule_set.rules
    if any(each.name == rule.name for each in rules):
        raise AlreadyExistsException(f"Rule already exists: {rule.name}", name=rule.name)
    if len(rules) >= MAX_RULES:
        raise LimitExceededException("Too many rules")
    return _bounded(_with_rules(rule_set, _inserted(rules, rule, after)))


def with_changed_rule(rule_set: RuleSet, rule: ReceiptRule) -> RuleSet:
    """The rule of that name replaced as a whole, where it stands."""
    position = _position(rule_set.rules, rule.name)
    return _bounded(_with_rules(rule_set, (*rule_set.rules[:position], rule, *rule_set.rules[position + 1 :])))


def without_rule(rule_set: RuleSet, name: str) -> RuleSet:
    """As it is where there is no such rule."""
    return _with_rules(rule_set, (rule for rule in rule_set.rules if rule.name != name))


def with_rule_moved(rule_set: RuleSet, name: str, after: str | None) -> RuleSet:
    """Behind the rule named, or to the front; after itself, nothing moves (probed)."""
    moved = find_rule(rule_set, name)
    if after == name:
        return rule_set
    if after is not None:
        find_rule(rule_set, after)
    return _with_rules(rule_set, _inserted(without_rule(rule_set, name).rules, moved, after))


def reordered(rule_set: RuleSet, names: Sequence[str]) -> RuleSet:
    """Every rule must be given its place: twice placed, not placed, not there is told in this order (probed)."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        if name in places:
            raise InvalidParameterValue(f"Multiple positions found for rule: {name}")
        places[name] = place
    rules = {rule.name: rule for rule in rule_set.rules}
    if missing := [name for name in rules if name not in places]:
        raise InvalidParameterValue(f"Positions for rules not found: {', '.join(missing)}")
    for name in names:
        if name not in rules:
            raise no_such_rule(name)
    return _with_rules(rule_set, (rules[name] for name in names))


def find_rule(rule_set: RuleSet, name: str) -> ReceiptRule:
    """Raises RuleDoesNotExistException where there is none of that name."""
    return rule_set.rules[_position(rule_set.rules, name)]


def _position(rules: Sequence[ReceiptRule], name: str) -> int:
    for position, rule in enumerate(rules):
        if rule.name == name:
            return position
    raise no_such_rule(name)


def _inserted(rules: tuple[ReceiptRule, ...], rule: ReceiptRule, after: str | None) -> tuple[ReceiptRule, ...]:
    position = 0 if after is None else _position(rules, after) + 1
    return (*rules[:position], rule, *rules[position:])


def _bounded(rule_set: RuleSet) -> RuleSet:
    if sum(len(rule.recipients or ()) for rule in rule_set.rules) > MAX_PATTERNS:
        raise LimitExceededException("Too many recipients")
    return rule_set


def _with_rules(rule_set: RuleSet, rules: Iterable[ReceiptRule]) -> RuleSet:
    return msgspec.structs.replace(rule_set, rules=tuple(rules))
