"""Work for threads, handed over by the armful.

The way to a thread and back is some eight system calls while two threads want the interpreter, which costs more than
composing a short message. Whatever is asked for in one turn of the loop goes together, in as many parts as there are
threads.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

W = TypeVar("W")
R = TypeVar("R")


class Armfuls(Generic[W, R]):
    def __init__(self, work: Callable[[W], R], pool: Executor, threads: int) -> None:
        self._work = work
        self._pool = pool
        self._threads = threads
        self._waiting: list[tuple[W, asyncio.Future[R]]] = []

    async def do(self, each: W) -> R:
        """What `work` returns or raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._hand_over, loop)
        self._waiting.append((each, future))
        return await future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        size = -(-len(waiting) // self._threads)
        for start in range(0, len(waiting), size):
            part = waiting[start : start + size]
            try:
                self._pool.submit(self._do_all, part, loop)
            except RuntimeError as error:  # the pool is closed: the process ends
                _tell([(future, error) for _, future in part])

    def _do_all(self, part: Sequence[tuple[W, "asyncio.Future[R]"]], loop: asyncio.AbstractEventLoop) -> None:
        answers = [(future, self._answer(each)) for each, future in part]
        with contextlib.suppress(RuntimeError):  # the loop is closed likewise
            loop.call_soon_threadsafe(_tell, answers)

    def _answer(self, each: W) -> "R | Exception":
        try:
            return self._work(each)
        except Exception as error:
            return error


def _tell(answers: Sequence[tuple["asyncio.Future[R]", R | Exception]]) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
