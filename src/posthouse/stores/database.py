"""What the stores need of a database: statements in one dialect of SQL, run in transactions.

Statements are written once, in the subset that SQLite 3.40 and PostgreSQL 15 share, with ``?`` for parameters; the
few words in which the two differ stand in `Dialect`. Bodies of transactions are coroutine functions that take a
`Session`: on PostgreSQL they wait for the server, on SQLite they run to their end without ever waiting (`run_through`),
on the loop or in a thread, whichever the executor chooses.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = Sequence[Any]
Work = Callable[["Session"], Coroutine[Any, Any, T]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the two databases need different words."""

    for_update: str = ""
    """Ends a SELECT whose rows this transaction is going to change."""
    skip_locked: str = ""
    """The same, passing over rows that another transaction is changing."""
    event_turn: str = ""
    """A statement to run before rows are added to the event log, so that they come to be seen in order of seq."""


class Session(Protocol):
    """Statements inside one transaction, or on one consistent view."""

    dialect: Dialect

    async def rows(self, sql: str, params: Row = ()) -> Sequence[Row]:
        """All rows of the answer."""
        ...

    async def run(self, sql: str, params: Row = ()) -> None: ...

    async def many(self, sql: str, params: Iterable[Row]) -> None:
        """The statement once for each set of parameters, in order."""
        ...

    async def rows_of_many(self, sql: str, params: Iterable[Row]) -> Sequence[Row]:
        """The statement once for each set of parameters, in order; the rows of all answers."""
        ...

    async def changes(self, sql: str, params: Iterable[Row]) -> Sequence[bool]:
        """An UPDATE or DELETE once for each set of parameters, in order; for each of them whether it changed a row."""
        ...


class Database(Protocol):
    """One database as one process uses it. Everything raises StoreUnavailable where the database cannot serve."""

    async def write(self, work: Work[T], *, durable: bool = True) -> T:
        """Runs the work in a transaction of its own and commits it; an exception undoes it.

        Not durable: a power cut may take it back, until the next durable one; the death of a process never does.
        """
        ...

    def transaction(self) -> AbstractAsyncContextManager[Session]:
        """A durable transaction around code that may wait for other things."""
        ...

    def reading(self) -> AbstractAsyncContextManager[Session]:
        """A consistent view that refuses to write, around code that may wait for other things."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Runs the work on a consistent view; for a few rows found by key."""
        ...

    async def read_long(self, work: Work[T]) -> T:
        """The same for work that may take long: the loop stays free meanwhile."""
        ...

    async def close(self) -> None: ...


def run_through(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("work on SQLite waited for something else than its session")


def placeholders(count: int) -> str:
    """``?, ?, ...``"""
    return ", ".join(["?"] * count)


def padded(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values with the last one repeated up to a power of two, for an IN list.

    So that few different statements are kept prepared, whatever the number of values.
    """
    wanted = 1
    while wanted < len(values):
        wanted *= 2
    return (*values, *values[-1:] * (wanted - len(values)))
