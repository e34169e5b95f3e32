"""Armfuls: what is asked for together is done together, and each gets his own answer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import pytest

from posthouse.delivery.armfuls import Armfuls


class CountingPool(ThreadPoolExecutor):
    handed_over = 0

    def submit(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.handed_over += 1
        return super().submit(*args, **kwargs)


def halved(number: int) -> tuple[int, int]:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2, get_ident()


async def test_each_gets_his_own_answer_from_as_few_journeys_as_there_are_threads() -> None:
    with CountingPool(2) as pool:
        armfuls = Armfuls(halved, pool, 2)
        answers = await asyncio.gather(*map(armfuls.do, range(20)), return_exceptions=True)
        assert pool.handed_over == 2
    assert [str(each) if isinstance(each, Exception) else each[0] for each in answers] == [  # type: ignore[index]
        f"{number} is odd" if number % 2 else number // 2 for number in range(20)
    ]
    assert get_ident() not in {each[1] for each in answers if isinstance(each, tuple)}


async def test_one_alone_does_not_wait_for_others() -> None:
    with CountingPool(2) as pool:
        armfuls = Armfuls(halved, pool, 2)
        assert (await armfuls.do(8))[0] == 4
        assert (await armfuls.do(6))[0] == 3
        assert pool.handed_over == 2


async def test_who_left_is_no_trouble_to_the_others() -> None:
    with ThreadPoolExecutor(1) as pool:
        armfuls = Armfuls(halved, pool, 1)
        leaving, staying = asyncio.ensure_future(armfuls.do(2)), asyncio.ensure_future(armfuls.do(4))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying)[0] == 2


async def test_a_closed_pool_is_told() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError):
        await Armfuls(halved, pool, 1).do(2)
