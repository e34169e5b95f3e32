"""Every operation against the resources of another account, and of another region of the same account.

Asked of by a stranger, a world in which the owner has everything answers with the very bytes of a world in which
nobody has anything, and is the same afterwards. Driven by the table of operations and `examples.py`.
"""

import asyncio
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.context import Callers, Ses, open_ses
from tests.unit.operations.examples import EXAMPLES, FURNITURE, INCOMING, incoming

from posthouse.domain.scope import Caller, Scope
from posthouse.model.errors import ServiceError
from posthouse.model.generated import OPERATIONS as MODEL
from posthouse.operations.table import OPERATIONS
from posthouse.stores.open import SqlStores
from posthouse.wire import query

OWNER = Callers.ANN
STRANGERS = {"account": Callers.BOB, "region": Callers.ANN_ELSEWHERE}
REQUEST_ID = "00000000-0000-4000-8000-000000000000"


async def answer(ses: Ses, operation: str, caller: Caller, parameters: Mapping[str, str]) -> bytes:
    """What the door would send."""
    try:
        request = query.parse(dict(parameters), MODEL[operation].request)
        return query.render(await OPERATIONS[operation](request, caller, ses.ctx), MODEL[operation], REQUEST_ID)
    except ServiceError as error:
        return query.render_error(error, REQUEST_ID)


async def state(ses: Ses, scope: Scope) -> dict[str, list[Any]]:
    """Every row of every table that belongs to a scope, whichever tables there are."""
    assert isinstance(ses.ctx.stores, SqlStores)
    found = {}
    async with ses.ctx.stores._database.reading() as session:
        for (table,) in await session.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = {row[0] for row in await session.rows(f"SELECT name FROM pragma_table_info('{table}')")}
            if "account" in columns:
                mine, params = ("account = ?", scope[:1])
                if "region" in columns:
                    mine, params = ("account = ? AND region = ?", scope)
                found[table] = sorted(map(repr, await session.rows(f"SELECT * FROM {table} WHERE {mine}", params)))
    return found


async def furnish(directory: Path, furniture: Iterable[tuple[str, Mapping[str, str]]]) -> None:
    async with open_ses(directory=directory) as ses:
        if furniture:
            await ses.ctx.stores.inbox.add(incoming(OWNER.scope, INCOMING, ses.clock.now_ms()))
        for operation, parameters in furniture:
            made = await answer(ses, operation, OWNER, parameters)
            assert b"<Error>" not in made, (operation, made)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the owner has something of everything."""
    directory = tmp_path_factory.mktemp("furnished") / "data"
    asyncio.run(furnish(directory, [each for each in FURNITURE if each[0] in OPERATIONS]))
    return directory


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("empty") / "data"
    asyncio.run(furnish(directory, ()))
    return directory


def test_every_operation_has_an_example() -> None:
    missing = set(OPERATIONS) - set(EXAMPLES)
    assert not missing, f"tests/unit/operations/examples.py has no example of {', '.join(sorted(missing))}"


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
async def test_a_stranger_learns_and_changes_nothing(
    operation: str, furnished: Path, empty: Path, tmp_path: Path
) -> None:
    example = EXAMPLES[operation]
    full, bare = tmp_path / "full", tmp_path / "bare"
    shutil.copytree(furnished, full)
    shutil.copytree(empty, bare)
    async with open_ses(directory=full, seed=1) as theirs, open_ses(directory=bare, seed=1) as nobodys:
        theirs.clock.at_ms += 1000
        nobodys.clock.at_ms += 1000
        before = await state(theirs, OWNER.scope)
        for what, stranger in STRANGERS.items():
            told = (await answer(theirs, operation, stranger, example.parameters)).decode()
            expected = (await answer(nobodys, operation, stranger, example.parameters)).decode()
            fresh = re.compile(example.fresh)
            assert fresh.sub("FRESH", told) == fresh.sub("FRESH", expected), f"another {what}"
            assert not [each for each in fresh.findall(told) if each in str(before)], f"another {what}"
            assert await state(theirs, OWNER.scope) == before, f"another {what}"

        # The example means something: to the owner himself it does make a difference.
        to_owner = await answer(theirs, operation, OWNER, example.parameters)
        differs = to_owner != await answer(nobodys, operation, OWNER, example.parameters)
        assert example.repeats or differs or await state(theirs, OWNER.scope) != before
