"""Calls to AWS, or to what speaks its protocols, by way of aiobotocore.

Credentials come from AWS's default chain (environment, shared files, the machine's role), or from a role that is
assumed. aiobotocore costs a second and some 40 MB, so it is loaded at the first call.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from posthouse.config import Aws

CONNECT_S, ANSWER_S = 5, 15
ATTEMPTS = 3
CONNECTIONS = 20
MAX_CLIENTS = 50
"""Of one service, kept open; each has memory and connections of its own."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The service did it."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Denied:
    """The service answered that it did not."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unreached:
    """Not called, or no answer: no credentials, no connection, no time."""

    reason: str


Reply = Answered | Denied | Unreached


class RoleTrouble(Exception):
    """A role was not assumed; raised through botocore, which asks for credentials in the middle of a call."""

    def __init__(self, reply: Denied | Unreached) -> None:
        super().__init__(reply)
        self.reply = reply


def endpoint(aws: Aws, service: str) -> str | None:
    """Where a service is spoken, in place of AWS's own endpoint of each region."""
    own: str | None = getattr(aws, f"{service}_endpoint_url")
    return own or aws.endpoint_url


@dataclass(slots=True)
class _Kept:
    """A client, and how many calls are using it."""

    client: Any
    opened: contextlib.AsyncExitStack
    calls: int = 0


class AwsService:
    """One service; a client for each region (and role), kept open."""

    def __init__(self, service: str, endpoint_url: str | None, **client: Any) -> None:
        """`client`: options of botocore's Config in the place of the ones below."""
        self._service, self._endpoint_url, self._client_options = service, endpoint_url, client
        self._clients: dict[tuple[str, object], _Kept] = {}
        self._opening = asyncio.Lock()

    async def ask(
        self,
        region: str,
        operation: str,
        asked: Mapping[str, Any],
        *,
        session: "Callable[[], Any] | None" = None,
        key: object = None,
    ) -> Reply:
        """Calls an operation by its name in Python (``put_record_batch``).

        `session` makes the session whose credentials are used, once for each `key`; by default those of the chain.
        Raises RoleTrouble where that session's credentials cannot be had.
        """
        try:
            exceptions = await asyncio.to_thread(importlib.import_module, "botocore.exceptions")
        except ModuleNotFoundError:
            return Unreached("calling AWS needs `pip install posthouse[aws]`")
        try:
            async with self._client(region, session, key) as client:
                return Answered(await getattr(client, operation)(**asked))
        except exceptions.ClientError as error:
            told = error.response.get("Error", {})
            return Denied(str(told.get("Code", "")), str(told.get("Message", "")))
        except (exceptions.BotoCoreError, OSError, TimeoutError) as error:
            return Unreached(str(error) or type(error).__name__)

    @contextlib.asynccontextmanager
    async def _client(self, region: str, session: "Callable[[], Any] | None", key: object) -> AsyncIterator[Any]:
        async with self._opening:
            kept = self._clients.pop((region, key), None) or await self._open(region, session)
            # The last one used is the last one to go.
            self._clients[region, key] = kept
            await self._close_surplus()
            kept.calls += 1
        try:
            yield kept.client
        finally:
            kept.calls -= 1

    async def _open(self, region: str, session: "Callable[[], Any] | None") -> _Kept:
        made = await asyncio.to_thread(session or _plain_session)
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_S,
            "read_timeout": ANSWER_S,
            "max_pool_connections": CONNECTIONS,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        }
        config = (await asyncio.to_thread(importlib.import_module, "aiobotocore.config")).AioConfig(
            **(options | self._client_options)
        )
        opened = contextlib.AsyncExitStack()
        opening = made.create_client(self._service, region_name=region, endpoint_url=self._endpoint_url, config=config)
        return _Kept(await opened.enter_async_context(opening), opened)

    async def _close_surplus(self) -> None:
        """Users name roles, as many as they like."""
        surplus = len(self._clients) - MAX_CLIENTS
        idle = [at for at, kept in self._clients.items() if not kept.calls][: max(0, surplus)]
        for at in idle:
            await self._clients.pop(at).opened.aclose()

    async def close(self) -> None:
        for kept in self._clients.values():
            await kept.opened.aclose()
        self._clients.clear()


def _plain_session() -> Any:
    return importlib.import_module("aiobotocore.session").get_session()


class Roles:
    """Roles that users name, assumed by way of STS; their credentials are renewed before they end.

    Source: AWS STS API reference, AssumeRole. The external id is the Posthouse account: with
    ``sts:ExternalId`` in its trust policy a role can be kept to one account, since all of them call with the same
    credentials of ours ("the confused deputy problem", IAM user guide).
    """

    def __init__(self, endpoint_url: str | None) -> None:
        self._sts = AwsService("sts", endpoint_url)

    async def check(self, account: str, role_arn: str, region: str) -> Denied | Unreached | None:
        """Why the role cannot be assumed; None where it can."""
        try:
            await self._assume(account, role_arn, region)
        except RoleTrouble as trouble:
            return trouble.reply
        return None

    def session(self, account: str, role_arn: str, region: str) -> Callable[[], Any]:
        """What makes a session with the credentials of the role, asked for at its first call."""

        def made() -> Any:
            credentials = importlib.import_module("aiobotocore.credentials")
            found = _plain_session()
            # The attribute botocore's own assume-role provider ends in; there is no public way to a session with
            # credentials that renew themselves.
            found._credentials = credentials.AioDeferredRefreshableCredentials(
                lambda: self._assume(account, role_arn, region), "assume-role"
            )
            return found

        return made

    async def _assume(self, account: str, role_arn: str, region: str) -> dict[str, Any]:
        reply = await self._sts.ask(
            region,
            "assume_role",
            {"RoleArn": role_arn, "RoleSessionName": f"posthouse-{account}", "ExternalId": account},
        )
        if not isinstance(reply, Answered):
            raise RoleTrouble(reply)
        given = reply.body["Credentials"]
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    async def close(self) -> None:
        await self._sts.close()
