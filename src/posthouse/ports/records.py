"""Settings that an account owns: identities, accounts, and whatever else is looked up by name.

One port for all kinds: a record is an immutable value with a name in a scope. Reading and changing one happens inside
a transaction, so that a rule can look before it writes.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import msgspec

from posthouse.domain.accounts import Account
from posthouse.domain.configuration_sets import ConfigurationSet
from posthouse.domain.identities import Identity
from posthouse.domain.policies import IdentityPolicies
from posthouse.domain.receipt_filters import ReceiptFilter
from posthouse.domain.receipt_rules import ActiveRuleSet, RuleSet
from posthouse.domain.scope import Scope
from posthouse.domain.templates import ReplacedContent, Template, TemplateContent
from posthouse.domain.verification import VerificationContent, VerificationTemplate

R = TypeVar("R", bound=msgspec.Struct)


class Records(Protocol[R]):
    """Records of one kind."""

    async def get(self, scope: Scope, name: str) -> R | None: ...

    async def get_many(self, scope: Scope, names: Iterable[str]) -> dict[str, R]:
        """Those of the names that exist."""
        ...

    async def put(self, scope: Scope, name: str, record: R) -> None:
        """Creates or replaces."""
        ...

    async def delete(self, scope: Scope, name: str) -> bool:
        """True where there was one."""
        ...

    async def page(self, scope: Scope, after: str, limit: int) -> Sequence[tuple[str, R]]:
        """Up to `limit` (name, record) pairs with a name greater than `after`, by name in code point order."""
        ...

    async def count(self, scope: Scope) -> int: ...

    async def everywhere(self) -> Sequence[tuple[Scope, str, R]]:
        """All records of this kind in every scope: for operators and upkeep, never for a caller."""
        ...


SERVICE_SCOPE = Scope("", "")
"""Whose keys sign for the service domain: nobody's but the installation's."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A DKIM key pair of an identity; the private half is sealed wherever it rests."""

    scope: Scope
    """Account and region of the identity; SERVICE_SCOPE for the service domain's own."""
    domain: str
    token: str
    """The selector."""
    algorithm: str
    """``rsa-sha256`` or ``ed25519-sha256``."""
    private_pem: bytes
    public_record: str
    """The value of the TXT record that publishes it."""
    created_ms: int


class SigningKeys(Protocol):
    async def add(self, keys: Sequence[SigningKey]) -> None: ...

    async def of(self, scope: Scope, domain: str) -> Sequence[SigningKey]:
        """In order of creation."""
        ...

    async def find(self, token: str) -> SigningKey | None: ...

    async def replace(self, key: SigningKey) -> None:
        """A new key pair under a token that is there."""
        ...

    async def delete(self, scope: Scope, domain: str) -> None: ...


class Transaction(Protocol):
    """All records, changed together or not at all."""

    @property
    def accounts(self) -> Records[Account]: ...
    @property
    def active_rule_sets(self) -> Records[ActiveRuleSet]:
        """At most one of a scope, under the name ``receipt_rules.ACTIVE``."""
        ...

    @property
    def configuration_sets(self) -> Records[ConfigurationSet]: ...
    @property
    def identities(self) -> Records[Identity]: ...
    @property
    def identity_policies(self) -> Records[IdentityPolicies]:
        """By the names of their identities."""
        ...

    @property
    def receipt_filters(self) -> Records[ReceiptFilter]: ...
    @property
    def receipt_rule_sets(self) -> Records[RuleSet]: ...
    @property
    def replaced_contents(self) -> Records[ReplacedContent]:
        """By the keys of contents that no template has any more."""
        ...

    @property
    def signing_keys(self) -> SigningKeys: ...
    @property
    def templates(self) -> Records[Template]: ...
    @property
    def template_contents(self) -> Records[TemplateContent]:
        """By their keys, apart from their templates: lists do not read what may have 500 KB each."""
        ...

    @property
    def verification_templates(self) -> Records[VerificationTemplate]: ...
    @property
    def verification_contents(self) -> Records[VerificationContent]:
        """By the names of their templates, apart from them: lists do not read what may have 10 MB each."""
        ...


class RecordStore(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits durably when left normally, undoes everything when left by an exception. Keep it short: writers
        wait for each other, so whoever writes to another store inside it waits for himself. The wake-up RECORDS
        follows the commit."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Transaction]:
        """A consistent view without keeping writers waiting; writing through it is a bug."""
        ...

    async def version(self) -> int:
        """Changes whenever any record or credential was changed, by whichever process; cheap enough to ask at every
        request. What was read under one version may be kept until it changes."""
        ...
