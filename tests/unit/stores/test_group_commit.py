"""GroupCommit: who comes together is committed together, and nobody is told what did not happen to him."""

import asyncio
from collections.abc import Sequence

from posthouse.ports.stores import StoreUnavailable
from posthouse.stores.group_commit import GroupCommit


class Commits:
    """Remembers the groups; doubles each member; can be told to fail, or to take its time."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.failing: set[int] = set()
        self.error: Exception = ValueError("bad member")
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, group: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(group))
        await self.gate.wait()
        if self.failing.intersection(group):
            raise self.error
        return [member * 2 for member in group]


async def test_those_who_come_in_one_turn_share_a_commit() -> None:
    commits = Commits()
    group = GroupCommit[int, int](commits)
    assert await asyncio.gather(*(group.join(n) for n in range(10))) == [n * 2 for n in range(10)]
    assert commits.groups == [list(range(10))]


async def test_what_comes_during_a_commit_is_the_next_group() -> None:
    commits = Commits()
    commits.gate.clear()
    group = GroupCommit[int, int](commits)
    first = asyncio.create_task(group.join(1))
    while not commits.groups:
        await asyncio.sleep(0)
    later = [asyncio.create_task(group.join(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    commits.gate.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6]
    assert commits.groups == [[1], [2, 3]]


async def test_a_group_has_a_limit() -> None:
    commits = Commits()
    group = GroupCommit[int, int](commits, most=4)
    await asyncio.gather(*(group.join(n) for n in range(10)))
    assert [len(one) for one in commits.groups] == [4, 4, 2]


async def test_a_member_that_cannot_be_committed_fails_alone() -> None:
    commits = Commits()
    commits.failing = {3}
    group = GroupCommit[int, int](commits)
    answers = await asyncio.gather(*(group.join(n) for n in range(5)), return_exceptions=True)
    assert answers[:3] + answers[4:] == [0, 2, 4, 8]
    assert isinstance(answers[3], ValueError)


async def test_an_unavailable_store_is_told_to_everybody_and_not_tried_for_each() -> None:
    commits = Commits()
    commits.failing, commits.error = {3}, StoreUnavailable("disk full")
    group = GroupCommit[int, int](commits)
    answers = await asyncio.gather(*(group.join(n) for n in range(5)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["disk full"] * 5
    assert len({id(answer) for answer in answers}) == 5
    assert len(commits.groups) == 1
    commits.failing = set()
    assert await group.join(3) == 6


async def test_who_gave_up_before_the_commit_is_left_out() -> None:
    commits = Commits()
    group = GroupCommit[int, int](commits)
    tasks = [asyncio.create_task(group.join(n)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[0], answers[2]] == [0, 4]
    assert isinstance(answers[1], asyncio.CancelledError)
    assert [member for one in commits.groups for member in one] == [0, 2]


async def test_closing_waits_for_those_who_joined() -> None:
    commits = Commits()
    group = GroupCommit[int, int](commits)
    joined = asyncio.create_task(group.join(1))
    await asyncio.sleep(0)
    await group.close()
    assert commits.groups == [[1]]
    assert await joined == 2
