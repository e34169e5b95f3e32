"""Wildcard patterns of policies, held against the standard library's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.domain.wildcards import Pattern


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "anything\nat all", True),
        ("?", "", False),
        ("?", "a", True),
        ("a*", "ba", False),
        ("*@mail.example", "ann@mail.example", True),
        ("*@mail.example", "ann@mail.example.org", False),
        ("news-*@shop.example", "news-1@shop.example", True),
        ("news-*@shop.example", "news@shop.example", False),
        ("a*b*c", "aXbYbZc", True),
        ("ab*ba", "aba", False),
        ("a?c*e?g", "abcdefg", True),
        ("*a?c*", "xxabcxx", True),
        ("${*}", "${anything}", True),
        ("A", "a", False),
    ],
)
def test_stars_and_question_marks(pattern: str, text: str, fits: bool) -> None:
    assert Pattern(pattern).matches(text) == fits


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [("a${*}b", "a*b", True), ("a${*}b", "axb", False), ("${?}", "?", True), ("${$}{x}", "${x}", True)],
)
def test_escaped_characters_stand_for_themselves(pattern: str, text: str, fits: bool) -> None:
    assert Pattern(pattern, escapes=True).matches(text) == fits


@given(st.text("ab*?${}", max_size=12), st.text("ab${}", max_size=16))
def test_a_pattern_means_what_its_regular_expression_means(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    assert Pattern(pattern).matches(text) == bool(re.fullmatch(expression, text, re.DOTALL))


@pytest.mark.parametrize("pattern", ["a*" * 1000 + "b", "*a?" * 300 + "*c", "*" * 4000])
def test_a_hostile_pattern_is_answered(pattern: str) -> None:
    # A matcher that tries again what it has tried would not come back from these.
    assert Pattern(pattern).matches("a" * 1000) == (set(pattern) == {"*"})
