"""Whether two JSON values have the same shape: the same members, the same types, all the way down."""

from typing import Any


def assert_same_shape(expected: Any, actual: Any, at: str = "$") -> None:
    """Lists: every element has the shape of the first one that was expected. Values do not matter."""
    assert type(expected) is type(actual), f"{at}: {type(actual).__name__} instead of {type(expected).__name__}"
    if isinstance(expected, dict):
        assert sorted(actual) == sorted(expected), f"{at}: {sorted(actual)} instead of {sorted(expected)}"
        for name, value in expected.items():
            assert_same_shape(value, actual[name], f"{at}.{name}")
    elif isinstance(expected, list):
        assert bool(actual) is bool(expected), f"{at}: {len(actual)} elements"
        for number, value in enumerate(actual):
            assert_same_shape(expected[0], value, f"{at}[{number}]")
