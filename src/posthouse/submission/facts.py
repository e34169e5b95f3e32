"""What every message needs to know of its account and senders, kept in memory for as long as nobody changes any."""

from collections.abc import Sequence
from typing import NamedTuple

from posthouse.domain.accounts import Account
from posthouse.domain.addresses import Mailbox
from posthouse.domain.configuration_sets import ConfigurationSet, is_set_name
from posthouse.domain.identities import candidates, key_of
from posthouse.domain.mail_from import governing, rejects
from posthouse.domain.policies import IdentityPolicies
from posthouse.domain.policy_documents import Policy, read_policy
from posthouse.domain.scope import Scope
from posthouse.domain.sending import is_verified
from posthouse.domain.templates import Template
from posthouse.ports.records import RecordStore
from posthouse.submission.template_contents import TemplateContents

MAX_ENTRIES = 50_000
"""Of one process; a flood of different addresses empties the cache instead of growing it."""

ACCOUNT = "account"
"""The name of the one account record of a scope."""

MAX_SETS = 10_000
"""Configuration sets that are kept; one takes a kilobyte, and mostly much less."""

MAX_TEMPLATES = 10_000
"""Names of templates that are kept with what they stand for."""

MAX_GRANTS = 1000
"""Identities whose policies are kept as they were read; each may have 80 KB of them."""


class Standing(NamedTuple):
    """What the identities of a scope say of an address."""

    verified: bool
    rejects: bool
    """Its custom MAIL FROM domain is broken, and mail is to be refused rather than leave under the default."""
    guard: str = ""
    """The identity it is sent from, where that one's policies forbid something: they may forbid it to its owner."""


class Grant(NamedTuple):
    """What an identity's owner says about its use."""

    verified: bool
    policies: tuple[Policy, ...]


class Facts:
    """Reads through to the records; forgets everything when their version moves, whoever moved it."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._version = -1
        self._accounts: dict[Scope, Account] = {}
        self._standings: dict[tuple[Scope, str], Standing] = {}
        self._grants: dict[tuple[Scope, str], Grant] = {}
        self._sets: dict[tuple[Scope, str], ConfigurationSet] = {}
        self._templates: dict[tuple[Scope, str], Template] = {}
        self.contents = TemplateContents(records)

    async def account(self, scope: Scope) -> Account:
        version = await self._current()
        account = self._accounts.get(scope)
        if account is None:
            async with self._records.reading() as reading:
                account = await reading.accounts.get(scope, ACCOUNT) or Account()
            if version == self._version:
                self._accounts[scope] = account
        return account

    async def template(self, scope: Scope, name: str) -> Template | None:
        version = await self._current()
        template = self._templates.get((scope, name))
        if template is None:
            async with self._records.reading() as reading:
                template = await reading.templates.get(scope, name)
            if template is not None and version == self._version:
                if len(self._templates) >= MAX_TEMPLATES:
                    self._templates.clear()
                self._templates[scope, name] = template
        return template

    async def unverified(self, scope: Scope, mailboxes: Sequence[Mailbox]) -> list[Mailbox]:
        """Those of the mailboxes that no verified identity covers, in their order."""
        await self._current()
        failed = []
        for mailbox in mailboxes:
            standing = self._standings.get((scope, mailbox.address)) or await self._learn(scope, mailbox.address)
            if not standing.verified:
                failed.append(mailbox)
        return failed

    async def rejects(self, scope: Scope, sender: Mailbox) -> bool:
        """True where mail of this sender is to be refused for its MAIL FROM domain. Ask after `unverified`, which
        has found it out on the way."""
        standing = self._standings.get((scope, sender.address)) or await self._learn(scope, sender.address)
        return standing.rejects

    async def guards(self, scope: Scope, senders: Sequence[Mailbox]) -> list[str]:
        """Identities whose policies may forbid mail of these senders even to their owner; hardly ever one. Ask after
        `unverified`, as above."""
        known = self._standings
        found = [known.get((scope, each.address)) or await self._learn(scope, each.address) for each in senders]
        return [standing.guard for standing in found if standing.guard]

    async def grant(self, scope: Scope, name: str) -> Grant:
        """The state and policies of an identity; an unknown one is unverified and has none."""
        version = await self._current()
        grant = self._grants.get((scope, name))
        if grant is None:
            async with self._records.reading() as reading:
                identity = await reading.identities.get(scope, name)
                kept = await reading.identity_policies.get(scope, name)
            grant = Grant(identity is not None and identity.verified, _read(kept))
            if len(self._grants) >= MAX_GRANTS:
                self._grants.clear()
            if version == self._version:
                self._grants[scope, name] = grant
        return grant

    async def configuration_set(self, scope: Scope, name: str) -> ConfigurationSet | None:
        """None where there is none of that name; only those that exist are kept, since others have no end."""
        version = await self._current()
        found = self._sets.get((scope, name))
        if found is None and is_set_name(name):
            async with self._records.reading() as reading:
                found = await reading.configuration_sets.get(scope, name)
            if len(self._sets) >= MAX_SETS:
                self._sets.clear()
            if found is not None and version == self._version:
                self._sets[scope, name] = found
        return found

    async def _learn(self, scope: Scope, address: str) -> Standing:
        version = self._version
        standing = await self._look_up(scope, address)
        # While this one read, another may have noticed a change: what was read then is not kept.
        if version == self._version:
            self._standings[scope, address] = standing
        return standing

    async def _look_up(self, scope: Scope, address: str) -> Standing:
        names = tuple(map(key_of, candidates(address)))
        async with self._records.reading() as reading:
            identities = await reading.identities.get_many(scope, names)
        # The most specific identity that matches is the one that is sent from.
        sender = next((name for name in names if name in identities and identities[name].verified), "")
        policies = (await self.grant(scope, sender)).policies if sender else ()
        return Standing(
            is_verified(address, identities),
            rejects(governing(address, identities)),
            sender if any(policy.denies for policy in policies) else "",
        )

    async def _current(self) -> int:
        """The version that what is kept belongs to; what belonged to another is forgotten."""
        version = await self._records.version()
        if version != self._version or len(self._standings) > MAX_ENTRIES:
            self._accounts.clear()
            self._standings.clear()
            self._grants.clear()
            self._sets.clear()
            self._templates.clear()
            self._version = version
        return version


def _read(kept: IdentityPolicies | None) -> tuple[Policy, ...]:
    return tuple(map(read_policy, kept.documents.values())) if kept is not None else ()
