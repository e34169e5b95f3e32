"""Who may be written to, from where: addresses that somebody here has proven to be his, and has a receipt rule for.

Source: SES developer guide, "Email receiving concepts": the client's address is looked at first, then whether a rule of
the active rule set means the recipient; everything else is refused at RCPT, so that nothing bounces later to a forged
sender. Several accounts may hold one domain, and each goes by its own filters and rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from posthouse.domain.identities import candidates, key_of
from posthouse.domain.receipt_filters import Network, Policy, address, decide, network
from posthouse.domain.receipt_plan import Applied, MailFacts, Plan, RuleIndex, TlsMissing, accepts, plan
from posthouse.domain.scope import Scope
from posthouse.ports.records import RecordStore, Transaction
from posthouse.wire.smtp_reply import Reply, reply


@dataclass(frozen=True, slots=True)
class Wanted:
    scopes: tuple[Scope, ...]
    """The accounts, in their regions, that take the mail; each keeps its own."""


@dataclass(frozen=True, slots=True)
class Planned:
    rule_set: str
    """The name of the one that is active."""
    plan: Plan


class Unwanted(Enum):
    """Why no account takes it, as the client is told."""

    TLS_MISSING = reply(530, "Must issue a STARTTLS command first", "5.7.0")
    """RFC 3207 section 4; a rule with the TLS policy Require."""
    BLOCKED = reply(550, "Client host blocked by an IP address filter of the recipient", "5.7.1")
    UNKNOWN = reply(550, "mailbox unavailable", "5.1.1")

    @property
    def refusal(self) -> Reply:
        return self.value


class Recipients:
    """Verified identities, active rules and filters of all accounts; read again when any record changed."""

    def __init__(self, records: RecordStore, require_rule: bool) -> None:
        """`require_rule`: False: an account without an active rule set takes mail for all its verified identities."""
        self._records = records
        self._require_rule = require_rule
        self._version = -1
        self._holders: dict[str, tuple[Scope, ...]] = {}
        self._verified: dict[Scope, set[str]] = {}
        self._rules: dict[Scope, RuleIndex] = {}
        self._active: dict[Scope, str] = {}
        self._filters: dict[Scope, list[tuple[Network, Policy]]] = {}

    async def judge(self, recipient: str, client_ip: str, tls: bool) -> Wanted | Unwanted:
        """Which accounts take mail for this recipient from this client."""
        await self._refresh()
        holders: dict[Scope, None] = {}
        for name in candidates(recipient):
            holders.update(dict.fromkeys(self._holders.get(key_of(name), ())))
        against = {scope: self._against(scope, recipient, client_ip, tls) for scope in holders}
        if wanted := tuple(scope for scope, reason in against.items() if reason is None):
            return Wanted(wanted)
        # What the client can do something about goes first.
        return next((reason for reason in Unwanted if reason in against.values()), Unwanted.UNKNOWN)

    def _against(self, scope: Scope, recipient: str, client_ip: str, tls: bool) -> Unwanted | None:
        return objection(
            self._rules.get(scope), self._filters.get(scope, ()), self._require_rule, recipient, client_ip, tls
        )

    async def plan(self, scope: Scope, recipients: Sequence[str], facts: MailFacts) -> Planned | None:
        """What the account's active rules do with a mail; None where no rule set is active."""
        await self._refresh()
        rules = self._rules.get(scope)
        if rules is None:
            return None
        return Planned(self._active[scope], plan(rules, recipients, self._verified.get(scope, set()), facts))

    async def _refresh(self) -> None:
        version = await self._records.version()
        if version != self._version:
            async with self._records.reading() as reading:
                await self._read(reading)
            self._version = version

    async def _read(self, reading: Transaction) -> None:
        holders: dict[str, tuple[Scope, ...]] = {}
        verified: dict[Scope, set[str]] = {}
        for scope, name, identity in await reading.identities.everywhere():
            if identity.verified:
                holders[name] = (*holders.get(name, ()), scope)
                verified.setdefault(scope, set()).add(name)
        rules: dict[Scope, RuleIndex] = {}
        names: dict[Scope, str] = {}
        for scope, _, active in await reading.active_rule_sets.everywhere():
            if (rule_set := await reading.receipt_rule_sets.get(scope, active.name)) is not None:
                rules[scope], names[scope] = RuleIndex(rule_set), active.name
        filters: dict[Scope, list[tuple[Network, Policy]]] = {}
        for scope, _, kept in await reading.receipt_filters.everywhere():
            if (block := network(kept.cidr)) is not None:
                filters.setdefault(scope, []).append((block, kept.policy))
        self._holders, self._verified, self._rules, self._filters = holders, verified, rules, filters
        self._active = names


def objection(
    rules: RuleIndex | None,
    filters: Sequence[tuple[Network, Policy]],
    require_rule: bool,
    recipient: str,
    client_ip: str,
    tls: bool,
) -> Unwanted | None:
    """What an account, one of whose verified identities covers the recipient, has against it; None: it takes it.
    `rules`: of its active rule set, if there is one."""
    if filters and decide(filters, address(client_ip)) is Policy.BLOCK:
        return Unwanted.BLOCKED
    if rules is None:
        return Unwanted.UNKNOWN if require_rule else None
    match accepts(rules, recipient, tls):
        case Applied():
            return None
        case TlsMissing():
            return Unwanted.TLS_MISSING
        case _:
            return Unwanted.UNKNOWN
