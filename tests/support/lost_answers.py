"""A store whose answers get lost: what was asked for has come to pass, and the asker is told that it is unavailable."""

from typing import Any

from posthouse.ports.stores import StoreUnavailable


class LostAnswers:
    """Stands for `real`; the first answers of the methods named are lost."""

    def __init__(self, real: Any, *methods: str) -> None:
        self._real, self._left = real, set(methods)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name not in self._left:
            return method

        async def lost(*args: Any, **named: Any) -> Any:
            await method(*args, **named)
            self._left.discard(name)
            raise StoreUnavailable("the connection broke")

        return lost


class NoAnswers(LostAnswers):
    """Nothing has come to pass either."""

    def __getattr__(self, name: str) -> Any:
        if name not in self._left:
            return getattr(self._real, name)

        async def refused(*args: Any, **named: Any) -> Any:
            self._left.discard(name)
            raise StoreUnavailable("the connection broke")

        return refused
