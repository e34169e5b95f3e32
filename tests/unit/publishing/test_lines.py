"""Lines: one after the other within each, side by side among them."""

from posthouse.publishing.lines import Lines


def all_ready(lines: Lines[str]) -> list[str]:
    found = []
    while (item := lines.take()) is not None:
        found.append(item)
    return found


def filled(*items: str) -> Lines[str]:
    """An item's line is its first letter."""
    lines: Lines[str] = Lines()
    for item in items:
        assert lines.add(item[0].strip("-"), item)
    return lines


def test_one_of_each_line_goes_at_a_time() -> None:
    lines = filled("a1", "b1", "a2", "a3", "b2")
    assert all_ready(lines) == ["a1", "b1"]
    lines.passed("a")
    assert all_ready(lines) == ["a2"]
    assert lines.add("a", "a4")
    assert all_ready(lines) == []
    lines.passed("a")
    lines.passed("b")
    assert all_ready(lines) == ["b2", "a3"]
    lines.passed("b")
    assert lines.add("b", "b3")
    assert all_ready(lines) == ["b3"]
    assert len(lines) == 1


def test_what_has_no_line_goes_side_by_side() -> None:
    lines = filled("-1", "-2")
    assert all_ready(lines) == ["-1", "-2"]
    assert lines.close("") == []
    assert lines.add("", "-3")


def test_a_closed_line_lets_go_of_what_stood_in_it_and_takes_nobody() -> None:
    lines = filled("a1", "a2", "a3", "b1")
    assert lines.take() == "a1"
    assert lines.close("a") == ["a2", "a3"]
    assert not lines.add("a", "a2")
    assert all_ready(lines) == ["b1"]
    lines.open({"a"})
    assert lines.add("a", "a1")
    assert all_ready(lines) == ["a1"]


def test_all_that_wait_are_counted_and_can_be_taken_out() -> None:
    lines = filled("a1", "a2", "b1", "-1")
    assert len(lines) == 4
    assert lines.take() == "a1"
    assert len(lines) == 3
    assert sorted(lines.clear()) == ["-1", "a2", "b1"]
    assert len(lines) == 0
    assert lines.take() is None
