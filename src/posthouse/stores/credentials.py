"""Access keys, their secrets sealed."""

from collections.abc import Sequence

from posthouse.ports.credentials import Credential
from posthouse.stores.database import Database, Row, Session
from posthouse.stores.records import BUMP_VERSION, SqlRecordStore
from posthouse.stores.sealing import Seal

MAX_OPENED = 10_000
"""Credentials kept in memory by one process."""
COLUMNS = "access_key, account, sealed_secret, sealed_token, expires_ms, console"


class SqlCredentials:
    """The credentials of an installation. Revoking one deletes it; adding one that exists replaces it."""

    def __init__(self, database: Database, seal: Seal, records: SqlRecordStore) -> None:
        self._database = database
        self._seal = seal
        self._records = records
        self._version = -1
        self._opened: dict[str, Credential] = {}

    async def find(self, access_key: str) -> Credential | None:
        # Opening a sealed secret costs more than checking the signature made with it.
        version = await self._records.version()
        if version != self._version or len(self._opened) > MAX_OPENED:
            self._opened.clear()
            self._version = version
        known = self._opened.get(access_key)
        if known is None:
            known = await self._read(access_key)
            # While this one read, another may have noticed a change: what was read then is not kept.
            if known is not None and version == self._version:
                self._opened[access_key] = known
        return known

    async def _read(self, access_key: str) -> Credential | None:
        async def one(session: Session) -> Sequence[Row]:
            return await session.rows(f"SELECT {COLUMNS} FROM credentials WHERE access_key = ?", (access_key,))

        rows = await self._database.read(one)
        return self._credential(rows[0]) if rows else None

    async def add(self, credential: Credential, now_ms: int) -> None:
        token = credential.session_token
        row = (
            credential.access_key,
            credential.account,
            self._seal.close(credential.secret_key.encode(), _owner("secret", credential.access_key)),
            None if token is None else self._seal.close(token.encode(), _owner("token", credential.access_key)),
            credential.expires_ms,
            int(credential.console),
            now_ms,
        )

        async def put(session: Session) -> None:
            await session.run(
                f"INSERT INTO credentials ({COLUMNS}, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (access_key) DO UPDATE SET account = excluded.account,"
                " sealed_secret = excluded.sealed_secret, sealed_token = excluded.sealed_token,"
                " expires_ms = excluded.expires_ms, console = excluded.console",
                row,
            )
            await session.run(BUMP_VERSION)

        await self._database.write(put)
        self._records.tell_changed()

    async def all(self, account: str | None = None) -> Sequence[Credential]:
        where, params = ("", ()) if account is None else ("WHERE account = ?", (account,))

        async def select(session: Session) -> Sequence[Row]:
            return await session.rows(
                f"SELECT {COLUMNS} FROM credentials {where} ORDER BY created_ms, access_key", params
            )

        return [self._credential(row) for row in await self._database.read_long(select)]

    async def revoke(self, access_key: str) -> bool:
        async def delete(session: Session) -> bool:
            rows = await session.rows(
                "DELETE FROM credentials WHERE access_key = ? RETURNING access_key", (access_key,)
            )
            if rows:
                await session.run(BUMP_VERSION)
            return bool(rows)

        revoked = await self._database.write(delete)
        if revoked:
            self._records.tell_changed()
        return revoked

    def _credential(self, row: Row) -> Credential:
        access_key, account, secret, token, expires_ms, console = row
        return Credential(
            access_key=access_key,
            account=account,
            secret_key=self._seal.open(secret, _owner("secret", access_key)).decode(),
            session_token=None if token is None else self._seal.open(token, _owner("token", access_key)).decode(),
            expires_ms=expires_ms,
            console=bool(console),
        )


def _owner(what: str, access_key: str) -> str:
    return f"{what} of access key {access_key}"
