"""Group commit: what comes at the same time shares one transaction and one sync.

A sync costs a quarter of a millisecond on a good disk, whatever it carries. So the first to come leads: it lets the
loop hand over everything that is ready, commits all of it, and what arrives meanwhile is the next group.
docs/decisions/0003-group-commit.md has the figures.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from posthouse.ports.stores import StoreUnavailable

M = TypeVar("M")
R = TypeVar("R")


class GroupCommit(Generic[M, R]):
    """Collects members and commits them in groups, one group at a time."""

    def __init__(self, commit: Callable[[Sequence[M]], Awaitable[Sequence[R]]], most: int = 256) -> None:
        """`commit` makes a group of up to `most` durable, all or nothing, and returns a result for each."""
        self._commit = commit
        self._most = most
        self._waiting: list[tuple[M, asyncio.Future[R]]] = []
        self._leader: asyncio.Task[None] | None = None

    async def join(self, member: M) -> R:
        """The member's result once it is durable. Raises what its commit raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((member, future))
        if self._leader is None:
            self._leader = loop.create_task(self._lead())
        return await future

    async def close(self) -> None:
        """Waits for those who joined."""
        while self._leader is not None:
            await asyncio.wait([self._leader])

    async def _lead(self) -> None:
        try:
            while self._waiting:
                # One turn of the loop: everybody who is ready to join does so before the group leaves.
                await asyncio.sleep(0)
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._commit_group([(member, future) for member, future in group if not future.done()])
        finally:
            self._leader = None

    async def _commit_group(self, group: Sequence[tuple[M, asyncio.Future[R]]]) -> None:
        try:
            results = await self._commit([member for member, _ in group]) if group else []
        except StoreUnavailable as error:
            # Those who came meanwhile have waited for it too; a turn of their own would have them wait twice as long.
            everybody, self._waiting = [*group, *self._waiting], []
            # Each waiter gets an exception of its own: a shared one would gather all their tracebacks.
            _tell(everybody, [StoreUnavailable(str(error)) for _ in everybody])
        except Exception as error:
            if len(group) == 1:
                _tell(group, [error])
                return
            # One of them cannot be stored; the others must not fall with it.
            for one in group:
                await self._commit_group([one])
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _tell(group: Sequence[tuple[M, asyncio.Future[R]]], errors: Sequence[Exception]) -> None:
    for (_, future), error in zip(group, errors, strict=True):
        if not future.done():
            future.set_exception(error)
