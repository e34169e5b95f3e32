"""Records by name: one table for all kinds, the value as JSON. A new kind is one line in `SqlTransaction`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Generic, TypeVar

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
from posthouse.ports.records import SigningKey
from posthouse.ports.wakeups import Topic, Wakeups
from posthouse.stores.database import Database, Session, padded, placeholders
from posthouse.stores.sealing import Seal

R = TypeVar("R", bound=msgspec.Struct)

SELECT_VERSION = "SELECT version FROM facts_version"
BUMP_VERSION = "UPDATE facts_version SET version = version + 1"


class Changes:
    """Whether a transaction changed anything that readers may have kept."""

    def __init__(self) -> None:
        self.made = False


class SqlRecords(Generic[R]):
    """Records of one kind inside one transaction."""

    def __init__(self, session: Session, changes: Changes, kind: str, type: type[R]) -> None:
        self._session = session
        self._changes = changes
        self._kind = kind
        self._type = type

    async def get(self, scope: Scope, name: str) -> R | None:
        rows = await self._session.rows(
            "SELECT body FROM records WHERE account = ? AND region = ? AND kind = ? AND name = ?",
            (*scope, self._kind, name),
        )
        return self._record(rows[0][0]) if rows else None

    async def get_many(self, scope: Scope, names: Iterable[str]) -> dict[str, R]:
        wanted = padded(tuple(dict.fromkeys(names)))
        if not wanted:
            return {}
        rows = await self._session.rows(
            "SELECT name, body FROM records WHERE account = ? AND region = ? AND kind = ?"
            f" AND name IN ({placeholders(len(wanted))})",
            (*scope, self._kind, *wanted),
        )
        return {name: self._record(body) for name, body in rows}

    async def put(self, scope: Scope, name: str, record: R) -> None:
        await self._session.run(
            "INSERT INTO records (account, region, kind, name, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (account, region, kind, name) DO UPDATE SET body = excluded.body",
            (*scope, self._kind, name, msgspec.json.encode(record).decode()),
        )
        self._changes.made = True

    async def delete(self, scope: Scope, name: str) -> bool:
        rows = await self._session.rows(
            "DELETE FROM records WHERE account = ? AND region = ? AND kind = ? AND name = ? RETURNING name",
            (*scope, self._kind, name),
        )
        self._changes.made |= bool(rows)
        return bool(rows)

    async def page(self, scope: Scope, after: str, limit: int) -> Sequence[tuple[str, R]]:
        rows = await self._session.rows(
            "SELECT name, body FROM records WHERE account = ? AND region = ? AND kind = ? AND name > ?"
            " ORDER BY name LIMIT ?",
            (*scope, self._kind, after, limit),
        )
        return [(name, self._record(body)) for name, body in rows]

    async def count(self, scope: Scope) -> int:
        rows = await self._session.rows(
            "SELECT count(*) FROM records WHERE account = ? AND region = ? AND kind = ?", (*scope, self._kind)
        )
        return int(rows[0][0])

    async def everywhere(self) -> Sequence[tuple[Scope, str, R]]:
        rows = await self._session.rows(
            "SELECT account, region, name, body FROM records WHERE kind = ? ORDER BY account, region, name",
            (self._kind,),
        )
        return [(Scope(account, region), name, self._record(body)) for account, region, name, body in rows]

    def _record(self, body: str) -> R:
        return msgspec.json.decode(body, type=self._type)


class SqlSigningKeys:
    """DKIM key pairs inside one transaction, private halves sealed."""

    COLUMNS = "account, region, domain, token, algorithm, sealed_pem, public_record, created_ms"

    def __init__(self, session: Session, changes: Changes, seal: Seal) -> None:
        self._session = session
        self._changes = changes
        self._seal = seal

    async def add(self, keys: Sequence[SigningKey]) -> None:
        await self._session.many(
            f"INSERT INTO signing_keys ({self.COLUMNS}) VALUES ({placeholders(8)})",
            [
                (
                    *key.scope, key.domain, key.token, key.algorithm,
                    self._seal.close(key.private_pem, _owner(key.token)), key.public_record, key.created_ms,
                )
                for key in keys
            ],
        )  # fmt: skip
        self._changes.made |= bool(keys)

    async def of(self, scope: Scope, domain: str) -> Sequence[SigningKey]:
        rows = await self._session.rows(
            f"SELECT {self.COLUMNS} FROM signing_keys WHERE account = ? AND region = ? AND domain = ? ORDER BY id",
            (*scope, domain),
        )
        return [self._key(row) for row in rows]

    async def find(self, token: str) -> SigningKey | None:
        rows = await self._session.rows(f"SELECT {self.COLUMNS} FROM signing_keys WHERE token = ?", (token,))
        return self._key(rows[0]) if rows else None

    async def replace(self, key: SigningKey) -> None:
        await self._session.run(
            "UPDATE signing_keys SET algorithm = ?, sealed_pem = ?, public_record = ?, created_ms = ? WHERE token = ?",
            (
                key.algorithm, self._seal.close(key.private_pem, _owner(key.token)), key.public_record, key.created_ms,
                key.token,
            ),
        )  # fmt: skip
        self._changes.made = True

    async def delete(self, scope: Scope, domain: str) -> None:
        rows = await self._session.rows(
            "DELETE FROM signing_keys WHERE account = ? AND region = ? AND domain = ? RETURNING token",
            (*scope, domain),
        )
        self._changes.made |= bool(rows)

    def _key(self, row: Sequence[object]) -> SigningKey:
        account, region, domain, token, algorithm, sealed, public_record, created_ms = row
        return msgspec.convert(
            {
                "scope": (account, region),
                "domain": domain,
                "token": token,
                "algorithm": algorithm,
                "private_pem": self._seal.open(bytes(sealed), _owner(str(token))),  # type: ignore[call-overload]
                "public_record": public_record,
                "created_ms": created_ms,
            },
            SigningKey,
        )


def _owner(token: str) -> str:
    return f"signing key {token}"


class SqlTransaction:
    """All records over one session."""

    def __init__(self, session: Session, seal: Seal) -> None:
        self.changes = Changes()
        self.accounts = SqlRecords(session, self.changes, "account", Account)
        self.active_rule_sets = SqlRecords(session, self.changes, "active_rule_set", ActiveRuleSet)
        self.configuration_sets = SqlRecords(session, self.changes, "configuration_set", ConfigurationSet)
        self.identities = SqlRecords(session, self.changes, "identity", Identity)
        self.identity_policies = SqlRecords(session, self.changes, "identity_policies", IdentityPolicies)
        self.receipt_filters = SqlRecords(session, self.changes, "receipt_filter", ReceiptFilter)
        self.receipt_rule_sets = SqlRecords(session, self.changes, "receipt_rule_set", RuleSet)
        self.replaced_contents = SqlRecords(session, self.changes, "replaced_content", ReplacedContent)
        self.signing_keys = SqlSigningKeys(session, self.changes, seal)
        self.templates = SqlRecords(session, self.changes, "template", Template)
        self.template_contents = SqlRecords(session, self.changes, "template_content", TemplateContent)
        self.verification_templates = SqlRecords(session, self.changes, "verification_template", VerificationTemplate)
        self.verification_contents = SqlRecords(session, self.changes, "verification_content", VerificationContent)


class SqlRecordStore:
    """Records and their version.

    Where reading the version costs a round trip (`version_ttl_s` > 0), it is kept until the wake-up RECORDS, or for
    `version_ttl_s` where a wake-up got lost: a change by another process is then seen that much later at most. In
    the process that made it, it is seen at once.
    """

    def __init__(self, database: Database, seal: Seal, wakeups: Wakeups, version_ttl_s: float) -> None:
        self._database = database
        self._seal = seal
        self._wakeups = wakeups
        self._version_ttl_s = version_ttl_s
        self._changed = wakeups.subscribe(Topic.RECORDS) if version_ttl_s else None
        self._version = 0
        self._version_until_s = 0.0
        self._in_this_turn: int | None = None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        async with self._database.transaction() as session:
            if session.dialect.for_update:
                # Writers wait for each other here, as they do on SQLite: what one has looked at stays as it is.
                await session.rows(SELECT_VERSION + session.dialect.for_update)
            transaction = SqlTransaction(session, self._seal)
            yield transaction
            if transaction.changes.made:
                await session.run(BUMP_VERSION)
        if transaction.changes.made:
            self.tell_changed()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlTransaction]:
        async with self._database.reading() as session:
            yield SqlTransaction(session, self._seal)

    async def version(self) -> int:
        if self._changed is None:
            if self._in_this_turn is None:
                self._in_this_turn = await self._database.read(_version)
                # What the loop hands out in one turn had come in before the turn began: later changes may be later.
                asyncio.get_running_loop().call_soon(self._look_again)
            return self._in_this_turn
        now_s = asyncio.get_running_loop().time()
        if self._changed.is_set() or now_s > self._version_until_s:
            self._changed.clear()
            self._version = await self._database.read(_version)
            self._version_until_s = now_s + self._version_ttl_s
        return self._version

    def _look_again(self) -> None:
        self._in_this_turn = None

    def tell_changed(self) -> None:
        self._version_until_s = 0.0
        self._in_this_turn = None
        self._wakeups.notify(Topic.RECORDS)


async def _version(session: Session) -> int:
    return int((await session.rows(SELECT_VERSION))[0][0])
