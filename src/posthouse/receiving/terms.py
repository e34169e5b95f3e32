"""What one account asks of mail to some recipients: read for somebody who wonders, where the door keeps it for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.domain.identities import candidates, key_of
from posthouse.domain.receipt_filters import MAX_FILTERS, Network, Policy, network
from posthouse.domain.receipt_plan import MailFacts, Plan, RuleIndex, covered, plan
from posthouse.domain.receipt_rules import ACTIVE, RuleSet
from posthouse.domain.scope import Scope
from posthouse.ports.records import RecordStore
from posthouse.receiving.recipients import Unwanted, objection


@dataclass(frozen=True, slots=True)
class Terms:
    rule_set: str
    """The name of the active one; empty: none is."""
    rules: RuleSet | None
    """What is in it."""
    index: RuleIndex | None
    """The same, turned round."""
    verified: frozenset[str]
    """Those of the account's verified identities that may cover one of the recipients."""
    filters: tuple[tuple[Network, Policy], ...]
    require_rule: bool

    def against(self, recipient: str, client_ip: str, tls: bool) -> Unwanted | None:
        """None: the account takes it."""
        if not covered(recipient, self.verified):
            return Unwanted.UNKNOWN
        return objection(self.index, self.filters, self.require_rule, recipient, client_ip, tls)

    def plan(self, recipients: Sequence[str], facts: MailFacts) -> Plan | None:
        """None where no rule set is active."""
        return plan(self.index, recipients, self.verified, facts) if self.index is not None else None


async def terms_of(scope: Scope, recipients: Sequence[str], records: RecordStore, require_rule: bool) -> Terms:
    names = {key_of(name) for recipient in recipients for name in candidates(recipient)}
    async with records.reading() as reading:
        identities = await reading.identities.get_many(scope, names)
        active = await reading.active_rule_sets.get(scope, ACTIVE)
        rules = await reading.receipt_rule_sets.get(scope, active.name) if active is not None else None
        filters = [kept for _, kept in await reading.receipt_filters.page(scope, "", MAX_FILTERS)]
    blocks = ((network(kept.cidr), kept.policy) for kept in filters)
    return Terms(
        rule_set=active.name if active is not None and rules is not None else "",
        rules=rules,
        index=RuleIndex(rules) if rules is not None else None,
        verified=frozenset(name for name, identity in identities.items() if identity.verified),
        filters=tuple((block, policy) for block, policy in blocks if block is not None),
        require_rule=require_rule,
    )
