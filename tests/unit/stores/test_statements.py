"""The turning of statements from one dialect to the other."""

import asyncio

import pytest

from posthouse.stores.database import padded, placeholders, run_through
from posthouse.stores.postgres import by_arrays, numbered


def test_question_marks_become_numbers() -> None:
    assert numbered("SELECT 1") == "SELECT 1"
    assert numbered("a = ? AND (b, c) > (?, ?)") == "a = $1 AND (b, c) > ($2, $3)"


def test_an_insert_of_one_row_becomes_one_of_arrays() -> None:
    assert by_arrays("INSERT INTO t (a, b, c, d) VALUES (?, '', 0, ?)", ["text", "int8"]) == (
        "INSERT INTO t (a, b, c, d) SELECT c1, '', 0, c2 FROM unnest($1::text[], $2::int8[]) AS given (c1, c2)"
    )
    upsert = "INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET b = t.b + excluded.b"
    assert by_arrays(upsert, ["text", "bytea"]) == (
        "INSERT INTO t (a, b) SELECT c1, c2 FROM unnest($1::text[], $2::bytea[]) AS given (c1, c2)"
        " ON CONFLICT (a) DO UPDATE SET b = t.b + excluded.b"
    )


def test_lists_are_padded_to_few_lengths() -> None:
    assert padded(()) == ()
    assert padded(("a",)) == ("a",)
    assert padded(("a", "b", "c")) == ("a", "b", "c", "c")
    assert {len(padded(tuple("x" * n))) for n in range(1, 100)} == {1, 2, 4, 8, 16, 32, 64, 128}
    assert placeholders(3) == "?, ?, ?"


async def test_work_on_sqlite_must_not_wait() -> None:
    async def at_once() -> int:
        return 1

    async def waits() -> None:
        await asyncio.sleep(0)

    assert run_through(at_once()) == 1
    with pytest.raises(RuntimeError, match="waited"):
        run_through(waits())
